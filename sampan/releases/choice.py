"""Which files of a model are taken: all that are needed, none that run code when they are loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from sampan.releases.hub import Announced
from sampan.releases.names import ReleaseError, check_paths

WEIGHTS = (".safetensors", ".gguf", ".onnx", ".xml")
# Formats whose usual loaders run what is written in them.
PICKLES = (".bin", ".pt", ".pt2", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".h5", ".keras", ".nemo", ".pdparams")
_PAPERS = ("readme*", "licen[cs]e*", "notice*", "copying*")


@dataclass(frozen=True, slots=True)
class Choice:
    """The files to take, and those that were `refused` because they are pickles."""

    files: tuple[Announced, ...]
    refused: tuple[Announced, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Patterns of paths (`*` also matches `/`). Without `include` all are wanted; `exclude` has the last word.

    README and licence are taken whatever `include` says: who uses a model has to know its terms.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    allow_pickle: bool = False

    def choose(self, files: Iterable[Announced]) -> Choice:
        """Raises `ReleaseError` for a path that may not be, or where nothing is left that could be run."""
        asked = [file for file in files if self._wants(file.path)]
        paths = {file.path for file in asked}
        refused = [] if self.allow_pickle else [file for file in asked if _is_pickle(file.path, paths)]
        taken = [file for file in asked if file not in refused]
        check_paths(file.path for file in taken)
        if not taken or (refused and not self.include and not any(file.path.endswith(WEIGHTS) for file in taken)):
            names = ", ".join(file.path for file in refused[:5])
            raise ReleaseError(
                f"its weights are here as {names} only, which run code when they are loaded. Look for a revision with "
                "safetensors, or say --allow-pickle if you trust who made them."
                if refused
                else "no file of it matches what --include and --exclude say"
            )
        return Choice(tuple(taken), tuple(refused))

    def _wants(self, path: str) -> bool:
        if is_hidden(path) or _matches(path, self.exclude):
            return False
        return not self.include or _matches(path, self.include) or _matches(path.lower(), _PAPERS)


def is_hidden(path: str) -> bool:
    """What tools leave for themselves: `.gitattributes`, `.cache/…`."""
    return any(part.startswith(".") and part not in (".", "..") for part in path.split("/"))


def _is_pickle(path: str, paths: set[str]) -> bool:
    """By its name. OpenVINO calls its plain numbers `.bin` too: they stand beside an `.xml`."""
    if path.endswith(".bin") and str(PurePosixPath(path).with_suffix(".xml")) in paths:
        return False
    return path.lower().endswith(PICKLES)


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)

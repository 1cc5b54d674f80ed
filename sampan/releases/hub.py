"""Hugging Face and ModelScope: what a model consists of at a revision, and where its files are.

The shapes are those that their own clients read: huggingface_hub 2.4 (`hf_api.model_info`, `blobs=true`) and
modelscope_hub (`_legacy_api.list_files`, `list_revisions_detail`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from sampan.releases.names import ReleaseError, check_name, check_pin, check_revision
from sampan.releases.wire import Credentials, Wire

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")
# What ModelScope lists at most; more it leaves out without a word (modelscope_hub: REPO_FILES_TRUNCATION_LIMIT).
_MODELSCOPE_LIMIT = 3000


@dataclass(frozen=True, slots=True)
class Announced:
    """A file as its source announces it: `sha256`, or `blob` (a Git object's name), or neither."""

    path: str
    size: int
    sha256: str = ""
    blob: str = ""

    def is_this(self, sha256: str, blob: str) -> bool:
        """Whether what arrived, hashed both ways, is what was announced."""
        return (not self.sha256 or self.sha256 == sha256) and (not self.blob or self.blob == blob)


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of a model at one pinned `revision`; `asked` is the branch or tag that it was found by.

    Paths are as the hub has them: `names.check_paths` judges those that are taken.
    """

    name: str
    revision: str
    asked: str
    source: str
    files: tuple[Announced, ...]


class Hub(Protocol):
    """Where models are published."""

    credentials: Credentials

    def list(self, name: str, revision: str) -> Listing:
        """What a model consists of; `revision` "" is the default branch. Raises `ReleaseError`."""
        ...

    def address(self, listing: Listing, path: str) -> str:
        """The URL of a file's bytes."""
        ...


class HuggingFace:
    """`https://huggingface.co`, or a mirror of it; `token` as in HF_TOKEN."""

    def __init__(self, wire: Wire, endpoint: str, token: str) -> None:
        self._wire = wire
        self._endpoint = endpoint.rstrip("/")
        headers = {"Authorization": f"Bearer {_secret(token, 'HF_TOKEN')}"} if token else {}
        self.credentials = Credentials(self._endpoint, headers)

    def list(self, name: str, revision: str) -> Listing:
        asked = check_revision(revision or "main")
        url = f"{self._endpoint}/api/models/{check_name(name)}/revision/{quote(asked, safe='')}?blobs=true"
        status, headers, data = self._wire.get_json(url, self.credentials)
        if status >= 400:
            raise self._refusal(status, headers, name, asked)
        if not isinstance(data, dict) or not isinstance(data.get("siblings"), list):
            raise ReleaseError(f"{_host(self._endpoint)} did not answer as Hugging Face does")
        files = tuple(_read_sibling(each) for each in data["siblings"])
        commit = check_pin(_text(data.get("sha")))
        return Listing(name, commit, asked, "huggingface", files)

    def address(self, listing: Listing, path: str) -> str:
        return f"{self._endpoint}/{listing.name}/resolve/{listing.revision}/{quote(path)}"

    def _refusal(self, status: int, headers: Mapping[str, str], name: str, asked: str) -> ReleaseError:
        code = headers.get("X-Error-Code") or ""
        host = _host(self._endpoint)
        if code == "GatedRepo" or status == 403:
            return ReleaseError(
                f"{name} is not open to everybody: agree to its licence at {self._endpoint}/{name}, make a token "
                "there, and set HF_TOKEN to it."
            )
        if code == "RevisionNotFound":
            return ReleaseError(f"{host} has {name}, but no revision {asked} of it")
        if status in (401, 404):
            return ReleaseError(
                f"{host} has no model {name} at {asked}; if it is private, set HF_TOKEN to a token for it."
            )
        return ReleaseError(f"{host} answered {status} when it was asked for {name}")


class ModelScope:
    """`https://www.modelscope.cn`; `token` as in MODELSCOPE_API_TOKEN."""

    def __init__(self, wire: Wire, endpoint: str, token: str) -> None:
        self._wire = wire
        self._endpoint = endpoint.rstrip("/")
        # Its own client sends both: parts of the API read one, parts the other.
        secret = _secret(token, "MODELSCOPE_API_TOKEN")
        headers = {"Authorization": f"Bearer {secret}", "Cookie": f"m_session_id={secret}"} if token else {}
        self.credentials = Credentials(self._endpoint, headers)

    def list(self, name: str, revision: str) -> Listing:
        asked = check_revision(revision or "master")
        query = urlencode({"Revision": asked, "Recursive": "True"})
        status, _, data = self._wire.get_json(f"{self._models}/{check_name(name)}/repo/files?{query}", self.credentials)
        if status >= 400 or not isinstance(data, dict) or data.get("Success") is False:
            raise ReleaseError(
                f"{_host(self._endpoint)} has no model {name} at {asked}; if it is private, set MODELSCOPE_API_TOKEN."
            )
        found = data.get("Data")
        entries = found.get("Files") if isinstance(found, dict) else None
        if not isinstance(found, dict) or not entries:
            # A revision that is not there is a 200 without files.
            raise ReleaseError(f"{_host(self._endpoint)} has no revision {asked} of {name}. {self._known(name)}")
        if len(entries) >= _MODELSCOPE_LIMIT:
            raise ReleaseError(f"{name} has {_MODELSCOPE_LIMIT} files or more, which ModelScope does not list all")
        blobs = [each for each in entries if isinstance(each, dict) and each.get("Type") != "tree"]
        files = tuple(_read_entry(each) for each in blobs)
        return Listing(name, _commit(found, blobs, files, asked), asked, "modelscope", files)

    def address(self, listing: Listing, path: str) -> str:
        # A revision that we named by its content is not one of theirs: it is asked for as it was found.
        revision = listing.revision if _SHA1.fullmatch(listing.revision) else listing.asked
        query = urlencode({"Revision": revision, "FilePath": path})
        return f"{self._models}/{listing.name}/repo?{query}"

    @property
    def _models(self) -> str:
        return f"{self._endpoint}/api/v1/models"

    def _known(self, name: str) -> str:
        _, _, data = self._wire.get_json(f"{self._models}/{name}/revisions", self.credentials)
        try:
            known = data["Data"]["RevisionMap"]
            names = [str(each["Revision"]) for kind in ("Branches", "Tags") for each in known.get(kind) or []]
        except (TypeError, KeyError, AttributeError):
            names = []
        return f"There are: {', '.join(names[:20])}" if names else ""


def content_pin(files: Sequence[Announced]) -> str:
    """A revision for what has none: a digest of all paths and hashes, `content-` and 40 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path):
        digest.update(f"{file.sha256 or file.blob} {file.size} {file.path}\n".encode())
    return f"content-{digest.hexdigest()[:40]}"


def _commit(
    found: Mapping[str, Any], blobs: Sequence[Mapping[str, Any]], files: Sequence[Announced], asked: str
) -> str:
    """The commit of a listing: ModelScope says its first letters, and of each file the commit that changed it last.

    The newest is that of some file, unless it only deleted: then the listing is pinned by its content.
    """
    if _SHA1.fullmatch(asked):
        return asked
    latest = found.get("LatestCommitter")
    short = _text(latest.get("Id") or latest.get("ShortId")) if isinstance(latest, dict) else ""
    commits = {_text(each.get("Revision")) for each in blobs}
    matching = [each for each in commits if short and each.startswith(short) and _SHA1.fullmatch(each)]
    return matching[0] if len(matching) == 1 else content_pin(files)


def _read_sibling(raw: Any) -> Announced:
    large = raw.get("lfs") if isinstance(raw, dict) else None
    if isinstance(large, dict):
        return _announced(raw.get("rfilename"), large.get("size"), sha256=large.get("sha256"))
    raw = raw if isinstance(raw, dict) else {}
    return _announced(raw.get("rfilename"), raw.get("size"), blob=raw.get("blobId"))


def _read_entry(raw: Mapping[str, Any]) -> Announced:
    return _announced(raw.get("Path"), raw.get("Size"), sha256=raw.get("Sha256"))


def _announced(path: Any, size: Any, *, sha256: Any = "", blob: Any = "") -> Announced:
    whole = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    sha256, blob = _text(sha256).lower(), _text(blob).lower()
    if not isinstance(path, str) or not whole:
        raise ReleaseError("the hub lists a file without a path or a size")
    if (sha256 and not _SHA256.fullmatch(sha256)) or (blob and not _SHA1.fullmatch(blob)):
        raise ReleaseError(f"the hub lists {path!r} with a hash that is none")
    return Announced(path, size, sha256, blob)


def _text(raw: Any) -> str:
    return raw if isinstance(raw, str) else ""


def _host(endpoint: str) -> str:
    return urlsplit(endpoint).netloc


def _secret(token: str, variable: str) -> str:
    if not re.fullmatch(r"[!-~]*", token):  # the value is not shown: it is a secret
        raise ReleaseError(f"{variable} has a blank, a line end or another sign that no token has")
    return token

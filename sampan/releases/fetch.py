"""A model comes to this machine: from a hub, several files at once, each resumed and verified; or from a folder."""

from __future__ import annotations

import errno
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from sampan.releases.choice import Choice, Wanted, is_hidden
from sampan.releases.hub import Announced, Hub, Listing, content_pin
from sampan.releases.install import in_words
from sampan.releases.names import PART, RELEASE_FILE, ReleaseError, check_name, check_pin
from sampan.releases.part import ETAG, Part, TooLong
from sampan.releases.progress import Watch
from sampan.releases.store import CHUNK, Facts, Release, ReleaseFile, Store, find_licence, hash_file, read_release, walk
from sampan.releases.wire import CHUNK as RECEIVED
from sampan.releases.wire import Answer, Passing, Stopped, Wire

NOT_ANNOUNCED = "the file that arrived is not the one that was announced"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WRONG_TWICE = 2
_SLACK = 1 << 20  # bytes for release.json and folders


class Fetcher:
    """Fetches into a `Store`. `jobs` files come at once; `clock` is in Unix seconds.

    Whatever ends it, even SIGKILL, what has arrived stays and the same fetch goes on with it.
    """

    def __init__(
        self, store: Store, wire: Wire, watch: Watch, jobs: int = 4, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._wire = wire
        self._watch = watch
        self._jobs = jobs
        self._clock = clock

    def fetch(self, hub: Hub, name: str, revision: str, wanted: Wanted) -> Release:
        """From a hub. Raises `ReleaseError`; on `KeyboardInterrupt` all threads are told to stop first."""
        listing = hub.list(name, revision)
        choice = _choose(wanted, listing)
        with self._store.lock(name, listing.revision):
            here = self._here(listing)
            missing = [file for file in choice.files if not _is_here(file, here)]
            if not missing:
                return self._store.find(name, listing.revision)
            folder = self._begin(listing, choice, bool(here))
            self._check_disk(missing, folder)
            self._watch.plan(f"{name} {listing.revision[:12]}", len(missing), sum(file.size for file in missing))
            arrived = _Arrivals(hub, listing, folder, missing, self._wire, self._watch).run(self._jobs)
            return self._finish(listing, choice, here, arrived)

    def fetch_folder(self, source: Path, name: str, revision: str, wanted: Wanted) -> Release:
        """From a folder, hard links where the disk is the same. Raises `ReleaseError`.

        One that is a release elsewhere keeps its revision and has to be what its release.json says; any other is pinned
        by its content where no `revision` is given.
        """
        announced = _read_folder(source)
        choice = wanted.choose(announced)
        known = read_release(source)
        files = self._hash_all(source, choice.files)
        pin = check_pin(revision or (known.revision if known is not None else content_pin(files)))
        listing = Listing(check_name(name), pin, "", "folder", files)
        with self._store.lock(name, pin):
            here = self._here(listing)
            if all(_is_here(file, here) for file in files):
                return self._store.find(name, pin)
            folder = self._begin(listing, choice, bool(here))
            if source.resolve() == folder.resolve():
                raise ReleaseError(f"{source} is the release itself")
            arrived = {file.path: self._bring(source, folder, file) for file in files if not _is_here(file, here)}
            return self._finish(listing, choice, here, arrived)

    def _here(self, listing: Listing) -> Mapping[str, ReleaseFile]:
        """The good files of the release, where it is here and whole: what was damaged since then is fetched again."""
        known = self._store.read(listing.name, listing.revision)
        if known is None or not known.facts.whole:
            return {}
        self._watch.plan(f"Checking {known.folder.name[:20]}", len(known.facts.files), known.size)
        damaged = {each.path: each.what for each in self._store.verify(known, self._jobs, self._watch.advance)}
        for path, what in damaged.items():
            self._watch.say(f"{path} {what}")
        for file in known.facts.files:
            if file.path in damaged:
                (known.folder / file.path).unlink(missing_ok=True)
        return {file.path: file for file in known.facts.files if file.path not in damaged}

    def _begin(self, listing: Listing, choice: Choice, is_whole: bool) -> Path:
        if choice.refused:
            names = ", ".join(file.path for file in choice.refused[:5])
            self._watch.say(
                f"Left out, because they run code when they are loaded: {names}. --allow-pickle takes them."
            )
        if not is_whole:
            self._store.note(
                self._facts(listing, [ReleaseFile(file.path, file.size) for file in choice.files], whole=False)
            )
        return self._store.place(listing.name, listing.revision)

    def _facts(self, listing: Listing, files: list[ReleaseFile], *, whole: bool, licence: str = "") -> Facts:
        return Facts(
            listing.name, listing.revision, listing.source, files, self._clock(), listing.asked, licence, whole
        )

    def _check_disk(self, files: Sequence[Announced], folder: Path) -> None:
        needed = sum(file.size for file in files) + _SLACK
        needed -= sum(_size(folder / file.path) + _size(folder / (file.path + PART)) for file in files)
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise _full(folder, needed, free)

    def _finish(
        self, listing: Listing, choice: Choice, here: Mapping[str, ReleaseFile], arrived: Mapping[str, str]
    ) -> Release:
        files = dict(here) | {
            file.path: ReleaseFile(file.path, file.size, arrived[file.path])
            for file in choice.files
            if file.path in arrived
        }
        folder = self._store.place(listing.name, listing.revision)
        announced = {file.path for file in listing.files}
        for path in walk(folder):
            # What an earlier fetch brought and this one does not want goes: libraries load what they find. What did not
            # come from the hub is somebody's own: it stays, and `verify` tells of it.
            if path not in files and (path in announced or path.endswith((PART, PART + ETAG))):
                (folder / path).unlink(missing_ok=True)
        unsure = [
            file.path for file in choice.files if not file.sha256 and not file.blob and listing.source != "folder"
        ]
        if unsure:
            self._watch.say(f"No hash was announced for {len(unsure)} files: they are pinned as they came.")
        ordered = [files[path] for path in sorted(files)]
        return self._store.note(self._facts(listing, ordered, whole=True, licence=find_licence(folder)))

    def _hash_all(self, source: Path, files: Sequence[Announced]) -> tuple[Announced, ...]:
        """Files of a folder with their sha256. Raises `ReleaseError` where it is not the one in its release.json."""
        self._watch.plan(f"Reading {source}", len(files), sum(file.size for file in files))
        hashed = []
        for file in files:
            self._watch.begin(file.path, file.size)
            try:
                sha256 = hash_file(source / file.path, lambda count, path=file.path: self._watch.advance(path, count))  # type: ignore[misc]
            except OSError as error:
                raise ReleaseError(f"{source / file.path} cannot be read: {error.strerror}") from None
            if not file.is_this(sha256, ""):
                raise ReleaseError(f"{file.path}: {NOT_ANNOUNCED} in {source / RELEASE_FILE}. Copy the folder again.")
            self._watch.end(file.path)
            hashed.append(Announced(file.path, file.size, sha256))
        return tuple(hashed)

    def _bring(self, source: Path, folder: Path, file: Announced) -> str:
        """Links or copies one file and returns its sha256."""
        origin, target = (source / file.path).resolve(), folder / file.path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        with suppress(OSError):  # another disk, or one without links: copied below
            os.link(origin, target)
            return file.sha256
        try:
            with Part(target, file, lambda _: None) as part, origin.open("rb") as opened:
                part.restart()
                while piece := opened.read(CHUNK):
                    part.write(piece)
                if part.finish() is None:
                    raise ReleaseError(f"{origin} changed while it was copied")
        except TooLong:
            raise ReleaseError(f"{origin} changed while it was copied") from None
        except OSError as error:
            raise _failed(error, folder, [file]) from None
        return file.sha256


class _Arrivals:
    """The files of one fetch on their way, a thread for each that comes at the same time."""

    def __init__(
        self, hub: Hub, listing: Listing, folder: Path, files: Sequence[Announced], wire: Wire, watch: Watch
    ) -> None:
        self._hub = hub
        self._listing = listing
        self._folder = folder
        self._wire = wire
        self._watch = watch
        self._files = files
        self._left: SimpleQueue[Announced] = SimpleQueue()
        for file in sorted(files, key=lambda file: -file.size):
            self._left.put(file)
        self._arrived: dict[str, str] = {}
        self._failed: list[BaseException] = []

    def run(self, jobs: int) -> Mapping[str, str]:
        """The sha256 of every path, once all have arrived. Raises the first error, when all threads have stopped.

        The threads are daemons: one that waits for a silent hub does not keep a stopped process alive.
        """
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(min(jobs, len(self._files)))]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException:
            self._wire.stop.set()
            for thread in threads:
                thread.join(1.0)
            raise
        if self._failed:
            raise self._failed[0]
        return self._arrived

    def _work(self) -> None:
        try:
            while not self._wire.stop.is_set():
                file = self._left.get_nowait()
                self._watch.begin(file.path, file.size)
                self._arrived[file.path] = self._bring(file)
                self._watch.end(file.path)
        except Empty:
            return
        except Stopped:
            if not self._failed:
                self._failed.append(ReleaseError("stopped"))
        except BaseException as error:
            self._failed.append(error)
            self._wire.stop.set()

    def _bring(self, file: Announced) -> str:
        """One file to its end; tried again as long as more of it comes."""
        attempt = wrong = 0
        try:
            with Part(self._folder / file.path, file, lambda count: self._watch.advance(file.path, count)) as part:
                while True:
                    before = part.have
                    try:
                        if not part.is_complete:
                            self._receive(part)
                        sha256 = part.finish()
                        if sha256 is not None:
                            return sha256
                        raise TooLong
                    except TooLong:
                        part.restart()
                        wrong += 1
                        if wrong >= _WRONG_TWICE:
                            part.discard()
                            raise self._error(file, f"{NOT_ANNOUNCED}; it was thrown away") from None
                        self._watch.say(f"{file.path}: {NOT_ANNOUNCED}; it is thrown away and fetched once more")
                    except Passing as error:
                        attempt = 0 if part.have > before else attempt + 1
                        self._pause(file, attempt, error)
        except OSError as error:
            raise _failed(error, self._folder, self._files) from None

    def _pause(self, file: Announced, attempt: int, error: Passing) -> None:
        if attempt >= self._wire.patience.tries:
            raise self._error(file, f"{error}. The same command goes on where it was") from None
        wait = self._wire.patience.wait(max(1, attempt), error.wait)
        self._watch.say(f"{file.path}: {error}; tried again in {wait:.1f} s")
        self._wire.rest(wait)

    def _receive(self, part: Part) -> None:
        """One answer, added to what is there. Raises `Passing`, `TooLong`, `Stopped` or `ReleaseError`."""
        url = self._hub.address(self._listing, part.announced.path)
        headers = {}
        if part.have:
            headers["Range"] = f"bytes={part.have}-"
            if etag := part.etag:
                headers["If-Range"] = etag
        with self._wire.open(url, self._hub.credentials, headers) as answer:
            self._check(answer, part)
            part.remember(answer.headers.get("ETag") or "")
            while piece := answer.body.read1(RECEIVED):
                part.write(piece)
                if self._wire.stop.is_set():
                    raise Stopped
        if not part.is_complete:
            raise Passing(f"it was cut after {in_words(part.have)} of {in_words(part.announced.size)}")

    def _check(self, answer: Answer, part: Part) -> None:
        """Whether what comes goes on with what is here; where it begins anew, so do we."""
        if answer.status == 416:
            part.restart()
            raise Passing("it has no such range")
        if answer.status not in (200, 206):
            error = answer.error()
            raise error if isinstance(error, Passing) else self._error(part.announced, str(error))
        if (answer.headers.get("Content-Encoding") or "identity") != "identity":
            raise self._error(part.announced, "it came compressed, although it was asked for as it is")
        if answer.status == 200:
            part.restart()
            return
        span = re.match(r"bytes (\d+)-\d*/(\d+|\*)", answer.headers.get("Content-Range") or "")
        if span is None or int(span[1]) != part.have or span[2] not in ("*", str(part.announced.size)):
            part.restart()
            raise Passing("it sent another range than was asked for")

    def _error(self, file: Announced, what: str) -> ReleaseError:
        return ReleaseError(f"{self._listing.name}: {file.path}: {what}.")


def _choose(wanted: Wanted, listing: Listing) -> Choice:
    try:
        return wanted.choose(listing.files)
    except ReleaseError as error:
        raise ReleaseError(f"{listing.name} at {listing.revision}: {error}") from None


def _is_here(file: Announced, here: Mapping[str, ReleaseFile]) -> bool:
    """Where a hub announces no sha256, the pinned revision says that it is the same file."""
    known = here.get(file.path)
    return known is not None and known.size == file.size and file.sha256 in ("", known.sha256)


def _read_folder(source: Path) -> list[Announced]:
    """What a folder holds. Links to files count as the files (Hugging Face's cache is made of them), others do not."""
    if not source.is_dir():
        raise ReleaseError(f"{source} is no folder. --from takes `huggingface`, `modelscope` or a folder.")
    known = read_release(source)
    hashes = {file.path: file.sha256 for file in known.facts.files} if known is not None else {}
    files = []
    for path in walk(source):
        if path == RELEASE_FILE or path.endswith((PART, PART + ETAG)) or is_hidden(path):
            continue
        if not (source / path).is_file():
            raise ReleaseError(f"{source / path} is no file, and no link to one")
        files.append(Announced(path, (source / path).stat().st_size, hashes.get(path, "")))
    return files


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _failed(error: OSError, folder: Path, files: Iterable[Announced]) -> ReleaseError:
    """What an error of the disk means for a fetch."""
    if error.errno in _FULL:
        left = sum(max(0, file.size - _size(folder / file.path) - _size(folder / (file.path + PART))) for file in files)
        return _full(folder, left + _SLACK, shutil.disk_usage(folder).free)
    return ReleaseError(f"{folder} cannot be written: {error.strerror or error}")


def _full(folder: Path, needed: int, free: int) -> ReleaseError:
    return ReleaseError(
        f"The disk of {folder} is full: {in_words(needed)} more are needed and {in_words(free)} are free. Make room, "
        "or choose another folder with [server] data; the same command goes on where it was."
    )

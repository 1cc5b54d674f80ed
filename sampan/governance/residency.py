"""What may not leave the house: who demands it, and what is found in a call. It only adds: nothing here relaxes."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from sampan.config.policy import Action, ResidencySettings
from sampan.core import Actor, Call, Incoming
from sampan.errors import CallError, InvalidRequest
from sampan.governance.conditions import Patterns
from sampan.governance.contents import Contents, Kind, Medium, read_contents
from sampan.governance.detect import IDENTIFIERS, MEDICAL, Detector, Finding

HEADER = "x-sampan-residency"
PREFIX = "residency:"
UNREAD = PREFIX + "unread"
"""Why a call may not leave while its pictures have not been read, and afterwards where they cannot be."""

SEEN = 1024
"""Pictures whose findings are kept; only how many of what kind, and hashes of their values, never the text."""

_WORDS = {
    "resident_id": "resident identity numbers",
    "passport": "passport numbers",
    "bank_card": "bank card numbers",
    "mobile": "mobile numbers",
    "credit_code": "unified social credit codes",
    "record_number": "numbers of medical records",
    "medical": "words of medical records",
}
_ORDER = (Action.DENY, Action.LOCAL, Action.MASK, Action.NOTE)
Found = Mapping[str, frozenset[int]]
"""What was found: of each kind the hashes of its different values."""

log = logging.getLogger("sampan.residency")


@dataclass(frozen=True, slots=True)
class Senses:
    """How what is no text is looked at; where one is missing, what it would have read stays in the house.

    `read` gives the text of a picture (bytes), `read_document` that of a PDF, all its pages; `load` the bytes of a file
    by its id and the tenant whose it is, `fetch` those of a URL. Each may raise any exception.
    """

    read: Callable[[bytes], Awaitable[str]] | None = None
    read_document: Callable[[bytes], Awaitable[str]] | None = None
    load: Callable[[str, str], Awaitable[bytes]] | None = None
    fetch: Callable[[str], Awaitable[bytes]] | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What residency says of a call: `confined` and `masked` name why, `noted` what was found and only told.

    `unseen`: there is something in it that has to be looked at before it may leave. `refusal` is what its caller is
    told where it may not be asked at all, because of the rule `denied`.
    """

    confined: str = ""
    masked: str = ""
    noted: str = ""
    unseen: bool = False
    denied: str = ""
    refusal: str = ""


NOTHING = Outcome()


class Residency:
    """The demands of one configuration."""

    def __init__(self, settings: ResidencySettings, senses: Senses) -> None:
        self._settings = settings
        self._senses = senses
        self._departments = Patterns(settings.departments) if settings.departments else None
        self._models = Patterns(settings.models) if settings.models else None
        self._actions = {kind: Action(action) for kind, action in settings.detect.items()}
        self._least = {kind: settings.at_least.get(kind, 2 if kind == MEDICAL else 1) for kind in self._actions}
        self._detector = Detector(self._actions, settings.medical_words)
        self._masked = Detector({*self._actions, *IDENTIFIERS}, settings.medical_words)
        self._denies = Action.DENY in self._actions.values()
        self.concerns_all = bool(self._departments or self._models or self._actions)
        self._seen: OrderedDict[bytes, Found] = OrderedDict()

    @property
    def detects(self) -> bool:
        return bool(self._actions)

    def concerns(self, actor: Actor) -> bool:
        """Whether there is anything to ask about the calls of an actor."""
        return self.concerns_all or bool(actor.confined)

    def demand(self, call: Call, actor: Actor, wish: str | None) -> str:
        """Who demands that a call stays; empty where nobody does."""
        if wish is not None:
            return PREFIX + "header"
        if actor.confined:
            return PREFIX + actor.confined
        if self._departments is not None and actor.department and self._departments.fit(actor.department):
            return PREFIX + f"department {actor.department}"
        if self._models is not None and self._models.fit(call.model):
            return PREFIX + "model"
        return ""

    def look(self, call: Call, *, confined: bool, masked: bool) -> Outcome:
        """What the texts of a call say, at once. Raises `InvalidRequest` for a body that cannot be read.

        `confined`: it stays anyhow, so that only what forbids it is looked for. `masked`: its identifiers are masked if
        it leaves, which those in pictures cannot be.
        """
        if not (self._actions or masked) or (confined and not self._denies):
            return NOTHING
        if len(call.body) > self._settings.inline:
            return Outcome(confined=UNREAD, unseen=True)
        contents = read_contents(call)
        outcome = self._weigh(self._find(contents.text))
        if outcome.refusal or not contents.media or not self._settings.pictures or (confined and not self._denies):
            return outcome
        if not self._looks_into(masked or bool(outcome.masked)) or (outcome.confined and not self._denies):
            return outcome
        return Outcome(outcome.confined or UNREAD, outcome.masked, outcome.noted, True)

    async def inspect(self, call: Call, *, confined: str, masked: bool) -> Outcome:
        """The same of all that a call holds, its pictures read. What cannot be read keeps it in the house.

        `confined` says why it may not leave besides. Raises `InvalidRequest` for a body that cannot be read.
        """
        large = len(call.body) > self._settings.inline
        if large:
            contents, found = await asyncio.to_thread(self._search, call)
        else:
            contents, found = self._search(call)
        outcome = self._weigh(found)
        masks = masked or bool(outcome.masked)
        looks = contents.media and self._settings.pictures and self._looks_into(masks)
        if outcome.refusal or not looks or ((confined or outcome.confined) and not self._denies):
            return outcome
        try:
            async with asyncio.timeout(self._settings.seconds):
                seen, unread = await self._see_all(call, contents.media)
        except TimeoutError:
            seen, unread = {}, "time"
        in_pictures = self._weigh(seen)
        both = self._weigh(_joined((found, seen)))
        if both.refusal:
            return both
        reason = both.confined
        if not reason and (in_pictures.masked or (masks and any(kind in seen for kind in IDENTIFIERS))):
            reason = PREFIX + "masking a picture"
        if not reason and unread:
            log.info("a call stays in the house: what it holds was not read (%s)", unread)
            reason = UNREAD
        return Outcome(reason, both.masked, both.noted)

    def _looks_into(self, masked: bool) -> bool:
        """Whether anything would come of looking into pictures: what is only noted is no reason to wait."""
        return masked or any(action is not Action.NOTE for action in self._actions.values())

    def _find(self, text: str) -> Found:
        findings = self._detector.find(text) if self._actions else ()
        return _told(findings) if findings else {}

    def _search(self, call: Call) -> tuple[Contents, Found]:
        contents = read_contents(call)
        return contents, self._find(contents.text)

    def _weigh(self, found: Found) -> Outcome:
        """What is done about what was found."""
        if not found:
            return NOTHING
        kinds: dict[Action, list[str]] = {}
        for kind, values in found.items():
            if kind in self._actions and len(values) >= self._least[kind]:
                kinds.setdefault(self._actions[kind], []).append(kind)
        if not kinds:
            return NOTHING
        named = {action: f"detected {', '.join(sorted(kinds[action]))}" for action in _ORDER if action in kinds}
        if Action.DENY in named:
            words = ", ".join(_WORDS[kind] for kind in sorted(kinds[Action.DENY]))
            rule = PREFIX + named[Action.DENY]
            return Outcome(denied=rule, refusal=f"rule {rule!r} forbids this call: it holds {words}; leave them out")
        return Outcome(
            PREFIX + named[Action.LOCAL] if Action.LOCAL in named else "",
            PREFIX + named[Action.MASK] if Action.MASK in named else "",
            PREFIX + named[Action.NOTE].replace("detected", "noted") if Action.NOTE in named else "",
        )

    async def _see_all(self, call: Call, media: tuple[Medium, ...]) -> tuple[Found, str]:
        """What all media hold together, and why one could not be read; empty where all could."""
        if len(media) > self._settings.most_pictures:
            return {}, f"more than {self._settings.most_pictures} pictures"
        everything: list[Found] = []
        unread = ""
        for medium in media:
            try:
                everything.append(await self._see(call, medium))
            except TimeoutError:
                raise
            except CallError:
                unread = unread or medium.kind
            except Exception as error:  # a reader that fails is no reason to let out what it did not read
                unread = unread or f"{medium.kind}: {type(error).__name__}"
        return _joined(everything), unread

    async def _see(self, call: Call, medium: Medium) -> Found:
        """What one medium holds. Raises whatever says that it cannot be read."""
        data, kind = await self._bytes(call, medium)
        sha256 = hashlib.sha256(data).digest()
        found = self._seen.get(sha256)
        if found is not None:
            self._seen.move_to_end(sha256)
            return found
        read = self._senses.read_document if kind is Kind.DOCUMENT else self._senses.read
        if read is None or kind not in (Kind.DOCUMENT, Kind.PICTURE):
            raise LookupError(kind)
        text = await read(data)
        if len(text) > self._settings.inline:
            found = _told(await asyncio.to_thread(self._masked.find, text))
        else:
            found = _told(self._masked.find(text))
        self._seen[sha256] = found
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        return found

    async def _bytes(self, call: Call, medium: Medium) -> tuple[bytes, Kind]:
        if medium.kind in (Kind.PICTURE, Kind.DOCUMENT):
            return medium.bytes(), medium.kind
        where = str(medium.data)
        if medium.kind is Kind.FILE and self._senses.load is not None:
            data = await self._senses.load(where, call.tenant)
        elif medium.kind is Kind.LINK and self._senses.fetch is not None:
            data = await self._senses.fetch(where)
        else:
            raise LookupError(medium.kind)
        return data, Kind.DOCUMENT if data.startswith(b"%PDF-") else Kind.PICTURE


def read_wish(incoming: Incoming) -> str | None:
    """What the caller's header demands; None without one. Raises `InvalidRequest` for anything but `local`."""
    wish = incoming.headers.get(HEADER)
    if wish is None:
        return None
    if wish.strip().lower() != "local":
        raise InvalidRequest(
            f"{HEADER}: must be `local` or left out; a caller can demand that a call stays in the house, no less",
            param=HEADER,
        )
    return "local"


def _told(findings: Iterable[Finding]) -> Found:
    """How many different ones of each kind, without what they are."""
    values: dict[str, set[int]] = {}
    for finding in findings:
        values.setdefault(finding.kind, set()).add(hash(finding.value))
    return {kind: frozenset(hashes) for kind, hashes in values.items()}


def _joined(founds: Iterable[Found]) -> Found:
    values: dict[str, frozenset[int]] = {}
    for found in founds:
        for kind, hashes in found.items():
            values[kind] = values.get(kind, frozenset()) | hashes
    return values

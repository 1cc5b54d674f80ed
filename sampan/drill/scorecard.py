"""The judgement: from what callers, stand-in and records saw of a scene to which promises were kept. Pure.

A promise that says nothing about a scene (a name that never heals cannot recover) has no finding there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sampan.core import Dialect
from sampan.drill.callers import Ending, Seen, Source
from sampan.drill.orders import Handover
from sampan.drill.promises import Promise
from sampan.drill.scenes import Scene
from sampan.drill.script import LEFT, SAID
from sampan.drill.troubles import Place

MARGIN = 4.0
"""Seconds that anything may take longer on a machine that is busy with hundreds of rehearsals."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is promised. `ours`: the gateway is a Sampan, so its headers and records are judged too.

    `clocks` are the seconds each clock of a cloud allows, `recovery` those from healing to the cloud's next answer.
    """

    clocks: Mapping[str, float]
    recovery: float
    ours: bool = True
    handover: Handover = Handover.EITHER
    margin: float = MARGIN


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of a scene, in order. `back` are the calls after healing, the last from the cloud if it came back.

    `recovery` and `detect` are in seconds, None where it did not come back or there was nothing to detect. `records`
    are those of the gateway by id, with every id that stood there twice in `doubled`. `late`: the call `after` came
    when the breaker might rightly have let a trial through.
    """

    scene: Scene
    well: Seen | None
    sick: Sequence[Seen]
    after: Seen
    back: Sequence[Seen] = ()
    heals: bool = True
    recovery: float | None = None
    detect: float | None = None
    late: bool = False
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    doubled: frozenset[str] = frozenset()

    @property
    def calls(self) -> tuple[Seen, ...]:
        return (*([self.well] if self.well else []), *self.sick, self.after, *self.back)

    @property
    def alone(self) -> bool:
        """The route has nobody but clouds: all that can be promised is an honest error."""
        return not self.scene.others


@dataclass(frozen=True, slots=True)
class Card:
    """A scene's findings: for each promise that applies, "" if it was kept, or a sentence saying how it was broken."""

    observed: Observed
    findings: Mapping[Promise, str]

    @property
    def kept(self) -> bool:
        return not any(self.findings.values())

    @property
    def broken(self) -> dict[Promise, str]:
        return {promise: note for promise, note in self.findings.items() if note}


def judge(observed: Observed, rules: Rules) -> Card:
    """All findings of a scene."""
    findings = {}
    for promise, look in JUDGES.items():
        note = look(observed, rules)
        if note is not None:
            findings[promise] = note
    return Card(observed, findings)


def well_so_far(observed: Observed, rules: Rules) -> bool:
    """Whether no promise is broken yet; that of the records is judged once they can be read, at the end."""
    return not any(look(observed, rules) for promise, look in JUDGES.items() if promise is not Promise.RECORD)


def _well(observed: Observed, rules: Rules) -> str | None:
    """While all is well, the cloud answers."""
    seen = observed.well
    if seen is None:
        return None
    if not _is_whole(seen):
        return f"failed while all was well: {_said(seen)}"
    return "" if seen.source is Source.CLOUD else "was not answered by the cloud although it was well"


def _answered(observed: Observed, rules: Rules) -> str | None:
    """Every call is answered in full by another target; where there is none, by an honest error."""
    scene = observed.scene
    judged = [observed.after] if scene.trouble.breaks_content else [*observed.sick, observed.after]
    if scene.trouble.breaks_content and not scene.trouble.counts:
        return None
    for number, seen in enumerate(judged, 1):
        if observed.alone and scene.trouble.faults:
            if seen.ending is not Ending.ERROR:
                return f"call {number} got no honest error: {_said(seen)}"
        elif not _is_whole(seen):
            return f"call {number} was not answered: {_said(seen)}"
    return ""


def _is_whole(seen: Seen) -> bool:
    if seen.ending is not Ending.WHOLE or seen.source is Source.NOBODY:
        return False
    return seen.source is not Source.CLOUD or not seen.text.startswith(SAID) or seen.text == SAID + LEFT


def _said(seen: Seen) -> str:
    status = f" {seen.status}" if seen.status else ""
    return f"{seen.ending.value}{status}{f' ({seen.error})' if seen.error else ''}"


def _ending(observed: Observed, rules: Rules) -> str | None:
    """An answer that breaks in the middle goes on with another target or ends in an error; never in silence."""
    if not observed.scene.trouble.breaks_content:
        return None
    for number, seen in enumerate(observed.sick, 1):
        note = _one_ending(observed, seen, rules)
        if note:
            return f"call {number} {note}"
    return ""


def _one_ending(observed: Observed, seen: Seen, rules: Rules) -> str:
    if seen.ending is Ending.HALF or (seen.ending is Ending.WHOLE and seen.source is Source.CLOUD):
        return "ended cleanly with half an answer"
    if seen.ending not in (Ending.WHOLE, Ending.ERROR):
        return f"ended without an error event: {_said(seen)}"
    if observed.scene.shape.dialect is Dialect.OPENAI_IMAGES or observed.alone:
        return ""
    if rules.handover is Handover.CONTINUE and seen.ending is Ending.ERROR:
        return f"was not continued: {_said(seen)}"
    if rules.handover is Handover.ERROR and seen.ending is Ending.WHOLE:
        return "was continued, which was not promised"
    return _seam(seen.text) if seen.ending is Ending.WHOLE and seen.source is Source.BOTH else ""


def _seam(text: str) -> str:
    """Whether the second half repeats what stood before it."""
    before = SAID.split()
    after = text.removeprefix(SAID).lstrip(". ").split()
    longest = min(len(before), len(after))
    repeated = any(before[-length:] == after[:length] for length in range(1, longest + 1))
    return "was continued with words repeated at the seam" if repeated or SAID in text[len(SAID) :] else ""


def _quick(observed: Observed, rules: Rules) -> str | None:
    """No call waits longer than the clock that its trouble runs into, once for each cloud of the route."""
    scene = observed.scene
    clock = rules.clocks.get(scene.trouble.clock, 0.0)
    allowed = clock * max(1, len(scene.clouds)) + 2 * _pause(observed.after) + rules.margin
    for number, seen in enumerate(observed.sick, 1):
        waited = seen.seconds - seen.first if scene.trouble.breaks_content else _pause(seen)
        if waited > allowed:
            return f"call {number} waited {waited:.1f} s, {allowed:.1f} s were allowed"
    return ""


def _pause(seen: Seen) -> float:
    return seen.first or seen.seconds


def _breaker(observed: Observed, rules: Rules) -> str | None:
    """Once the failures in a row are spent, the sick upstream is not asked again."""
    trouble = observed.scene.trouble
    if not trouble.counts or observed.late:
        return None
    if trouble.place is not Place.ANSWER:
        if not rules.ours:
            return None
        attempts = _attempts(observed.after)
        left = [clone for clone in observed.scene.clouds if (clone, "breaker_open") not in attempts]
        return f"{left[0]} was asked again by call {len(observed.sick) + 1}" if left else ""
    touched = observed.after.touched
    return f"the sick upstream was asked again by call {len(observed.sick) + 1}" if touched else ""


def _recovery(observed: Observed, rules: Rules) -> str | None:
    """Healed, the cloud answers again soon, and no caller pays for finding that out."""
    if not (observed.heals and observed.scene.trouble.heals):
        return None
    if not observed.alone:
        for seen in observed.back:
            if not _is_whole(seen):
                return f"a call failed on the way back: {_said(seen)}"
    if observed.recovery is None:
        return f"the cloud did not answer again within {rules.recovery:.1f} s"
    late = observed.recovery > rules.recovery
    return f"the cloud answered again only after {observed.recovery:.1f} s" if late else ""


def _headers(observed: Observed, rules: Rules) -> str | None:
    """The answer says who really gave it and what was tried before."""
    if not rules.ours:
        return None
    for number, seen in enumerate(observed.calls):
        note = _one_header(observed, seen)
        if note:
            return f"call {number}: {note}"
    return ""


def _one_header(observed: Observed, seen: Seen) -> str:
    scene = observed.scene
    if not seen.id:
        return "has no request id"
    if seen.source is Source.NOBODY:
        return ""
    upstream, tier = seen.headers.get("x-sampan-upstream", ""), seen.headers.get("x-sampan-tier", "")
    from_cloud = seen.source is not Source.OTHER
    if (upstream in scene.clouds) is not from_cloud or (not from_cloud and upstream not in scene.others):
        return f"names {upstream or 'nobody'}, but {'the cloud' if from_cloud else 'another'} answered"
    right = "cloud" if from_cloud else scene.others[upstream].value
    if tier != right:
        return f"says tier {tier or 'nothing'} for {upstream}, which is {right}"
    return _tried(observed, seen)


def _tried(observed: Observed, seen: Seen) -> str:
    """Whether the attempts named are those that the stand-in counted, by their right names."""
    scene, attempts = observed.scene, _attempts(seen)
    if not attempts or attempts[-1] != (seen.headers["x-sampan-upstream"], "ok"):
        return f"the attempts do not end with who answered: {seen.headers.get('x-sampan-attempts', 'none')}"
    trouble = scene.trouble
    asked = [fault for name, fault in attempts if name in scene.clouds and fault != "breaker_open"]
    made = range(len(asked), (2 if trouble.redialled else 1) * len(asked) + 1)
    if trouble.place is Place.ANSWER and trouble.faults and seen.touched not in made:
        return f"{len(asked)} calls to clouds are told, {seen.touched} were made"
    wrong = [fault for fault in asked if trouble.faults and fault not in (*trouble.faults, "ok")]
    return f"the fault is called {wrong[0]}, it was {' or '.join(trouble.faults)}" if wrong else ""


def _attempts(seen: Seen) -> list[tuple[str, str]]:
    pairs = (each.partition("=") for each in seen.headers.get("x-sampan-attempts", "").split(",") if each)
    return [(name, fault) for name, _, fault in pairs]


def _record(observed: Observed, rules: Rules) -> str | None:
    """One record for each call, with the same truth."""
    if not rules.ours:
        return None
    for number, seen in enumerate(observed.calls):
        record = observed.records.get(seen.id)
        if record is None:
            return f"call {number} left no record"
        note = "has two records" if seen.id in observed.doubled else _one_record(observed, seen, record)
        if note:
            return f"call {number}: {note}"
    return ""


def _one_record(observed: Observed, seen: Seen, record: Mapping[str, Any]) -> str:
    shape = observed.scene.shape
    if (record["operation"], record["stream"]) != (shape.operation.value, shape.stream):
        return f"the record says {record['operation']}, stream {record['stream']}"
    if (record["outcome"] == "ok") is not (seen.ending is Ending.WHOLE):
        return f"the record says {record['outcome']}, the caller saw {seen.ending.value}"
    if seen.source is Source.NOBODY:
        return ""
    broke = observed.scene.trouble.breaks_content and seen in observed.sick
    if broke and seen.source is not Source.OTHER:
        clone = seen.headers.get("x-sampan-upstream", "")
        names = [f"{clone}={fault}" for fault in observed.scene.trouble.faults]
        told = record["attempts"].split(",")
        return "" if set(names) & set(told) else f"the record does not tell that {clone} broke: {record['attempts']}"
    for name in ("upstream", "tier", "attempts"):
        said = seen.headers.get(f"x-sampan-{name}", "")
        if record[name] != said:
            return f"the record says {name} {record[name]}, the header {said}"
    return ""


JUDGES: Mapping[Promise, Callable[[Observed, Rules], str | None]] = {
    Promise.WELL: _well,
    Promise.ANSWERED: _answered,
    Promise.ENDING: _ending,
    Promise.QUICK: _quick,
    Promise.BREAKER: _breaker,
    Promise.RECOVERY: _recovery,
    Promise.HEADERS: _headers,
    Promise.RECORD: _record,
}

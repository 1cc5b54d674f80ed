"""Each promise is seen broken: a scorecard that cannot turn red proves nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scenery import DRAW, RULES, broken_off, kept, record, scene, seen

from sampan.drill.callers import Ending, Seen, Source
from sampan.drill.orders import Handover
from sampan.drill.promises import Promise
from sampan.drill.scorecard import Observed, judge
from sampan.drill.script import LEFT, SAID


def with_sick(observed: Observed, **changes: Any) -> Observed:
    """The second call that met the trouble was different."""
    first, second, third = observed.sick
    return replace(observed, sick=[first, replace(second, **changes), third])


def with_header(call: Seen, name: str, value: str) -> Seen:
    return replace(call, headers={**call.headers, name: value})


def broken(observed: Observed, rules: Any = RULES) -> dict[Promise, str]:
    return judge(observed, rules).broken


def test_a_scene_as_it_should_be_is_kept_in_everything_that_applies() -> None:
    card = judge(kept(), RULES)
    assert card.kept
    assert set(card.findings) == set(Promise) - {Promise.ENDING}


def test_a_stream_that_breaks_with_error_events_is_kept() -> None:
    card = judge(broken_off(), RULES)
    assert card.kept, card.broken
    assert set(card.findings) == set(Promise)


UNANSWERED = {"text": "", "source": Source.NOBODY}


@pytest.mark.parametrize(
    ("observed", "promise", "word"),
    [
        (replace(kept(), well=seen(1, "reader", "reader=ok")), Promise.WELL, "not answered by the cloud"),
        (replace(kept(), well=seen(1, "claude.1", "", ending=Ending.ERROR, status=529)), Promise.WELL, "529"),
        (with_sick(kept(), ending=Ending.ERROR, status=529, **UNANSWERED), Promise.ANSWERED, "call 2"),
        (with_sick(kept(), ending=Ending.HUNG, **UNANSWERED), Promise.ANSWERED, "hung"),
        (with_sick(kept(), ending=Ending.HALF), Promise.ANSWERED, "half"),
        (with_sick(kept(), **UNANSWERED), Promise.ANSWERED, "not answered"),
        (with_sick(kept(), first=7.0, seconds=7.1), Promise.QUICK, "7.0 s"),
        (replace(kept(), after=replace(kept().after, touched=1)), Promise.BREAKER, "asked again by call 4"),
        (replace(kept(), recovery=None), Promise.RECOVERY, "did not answer again"),
        (replace(kept(), recovery=9.5), Promise.RECOVERY, "9.5 s"),
        (
            replace(kept(), back=[seen(6, "reader", "", ending=Ending.ERROR, **UNANSWERED), *kept().back]),
            Promise.RECOVERY,
            "failed on the way back",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_caller_suffers_is_seen(observed: Observed, promise: Promise, word: str) -> None:
    assert word in broken(observed)[promise]


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("x-sampan-upstream", "claude.1", "names claude.1"),
        ("x-sampan-upstream", "", "names nobody"),
        ("x-sampan-tier", "cloud", "says tier cloud"),
        ("x-sampan-attempts", "reader=ok", "0 calls to clouds are told, 1 were made"),
        ("x-sampan-attempts", "claude.1=cut,reader=ok", "is called cut"),
        ("x-sampan-attempts", "claude.1=server_error", "do not end with who answered"),
        ("request-id", "", "no request id"),
    ],
)
def test_a_header_that_lies_is_seen(name: str, value: str, word: str) -> None:
    observed = kept()
    lying = with_header(observed.sick[0], name, value)
    assert word in broken(replace(observed, sick=[lying, *observed.sick[1:]]))[Promise.HEADERS]


def test_a_header_that_claims_the_fallback_while_the_cloud_answered_is_seen() -> None:
    """The upstream's own counter and words decide, not what the gateway says of itself."""
    observed = with_sick(kept(), text=SAID + LEFT, source=Source.CLOUD)
    assert "the cloud answered" in broken(observed)[Promise.HEADERS]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"outcome": "failed"}, "says failed"),
        ({"upstream": "claude.1"}, "upstream claude.1"),
        ({"attempts": "reader=ok"}, "attempts reader=ok"),
        ({"tier": "cloud"}, "tier cloud"),
        ({"operation": "vision"}, "vision"),
        ({"stream": False}, "stream False"),
    ],
)
def test_a_record_that_lies_is_seen(changes: dict[str, Any], word: str) -> None:
    observed = kept()
    call = observed.sick[0]
    records = {**observed.records, call.id: record(call, **changes)}
    assert word in broken(replace(observed, records=records))[Promise.RECORD]


def test_a_call_without_a_record_or_with_two_is_seen() -> None:
    observed = kept()
    assert "left no record" in broken(replace(observed, records={}))[Promise.RECORD]
    assert "two records" in broken(replace(observed, doubled=frozenset({"req_3"})))[Promise.RECORD]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"ending": Ending.HALF}, "half an answer"),
        ({"ending": Ending.WHOLE}, "half an answer"),
        ({"ending": Ending.BROKEN}, "without an error event"),
        ({"ending": Ending.HUNG}, "without an error event"),
        ({"ending": Ending.WHOLE, "source": Source.BOTH, "text": f"{SAID} four five"}, "repeated"),
        ({"ending": Ending.WHOLE, "source": Source.BOTH, "text": f"{SAID}{SAID} five"}, "repeated"),
    ],
)
def test_half_an_answer_is_never_taken_for_a_whole_one(changes: dict[str, Any], word: str) -> None:
    assert word in broken(with_sick(broken_off(), **changes))[Promise.ENDING]


def test_what_a_broken_stream_must_do_is_a_setting() -> None:
    continued = {"ending": Ending.WHOLE, "source": Source.BOTH, "text": SAID + LEFT + " and on"}
    ended, gone_on = broken_off(), with_sick(broken_off(), **continued)
    must_go_on, must_end = replace(RULES, handover=Handover.CONTINUE), replace(RULES, handover=Handover.ERROR)
    assert Promise.ENDING not in broken(ended) and Promise.ENDING not in broken(gone_on)
    assert "was not continued" in broken(ended, must_go_on)[Promise.ENDING]
    assert "not promised" in broken(gone_on, must_end)[Promise.ENDING]
    picture = replace(ended, scene=scene("content-cut", DRAW))
    assert Promise.ENDING not in broken(picture, must_go_on), "pictures are never gone on with"


def test_a_record_that_hides_a_break_is_seen() -> None:
    observed = broken_off()
    call = observed.sick[0]
    records = {**observed.records, call.id: record(call, outcome="interrupted", attempts="claude.1=ok")}
    assert "does not tell" in broken(replace(observed, records=records))[Promise.RECORD]
    records[call.id] = record(call, outcome="ok", attempts="claude.1=cut")
    assert "says ok" in broken(replace(observed, records=records))[Promise.RECORD]


def test_where_nobody_but_the_cloud_answers_an_honest_error_is_the_promise() -> None:
    lonely = scene("500", others={})
    error = {"ending": Ending.ERROR, "status": 529, **UNANSWERED}
    sick = [seen(number, "", "", **error, touched=1) for number in (2, 3, 4)]
    after = seen(5, "", "", **error)
    records = {call.id: record(call, outcome="failed") for call in (*sick, after)}
    observed = kept(scene=lonely, sick=sick, after=after, records={**kept().records, **records})
    assert observed.alone and not broken(observed)
    assert "no honest error" in broken(with_sick(observed, ending=Ending.HUNG))[Promise.ANSWERED]


def test_a_trial_that_came_when_it_was_due_breaks_nothing() -> None:
    observed = replace(kept(), after=replace(kept().after, touched=1), late=True)
    assert Promise.BREAKER not in judge(observed, RULES).findings


def test_a_port_that_counts_nothing_is_judged_by_what_is_told() -> None:
    observed = kept("refused", "refused")
    assert not broken(observed)
    asked = with_header(observed.after, "x-sampan-attempts", "claude.1=refused,reader=ok")
    assert "asked again" in broken(replace(observed, after=asked))[Promise.BREAKER]


def test_what_never_heals_promises_no_recovery_and_was_never_well() -> None:
    findings = judge(replace(kept("dns", "dns"), well=None, back=[], recovery=None), RULES).findings
    assert Promise.RECOVERY not in findings and Promise.WELL not in findings


def test_another_gateway_is_not_judged_by_our_headers_and_records() -> None:
    bare = [replace(call, headers={}) for call in kept().sick]
    findings = judge(replace(kept(), sick=bare, records={}), replace(RULES, ours=False)).findings
    assert Promise.HEADERS not in findings and Promise.RECORD not in findings
    assert not any(findings.values())


def test_a_connection_closed_for_idleness_may_be_replaced_once() -> None:
    observed = kept("hang-up", "cut")
    assert not broken(with_sick(observed, touched=2))
    assert "3 were made" in broken(with_sick(observed, touched=3))[Promise.HEADERS]
    assert "2 were made" in broken(with_sick(kept(), touched=2))[Promise.HEADERS], "only what looks like idleness"

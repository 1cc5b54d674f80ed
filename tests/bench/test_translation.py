"""The benchmark of translations measures calls that are whole: each pair translates there and back, and to its end."""

import msgspec
import pytest

from bench.translation.__main__ import PAIRS, Cost, Pair, stream, whole
from bench.translation.calls import answered, asked, streamed


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_a_pair_translates_a_call_and_a_stream(pair: Pair) -> None:
    for make in (whole, stream):
        make(pair)()
        make(pair.baseline)()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_calls_and_answers_are_of_a_kilobyte(pair: Pair) -> None:
    call, answer = asked(pair.caller, stream=False), answered(pair.server)
    assert 900 < len(call.body) < 1200 and 900 < len(answer) < 1200
    assert msgspec.json.decode(asked(pair.caller, stream=True).body)["stream"] is True
    assert len(streamed(pair.server, 64, thinking=pair.thinks)) == 64


def test_a_cost_is_made_of_medians_and_of_the_quietest_rounds() -> None:
    assert Cost.of([(2.0, 10.0), (4.0, 30.0), (3.0, 12.0)]) == Cost(3.0, 12.0, 9.0, 8.0)

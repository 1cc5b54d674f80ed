from __future__ import annotations

import pytest

from sampan.core import Fault
from sampan.errors import TargetFault
from sampan.routing.bulkhead import Bulkhead


def test_a_full_bulkhead_turns_away_and_a_slot_that_comes_back_is_lent_again() -> None:
    bulkhead = Bulkhead(2)
    with bulkhead:
        with bulkhead:
            assert bulkhead.taken == 2
            with pytest.raises(TargetFault) as full, bulkhead:
                pytest.fail("there was no slot")
            assert full.value.fault is Fault.BULKHEAD_FULL
            assert full.value.retry_after == 1.0
            assert bulkhead.taken == 2
        with bulkhead:
            assert bulkhead.taken == 2
    assert bulkhead.taken == 0


@pytest.mark.parametrize("error", [ValueError(), GeneratorExit(), KeyboardInterrupt()])
def test_a_slot_comes_back_however_its_block_ends(error: BaseException) -> None:
    bulkhead = Bulkhead(1)
    with pytest.raises(type(error)), bulkhead:
        raise error
    assert bulkhead.taken == 0

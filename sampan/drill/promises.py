"""What is promised for the time in which a cloud is sick: words that the scorecard, its page and the console share."""

from __future__ import annotations

from enum import StrEnum


class Promise(StrEnum):
    """What must hold. Each is judged by the function of the same name in `scorecard`."""

    WELL = "well"
    ANSWERED = "answered"
    ENDING = "ending"
    QUICK = "quick"
    BREAKER = "breaker"
    RECOVERY = "recovery"
    HEADERS = "headers"
    RECORD = "record"

"""Metrics: numbers by names, states and outcomes; never a prompt, a picture or a key.

Metric names follow https://prometheus.io/docs/practices/naming/; every label set is bounded by the configuration.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sampan.core import Fault, Operation, Record

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
MOST = 200  # departments, or rules with their outcomes, that have a series of their own
OTHER = "other"
BREAKER_STATES = ("closed", "open", "half_open", "isolated")


class Load(Protocol):
    """How full a bulkhead is now; looked at when somebody scrapes."""

    @property
    def taken(self) -> int: ...

    @property
    def waiting(self) -> int: ...


@dataclass(slots=True)
class _Tally:
    """What is known of the calls of one kind. Buckets hold counts of their own, not yet cumulative."""

    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    first_seconds: float = 0.0
    first_buckets: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    input_tokens: int = 0
    output_tokens: int = 0
    images: int = 0


class Metrics(Collector):
    """The numbers behind `GET /metrics`.

    Calls are tallied in plain numbers on the event loop and become metric families only when somebody looks: the
    library's own counters and histograms cost a call more than its routing.
    """

    def __init__(self) -> None:
        self._open = 0
        self._tallies: dict[tuple[str, str, str, str], _Tally] = {}
        self._attempts: dict[tuple[str, str, str], int] = {}
        self._probes: dict[tuple[str, str], int] = {}
        self._breakers: dict[tuple[str, str], str] = {}
        self._engines: dict[str, bool] = {}
        self._loads: dict[str, Load] = {}
        self._shared_state: bool | None = None
        self._cache: dict[str, int] = {}
        self._sinks: dict[str, tuple[int, bool]] = {}
        self._rules: dict[tuple[str, str], int] = {}
        self._costs: dict[str, float] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def opened(self) -> None:
        self._open += 1

    def closed(self, record: Record) -> None:
        """Counts an ended call from its record."""
        self._open -= 1
        key = (record.dialect, record.operation, record.outcome, record.tier)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        seconds = record.total_ms / 1000
        tally.seconds += seconds
        tally.buckets[bisect_left(SECONDS, seconds)] += 1
        first = record.first_event_ms / 1000
        if first:
            tally.first_seconds += first
            tally.first_buckets[bisect_left(SECONDS, first)] += 1
        tally.input_tokens += record.input_tokens
        tally.output_tokens += record.output_tokens
        if record.images:
            tally.images += record.images
        if record.cache:
            self._cache[record.cache] = self._cache.get(record.cache, 0) + 1
        if record.rule or record.cost:
            self._govern(record)

    def _govern(self, record: Record) -> None:
        """Rules and departments are their owners' to name: bounded in number, what comes later is `other`."""
        if record.rule:
            rule = (record.rule, "confined" if record.confined else record.outcome)
            if rule not in self._rules and len(self._rules) >= MOST:
                rule = (OTHER, OTHER)
            self._rules[rule] = self._rules.get(rule, 0) + 1
        if record.cost:
            department = record.department if record.department in self._costs or len(self._costs) < MOST else OTHER
            self._costs[department] = self._costs.get(department, 0.0) + record.cost

    def attempted(self, upstream: str, operation: Operation, fault: Fault | None) -> None:
        key = (upstream, operation, fault or "ok")
        self._attempts[key] = self._attempts.get(key, 0) + 1

    def probed(self, upstream: str, fault: Fault | None) -> None:
        key = (upstream, fault or "ok")
        self._probes[key] = self._probes.get(key, 0) + 1

    def breaker(self, upstream: str, operation: Operation, state: str) -> None:
        self._breakers[upstream, operation.value] = state

    def bulkhead(self, upstream: str, load: Load) -> None:
        self._loads[upstream] = load

    def engine(self, name: str, ready: bool) -> None:
        self._engines[name] = ready

    def shared_state(self, up: bool) -> None:
        self._shared_state = up

    def delivered(self, sink: str, waiting: int, away: bool) -> None:
        """How many records of the audit wait for a sink, and whether it is away."""
        self._sinks[sink] = (waiting, away)

    def exposition(self) -> bytes:
        """The text format, https://prometheus.io/docs/instrumenting/exposition_formats/."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The families as they are now; called by the registry."""
        labels = ["dialect", "operation", "outcome", "tier"]
        calls = CounterMetricFamily("sampan_calls", "Calls by how they ended.", labels=labels)
        seconds = HistogramMetricFamily("sampan_call_seconds", "Whole calls.", labels=labels)
        first = HistogramMetricFamily("sampan_first_event_seconds", "Until the first content.", labels=labels)
        tokens = CounterMetricFamily("sampan_tokens", "Tokens, as upstreams count.", labels=[*labels, "direction"])
        images = CounterMetricFamily("sampan_images", "Pictures made.", labels=labels)
        for key, tally in self._tallies.items():
            calls.add_metric(key, sum(tally.buckets))
            seconds.add_metric(key, _cumulative(tally.buckets), tally.seconds)
            first.add_metric(key, _cumulative(tally.first_buckets), tally.first_seconds)
            tokens.add_metric((*key, "input"), tally.input_tokens)
            tokens.add_metric((*key, "output"), tally.output_tokens)
            images.add_metric(key, tally.images)
        yield from (calls, seconds, first, tokens, images)
        attempts = CounterMetricFamily(
            "sampan_attempts", "Attempts by their fault.", labels=["upstream", "operation", "fault"]
        )
        for attempt, count in self._attempts.items():
            attempts.add_metric(attempt, count)
        probes = CounterMetricFamily("sampan_probes", "Probes by their fault.", labels=["upstream", "fault"])
        for probe, count in self._probes.items():
            probes.add_metric(probe, count)
        yield from (attempts, probes)
        cache = CounterMetricFamily("sampan_cache_calls", "Calls of routes that keep answers.", labels=["cache"])
        for how, count in self._cache.items():
            cache.add_metric((how,), count)
        rules = CounterMetricFamily("sampan_rule_calls", "Calls that a rule decided.", labels=["rule", "outcome"])
        for decided, count in self._rules.items():
            rules.add_metric(decided, count)
        costs = CounterMetricFamily("sampan_cost", "Money spent, as the price table says.", labels=["department"])
        for department, cost in self._costs.items():
            costs.add_metric((department,), cost)
        yield from (cache, rules, costs)
        yield from self._gauges()

    def _gauges(self) -> Iterator[Metric]:
        breakers = GaugeMetricFamily(
            "sampan_breaker_state", "1 for the state a breaker is in.", labels=["upstream", "operation", "state"]
        )
        for (upstream, operation), state in self._breakers.items():
            for each in BREAKER_STATES:
                breakers.add_metric((upstream, operation, each), each == state)
        taken = GaugeMetricFamily("sampan_bulkhead_taken", "Calls open at an upstream.", labels=["upstream"])
        waiting = GaugeMetricFamily("sampan_bulkhead_waiting", "Calls in line before it.", labels=["upstream"])
        for upstream, load in self._loads.items():
            taken.add_metric((upstream,), load.taken)
            waiting.add_metric((upstream,), load.waiting)
        yield from (taken, waiting)
        waits = GaugeMetricFamily("sampan_audit_waiting", "Records that wait for a sink of the audit.", labels=["sink"])
        away = GaugeMetricFamily(
            "sampan_audit_sink_away", "1 while a sink of the audit takes nothing.", labels=["sink"]
        )
        for sink, (count, gone) in self._sinks.items():
            waits.add_metric((sink,), count)
            away.add_metric((sink,), gone)
        yield from (waits, away)
        engines = GaugeMetricFamily("sampan_engine_ready", "1 where an engine is warm.", labels=["engine"])
        for name, ready in self._engines.items():
            engines.add_metric((name,), ready)
        if self._shared_state is not None:
            yield GaugeMetricFamily(
                "sampan_shared_state_up", "1 while breakers are shared and kept.", float(self._shared_state)
            )
        yield from (breakers, engines, GaugeMetricFamily("sampan_open_calls", "Calls being answered.", self._open))


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    """Prometheus' buckets count everything up to their bound."""
    bounds = [*(str(float(bound)) for bound in SECONDS), "+Inf"]
    return list(zip(bounds, accumulate(map(float, buckets)), strict=True))

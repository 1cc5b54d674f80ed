"""Logs, metrics and traces. None holds a prompt, a picture or a key: names, states and numbers only."""

from sampan.telemetry.logs import configure_logging, log_call
from sampan.telemetry.metrics import Metrics
from sampan.telemetry.tracing import Collector, Tracing

__all__ = ["Collector", "Metrics", "Tracing", "configure_logging", "log_call"]

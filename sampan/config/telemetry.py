"""Settings of traces and of the log of calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from sampan.config.declare import setting
from sampan.config.reading import Source

LOG_FORMATS = ("auto", "logfmt", "json")


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    traces: str = setting("", "OTLP endpoint over HTTP for traces, such as `http://collector:4318`. Empty: none.")
    sample: float = setting(1.0, "Share of the calls that are traced, where their caller does not say.", minimum=0)
    headers: Mapping[str, str] = setting({}, "Headers that the endpoint wants, a key among them.")
    service: str = setting("sampan", "Name of this gateway in traces.")
    confined: bool = setting(False, "Trace calls too that may not leave the house: for a collector inside.")
    log_format: str = setting("auto", "`logfmt`, `json`, or `auto`: colours on a terminal, else `logfmt`.")
    calls: bool = setting(False, "Write a line to the log for each ended call, as its record says, without content.")


def check_telemetry(settings: TelemetrySettings, source: Source) -> None:
    """Raises `ConfigError` with the line."""
    if settings.traces:
        parts = urlsplit(settings.traces)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise source.error(("telemetry", "traces"), "must be a URL such as http://collector:4318")
    if settings.log_format not in LOG_FORMATS:
        raise source.error(("telemetry", "log_format"), f"must be one of {', '.join(LOG_FORMATS)}")
    if settings.sample > 1:
        raise source.error(("telemetry", "sample"), "a share of the calls is at most 1")

"""Logs: one line an event, in a form for people or for machines."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

from sampan.core import Record

# Names and numbers only. Whose call it was stands in the audit, which not everybody may read who may read logs.
TOLD = (
    *("id", "dialect", "operation", "model", "stream", "outcome", "status", "error", "upstream", "tier", "attempts"),
    *("department", "rule", "cache", "input_tokens", "output_tokens", "images", "cost", "first_event_ms", "total_ms"),
)
_EXTRA = frozenset(TOLD)


def configure_logging(level: str, form: str = "auto") -> None:
    """Everything to standard error, one line an event, our own loggers and the libraries' alike.

    `form` is `logfmt`, `json`, or `auto`: colours on a terminal, else `logfmt`.
    """
    handler = logging.StreamHandler(sys.stderr)
    steps: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(allow=_EXTRA),
        structlog.processors.TimeStamper(fmt="iso", utc=False),
    ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=steps,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _renderer(form),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("sampan").setLevel(getattr(logging, level.upper()))
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *steps, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _renderer(form: str) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    if form == "auto" and sys.stderr.isatty():
        return structlog.dev.ConsoleRenderer(colors=True)
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "logger", "event"])


def log_call(record: Record) -> None:
    """One line for an ended call: what its record says of it, without names of people."""
    told = {name: value for name in TOLD if (value := getattr(record, name)) not in ("", 0, 0.0)}
    logging.getLogger("sampan.calls").info("call", extra=told)

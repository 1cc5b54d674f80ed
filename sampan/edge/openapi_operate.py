"""Models, drill and overview, for whoever may operate: operations of our OpenAPI description, with their schemas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sampan.core import Operation as Kind
from sampan.edge.openapi_admin import ROOT, Paths
from sampan.edge.openapi_admin_schemas import SHARE, TIME, closed
from sampan.edge.openapi_answers import PAGE_HEADERS
from sampan.edge.openapi_operations import JSON, SSE, Operation, asked, made, page
from sampan.edge.openapi_requests import FLAG, TEXT, Schema, fields, maybe, place, query, ref, some, texts, whole
from sampan.storage.releases import Kind as Change
from sampan.storage.releases import Stage

_LATER = {"429": {"$ref": "#/components/responses/ConnectionError429"}}
_BEGUN = (202,)
_LONGEST, _PATTERNS = 200, 20


def _operate(name: str, tag: str, summary: str, answer: str, *statuses: int) -> Operation:
    return replace(page(name, tag, summary, answer, *statuses), besides=_LATER)


def _sent(operation: Operation, body: str) -> Operation:
    """One that takes JSON."""
    taken = made(operation, {JSON: ref(body)}, {})
    return replace(taken, statuses=tuple(dict.fromkeys((400, *taken.statuses))))


def operate_operations() -> Paths:
    """All that stands below `/admin/v1/models`, `/admin/v1/drill`, `/admin/v1/overview` and `/admin/v1/targets`."""
    return _models() | _drill() | _overview()


def _overview() -> Paths:
    tag, path = "Overview", f"{ROOT}/overview"
    watch = _operate("watchOverview", tag, "The same, then what changes, for as long as one listens.", "Overview")
    isolate = _sent(_operate("turnTarget", tag, "Isolates a target, or lets it go again.", "Target", 404), "TargetTurn")
    upstream = place("upstream", "^[^/]{1,100}$", "Its name in the configuration.")
    operation = place("operation", "^[^/]{1,100}$", f"One of {', '.join(Kind)}.")
    return {
        path: {"get": _operate("getOverview", tag, "What happens now, and happened in the last day.", "Overview")},
        f"{path}/events": {"get": replace(watch, answers={SSE: TEXT})},
        f"{ROOT}/targets/{{upstream}}/{{operation}}": {"post": asked(isolate, upstream, operation)},
    }


def _models() -> Paths:
    tag, path = "Releases", f"{ROOT}/models"
    engine = place("engine", "^[^/]{1,100}$", "Its name in the configuration.")
    fetch = place("fetch_id", "^fetch_[0-9a-f]{16}$", "As the fetch was given it.")
    release = place("release", "^[^/]{1,300}$", "`OWNER--NAME@REVISION`, as its `id` says.")
    promote = _sent(_operate("promoteRelease", tag, "Asks for a promotion.", "Promotion", 404), "PromotionNew")
    rollback = _operate("rollBackRelease", tag, "Asks for the release before, or a stop.", "Promotion", 400, 404)
    begin = _sent(_operate("beginFetch", tag, "Begins to fetch a model, or goes on.", "Fetch"), "FetchNew")
    verify = _sent(_operate("verifyReleases", tag, "Begins to read all files again.", "ReleaseCheck", 404), "CheckNew")
    removed = _operate("removeRelease", tag, "Takes a release off the disk.", "ReleaseRemoved", 400, 404)
    told = _operate("getModels", tag, "Engines, releases, fetches, and what goes on.", "Yard")
    history = _operate("listPromotions", tag, "What was asked of an engine, the newest first.", "PromotionList", 404)
    return {
        path: {"get": told},
        f"{path}/fetch": {"post": replace(begin, success=_BEGUN)},
        f"{path}/fetches": {"get": _operate("listFetches", tag, "All fetches, the newest first.", "FetchList")},
        f"{path}/fetches/{{fetch_id}}": {
            "delete": asked(_operate("stopFetch", tag, "Stops one; what has arrived stays.", "Fetch", 404), fetch)
        },
        f"{path}/releases/{{release}}": {"delete": asked(removed, release)},
        f"{path}/verify": {
            "get": _operate("getReleaseCheck", tag, "How far that is, or what it found.", "ReleaseCheck"),
            "post": replace(verify, success=_BEGUN, optional=True),
        },
        f"{path}/engines/{{engine}}/promote": {"post": replace(asked(promote, engine), success=_BEGUN)},
        f"{path}/engines/{{engine}}/rollback": {"post": replace(asked(rollback, engine), success=_BEGUN)},
        f"{path}/engines/{{engine}}/history": {"get": asked(history, engine)},
    }


def _drill() -> Paths:
    tag, path = "Drill", f"{ROOT}/drill"
    begin = _sent(_operate("beginDrill", tag, "Begins a drill, one at a time.", "Drill"), "DrillNew")
    forms: Mapping[str, Schema] = {
        "text/html": {"type": "string", "description": "The page that `sampan drill --out` writes."},
        JSON: {"type": "object", "description": "Its `drill.json`, with every call."},
    }
    headers: Mapping[str, Any] = {
        **PAGE_HEADERS,
        "content-disposition": {"schema": TEXT, "description": "On JSON."},
        "content-security-policy": {"schema": TEXT, "description": "On the page: it may run nothing."},
    }
    report = _operate("getDrillReport", tag, "The whole report.", "Drill", 400, 404)
    return {
        path: {
            "get": _operate("getDrill", tag, "The drill that goes on, or the last one.", "Drill"),
            "post": replace(begin, success=_BEGUN, optional=True),
            "delete": _operate("stopDrill", tag, "Stops it, with all that it started.", "Drill"),
        },
        f"{path}/faults": {"get": _operate("listFaults", tag, "What can be rehearsed.", "DrillCatalogue")},
        f"{path}/scorecard": {
            "get": _operate("getScorecard", tag, "The last drill that ended, and the one before.", "ScorecardList")
        },
        f"{path}/report": {
            "get": asked(
                replace(report, answers=forms, headers=headers),
                query("format", texts("html", "json"), "`html` where it is left out."),
                query("which", texts("last", "before"), "`last` where it is left out."),
            )
        },
    }


_COUNTS = dict.fromkeys(("files", "bytes"), whole(0))
_PATTERN: Schema = {**some({"type": "string", "minLength": 1, "maxLength": _LONGEST}), "maxItems": _PATTERNS}
_WANTED: Mapping[str, Schema] = {
    "name": {"type": "string", "description": "`OWNER/NAME`."},
    "revision": {**TEXT, "description": "Commit, tag or branch; empty: the newest of the default branch."},
    "source": texts("huggingface", "modelscope"),
    "include": _PATTERN,
    "exclude": _PATTERN,
}
_FETCH: Mapping[str, Schema] = {
    "id": {"type": "string", "pattern": "^fetch_"},
    **_WANTED,
    "state": texts("running", "done", "failed", "stopped"),
    "by": {**TEXT, "description": "Who asked for it."},
    "started": TIME,
    "ended": maybe(TIME),
    "pinned": {**TEXT, "description": "Its revision, once it is whole."},
    **_COUNTS,
    **{f"{name}_done": each for name, each in _COUNTS.items()},
    "rate": {**whole(0), "description": "Bytes a second of late."},
    "error": TEXT,
    "said": some(TEXT),
}
_PROMOTION: Mapping[str, Schema] = {
    "id": whole(1),
    "engine": TEXT,
    "revision": TEXT,
    "kind": texts(*Change),
    "stage": texts(*Stage),
    "share": SHARE,
    "detail": TEXT,
    "asked": TIME,
    "ended": maybe(TIME),
}
_PROCESS: Mapping[str, Schema] = {
    **dict.fromkeys(("release", "state", "stage", "error", "line", "last_fault"), TEXT),
    "since": TIME,
    "share": SHARE,
    **dict.fromkeys(("restarts", "calls", "faults"), whole(0)),
}
_ENGINE: Mapping[str, Schema] = {
    **dict.fromkeys(("name", "kind", "model", "url", "configured"), TEXT),
    "obstacle": {**texts("", "built_in", "elsewhere", "fixed", "folder"), "description": "Why it has no releases."},
    "tags": {**FLAG, "description": "Its releases are tags that only its command knows."},
    "next": {**TEXT, "description": "What its next start loads; `-`: what its server finds."},
    "previous": {**TEXT, "description": "What a rollback goes back to; empty: nothing."},
    "stable": maybe(ref("EngineProcess")),
    "candidate": maybe(ref("EngineProcess")),
    "work": maybe(ref("Promotion")),
    "last": maybe(ref("Promotion")),
}
_RELEASE: Mapping[str, Schema] = {
    **dict.fromkeys(("id", "name", "revision", "asked", "source", "licence"), TEXT),
    "fetched": TIME,
    "whole": FLAG,
    **_COUNTS,
    "used_by": some(TEXT),
}
_CHECK: Mapping[str, Schema] = {
    "state": texts("never", "running", "done", "failed", "stopped"),
    "started": TIME,
    "ended": maybe(TIME),
    **dict.fromkeys(("bytes", "bytes_done", "checked"), whole(0)),
    "release": TEXT,
    "of": TEXT,
    "damaged": some(
        fields(
            "name revision source files",
            **dict.fromkeys(("name", "revision", "source"), TEXT),
            files=some(fields("path what", path=TEXT, what=TEXT)),
        )
    ),
}
_SCENE: Mapping[str, Schema] = {
    "number": whole(1),
    **dict.fromkeys(("fault", "route", "operation"), TEXT),
    "stream": FLAG,
    "state": texts("waiting", "playing", "kept", "broken"),
}
_RUN: Mapping[str, Schema] = {
    "started": TIME,
    "ended": TIME,
    "by": TEXT,
    "only": some(TEXT),
    "operation": TEXT,
    "card": {"type": "object", "description": "`drill.json` without its single calls: see docs/drill.md."},
}
_NAMED: Mapping[str, Schema] = dict.fromkeys(("name", "zh", "en"), TEXT)
_FAULT: Mapping[str, Schema] = {**_NAMED, "when": TEXT, "faults": some(TEXT), "counts": FLAG, "streams_only": FLAG}

OPERATE: Mapping[str, Schema] = {
    "Overview": {"type": "object", "required": ["at"], "description": "Its sections: see docs/console.md."},
    "TargetTurn": closed(fields("state", state=texts("isolated", "auto"))),
    "Target": fields("upstream operation state", upstream=TEXT, operation=TEXT, state=TEXT),
    "Yard": fields(
        "engines releases rules sources disk check fetches",
        engines=some(fields(" ".join(_ENGINE), **_ENGINE)),
        releases=some(fields(" ".join(_RELEASE), **_RELEASE)),
        rules=fields("shares watch faults keep", shares=some(SHARE), watch=SHARE, faults=SHARE, keep=SHARE),
        sources=fields("huggingface modelscope", huggingface=TEXT, modelscope=TEXT),
        disk=fields("total free", total=whole(0), free=whole(0)),
        check=ref("ReleaseCheck"),
        fetches=some(ref("Fetch")),
    ),
    "EngineProcess": fields(" ".join(_PROCESS), **_PROCESS),
    "Promotion": fields(" ".join(_PROMOTION), **_PROMOTION),
    "PromotionList": fields("data", data=some(ref("Promotion"))),
    "PromotionNew": closed(
        fields("revision", revision={"type": "string", "minLength": 1, "maxLength": _LONGEST}),
    ),
    "Fetch": fields(" ".join(_FETCH), **_FETCH),
    "FetchList": fields("data", data=some(ref("Fetch"))),
    "FetchNew": closed(fields("name", **_WANTED)),
    "ReleaseCheck": fields("state", **_CHECK),
    "CheckNew": closed(fields("", release={**TEXT, "description": "Its `id`; empty: all."})),
    "ReleaseRemoved": fields("name revision bytes", name=TEXT, revision=TEXT, bytes=whole(0)),
    "Drill": fields(
        "state",
        state=texts("never", "running", "done", "failed", "stopped"),
        started=TIME,
        ended=maybe(TIME),
        now=TIME,
        by=TEXT,
        error=TEXT,
        only=some(TEXT),
        operation=TEXT,
        done=whole(0),
        total=whole(0),
        scenes=some(fields(" ".join(_SCENE), **_SCENE)),
    ),
    "DrillNew": closed(
        fields(
            "",
            only={**some(TEXT), "maxItems": 100, "description": "Faults by name; none: all."},
            operation=texts("", *Kind),
            language=texts("en", "zh"),
        )
    ),
    "DrillCatalogue": fields(
        "faults moments promises operations",
        faults=some(fields(" ".join(_FAULT), **_FAULT)),
        moments=some(fields(" ".join(_NAMED), **_NAMED)),
        promises=some(fields(" ".join(_NAMED), **_NAMED)),
        operations=some(texts(*Kind)),
    ),
    "ScorecardList": fields("data", data=some(fields(" ".join(_RUN), **_RUN))),
}

"""Operations of our OpenAPI description: what one method of one path takes and answers, and how it is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sampan.edge.openapi_answers import PAGE_HEADERS
from sampan.edge.openapi_requests import VERSION, Schema, ref

JSON, SSE, FORM, ANYTHING = "application/json", "text/event-stream", "multipart/form-data", "*/*"
AWAY = (503, 529)
"""What an error 529 is to callers of either dialect."""

BY_KEY: tuple[Schema, ...] = ({"ApiKey": []}, {"Bearer": []})
KEYED: tuple[Schema, ...] = (*BY_KEY, {"Session": []})
"""Whoever is known may read; for whatever changes something a browser's session needs its word as well."""

CHANGING: tuple[Schema, ...] = (*BY_KEY, {"Session": [], "Csrf": []})


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `bodies` and `answers` are schemas by media type; `errors` names the shape of errors.

    `success` are the statuses of the answer. `besides` are responses, by status, that are neither the answer nor one of
    our errors.
    """

    name: str
    tag: str
    summary: str
    answers: Mapping[str, Schema]
    errors: str
    statuses: Sequence[int]
    headers: Mapping[str, Any]
    bodies: Mapping[str, Schema] | None = None
    parameters: Sequence[Schema] = ()
    keyed: bool = True
    links: Mapping[str, Schema] | None = None
    success: Sequence[int] = (200,)
    optional: bool = False
    """Whether the body may be left out."""
    besides: Mapping[str, Any] = field(default_factory=dict)

    def described(self, method: str) -> dict[str, Any]:
        """As an Operation Object."""
        good: dict[str, Any] = {"description": "The answer.", "headers": dict(self.headers)}
        if self.answers:
            good["content"] = {kind: {"schema": schema} for kind, schema in self.answers.items()}
        if self.links:
            good["links"] = dict(self.links)
        said: dict[str, Any] = {str(status): good for status in self.success}
        said |= {str(status): self._error(status) for status in self.statuses}
        told: dict[str, Any] = {"operationId": self.name, "tags": [self.tag], "summary": self.summary}
        if self.parameters:
            told["parameters"] = list(self.parameters)
        if self.bodies:
            content = {kind: {"schema": schema} for kind, schema in self.bodies.items()}
            told["requestBody"] = {"required": not self.optional, "content": content}
        if not self.keyed:
            told["security"] = []
        elif method != "get":
            told["security"] = list(CHANGING)
        return {**told, "responses": {**said, **self.besides}}

    def _error(self, status: int) -> dict[str, Any]:
        return {"$ref": f"#/components/responses/{self.errors}{status}"}


def page(name: str, tag: str, summary: str, answer: str, *statuses: int) -> Operation:
    """What we answer ourselves; `answer` names its schema."""
    return Operation(
        name=name,
        tag=tag,
        summary=summary,
        answers={JSON: ref(answer)} if answer else {},
        errors="ClaudeError" if tag == "Batches" else "EitherError",
        statuses=(*statuses, 401, 403, 500),
        headers=PAGE_HEADERS,
        parameters=(VERSION,) if tag in ("Files", "Models") else (),
    )


def links(parameter: str, *operations: str, field: str = "id") -> dict[str, Schema]:
    """What can be done next with what was made."""
    return {each: {"operationId": each, "parameters": {parameter: f"$response.body#/{field}"}} for each in operations}


def made(page: Operation, body: Mapping[str, Schema], links: Mapping[str, Schema]) -> Operation:
    """A page that takes a body, and after which something is there."""
    return replace(page, bodies=body, links=links, statuses=(*page.statuses, 413))


def asked(page: Operation, *parameters: Schema) -> Operation:
    """A page with parameters."""
    return replace(page, parameters=(*page.parameters, *parameters))

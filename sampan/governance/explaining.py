"""Questions about calls that nobody has made: what would be said of them, by which rule, and where they might go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from sampan.config.policy import Effect
from sampan.config.quota import read_zone
from sampan.core import Actor, Call, Dialect, Incoming, Location, Operation, Target
from sampan.dialects import Codec, Limits, form
from sampan.dialects.anthropic import Anthropic
from sampan.dialects.fields import UNREADABLE, invalid
from sampan.dialects.openai_chat import OpenAIChat
from sampan.dialects.openai_embeddings import OpenAIEmbeddings
from sampan.dialects.openai_images import OpenAIImages
from sampan.dialects.openai_responses import OpenAIResponses
from sampan.errors import CallError, InvalidRequest
from sampan.governance.conditions import COLLECTION
from sampan.governance.directory import Caller, Directory
from sampan.governance.judging import Explanation, PolicyJudge
from sampan.governance.residency import HEADER

LAST_TIME = 253_370_764_800.0
"""The beginning of 9999 in Unix seconds: hours of a day cannot be told much later."""

_FORM = "multipart/form-data; boundary=question"
_DIALECTS = {
    Operation.TEXT: Dialect.ANTHROPIC,
    Operation.VISION: Dialect.ANTHROPIC,
    Operation.GENERATE: Dialect.OPENAI_IMAGES,
    Operation.EDIT: Dialect.OPENAI_IMAGES,
    Operation.EMBED: Dialect.OPENAI_EMBEDDINGS,
}
_PATHS = {
    Dialect.ANTHROPIC: "/v1/messages",
    Dialect.OPENAI_CHAT: "/v1/chat/completions",
    Dialect.OPENAI_RESPONSES: "/v1/responses",
    Dialect.OPENAI_IMAGES: "/v1/images/generations",
    Dialect.OPENAI_EMBEDDINGS: "/v1/embeddings",
}
Plan = Callable[[Call], Sequence[Target]]


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who would ask what. A `key` is one that there is, by id or prefix; without it the others say who asks, and what
    they leave out is the user's own.

    `size` is such as `1024x1024`, `peer` the caller's address, `residency` and `collection` are its headers, `at` is in
    Unix seconds or `2026-11-22T20:30` in the time zone of the policy. With a `body` the call is read from it, in the
    wire format of `dialect`.
    """

    key: str = ""
    department: str = ""
    role: str = ""
    user: str = ""
    model: str = ""
    operation: Operation = Operation.TEXT
    dialect: Dialect | None = None
    tools: list[str] = []
    size: str = ""
    pictures: int = 1
    answer_tokens: int = 0
    collection: str = ""
    residency: str | None = None
    peer: str = ""
    at: float | str | None = None
    body: dict[str, Any] | None = None


def read_question(body: bytes) -> Question:
    """A question as JSON. Raises `InvalidRequest` naming the field."""
    try:
        return msgspec.json.decode(body or b"{}", type=Question)
    except UNREADABLE as error:
        raise invalid(error) from None


class Answered(msgspec.Struct, frozen=True):
    """The explanation, and the targets that the call might go to as things stand, best first; `notes` on who asks.

    `limits` are those that it would spend, each with the pot of it.
    """

    explanation: Explanation
    targets: tuple[Target, ...] = ()
    error: str = ""
    notes: tuple[str, ...] = ()
    limits: tuple[tuple[str, str], ...] = ()

    def told(self) -> dict[str, Any]:
        """As JSON."""
        explained = self.explanation
        return {
            "decision": "allow" if explained.allowed and not self.error else "deny",
            "rule": explained.rule,
            "message": explained.error or self.error,
            "confined": explained.confined,
            "masked": explained.masked,
            "unseen": explained.unseen,
            "rules": [msgspec.to_builtins(rule) for rule in explained.rules],
            "targets": [
                {"upstream": target.upstream, "model": target.model, "location": target.location.value}
                for target in self.targets
            ],
            "limits": [{"name": name, "pot": pot} for name, pot in self.limits],
            "notes": list(self.notes),
        }


class Explainer:
    """Answers questions by the judge in force. `directory` knows who would ask; it may block.

    `concerning` tells the limits of a call, each with its pot; where nothing is counted there are none.
    """

    def __init__(
        self,
        judge: PolicyJudge,
        directory: Directory,
        plan: Plan,
        limits: Limits,
        concerning: Callable[[Call, Actor], Sequence[tuple[str, str]]] = lambda call, actor: (),
    ) -> None:
        self._judge = judge
        self._directory = directory
        self._plan = plan
        self._limits = limits
        self._concerning = concerning

    def answer(self, question: Question) -> Answered:
        """Raises `InvalidRequest` or `NotFound` for a question that cannot be asked."""
        caller = self._caller(question)
        call = self._call(question)
        headers = {"content-type": call.content_type}
        if question.residency is not None:
            headers[HEADER] = question.residency
        if question.collection:
            headers[COLLECTION] = question.collection
        incoming = Incoming("POST", call.path, "", headers, call.body, question.peer)
        explanation = self._judge.explain(call, caller.actor, incoming, self._time(question.at))
        if caller.refusal:
            # Refused before any rule is asked; what the rules say is told all the same.
            explanation = msgspec.structs.replace(explanation, allowed=False, rule="", error=caller.refusal)
        targets, error = self._targets(call, explanation) if explanation.allowed else ((), "")
        return Answered(explanation, targets, error, caller.notes, tuple(self._concerning(call, caller.actor)))

    def _targets(self, call: Call, explanation: Explanation) -> tuple[tuple[Target, ...], str]:
        """Where the call might go, or why nowhere."""
        try:
            plan = tuple(self._plan(call))
        except CallError as error:
            return (), error.message
        if explanation.confined:
            plan = tuple(target for target in plan if target.location is Location.LOCAL)
            if not plan:
                return (), "it may not leave the house, and nobody at home answers this model"
        return plan, ""

    def _caller(self, question: Question) -> Caller:
        if not question.key:
            return self._directory.by_name(question.department, question.role, question.user)
        if question.department or question.role or question.user:
            raise InvalidRequest("key: says department, role and user itself; leave those out", param="key")
        return self._directory.by_key(question.key)

    def _time(self, at: float | str | None) -> float | None:
        seconds = self._seconds(at) if isinstance(at, str) else at
        if seconds is not None and not 0 <= seconds <= LAST_TIME:
            raise InvalidRequest("at: must lie between 1970 and 9999", param="at")
        return seconds

    def _seconds(self, at: str) -> float:
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            raise InvalidRequest(f"at: {at[:40]!r} is no time such as 2026-11-22T20:30", param="at") from None
        zone = read_zone(self._judge.code.policy.time_zone)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()

    def _call(self, question: Question) -> Call:
        dialect = question.dialect or _DIALECTS[question.operation]
        if question.body is not None:
            body = {"model": question.model, **question.body} if question.model else question.body
            return self._read(dialect, body)
        if not question.model:
            raise InvalidRequest("model: name a model, or give a body", param="model")
        drawing = question.operation in (Operation.GENERATE, Operation.EDIT)
        content_type, encoded = "application/json", self._body(question)
        if question.operation is Operation.EDIT:
            content_type, encoded = _FORM, form.build(_FORM, [form.value("size", question.size.encode())])
        return Call(
            dialect,
            question.operation,
            question.model,
            _PATHS[dialect],
            encoded,
            content_type,
            answer_tokens=question.answer_tokens,
            pictures=max(1, question.pictures) if drawing else 0,
        )

    def _body(self, question: Question) -> bytes:
        body: dict[str, Any] = {"model": question.model, "tools": [{"name": name} for name in question.tools]}
        if question.size:
            body["size"] = question.size
        return msgspec.json.encode(body)

    def _read(self, dialect: Dialect, body: Mapping[str, Any]) -> Call:
        codecs: dict[Dialect, Codec] = {
            Dialect.ANTHROPIC: Anthropic(),
            Dialect.OPENAI_CHAT: OpenAIChat(),
            Dialect.OPENAI_RESPONSES: OpenAIResponses(),
            Dialect.OPENAI_IMAGES: OpenAIImages(),
            Dialect.OPENAI_EMBEDDINGS: OpenAIEmbeddings(),
        }
        headers = {"content-type": "application/json"}
        incoming = Incoming("POST", _PATHS[dialect], "", headers, msgspec.json.encode(body))
        return codecs[dialect].parse(incoming, self._limits)


def in_words(answered: Answered) -> str:
    """An answer as people read it, a line to a rule."""
    explained = answered.explanation
    lines = []
    for rule in explained.rules:
        where = "stored" if rule.stored else "configuration"
        state = "concerns it" if rule.concerns else f"does not concern it: {rule.why}"
        lines.append(f"  {rule.effect:<{len(Effect.ALLOW)}} {rule.name} ({where}): {state}")
    if not lines:
        lines.append("  there are no rules")
    lines += _decided(answered)
    lines += (f"Note: {note}" for note in answered.notes)
    return "\n".join(lines)


def _decided(answered: Answered) -> list[str]:
    explained = answered.explanation
    if not explained.allowed or answered.error:
        decided = f", by {explained.rule}" if explained.rule else ""
        return [f"Denied{decided}: {explained.error or answered.error}"]
    lines = [f"Allowed{f', by {explained.rule}' if explained.rule else ''}"]
    if explained.unseen:
        lines.append("What it holds has to be read first; until then it may not leave the house")
    elif explained.confined:
        lines.append(f"It may not leave the house: {explained.confined}")
    if explained.masked:
        lines.append("Identifiers are masked if it leaves")
    names = (f"{target.upstream} ({target.location.value})" for target in answered.targets)
    return [*lines, f"It may go to: {', '.join(names)}"]

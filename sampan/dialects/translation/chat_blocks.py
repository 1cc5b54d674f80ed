"""Deltas of a chat answer as the blocks of a Message, one open at a time: what cannot be written yet waits in line.

See `chat_answers_claude` for what becomes what.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from sampan.core import Fault
from sampan.dialects.fields import UNREADABLE
from sampan.dialects.message_emitter import State
from sampan.dialects.translation.asked import Asked
from sampan.dialects.translation.chat_answer import Bill, Choice, Delta, Function, ToolDelta
from sampan.dialects.translation.chat_server import ChatServer
from sampan.dialects.translation.hermes import Called, Piece, TagSplitter, Text, Thought
from sampan.errors import TargetFault

STOPS = {"length": "max_tokens", "content_filter": "refusal"}
BROKEN = ("abort", "error")

Sign = Callable[[str], str]  # the signature of a thinking text
Fresh = Callable[[], str]  # the part of an id that no other answer has

_object = msgspec.json.Decoder(dict[str, Any])


class Blocks(Protocol):
    """What can be done with the blocks of an answer: `MessageEmitter` streams them, `BlockList` gathers them."""

    def open_text(self) -> None: ...
    def text(self, text: str) -> None: ...
    def open_thinking(self) -> None: ...
    def thinking(self, text: str) -> None: ...
    def sign(self, signature: str) -> None: ...
    def open_tool(self, call_id: str, name: str) -> None: ...
    def arguments(self, json: str) -> None: ...
    def close(self) -> None: ...


class BlockList:
    """The content of a whole Message."""

    def __init__(self) -> None:
        self.content: list[dict[str, Any]] = []
        self._pieces: list[str] = []

    def _open(self, block: dict[str, Any]) -> None:
        self._pieces = []
        self.content.append(block)

    def open_text(self) -> None:
        self._open({"type": "text", "text": ""})

    def text(self, text: str) -> None:
        self._pieces.append(text)

    def open_thinking(self) -> None:
        self._open({"type": "thinking", "thinking": "", "signature": ""})

    def thinking(self, text: str) -> None:
        self._pieces.append(text)

    def sign(self, signature: str) -> None:
        self.content[-1]["signature"] = signature

    def open_tool(self, call_id: str, name: str) -> None:
        self._open({"type": "tool_use", "id": call_id, "name": name, "input": {}})

    def arguments(self, json: str) -> None:
        self._pieces.append(json)

    def close(self) -> None:
        block = self.content[-1]
        if block["type"] != "tool_use":
            block[block["type"]] = "".join(self._pieces)
        elif self._pieces:
            given = _read_object("".join(self._pieces))
            if given is None:
                self.content.pop()  # cut off by the limit: any other call that is no JSON was a fault already
            else:
                block["input"] = given


def _read_object(json: str) -> dict[str, Any] | None:
    try:
        return _object.decode(json)
    except UNREADABLE:
        return None


class _Call:
    """One tool call as it comes in."""

    __slots__ = ("_checked", "_whole", "id", "name", "opened", "pieces", "written")

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.name = ""
        self.pieces: list[str] = []
        self.written = 0
        self.opened = False
        self._checked = -1
        self._whole = False

    def is_whole(self) -> bool:
        """Whether the arguments are a JSON object already: nothing can follow but white space."""
        if self._checked != len(self.pieces):
            self._checked = len(self.pieces)
            json = "".join(self.pieces)
            self._whole = json.rstrip().endswith("}") and _read_object(json) is not None
        return self._whole

    def begins(self) -> bool:
        """Whether the arguments begin as an object does, so that they can go out as they come."""
        return next((piece.lstrip() for piece in self.pieces if piece.strip()), "").startswith("{")


class Answer:
    """Turns deltas into blocks, one open at a time; what cannot be written yet waits in line."""

    def __init__(self, blocks: Blocks, asked: Asked, server: ChatServer, sign: Sign | None, fresh: Fresh) -> None:
        self.bill = Bill(asked.input_tokens)
        self.finish: str | None = None
        self.calls = 0
        self._blocks = blocks
        self._asked = asked
        self._sign = sign
        self._fresh = fresh
        self._state = State.BETWEEN
        self._splitter = TagSplitter(thinking=server.think_tags, tools=asked.tools if server.tool_tags else frozenset())
        self._line: deque[_Call | Text | Thought] = deque()
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._last: _Call | None = None
        self._ids: set[str] = set()
        self._blank = ""
        self._thought: list[str] = []
        self._refused: list[str] = []
        self._stop: str | None = None

    def take(self, choice: Choice) -> None:
        """One chunk's choice. Raises `TargetFault`."""
        delta = choice.delta or choice.message
        if delta is not None:
            self._take_delta(delta)
        if choice.finish_reason is not None:
            if choice.finish_reason in BROKEN:
                raise TargetFault(Fault.SERVER_ERROR, f"the answer finished with {choice.finish_reason}")
            self.finish = choice.finish_reason
            for stop in (choice.stop_reason, choice.matched_stop):
                if isinstance(stop, str) and stop in self._asked.stops:
                    self._stop = stop

    def _take_delta(self, delta: Delta) -> None:
        thought = delta.reasoning_content or delta.reasoning  # some servers say both, in the same words
        if thought:
            self._release()
            self._put(Thought(thought))
        if delta.content:
            if isinstance(delta.content, str):
                self._split(delta.content)
            else:
                for part in delta.content:
                    self._split(part.text or "")
                    self._refuse(part.refusal)
        if delta.refusal:
            self._refuse(delta.refusal)
        for call in delta.tool_calls or ():
            self._take_call(call)
        if delta.function_call is not None:
            self._take_call(ToolDelta(0, None, delta.function_call))

    def _split(self, text: str) -> None:
        if self._state is State.TEXT and not self._line and self._splitter.lets_pass(text):
            self.bill.write(text)
            self._blocks.text(text)
            return
        for piece in self._splitter.feed(text):
            self._piece(piece)

    def _release(self) -> None:
        """Text that was kept back comes before whatever is no text."""
        for piece in self._splitter.end():
            self._piece(piece)

    def _piece(self, piece: Piece) -> None:
        if isinstance(piece, Called):
            call = self._begin(None)
            call.name = piece.name
            call.pieces.append(piece.arguments)
            self.bill.write(piece.arguments)
            self._advance()
        else:
            self._put(piece)

    def _refuse(self, text: str | None) -> None:
        if text:
            self._refused.append(text)
            self._put(Text(text))

    def _take_call(self, delta: ToolDelta) -> None:
        function = delta.function or Function()
        arguments = function.text()
        call = self._find(delta, function.name or "", arguments)
        if call is None:
            self._release()
            call = self._begin(delta.id)
            if delta.numbered is not None:
                self._by_index[delta.numbered] = call
            if delta.id:
                self._by_id[delta.id] = call
        self._last = call
        if function.name and not call.pieces and function.name != call.name:
            call.name += function.name
        if arguments:
            call.pieces.append(arguments)
            self.bill.write(arguments)
        if self._line and self._line[0] is call:
            self._advance()
        elif call not in self._line and arguments.strip():
            raise TargetFault(Fault.MALFORMED, "arguments after their tool call was whole")

    def _find(self, delta: ToolDelta, name: str, arguments: str) -> _Call | None:
        """The call that a delta goes on with, None: it begins one. An index alone proves nothing: some say 0 always."""
        if delta.numbered is not None:
            call = self._by_index.get(delta.numbered)
        elif delta.id and (name or delta.id in self._by_id):
            call = self._by_id.get(delta.id)
        else:  # without a name nothing begins, whatever id is made up for it
            call = self._last
        if call is None:
            return None
        other_id = bool(delta.id) and bool(call.id) and delta.id != call.id
        if name and call.name and (other_id or (call.is_whole() and arguments)):
            return None
        if name and not delta.id and delta.numbered is None and call.pieces and name != call.name:
            return None
        return call

    def _begin(self, call_id: str | None) -> _Call:
        call = _Call(call_id or "")
        self._line.append(call)
        self._advance()
        return call

    def _put(self, piece: Text | Thought) -> None:
        self.bill.write(piece.text)
        if self._line:
            self._line.append(piece)
            self._advance()
        else:
            self._write(piece)

    def _write(self, piece: Text | Thought) -> None:
        """Into the open block of its kind, or a new one; a text does not begin with white space that means nothing."""
        if isinstance(piece, Thought):
            if self._state is not State.THINKING:
                self._close()
                self._blocks.open_thinking()
                self._state = State.THINKING
            self._blocks.thinking(piece.text)
            if self._sign is not None:
                self._thought.append(piece.text)
            return
        text = piece.text
        if self._state is not State.TEXT:
            if text.isspace():
                self._blank += text
                return
            blank = self._blank
            self._close()
            self._blocks.open_text()
            self._state = State.TEXT
            text = blank + text
        self._blocks.text(text)

    def _close(self) -> None:
        self._blank = ""
        if self._state is State.BETWEEN:
            return
        if self._state is State.THINKING and self._sign is not None:
            self._blocks.sign(self._sign("".join(self._thought)))
            self._thought.clear()
        self._blocks.close()
        self._state = State.BETWEEN

    def _advance(self) -> None:
        """Writes whatever stands at the head of the line, and moves on while heads are whole."""
        while self._line:
            head = self._line[0]
            if not isinstance(head, _Call):
                self._line.popleft()
                self._write(head)
                continue
            if head.opened or (head.name and head.begins()):
                self._write_call(head)
            if len(self._line) == 1 or not head.is_whole():
                return
            self._end_call(head, cut=False)
            self._line.popleft()

    def _write_call(self, call: _Call) -> None:
        if not call.opened:
            self._close()
            if not call.id or call.id in self._ids:
                call.id = f"toolu_{self._fresh()}"
            self._ids.add(call.id)
            self._blocks.open_tool(call.id, call.name)
            self._state = State.TOOL
            call.opened = True
            self.calls += 1
        while call.written < len(call.pieces):
            self._blocks.arguments(call.pieces[call.written])
            call.written += 1

    def _end_call(self, call: _Call, *, cut: bool) -> None:
        """Closes a call; only one that the limit cut off may be no JSON."""
        json = "".join(call.pieces).strip()
        if json in ("", "null"):
            call.pieces = []
        elif not call.is_whole() and not (cut and json.startswith("{")):
            raise TargetFault(Fault.MALFORMED, "a tool call whose arguments are no JSON object")
        if not call.name:
            if cut:
                return
            raise TargetFault(Fault.MALFORMED, "a tool call without a name")
        self._write_call(call)
        self._close()

    def end(self) -> None:
        """Writes all that waited. Raises `TargetFault` for a call that cannot be made."""
        self._release()
        cut = self.finish == "length"
        while self._line:
            head = self._line.popleft()
            if isinstance(head, _Call):
                self._end_call(head, cut=cut)
            else:
                self._write(head)
        self._close()

    def stop(self) -> tuple[str, str | None, dict[str, Any] | None]:
        """`stop_reason`, `stop_sequence`, `stop_details`."""
        reason = STOPS.get(self.finish or "")
        if reason == "refusal" or (self._refused and reason is None):
            explanation = "".join(self._refused) or None
            return "refusal", None, {"type": "refusal", "category": None, "explanation": explanation}
        if reason is not None:
            return reason, None, None
        if self.calls:
            return "tool_use", None, None
        return ("stop_sequence", self._stop, None) if self._stop is not None else ("end_turn", None, None)

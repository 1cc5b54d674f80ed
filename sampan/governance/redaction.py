"""Identifiers masked on the way to a cloud: what stands for them, in which parts of a call, and back again. No I/O.

A *placeholder* such as `[MOBILE-KQXZTM]` stands for one identifier as it was written. Its letters are an HMAC over the
caller's key and the identifier: the same one has the same placeholder in every turn of a conversation, whatever was
cut from it meanwhile, so that a cloud's prompt cache and its signatures over thinking stay good; nobody can tell the
identifier from it. It is ASCII, needs no escape in JSON, has no digit that could be taken for one of a number beside
it, and begins and ends with a sign that is nowhere else in it, so that no two can overlap. Where a field may hold
letters only (`tool_use_id`, a tool's name) the whole value becomes `masked_kqxztm`.

Masked is every string of the body, names of members included, but what is no text: base64, signatures, encrypted
content. JSON within a string (the `arguments` of a chat's tool call) is masked as JSON. Whatever was found anywhere is
masked wherever else it stands, also where its surroundings hid it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import unquote_plus

import msgspec

from sampan.core import Call, Dialect, Fault, Operation
from sampan.dialects import form
from sampan.dialects.fields import UNREADABLE, invalid
from sampan.errors import InvalidRequest, TargetFault

EVERYWHERE = 6  # signs: a shorter identifier is masked only where it was found, for it is part of many a word
CUT_SHORT = 4  # signs of an identifier at the end of a broken answer, from which no cloud may go on
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH = 6
_CORE = rf"[A-Z]{{2,16}}-[{_LETTERS}]{{{_LENGTH}}}"
_ID = rf"masked_[{_LETTERS.lower()}]{{{_LENGTH}}}"
_STRICT = re.compile(rf"\[({_CORE})\]|({_ID})")
_LOOSE = re.compile(rf"\[({_CORE})\]|({_ID})|({_CORE})")
_IN_BYTES = re.compile(rf"{_CORE}|{_ID}".encode())
_DIGIT = re.compile(r"\d")

_OPAQUE = frozenset({"signature", "encrypted_content", "b64_json"})
_LINKS = frozenset({"url", "image_url", "file_url", "file_data"})
_NAMES = frozenset({"id", "tool_use_id", "tool_call_id", "call_id", "name"})
_SEEN_THINGS = frozenset({"image", "image_url", "input_image", "input_file", "file", "container_upload", "video_url"})
ESCAPED = frozenset({"arguments", "partial_json"})  # members that hold JSON as text

_encode = msgspec.json.encode
_decode = msgspec.json.decode


class Found(Protocol):
    """Where an identifier stands in a text, what kind it is, and its signs alone."""

    @property
    def kind(self) -> str: ...

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...

    @property
    def value(self) -> str: ...


Find = Callable[[str], Sequence[Found]]


class Redaction:
    """Masks calls. `find` gives the identifiers of a text, none overlapping another; `secret` makes placeholders."""

    def __init__(self, find: Find, secret: bytes) -> None:
        self._find = find
        self._secret = secret

    def mask(self, call: Call, *, seen: bool = False) -> tuple[Call, Mask]:
        """The call as a cloud may be asked it, and the way back. `seen`: its pictures were looked at, and may leave.

        Raises `InvalidRequest` for what cannot be masked, and `TargetFault` where an answer is to be gone on with
        that broke off in the middle of an identifier.
        """
        return _Masking(self._find, self._secret, call, seen=seen).masked()

    def mask_text(self, text: str, tenant: str = "") -> tuple[str, Mask]:
        """One text, and the way back."""
        gathered = _Gathered(self._find, self._secret, tenant)
        gathered.look(text)
        gathered.settle()
        return gathered.text(text), gathered.mask()


class Mask:
    """What the placeholders of one call stand for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """`values` are identifiers by placeholder, without its brackets."""
        self._values = values
        self._prefixes: tuple[frozenset[str], frozenset[str]] | None = None
        self._longest = max((len(core) + 2 for core in values), default=0)

    def __bool__(self) -> bool:
        return bool(self._values)

    @property
    def values(self) -> Mapping[str, str]:
        return self._values

    def concerns(self, data: bytes) -> bool:
        """Whether there is a placeholder of ours in it: told without parsing."""
        return any(found[0].decode() in self._values for found in _IN_BYTES.finditer(data))

    def restore(self, text: str, *, escape: bool = False, strict: bool = False) -> str:
        """The text with its identifiers. `escape`: it is JSON, and they stand in strings of it.

        A placeholder is known without its brackets too, unless `strict`.
        """

        def value(match: re.Match[str]) -> str:
            found = self._values.get(match[match.lastindex or 0])
            if found is None:
                return match[0]
            return _encode(found)[1:-1].decode() if escape else found

        return (_STRICT if strict else _LOOSE).sub(value, text)

    def restore_body(self, body: bytes) -> bytes:
        """A whole answer or refusal with its identifiers; the same object where it has no placeholder."""
        if not self.concerns(body):
            return body
        try:
            return _encode(self.restore_value(_decode(body)))
        except UNREADABLE:
            return body

    def restore_value(self, node: Any, key: str = "") -> Any:
        """The same of JSON that is read already."""
        if isinstance(node, str):
            return node if key in _OPAQUE else self.restore(node, escape=key in ESCAPED, strict=key == "thinking")
        if isinstance(node, list):
            return [self.restore_value(each, key) for each in node]
        if isinstance(node, dict):
            return {self.restore(name): self.restore_value(each, name) for name, each in node.items()}
        return node

    def restorer(self, *, escape: bool = False, strict: bool = False) -> Restorer:
        """For one text that comes in pieces."""
        return Restorer(self, escape=escape, strict=strict)

    def held(self, text: str, *, strict: bool) -> int:
        """How many signs at the end of a text may be the beginning of a placeholder, or of its end."""
        floor = 0
        for match in (_STRICT if strict else _LOOSE).finditer(text):
            if match[match.lastindex or 0] in self._values:
                floor = match.end()
                if floor == len(text) and match.lastindex == 3 and text[: match.start()].endswith("["):
                    return len(match[0]) + 1
        if self._prefixes is None:
            self._prefixes = self._beginnings()
        known = self._prefixes[strict]
        for size in range(min(self._longest, len(text) - floor), 0, -1):
            if text[-size:] in known:
                return size
        return 0

    def _beginnings(self) -> tuple[frozenset[str], frozenset[str]]:
        """Every text that may become a placeholder: without the rules of `strict`, and with."""
        strict: set[str] = set()
        loose: set[str] = set()
        for core in self._values:
            named = core if core.startswith("masked_") else f"[{core}]"
            strict.update(named[:size] for size in range(1, len(named)))
            loose.update(core[:size] for size in range(1, len(core)))
        return frozenset(strict | loose), frozenset(strict)


class Restorer:
    """Restores a text that comes in pieces, cut anywhere: holds back what may be the beginning of a placeholder."""

    __slots__ = ("_escape", "_held", "_mask", "_strict")

    def __init__(self, mask: Mask, *, escape: bool, strict: bool) -> None:
        self._mask = mask
        self._escape = escape
        self._strict = strict
        self._held = ""

    def feed(self, text: str) -> str:
        """What may go on now."""
        text = self._held + text
        held = self._mask.held(text, strict=self._strict)
        self._held = text[len(text) - held :]
        return self._mask.restore(text[: len(text) - held], escape=self._escape, strict=self._strict)

    def rest(self) -> str:
        """What is still held, at the end of the text."""
        held, self._held = self._held, ""
        return self._mask.restore(held, escape=self._escape, strict=self._strict)


class _Gathered:
    """The identifiers of one call, and their placeholders once they are settled."""

    def __init__(self, find: Find, secret: bytes, tenant: str) -> None:
        self._find = find
        self._key = hmac.new(secret, b"redaction\0" + tenant.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
        self._found: dict[str, Sequence[Found]] = {}
        self._kinds: dict[str, str] = {}
        self._written: set[str] = set()
        self._names: dict[str, str] = {}
        self._cores: dict[str, str] = {}
        self._everywhere: re.Pattern[str] | None = None

    def look(self, text: str) -> None:
        """Takes in a text of the call."""
        if text in self._found or len(text) < 3:
            return
        self._written.update(_placeholders(text))
        found = self._find(text) if _DIGIT.search(text) or "\\u" in text else ()
        if not found:
            return
        self._found[text] = found
        for each in found:
            raw = text[each.start : each.end]
            self._kinds.setdefault(raw, each.kind)
            if len(each.value) >= EVERYWHERE:
                self._kinds.setdefault(each.value, each.kind)

    def settle(self) -> None:
        """Gives everything that was found its placeholder; none that the caller wrote."""
        for raw, kind in self._kinds.items():
            word = re.sub("[^A-Z]", "", kind.upper())[:16] or "MASKED"
            self._cores[raw] = self._fresh(raw, f"{word}-")
        common = sorted((raw for raw in self._kinds if len(raw) >= EVERYWHERE), key=len, reverse=True)
        if common:
            self._everywhere = re.compile("|".join(map(re.escape, common)))

    def _fresh(self, raw: str, beginning: str) -> str:
        """A placeholder that stands nowhere in the call."""
        letters = _LETTERS if beginning.isupper() else _LETTERS.lower()
        number = 0
        while True:
            data = number.to_bytes(2, "big") + raw.encode("utf-8", "surrogatepass")
            digest = hmac.new(self._key, data, hashlib.sha256).digest()
            core = beginning + "".join([letters[byte % len(letters)] for byte in digest[:_LENGTH]])
            if core not in self._written:
                self._written.add(core)
                return core
            number += 1

    @property
    def anything(self) -> bool:
        return bool(self._kinds)

    def text(self, text: str) -> str:
        """A text with placeholders."""
        out: list[str] = []
        end = 0
        for each in self._found.get(text, ()):
            out += [self._rest(text[end : each.start]), f"[{self._cores[text[each.start : each.end]]}]"]
            end = each.end
        out.append(self._rest(text[end:]))
        return "".join(out)

    def _rest(self, text: str) -> str:
        if self._everywhere is None or len(text) < EVERYWHERE:
            return text
        return self._everywhere.sub(lambda match: f"[{self._cores[match[0]]}]", text)

    def name(self, text: str) -> str:
        """A value of which no sign but letters, digits, `_` and `-` may be made; masked as a whole, if at all."""
        if self.text(text) == text:
            return text
        if text not in self._names:
            self._names[text] = self._fresh(text, "masked_")
        return self._names[text]

    def cut_short(self, text: str) -> bool:
        """Whether a text ends with the beginning of an identifier."""
        return any(
            text.endswith(raw[:size]) for raw in self._kinds for size in range(min(CUT_SHORT, len(raw) - 1), len(raw))
        )

    def mask(self) -> Mask:
        values = {core: raw for raw, core in self._cores.items()}
        return Mask(values | {name: raw for raw, name in self._names.items()})


def _placeholders(text: str) -> list[str]:
    """Whatever looks like one."""
    return [match[match.lastindex or 0] for match in _LOOSE.finditer(text)] if "-" in text or "masked_" in text else []


class _Masking:
    """One call being masked: read once to find, then once to replace."""

    def __init__(self, find: Find, secret: bytes, call: Call, *, seen: bool) -> None:
        self._call = call
        self._seen = seen
        self._gathered = _Gathered(find, secret, call.tenant)
        self._looking = True

    def masked(self) -> tuple[Call, Mask]:
        call = self._call
        cleared = msgspec.structs.replace(call, masked=False)
        if call.operation is Operation.EDIT or call.content_type.lower().startswith("multipart/"):
            return self._form(cleared)
        try:
            body = _decode(call.body)
        except UNREADABLE as error:
            raise invalid(error) from None
        if call.dialect is Dialect.OPENAI_EMBEDDINGS and isinstance(body, dict):
            _refuse_tokens(body.get("input"))
        self._walk(body, "", "")
        return self._replaced(cleared, lambda: _encode(self._walk(body, "", "")))

    def _form(self, call: Call) -> tuple[Call, Mask]:
        """A form: its fields are text, its files pictures."""
        parts = form.parse(call.content_type, call.body)
        for part in parts:
            if part.filename is None and part.name not in ("image", "image[]", "mask", "mask[]"):
                self._gathered.look(part.text())
            else:
                self._unseen(part.name)
        return self._replaced(call, lambda: self._rebuilt(parts))

    def _rebuilt(self, parts: list[form.Part]) -> bytes:
        out = []
        for part in parts:
            if part.filename is None and part.name not in ("image", "image[]", "mask", "mask[]"):
                masked = self._gathered.text(part.text()).encode()
                part = form.Part(part.name, part.filename, part.headers, masked)
            out.append(part)
        return form.build(self._call.content_type, out)

    def _replaced(self, call: Call, body: Callable[[], bytes]) -> tuple[Call, Mask]:
        gathered = self._gathered
        gathered.look(call.partial)
        gathered.look(call.model)
        path, _, query = call.path.partition("?")
        gathered.look(unquote_plus(query))
        gathered.settle()
        if not gathered.anything:
            return call, gathered.mask()
        if call.partial and gathered.cut_short(call.partial):
            raise TargetFault(Fault.MALFORMED, "the answer broke off inside of what has to be masked")
        self._looking = False
        if query and gathered.text(unquote_plus(query)) != unquote_plus(query):
            call = msgspec.structs.replace(call, path=path)
        changes = {"body": body(), "partial": gathered.text(call.partial), "model": gathered.text(call.model)}
        return msgspec.structs.replace(call, **changes), gathered.mask()

    def _walk(self, node: Any, key: str, path: str) -> Any:
        """Looks at every text, or replaces it."""
        if isinstance(node, str):
            return self._text(node, key)
        if isinstance(node, dict):
            return self._members(node, path)
        if isinstance(node, list):
            return [self._walk(each, key, f"{path}.{index}") for index, each in enumerate(node)]
        if isinstance(node, int | float) and not isinstance(node, bool) and abs(node) >= 10**EVERYWHERE:
            written = str(int(node)) if float(node).is_integer() else repr(node)
            told = self._text(written, key)
            return node if told == written else told
        return node

    def _members(self, node: dict[str, Any], path: str) -> dict[str, Any]:
        kind = node.get("type")
        if self._looking:
            self._judge(node, kind, path)
        out = {}
        for name, each in node.items():
            if isinstance(each, str) and _is_sealed(name, kind, path):
                out[name] = each
            else:
                out[self._text(name, "")] = self._walk(each, name, f"{path}.{name}" if path else name)
        return out

    def _judge(self, node: dict[str, Any], kind: Any, path: str) -> None:
        """Raises `InvalidRequest` for a picture that nobody has looked at."""
        if kind == "document":
            source = node.get("source")
            if not isinstance(source, dict) or source.get("type") not in ("text", "content"):
                self._unseen(path)
        elif isinstance(kind, str) and kind in _SEEN_THINGS:
            self._unseen(path)

    def _unseen(self, path: str) -> None:
        if not self._seen:
            raise InvalidRequest(
                f"{path}: a picture or file cannot leave the house with a call whose identifiers are masked: nobody "
                "has read what is in it. Send its text, or ask a model that runs here",
                param=path,
            )

    def _text(self, text: str, key: str) -> str:
        if key in _LINKS and text[:5].lower() == "data:" and ";base64," in text[:200]:
            return text
        inner = _inner(text) if key in ESCAPED else None
        if self._looking:
            if inner is not None:
                self._walk(inner, "", "")
            self._gathered.look(text)
            return text
        if inner is not None:
            masked = self._walk(inner, "", "")
            return text if masked == inner else _encode(masked).decode()
        return self._gathered.name(text) if key in _NAMES else self._gathered.text(text)


def _is_sealed(name: str, kind: Any, path: str) -> bool:
    """Whether a member is no text: base64 of a picture, and what a cloud has sealed."""
    if name == "data":
        return kind == "redacted_thinking" or (kind == "base64" and path.endswith("source"))
    return (name, kind) in (("signature", "thinking"), ("encrypted_content", "reasoning"))


def _inner(text: str) -> Any:
    """JSON that stands in a string; None for any other text."""
    try:
        read = _decode(text)
    except UNREADABLE:
        return None
    return read if isinstance(read, dict | list) else None


def _refuse_tokens(given: Any) -> None:
    """Numbers of tokens cannot be read without their tokenizer."""
    first = given[0] if isinstance(given, list) and given else None
    if isinstance(first, int | list):
        raise InvalidRequest("input: identifiers cannot be masked in tokens; send texts", param="input")

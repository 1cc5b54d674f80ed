"""Takes JSON as a model writes it, character by character, and hands out text that can always be made whole.

What models get wrong is mended by rule:

    a line end or another control character in a string    escaped
    an escape that JSON does not have (`\\'`, `\\d`)          a backslash and the character
    True, False, None                                       true, false, null
    a comma before a closing bracket                        left out
    the end before the end (or nonsense)                    what is open is closed: an open string where it stands, a
                                                            half literal or number made whole, a key without a value
                                                            given null

Grammar: RFC 8259.
"""

from __future__ import annotations

import re
from enum import Enum, auto

_PLAIN = re.compile(r'[^"\\\x00-\x1f]+')
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_NUMBER_SO_FAR = re.compile(r"-?(?:0|[1-9]\d*)?(?:(?<=\d)\.\d*)?(?:(?<=\d)[eE][+-]?\d*)?")
_LITERALS = {
    "true": "true",
    "false": "false",
    "null": "null",
    "True": "true",
    "False": "false",
    "None": "null",
}
_ESCAPES = '"\\/bfnrt'
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class _State(Enum):
    VALUE = auto()
    FIRST_VALUE = auto()  # or the end of the array
    KEY = auto()
    FIRST_KEY = auto()  # or the end of the object
    COLON = auto()
    AFTER = auto()  # a comma or a closing bracket
    STRING = auto()
    ESCAPE = auto()
    BARE = auto()  # a number or a literal
    DONE = auto()
    BROKEN = auto()


class JsonText:
    """One value. `feed` returns what is sound of it so far, `close` what is missing at the end."""

    def __init__(self) -> None:
        self._state = _State.VALUE
        self._open: list[str] = []  # the closing brackets that are due, the innermost last
        self._is_key = False
        self._held = ""  # a comma, an escape or a bare word that may yet turn out otherwise
        self._out: list[str] = []

    @property
    def done(self) -> bool:
        """Whether the value is whole; what is fed after that is ignored."""
        return self._state is _State.DONE

    @property
    def broken(self) -> bool:
        """Whether something came that no rule mends; what is fed after that is ignored."""
        return self._state is _State.BROKEN

    def feed(self, text: str) -> str:
        at = 0
        while at < len(text) and not (self.done or self.broken):
            at = self._string(text, at) if self._state is _State.STRING else self._step(text, at)
        return self._take()

    def close(self) -> str:
        """Ends what is open; after this the value is whole, unless nothing of it ever came."""
        if self._state is _State.BARE:
            self._end_bare()
        if self._state is _State.ESCAPE:
            self._held, self._state = "", _State.STRING
        if self._state is _State.STRING:
            self._end_string()
        self._held = ""  # a comma that nothing follows
        if self._state is _State.COLON:
            self._out.append(":null")
        elif self._state is _State.VALUE and self._open:
            self._out.append("null")
        self._out.extend(reversed(self._open))
        self._open.clear()
        self._state = _State.DONE
        return self._take()

    def _take(self) -> str:
        out = "".join(self._out)
        self._out.clear()
        return out

    def _string(self, text: str, at: int) -> int:
        plain = _PLAIN.match(text, at)
        if plain:
            self._out.append(plain[0])
            return plain.end()
        char = text[at]
        if char == '"':
            self._end_string()
        elif char == "\\":
            self._held, self._state = "\\", _State.ESCAPE
        else:
            self._out.append(_SHORT.get(char) or f"\\u{ord(char):04x}")
        return at + 1

    def _end_string(self) -> None:
        self._out.append('"')
        self._state = _State.COLON if self._is_key else _State.AFTER

    def _step(self, text: str, at: int) -> int:
        char = text[at]
        match self._state:
            case _State.ESCAPE:
                return self._escape(char, at)
            case _State.BARE:
                return self._bare(char, at)
        if char in " \t\r\n":
            return at + 1
        match self._state:
            case _State.KEY | _State.FIRST_KEY:
                self._key(char)
            case _State.COLON:
                self._expect(char, ":", _State.VALUE)
            case _State.AFTER:
                self._after(char)
            case _:
                return self._value(char, at)
        return at + 1

    def _expect(self, char: str, wanted: str, then: _State) -> None:
        if char != wanted:
            self._give_up()
            return
        self._out.append(char)
        self._state = then

    def _let_go(self) -> None:
        """The comma that was held: something follows it."""
        self._out.append(self._held)
        self._held = ""

    def _key(self, char: str) -> None:
        if char == '"':
            self._let_go()
            self._out.append(char)
            self._is_key, self._state = True, _State.STRING
        elif char == "}":
            self._held = ""
            self._shut(char)
        else:
            self._give_up()

    def _give_up(self) -> None:
        """What came is no JSON: the value is closed, and that is all of it."""
        out = self._take()
        rest = self.close()
        self._out = [out, rest]
        self._state = _State.BROKEN

    def _shut(self, char: str) -> None:
        if not self._open or self._open[-1] != char:
            self._give_up()
            return
        self._open.pop()
        self._out.append(char)
        self._state = _State.AFTER if self._open else _State.DONE

    def _after(self, char: str) -> None:
        if not self._open:
            self._give_up()
        elif char == ",":
            self._held = ","
            self._state = _State.KEY if self._open[-1] == "}" else _State.FIRST_VALUE
        else:
            self._shut(char)

    def _value(self, char: str, at: int) -> int:
        if char == "]" and self._state is _State.FIRST_VALUE:
            self._held = ""
            self._shut(char)
            return at + 1
        if char in "{[":
            self._let_go()
            self._out.append(char)
            self._open.append("}" if char == "{" else "]")
            self._state = _State.FIRST_KEY if char == "{" else _State.FIRST_VALUE
            return at + 1
        if char == '"':
            self._let_go()
            self._out.append(char)
            self._is_key, self._state = False, _State.STRING
            return at + 1
        if char in "-0123456789tfnTFN":
            self._let_go()
            self._state = _State.BARE
            return at
        self._give_up()
        return at + 1

    def _escape(self, char: str, at: int) -> int:
        self._held += char
        if self._held.startswith("\\u"):
            if re.fullmatch(r"\\u[0-9a-fA-F]{0,4}", self._held):
                if len(self._held) < 6:
                    return at + 1
                self._out.append(self._held)
            else:
                self._out.append("\\\\" + self._held[1:-1])
                at -= 1  # the last character is looked at again: it may end the string
        elif char in _ESCAPES:
            self._out.append(self._held)
        else:
            self._out.append("\\\\")
            at -= 1
        self._held, self._state = "", _State.STRING
        return at + 1

    def _bare(self, char: str, at: int) -> int:
        so_far = self._held + char
        if _NUMBER_SO_FAR.fullmatch(so_far) or any(literal.startswith(so_far) for literal in _LITERALS):
            self._held = so_far
            return at + 1
        self._end_bare()
        return at

    def _end_bare(self) -> None:
        word, self._held = self._held, ""
        if word in _LITERALS:
            self._out.append(_LITERALS[word])
        elif _NUMBER.fullmatch(word):
            self._out.append(word)
        else:
            whole = next((literal for literal in _LITERALS if word and literal.startswith(word)), None)
            self._out.append(_LITERALS[whole] if whole else word + "0")
        self._state = _State.AFTER if self._open else _State.DONE

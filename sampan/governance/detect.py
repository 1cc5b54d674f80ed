"""What identifies people in Chinese texts: a *finding* is one such thing, of a *kind*, with the place where it stands.

Numbers are found by their digits, in any script that Python reads as decimal (full-width ones too), split by blanks,
dashes or line ends as people write them, and as `\\uXXXX` where JSON stands within a text. Whatever has check digits
is believed only if they fit:

- resident identity numbers: GB 11643-1999, its check digit ISO/IEC 7064 MOD 11-2; region by GB/T 2260 as far as the
  province, for counties come and go;
- unified social credit codes: GB 32100-2015, the code within by GB 11714-1997;
- bank cards: ISO/IEC 7812-1 (Luhn, by luhncheck), in the ranges of issuers that Chinese cards have.

Passports and the numbers of medical records have no check digit: those need a word that says what they are.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence, Set
from datetime import date
from itertools import accumulate, pairwise
from typing import NamedTuple

from luhncheck import is_luhn

RESIDENT_ID = "resident_id"
PASSPORT = "passport"
BANK_CARD = "bank_card"
MOBILE = "mobile"
CREDIT_CODE = "credit_code"
RECORD_NUMBER = "record_number"
MEDICAL = "medical"
IDENTIFIERS = (RESIDENT_ID, CREDIT_CODE, BANK_CARD, MOBILE, PASSPORT, RECORD_NUMBER)
"""Kinds that can be masked; of two that overlap the first one counts."""
KINDS = (*IDENTIFIERS, MEDICAL)

# 9: foreigners' permanent residence cards since 2023, the province in the second and third digit.
_PROVINCES = frozenset(
    str(code)
    for span in ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 83), (91, 98))
    for code in range(span[0], span[1] + 1)
)
_SPLIT = "[\\s\\-\u2010-\u2015\u2212\uff0d\u30fb\u00b7\u00ad\u200b-\u200f\u2060\ufeff]"
_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))
_GROUP = re.compile("[0-9]+")
_RUN = re.compile(f"[0-9]+(?:{_SPLIT}{{1,3}}[0-9]+)*")
_LEAST = 6  # digits of a run that is worth looking at: a social credit code has so many in a row
_LEAST_DIGITS = {RESIDENT_ID: 17, CREDIT_CODE: _LEAST, BANK_CARD: 16, MOBILE: 11, PASSPORT: 7, RECORD_NUMBER: 1}
_X = re.compile(f"{_SPLIT}{{0,3}}[XxＸｘ×]")
_WIDE_DIGITS = "０１２３４５６７８９"
_NARROW = {0xFF01 + number: 0x21 + number for number in range(94)}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([nrt]))")
_WORD_BEFORE = re.compile(r"[0-9A-Za-z]{1,12}\Z")
_WORD_AFTER = re.compile(r"[0-9A-Za-z]{1,12}")
_SOME_WORD = re.compile(r"[A-Za-z]*[G-Zg-z][A-Za-z]*")  # letters alone, and not all of them hexadecimal digits
_CODE = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100-2015, table 1
_CODE_LAYOUTS = ((18,), (4, 4, 4, 4, 2), (2, 6, 9, 1), (8, 10), (8, 9, 1), (9, 9), (6, 6, 6))
_CODE_CHARACTERS = "[0-9A-HJ-NPQRTUWXYa-hj-npqrtuwxy]"
_MOBILE_LAYOUTS = frozenset({(11,), (3, 4, 4), (3, 8), (7, 4), (4, 3, 4)})
_ONES = (1,) * 19
_COUNTRY = {13: "86", 14: "086", 15: "0086"}
# UnionPay and the older ranges of Chinese banks; China Construction Bank; Visa, Mastercard, JCB and Discover.
_CARD_LENGTHS = (
    (re.compile("62|81|6013|603|6858|955[0589]|940"), frozenset({16, 17, 18, 19})),
    (re.compile("43"), frozenset({16, 19})),
    (re.compile("4|5[1-5]|2(?:2[2-9]|[3-6]|7[01]|720)|35(?:2[89]|[3-8])|6011|64[4-9]|65"), frozenset({16})),
)
_PASSPORT_WORDS = ("护照", "護照", "通行证", "通行證", "旅行证", "旅行證", "passport", "travel document")
_PASSPORT = re.compile(
    rf"[A-Z](?<![0-9A-Za-z][A-Z]){_SPLIT}?(?:[A-Z]{_SPLIT}?)?[0-9](?:{_SPLIT}?[0-9]){{6,7}}(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_RECORD_SIGNS = ("号", "號", "mrn", "medical record")
_PASSPORT_BEFORE, _PASSPORT_AFTER = 40, 16  # characters between a number and the word that says what it is
_RECORD = re.compile(
    "(?:病历号|病案号|住院号|门诊号|就诊号|就诊卡号|挂号单号|登记号|检查号|医保卡号|医保号|社保卡号"
    "|病歷號|病案號|住院號|門診號|就診號|就診卡號|醫保卡號|健保卡號"
    "|MRN(?<![0-9A-Za-z_-]MRN)(?=[\\s::#=])|medical record (?:no\\.?|number))"
    r"[码碼]?[\s::#=是为為]{0,4}(?P<number>[A-Za-z]{0,4}-?\d[0-9A-Za-z-]{2,19})(?![0-9A-Za-z])",
    re.IGNORECASE,
)
MEDICAL_WORDS = (
    *("病历", "病案", "住院号", "门诊号", "就诊卡", "主诉", "现病史", "既往史", "家族史", "过敏史", "体格检查"),
    *("入院记录", "出院小结", "出院记录", "手术记录", "病程记录", "医嘱", "处方笺", "化验单", "检验报告单", "病理报告"),
    *(
        "影像报告",
        "超声所见",
        "确诊",
        "临床诊断",
        "初步诊断",
        "入院诊断",
        "出院诊断",
        "术前诊断",
        "病理诊断",
        "鉴别诊断",
    ),
    *("艾滋病", "梅毒", "乙肝", "丙肝", "肺结核", "恶性肿瘤", "化疗", "放疗", "抑郁症", "精神分裂", "人工流产", "HIV"),
    *("病歷", "病案號", "住院號", "門診號", "主訴", "現病史", "既往史", "過敏史", "入院記錄", "出院小結", "手術記錄"),
    *(
        "醫囑",
        "化驗單",
        "檢驗報告",
        "病理報告",
        "確診",
        "臨床診斷",
        "初步診斷",
        "病理診斷",
        "愛滋病",
        "惡性腫瘤",
        "化療",
    ),
)
"""Words of medical records; `诊断` comes to them where it is not said of a fault or a program."""
# What must not stand before a word is looked at after it: so the search stays one for first letters, 25 times faster.
_DIAGNOSIS = (
    "诊断(?<![障统络能题序码我程辆备误]诊断)(?![工信程日器接仪数命])"
    "|診斷(?<![障統絡能題式碼我程輛備誤端]診斷)(?![工信程日器])"
)


class Finding(NamedTuple):
    """One thing found: `text[start:end]` as it stands there, and `value`, its signs alone (digits, upper case)."""

    kind: str
    start: int
    end: int
    value: str


class Detector:
    """Finds things of some `kinds`; `words` are further ones to take for medical. Built once, used for every call."""

    def __init__(self, kinds: Iterable[str] = IDENTIFIERS, words: Sequence[str] = ()) -> None:
        self.kinds = frozenset(kinds)
        listed = sorted({*MEDICAL_WORDS, *words} - {""}, key=lambda word: (-len(word), word))
        self._medical = re.compile("|".join([*map(_as_pattern, listed), _DIAGNOSIS])) if MEDICAL in self.kinds else None
        self._numbers = bool(self.kinds & {RESIDENT_ID, CREDIT_CODE, BANK_CARD, MOBILE, PASSPORT})
        self._least = min((least for kind, least in _LEAST_DIGITS.items() if kind in self.kinds), default=0)

    def find(self, text: str) -> list[Finding]:
        """All findings in the order of the text, none overlapping another."""
        if "\\" in text and _ESCAPE.search(text) is not None:
            return self._find_escaped(text)
        plain = text
        if not text.isascii() and any(digit in text for digit in _WIDE_DIGITS):
            plain = text.translate(_NARROW)
        found: list[Finding] = []
        # To count all digits takes a tenth of the time that a pattern takes to find the first.
        if self._least and len(plain.encode("utf-8", "replace").translate(None, _NO_DIGITS)) >= self._least:
            self._find_numbers(plain, found)
        if self._medical is not None:
            found += [Finding(MEDICAL, *match.span(), match[0]) for match in self._medical.finditer(plain)]
            found.sort(key=lambda finding: finding.start)
        return found

    def _find_numbers(self, plain: str, found: list[Finding]) -> None:
        if self._numbers:
            runs = 0
            for run in _RUN.finditer(plain):
                start, end = run.span()
                if end - start >= _LEAST:
                    runs += 1
                    _look(plain, start, end, self.kinds, found)
            if runs and PASSPORT in self.kinds:
                found += _passports(plain)
        if RECORD_NUMBER in self.kinds and _has(plain, _RECORD_SIGNS):
            for match in _RECORD.finditer(plain):
                found.append(Finding(RECORD_NUMBER, *match.span("number"), match["number"].upper()))
        if len(found) > 1:
            found[:] = _apart(found)

    def _find_escaped(self, text: str) -> list[Finding]:
        """In a text that has JSON within it: found as it would be read, told where it is written."""
        pieces: list[str] = []
        places: list[int] = []
        end = 0
        for match in _ESCAPE.finditer(text):
            pieces += [text[end : match.start()], chr(int(match[1], 16)) if match[1] else " "]
            places += [*range(end, match.start()), match.start()]
            end = match.end()
        pieces.append(text[end:])
        places += [*range(end, len(text) + 1)]
        found = []
        for kind, start, stop, value in self.find("".join(pieces).replace("\\", "/")):
            # The last sign may itself be an escape: it ends where the next one begins.
            found.append(Finding(kind, places[start], places[stop], value))
        return found


class _Run(NamedTuple):
    """A run of digits in groups: group `i` is `text[starts[i]:ends[i]]` and `digits[offsets[i]:offsets[i + 1]]`."""

    text: str
    digits: str
    starts: list[int]
    ends: list[int]
    offsets: list[int]

    def sizes(self, first: int, last: int) -> tuple[int, ...]:
        offsets = self.offsets[first : last + 2]
        return tuple(stop - begin for begin, stop in pairwise(offsets))

    def goes_on(self, first: int, last: int, size: int) -> bool:
        """Whether a group of this size stands right before or after these."""
        offsets = self.offsets
        if first and offsets[first] - offsets[first - 1] == size:
            return True
        return last + 2 < len(offsets) and offsets[last + 2] - offsets[last + 1] == size

    def wraps(self, first: int, last: int) -> bool:
        """Whether a line ends between two groups."""
        return last == first + 1 and "\n" in self.text[self.ends[first] : self.starts[last]]


def _look(text: str, start: int, end: int, kinds: frozenset[str], found: list[Finding]) -> None:
    """Looks for numbers in a run of digits: in each group, and in groups that may be one number together."""
    groups = [match.span() for match in _GROUP.finditer(text, start, end)]
    digits = text[start:end] if len(groups) == 1 else "".join([text[begin:stop] for begin, stop in groups])
    taken = _look_at_groups(text, groups, digits, kinds, found) if len(digits) >= 11 else frozenset()
    if CREDIT_CODE in kinds and len(digits) >= _LEAST:
        for begin, stop in groups:
            # A resident's number has the digits of a code, and no time is lost on it twice.
            if stop - begin >= 4 and begin not in taken:
                found += _credit_codes(text, begin)


def _look_at_groups(
    text: str, groups: list[tuple[int, int]], digits: str, kinds: frozenset[str], found: list[Finding]
) -> Set[int]:
    """Where the groups begin that are something."""
    taken: set[int] = set()
    starts, ends = [begin for begin, _ in groups], [stop for _, stop in groups]
    run = _Run(text, digits, starts, ends, [0, *accumulate(stop - begin for begin, stop in groups)])
    offsets = run.offsets
    for first, begin in enumerate(offsets[:-1]):
        size = offsets[first + 1] - begin
        if size == 1 and first and begin - offsets[first - 1] == 1:
            continue  # a number that somebody spaced out does not begin in the middle of such digits
        for last in range(first, len(starts)):
            total = offsets[last + 1] - begin
            if total > 19:
                break
            if total >= 11:
                finding = _number(run, first, last, kinds)
                if finding is not None:
                    found.append(finding)
                    taken.update(starts[first : last + 1])
    return taken


def _number(run: _Run, first: int, last: int, kinds: frozenset[str]) -> Finding | None:
    """What these groups are together."""
    digits = run.digits[run.offsets[first] : run.offsets[last + 1]]
    total = len(digits)
    text, start, end = run.text, run.starts[first], run.ends[last]
    if total >= 17 and RESIDENT_ID in kinds and total <= 18 and digits[:2] in _PROVINCES:
        finding = _resident(run, first, last, digits)
        if finding is not None:
            return finding
    if total <= 15 and MOBILE in kinds and _is_mobile(run, first, last, digits):
        plus = total > 11 and start > 0 and text[start - 1] in "++"
        return Finding(MOBILE, start - plus, end, digits[-11:]) if _stands_alone(text, start, end) else None
    if total >= 16 and BANK_CARD in kinds and is_card(digits) and _is_split_as_card(run, first, last):
        return Finding(BANK_CARD, start, end, digits) if _stands_alone(text, start, end) else None
    return None


def _resident(run: _Run, first: int, last: int, digits: str) -> Finding | None:
    start, end = run.starts[first], run.ends[last]
    if len(digits) == 17:
        sign = _X.match(run.text, end)
        if sign is None:
            return None
        digits, end = digits + "X", sign.end()
    if not is_resident_id(digits) or (last - first > 10 and run.goes_on(first, last, 1)):
        return None
    return Finding(RESIDENT_ID, start, end, digits) if _stands_alone(run.text, start, end) else None


def _is_mobile(run: _Run, first: int, last: int, digits: str) -> bool:
    country = _COUNTRY.get(len(digits), "")
    number = digits[len(country) :]
    if len(number) != 11 or number[0] != "1" or number[1] < "3" or not digits.startswith(country):
        return False
    if first == last:
        return True
    sizes = run.sizes(first, last)
    if country:
        sizes = sizes[1:] if sizes[0] == len(country) else (sizes[0] - len(country), *sizes[1:])
    if sizes == _ONES[:11]:
        return not run.goes_on(first, last, 1)
    return sizes in _MOBILE_LAYOUTS or run.wraps(first, last)


def _is_split_as_card(run: _Run, first: int, last: int) -> bool:
    """Whether people, or the ends of lines, split cards so: in a table of numbers any four may make sixteen digits."""
    if first == last or run.wraps(first, last):
        return True
    sizes = run.sizes(first, last)
    if sizes == _ONES[: len(sizes)]:
        return not run.goes_on(first, last, 1)
    if len(sizes) == 2:
        return sizes[0] == 6
    return all(size == 4 for size in sizes[:-1]) and sizes[-1] <= 4 and not run.goes_on(first, last, 4)


def is_resident_id(number: str) -> bool:
    """Whether these 18 signs (the last may be X) are a resident identity number."""
    if number[:2] not in _PROVINCES or number[6:8] not in ("19", "20"):
        return False
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    rest = 0
    for sign in number[:17]:  # ISO/IEC 7064 MOD 11-2, by Horner's scheme: each place weighs twice the one after it
        rest = (rest + int(sign)) * 2 % 11
    return (rest + (10 if number[17] in "Xx" else int(number[17]))) % 11 == 1


def is_credit_code(code: str) -> bool:
    """Whether these 18 signs, in upper case, are a unified social credit code.

    The inner code's own check digit is asked for only where there is no letter in it: of ten thousand order numbers
    three would do for a code otherwise, and some early codes with letters are known not to have it right.
    """
    values = [_CODE.find(sign) for sign in code]
    if code[0] not in "159ANY" or not code[2:8].isdigit() or code[2:4] not in {*_PROVINCES, "10"} or -1 in values:
        return False
    if (sum(value * 3**place % 31 for place, value in enumerate(values[:17])) + values[17]) % 31:
        return False
    if not code.isdigit():
        return True
    weights = (3, 7, 9, 10, 5, 8, 4, 2)  # GB 11714-1997
    rest = (11 - sum(weight * int(sign) for weight, sign in zip(weights, code[8:16], strict=True)) % 11) % 11
    return code[16] == str(rest)


def is_card(digits: str) -> bool:
    """Whether these 16 to 19 digits are a bank card's: of an issuer's range, with Luhn's check digit."""
    for range_, lengths in _CARD_LENGTHS:
        if range_.match(digits):
            return len(digits) in lengths and is_luhn(digits)
    return False


def _credit_codes(text: str, group: int) -> list[Finding]:
    """Codes whose first digits are the group that begins here; one or two letters may stand before it."""
    for start in (group, group - 1, group - 2):
        match = _CREDIT_CODE.match(text, start) if start >= 0 and text[start] in "159ANYany" else None
        if match is not None:
            code = "".join(sign for sign in match[0] if sign.isalnum()).upper()
            if is_credit_code(code) and _stands_alone(text, start, match.end()):
                return [Finding(CREDIT_CODE, start, match.end(), code)]
    return []


def _passports(text: str) -> list[Finding]:
    lowered = text.lower()
    words = sorted(match.span() for word in _PASSPORT_WORDS if word in lowered for match in re.finditer(word, lowered))
    begins, stops = [begin for begin, _ in words], sorted(stop for _, stop in words)
    found = []
    for match in _PASSPORT.finditer(text) if words else ():
        start, end = match.span()
        before, after = bisect_left(stops, start - _PASSPORT_BEFORE), bisect_left(begins, end)
        named = before < len(stops) and stops[before] <= start
        if named or (after < len(begins) and begins[after] <= end + _PASSPORT_AFTER):
            value = "".join(sign for sign in match[0] if sign.isalnum()).upper()
            found.append(Finding(PASSPORT, start, end, value))
    return found


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether no digit, decimal point or hash goes on beside it; a word such as `tel` may."""
    if start and _touches(text, start - 1, -1):
        word = _WORD_BEFORE.search(text, max(0, start - 12), start)
        if word is None or not _SOME_WORD.fullmatch(word[0]):
            return False
    if end < len(text) and _touches(text, end, 1):
        word = _WORD_AFTER.match(text, end)
        if word is None or not _SOME_WORD.fullmatch(word[0]):
            return False
    return True


def _touches(text: str, place: int, step: int) -> bool:
    """Whether the sign here is one of the same token, seen from a number that goes the other way."""
    sign = text[place]
    if sign == ".":
        beyond = place + step
        return 0 <= beyond < len(text) and text[beyond].isdecimal()
    return sign.isdecimal() or (sign.isascii() and sign.isalpha())


def _apart(found: list[Finding]) -> list[Finding]:
    """Those that do not overlap one of a kind that counts more, or one that begins before it or ends after it."""
    found.sort(key=lambda finding: (IDENTIFIERS.index(finding.kind), finding.start, -finding.end))
    kept: list[Finding] = []
    taken = bytearray(max(finding.end for finding in found))
    for finding in found:
        if not any(taken[finding.start : finding.end]):
            taken[finding.start : finding.end] = b"\1" * (finding.end - finding.start)
            kept.append(finding)
    kept.sort(key=lambda finding: finding.start)
    return kept


def _has(text: str, signs: Sequence[str]) -> bool:
    """Whether one of these is in a text, in whatever case: quicker to ask than a pattern that tells them apart."""
    lowered = text.lower()
    return any(sign in lowered for sign in signs)


def _as_pattern(word: str) -> str:
    """A word of Latin letters stands for itself alone: HIV is not in `archive`."""
    escaped = re.escape(word)
    return rf"{escaped}(?<![A-Za-z]{escaped})(?![A-Za-z])" if word.isascii() else escaped


def _layouts() -> str:
    return "|".join(
        f"{_SPLIT}{{1,3}}".join(f"{_CODE_CHARACTERS}{{{size}}}" for size in sizes) for sizes in _CODE_LAYOUTS
    )


_CREDIT_CODE = re.compile(_layouts())

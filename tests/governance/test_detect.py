"""What identifies people is found however it is written, and nothing else is taken for it."""

from __future__ import annotations

import random
import secrets
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from id_validator.helper import generator_check_bit
from luhncheck import is_luhn

from sampan.governance.detect import KINDS, MEDICAL_WORDS, Detector, is_card, is_credit_code, is_resident_id

DOCS = Path(__file__).parents[2] / "docs"
ID = "11010519491231002X"  # the example of GB 11643-1999
CODE = "91350100M000100Y43"  # the example of GB 32100-2015
CARD = "6222021234567890128"
everything = Detector(KINDS)


def values(text: str, detector: Detector = everything) -> list[tuple[str, str]]:
    found = detector.find(text)
    for finding in found:
        assert 0 <= finding.start < finding.end <= len(text)
    return [(finding.kind, finding.value) for finding in found]


def numbers(text: str) -> list[tuple[str, str]]:
    return [each for each in values(text) if each[0] != "medical"]


@pytest.mark.parametrize(
    "text",
    [
        ID,
        ID.lower(),
        "１１０１０５１９４９１２３１００２Ｘ",
        "1101 0519 4912 3100 2x",
        "110105-19491231-002X",
        "110105—19491231—002X",
        "1 1 0 1 0 5 1 9 4 9 1 2 3 1 0 0 2 X",
        "11010519491\n231002X",
        "110105\u200b19491231\u200b002X",
        "110105　1949　1231　002X",
        "\\u0031\\u0031010519491231002X",
        "身份证号:11010519491231002X,请核对",
        "ID110105 1949 1231 002X.",
    ],
)
def test_a_resident_number_is_found_however_it_is_written(text: str) -> None:
    assert values(text) == [("resident_id", ID)]


@pytest.mark.parametrize(
    "text",
    [
        "110105194912310021",  # the check digit
        "11010519491331002X",  # there is no 13th month
        "19010519491231002X",  # no such province
        "a11010519491231002X",  # of a hash
        "3.11010519491231002X",
        "11010519491231002XF",
        "111010519491231002X",
    ],
)
def test_what_only_looks_like_one_is_not(text: str) -> None:
    assert ("resident_id", ID) not in values(text)
    assert not [each for each in values(text) if each[0] == "resident_id"]


@given(st.integers(0, 10**17 - 1).map(lambda number: f"{number:017}"))
def test_the_check_digit_of_residents_is_what_a_library_says(body: str) -> None:
    fit = "110105" + "19900228" + body[:3]
    right = generator_check_bit(fit)
    assert [sign for sign in "0123456789X" if is_resident_id(fit + sign)] == [right]


@given(st.text("0123456789ABCDEFGHJKLMNPQRTUWXY", min_size=9, max_size=9))
def test_one_sign_of_thirty_one_ends_a_credit_code(body: str) -> None:
    code = "91350100" + body
    fit = [sign for sign in "0123456789ABCDEFGHJKLMNPQRTUWXY" if is_credit_code(code + sign)]
    assert len(fit) == 1 or (len(fit) <= 1 and body.isdigit())
    if fit and not body.isdigit():
        wrong = code[:9] + ("1" if code[9] != "1" else "2") + code[10:]
        assert not is_credit_code(wrong + fit[0])


@pytest.mark.parametrize(
    "text",
    [CODE, CODE.lower(), "9135 0100 M000 100Y 43", "税号91350100M000100Y43。", "９１３５０１００M０００１００Y４３"],
)
def test_a_credit_code_is_found(text: str) -> None:
    assert values(text) == [("credit_code", CODE)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("13800138000", "13800138000"),
        ("+86 138-0013-8000", "13800138000"),
        ("0086 13800138000", "13800138000"),
        ("(86)138 0013 8000", "13800138000"),
        ("8613800138000", "13800138000"),
        ("tel13800138000", "13800138000"),
        ("138\n00138000", "13800138000"),
        ("１３８００１３８０００", "13800138000"),
        ("１３８-００１３-８０００", "13800138000"),
        ("手机 1 3 8 0 0 1 3 8 0 0 0。", "13800138000"),
        ('{"phone":"\\u0031380013 8000"}', "13800138000"),
    ],
)
def test_a_mobile_number_is_found(text: str, number: str) -> None:
    assert numbers(text) == [("mobile", number)]


@pytest.mark.parametrize(
    "text", ["12800138000", "1380013800", "138001380001", "138.0013", "0.13800138000", "13 800138000"]
)
def test_what_is_no_mobile_number_is_not(text: str) -> None:
    assert values(text) == []


@pytest.mark.parametrize(
    ("text", "card"),
    [
        ("6222021234567890128", "6222021234567890128"),
        ("6222 0212 3456 7890 128", "6222021234567890128"),
        ("622202 1234567890128", "6222021234567890128"),
        ("4111-1111-1111-1111", "4111111111111111"),
        ("卡号5555555555554444", "5555555555554444"),
        ("9558 8012 3456 7890 128", "9558801234567890128"),
        ("4367 4212 3456 7890 129", "4367421234567890129"),
        ("6248 2447 5771 0465 634", "6248244757710465634"),
        ("622202123456\n7890128", "6222021234567890128"),
    ],
)
def test_a_bank_card_is_found(text: str, card: str) -> None:
    assert is_luhn(card) and is_card(card)
    assert values(text) == [("bank_card", card)]


@pytest.mark.parametrize(
    "text",
    ["6222021234567890127", "1111111111111117", "411111111111111", "4111 1111 1111 1111 1111", "4111111111111111.5"],
)
def test_what_is_no_bank_card_is_not(text: str) -> None:
    assert values(text) == []


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("护照号码:E12345678", "passport", "E12345678"),
        ("護照 EA1234567", "passport", "EA1234567"),
        ("My passport no. is g 12345678.", "passport", "G12345678"),
        ("H1234567890 港澳通行证", "", ""),
        ("港澳居民来往内地通行证 H12345678", "passport", "H12345678"),
        ("病历号:A0012345", "record_number", "A0012345"),
        ("住院号码 20230456", "record_number", "20230456"),
        ("病歷號:88123", "record_number", "88123"),
        ("MRN: 0045821", "record_number", "0045821"),
    ],
)
def test_numbers_without_a_check_digit_need_a_word(text: str, kind: str, value: str) -> None:
    assert numbers(text) == ([(kind, value)] if kind else [])
    if kind:
        assert numbers(value) == []


def test_words_of_medical_records_are_found() -> None:
    text = "入院诊断:乙肝。HIV阳性。醫囑如下;archives"
    assert [value for kind, value in values(text) if kind == "medical"] == ["入院诊断", "乙肝", "HIV", "醫囑"]
    assert values("故障诊断与系统诊断工具, 諮詢") == []
    assert values("我的诊断") == [("medical", "诊断")]
    assert values("透析记录", Detector(["medical"], ["透析"])) == [("medical", "透析")]
    assert all(values(word) for word in MEDICAL_WORDS)


def test_findings_stand_where_they_are_in_the_text() -> None:
    text = "甲 138-0013-8000,乙" + ID + "\\u75c5\\u5386号 1234567"
    told = [(each.kind, text[each.start : each.end]) for each in everything.find(text)]
    assert told == [
        ("mobile", "138-0013-8000"),
        ("resident_id", ID),
        ("medical", "\\u75c5\\u5386"),
        ("record_number", "1234567"),
    ]


def test_two_that_overlap_are_one() -> None:
    number = next(
        candidate
        for serial in range(1000)
        if is_card(candidate := (body := f"62010219900101{serial:03}") + generator_check_bit(body))
    )
    assert values(number) == [("resident_id", number)]
    assert values(number, Detector(["bank_card"])) == [("bank_card", number)]


def test_only_the_kinds_that_are_asked_for_are_found() -> None:
    text = f"{ID} 13800138000 {CODE}"
    assert values(text, Detector(["mobile"])) == [("mobile", "13800138000")]
    assert values(text, Detector([])) == []


def test_random_numbers_are_seldom_taken_for_anything() -> None:
    source = random.Random(7)
    share = {}
    for length in (8, 10, 13, 14, 15, 18, 20, 32):
        texts = [f"编号{source.randrange(10 ** (length - 1), 10**length)}。" for _ in range(2000)]
        share[length] = sum(bool(values(text)) for text in texts) / len(texts)
    assert share[8] == share[10] == share[14] == share[15] == share[20] == share[32] == 0
    assert share[13] < 0.005 and share[18] < 0.02


def test_hashes_ids_and_times_are_nothing() -> None:
    source = random.Random(11)
    for _ in range(500):
        number = source.getrandbits(128)
        for text in (f"{number:032x}", str(uuid.UUID(int=number)), f"{source.random()!r}", f"toolu_{number:x}"):
            assert values(text) == [], text
    for second in range(1_500_000_000, 1_900_000_000, 7_654_321):
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))
        for text in (
            str(second),
            str(second * 1000),
            str(second * 10**6),
            str(second * 10**9),
            stamp,
            f"{second}.123456",
        ):
            assert values(text) == [], text


def test_the_docs_of_this_project_hold_nobody() -> None:
    for page in DOCS.glob("*.md"):
        if page.name not in ("policy.md", "egress.md", "governance.md"):  # they show examples
            assert numbers(page.read_text(encoding="utf-8")) == [], page.name


def test_a_matrix_of_digits_is_no_number() -> None:
    source = random.Random(3)
    rows = [" ".join(str(source.randrange(10)) for _ in range(28)) for _ in range(200)]
    assert len(values("\n".join(rows))) <= 1


@given(st.text())
def test_any_text_can_be_looked_through(text: str) -> None:
    values(text)


@given(st.text(alphabet="0123456789 -\nXx\\u", max_size=60))
def test_digits_in_any_order_can_be_looked_through(text: str) -> None:
    for finding in everything.find(text):
        assert text[finding.start : finding.end]


@pytest.mark.parametrize("unit", ["1 ", "1", "13800138000 ", "123456 ", "\\u0031", "E1234567 护照 ", "病历号"])
def test_a_large_text_takes_time_in_proportion(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        began = time.thread_time()
        everything.find(text)
        return time.thread_time() - began

    small = min(seconds(20_000) for _ in range(3))
    assert seconds(160_000) < 8 * 4 * small + 0.05  # a square would be 64 times as long


def test_secrets_of_ours_are_no_identifiers() -> None:
    assert all(numbers("sk-sampan-" + secrets.token_urlsafe(32)) == [] for _ in range(200))
    assert numbers("sk-sampan-GrEMINEmrNzLUX3mvk7c-_BPIWlqT5plXOV1a2") == []

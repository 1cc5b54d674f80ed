"""Forms without rules, labels in the question's own words, orders to read, and tickets without keys."""

import pytest

from sampan.engines.reader import Reader, Source
from sampan.engines.reader.extract import study
from sampan.engines.reader.forms import strung
from sampan.engines.reader.labels import spelled
from sampan.engines.reader.lexicon import Lexicon
from sampan.engines.reader.page import Box, Line, Page
from sampan.engines.reader.question import Intent, understand
from sampan.engines.reader.values import fits

BUILD = [
    ("Branch", 40, 100),
    ("Commit", 400, 100),
    ("Started by", 800, 100),
    ("main/till", 40, 130),
    ("c0751897", 400, 130),
    ("Ilse Brandt", 800, 130),
    ("Duration", 40, 180),
    ("Failed job", 400, 180),
    ("Stage", 800, 180),
    ("13 min 13 s", 40, 210),
    ("unit-tests", 400, 210),
    ("verify", 800, 210),
]
TASK = [
    ("任务编号", 40, 100),
    ("job-79605", 200, 100),
    ("开始时间", 600, 100),
    ("2025-06-24 02:00:04", 760, 100),
    ("数据来源", 40, 150),
    ("crm@10.2.3.4", 200, 150),
    ("目标表", 600, 150),
    ("dw_stock.t_day", 760, 150),
    ("耗时", 40, 200),
    ("8分32秒", 200, 200),
    ("运行账号", 600, 200),
    ("etl_zhou", 760, 200),
]
TICKET = [
    ("青州站", 100, 100),
    ("G2415", 420, 100),
    ("云港东站", 760, 100),
    ("2025年11月4日", 100, 200),
    ("16:40开", 400, 200),
    ("13车17F号", 620, 200),
    ("一等座", 860, 200),
    ("1402607131****2611", 100, 300),
    ("池秋雯", 520, 300),
]
REPAIR = """报修单
紧急程度：□一般 ☑紧急 □特急
国籍 Nationality    瑞典
客服 400-729-5180
"""


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon()


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def page_of(texts: list[tuple[str, int, int]]) -> Page:
    """A page with texts at their lefts and tops, 26 pixels high."""
    lines = []
    for text, left, top in texts:
        width = sum(26 if char > "\u2e80" else 13 for char in text)
        lines.append(Line(text, Box(left, top, left + width, top + 26)))
    return Page(tuple(lines), 1200, 800)


def pairs_of(texts: list[tuple[str, int, int]], lexicon: Lexicon) -> dict[str, str]:
    """The surest value of every key on the page."""
    facts = sorted(study((page_of(texts),), lexicon).facts, key=lambda fact: fact.trust)
    return {fact.key: fact.value for fact in facts}


def test_keys_over_values_are_a_form_and_no_table(lexicon: Lexicon) -> None:
    known = pairs_of(BUILD, lexicon)
    assert known["Branch"] == "main/till"
    assert known["Started by"] == "Ilse Brandt"
    assert known["Stage"] == "verify"
    assert not study((page_of(BUILD),), lexicon).grids


def test_keys_and_values_by_turns_are_a_form_and_no_table(lexicon: Lexicon) -> None:
    known = pairs_of(TASK, lexicon)
    assert known["目标表"] == "dw_stock.t_day"
    assert known["运行账号"] == "etl_zhou"
    assert not study((page_of(TASK),), lexicon).grids


def test_a_railway_ticket_tells_its_facts_without_keys(lexicon: Lexicon) -> None:
    known = pairs_of(TICKET, lexicon)
    assert known["座位号"] == "13车17F号"
    assert known["发车时间"] == "2025年11月4日 16:40开"
    assert (known["出发站"], known["到达站"], known["车次"]) == ("青州站", "云港东站", "G2415")
    assert known["乘客姓名"] == "池秋雯"


def test_keys_strung_in_a_line_are_told_apart(lexicon: Lexicon) -> None:
    line = "Tel. 01736 826111 VAT Reg. No. GB 539 4394 69"
    assert strung(line, lexicon) == [("Tel.", "01736 826111"), ("VAT Reg. No.", "GB 539 4394 69")]
    assert strung("Two hinges 4 and one latch 5 were sent", lexicon) == []
    assert strung("2. Warranty. The works are warranted for 24 months.", lexicon) == []


@pytest.mark.parametrize(
    ("question", "value", "other"),
    [("紧急程度是什么？", "紧急", "特急"), ("国籍？", "瑞典", "Nationality\n"), ("客服？", "400-729-5180", "没有找到")],
)
def test_ticks_and_labels_in_two_languages(reader: Reader, question: str, value: str, other: str) -> None:
    said = "".join(reader.answer(question, [Source(kind="text", data=REPAIR.encode(), where="test")]))
    assert value in said
    assert other not in said


@pytest.mark.parametrize(
    ("question", "label", "same"),
    [
        ("这台设备的出厂编号是多少？", "出厂编号", True),
        ("what is the ambient temperature?", "Ambient temperature", True),
        ("what is the room rate", "房价 Room Rate", True),
        ("电压等级", "电压等级（kV）", True),
        ("前任校长的电压等级", "电压等级", False),
        ("what is the room rate in june for groups", "Room Rate", False),
        ("谁", "谁", False),
    ],
)
def test_a_label_in_the_questions_own_words(question: str, label: str, same: bool) -> None:
    assert spelled(question, label) is same


@pytest.mark.parametrize(
    "question",
    [
        "把这个界面上的字都抄出来",
        "票面上写了些什么，全部念一遍",
        "麻烦把单子上的内容原封不动敲出来",
        "給我全文",
        "Copy out all the text in the screenshot.",
        "What does this page say, word for word?",
        "give me a full transcript of the scan",
    ],
)
def test_an_order_to_read_is_told_by_what_it_leaves(question: str, lexicon: Lexicon) -> None:
    assert understand(question, lexicon).intent is Intent.READ


@pytest.mark.parametrize(
    "question",
    ["备注栏写了什么", "Give me the invoice number", "列出所有商品", "What is printed at the seller's name?"],
)
def test_a_field_that_is_named_is_looked_for(question: str, lexicon: Lexicon) -> None:
    assert understand(question, lexicon).intent is Intent.FIND


@pytest.mark.parametrize("text", ["3小时48分", "13 min 13 s", "1 h 20 min", "2天3小时"])
def test_durations_of_several_parts_are_durations(text: str) -> None:
    assert fits(text, "duration") > 0.95

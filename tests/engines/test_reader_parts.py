"""The reader's pure parts: folding, values, questions, and the units that usage is counted in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.engines.reader.folding import bare, fold, is_traditional
from sampan.engines.reader.lexicon import Lexicon
from sampan.engines.reader.page import Box, Line
from sampan.engines.reader.question import Intent, Language, understand
from sampan.engines.reader.reply import units
from sampan.engines.reader.sight import apart
from sampan.engines.reader.values import find

LEXICON = Lexicon()


def test_widths_scripts_and_case_fold_together() -> None:
    assert fold("發票號碼：ＡＢ１２") == fold("发票号码:ab12")
    assert bare("统一社会信用代码/纳税人识别号：") == "统一社会信用代码纳税人识别号"
    assert is_traditional("發票") and not is_traditional("发票")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("开票日期2024年03月15日止", "date", "2024年03月15日"),
        ("signed on March 14, 2024 in", "date", "March 14, 2024"),
        ("民國113年3月1日起", "date", "民國113年3月1日"),
        ("应付¥2,547.02整", "money", "¥2,547.02"),
        ("违约金人民币50万元", "money", "人民币50万元"),
        ("每日万分之五计", "percent", "万分之五"),
        ("于15个工作日内", "duration", "15个工作日"),
        ("upon sixty (60) days notice", "duration", "sixty (60) days"),
        ("电话0571-66668888转", "phone", "0571-66668888"),
        ("host 10.12.11.212 is", "ip", "10.12.11.212"),
        ("见C:\\Logs\\setup.log文件", "path", "C:\\Logs\\setup.log"),
    ],
)
def test_values_are_found_verbatim(text: str, kind: str, value: str) -> None:
    assert value in [text[f.start : f.end].strip("文件") for f in find(text, kind)]


@pytest.mark.parametrize(
    ("text", "language", "intent", "asks"),
    [
        ("开票日期和金额分别是多少?", Language.SIMPLIFIED, Intent.FIND, 2),
        ("開票人是誰？", Language.TRADITIONAL, Intent.FIND, 1),
        ("What are the date, the total and the seller?", Language.ENGLISH, Intent.FIND, 3),
        ("Please read this", Language.ENGLISH, Intent.READ, 0),
        ("图片里写了什么？", Language.SIMPLIFIED, Intent.READ, 0),
        ("把这张图里的文字提取出来", Language.SIMPLIFIED, Intent.READ, 0),
        ("Summarize the contract", Language.ENGLISH, Intent.REFUSE, 0),
        ("合同有没有约定保密？", Language.SIMPLIFIED, Intent.EXISTS, 1),
        ("如果乙方逾期，违约金是多少？", Language.SIMPLIFIED, Intent.FIND, 1),
    ],
)
def test_questions_are_understood(text: str, language: Language, intent: Intent, asks: int) -> None:
    question = understand(text, LEXICON)
    assert (question.language, question.intent, len(question.asks)) == (language, intent, asks)


def test_an_owner_is_shared_by_the_parts_of_a_question() -> None:
    asks = understand("销售方的地址和电话是什么", LEXICON).asks
    assert [ask.text for ask in asks] == ["销售方的地址", "销售方的电话"]


@pytest.mark.parametrize(
    ("asked", "key", "near"),
    [
        ("发票号码", "發票號碼", True),
        ("invoice number", "发票号码", True),
        ("开票日期", "日期", True),
        ("开票日期", "交货日期", False),
        ("发票号码", "工单编号", False),
        ("甲方电话", "乙方电话", False),
        ("纳税人识别号", "纳锐人识别号", True),
        ("手续费", "金额", False),
    ],
)
def test_keys_that_mean_the_same_are_near(asked: str, key: str, near: bool) -> None:
    score = LEXICON.nearness(LEXICON.phrase(asked), LEXICON.phrase(key))
    assert (score >= 0.7) is near


def test_a_line_is_parted_at_a_wide_gap_only() -> None:
    text = "姓名：张三 性别：男"
    places = [*range(10, 110, 20), 130, *range(300, 380, 20)]
    line = Line(text, Box(0, 0, 380, 22), 1.0, tuple(float(x) for x in places[: len(text)]))
    assert [part.text for part in apart(line)] == ["姓名：张三", "性别：男"]
    spread = Line("姓 名", Box(0, 0, 200, 22), 1.0, (10.0, 90.0, 170.0))
    assert apart(spread) == [spread]


@given(st.text(max_size=60), st.text(max_size=60))
def test_units_add_up_over_lines(one: str, other: str) -> None:
    assert units(one + "\n" + other) == units(one) + units(other)


def test_units_of_known_texts() -> None:
    assert units("发票") == 2
    assert units("invoice number") == 2 + 2
    assert units("") == 0

"""The telling words of a question: which place they point to, what they overrule, and what they show to be absent."""

from __future__ import annotations

import pytest

from sampan.engines.contract import Source
from sampan.engines.reader import Reader
from sampan.engines.reader.folding import fold
from sampan.engines.reader.lexicon import Lexicon
from sampan.engines.reader.question import Intent, understand
from sampan.engines.reader.telling import Sort, parts, root
from sampan.engines.reader.wants import spans, wanted

LEASE = """商铺租赁合同
出租方:徐州金鼎商业管理有限公司
承租方:陶立新
第二条 租期三年,其中前二十天为装修免租期。
第三条 月租金为人民币9,200元,乙方须在每季度首月5日前付清。
第五条 物业费由乙方承担;房产税由甲方缴纳。
第九条 双方发生纠纷,向徐州市云龙区人民法院提起诉讼。
"""
HANDBOOK = """Handbook for Tenants
Replacing a lost key costs 55 pounds.
Household waste is collected every Wednesday.
Visitors may stay for up to nine nights in any month.
A failed boiler is repaired within one working day.
"""


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon()


def _asked(reader: Reader, text: str, question: str) -> str:
    return "".join(reader.answer(question, [Source(kind="text", data=text.encode(), where="messages.0")]))


@pytest.mark.parametrize(
    ("text", "question", "said"),
    [
        (LEASE, "物业费谁来交?", "乙方"),
        (LEASE, "免租期多少天?", "二十天"),
        (LEASE, "打官司去哪个法院?", "徐州市云龙区人民法院"),
        (HANDBOOK, "What does a lost key cost?", "55"),
        (HANDBOOK, "What day is the rubbish collected?", "Wednesday"),
    ],
)
def test_the_sentence_that_meets_most_of_the_question_answers(
    reader: Reader, text: str, question: str, said: str
) -> None:
    assert said in _asked(reader, text, question)


@pytest.mark.parametrize(
    ("text", "question"),
    [(LEASE, "停车费多少钱?"), (LEASE, "网络费由谁承担?"), (HANDBOOK, "What is the wifi password?")],
)
def test_a_thing_that_the_page_names_nowhere_is_absent(reader: Reader, text: str, question: str) -> None:
    answer = _asked(reader, text, question)
    assert "没有找到" in answer or "Not found" in answer


def test_a_word_is_known_as_a_whole_before_its_characters(lexicon: Lexicon) -> None:
    told = {part.surface: part.sort for part in parts(fold("病人的血型是什么"), lexicon, "")}
    assert told["血型"] is Sort.THING
    assert "血" not in told


def test_a_meaning_that_goes_one_way_does_not_come_back(lexicon: Lexicon) -> None:
    assert "每月" in lexicon.kin.others("一个月")
    assert "一个月" not in lexicon.kin.others("每月")


@pytest.mark.parametrize(("word", "said"), [("rented", "rent"), ("shipped", "ship"), ("collected", "collection")])
def test_a_root_begins_the_other_forms_of_its_word(word: str, said: str) -> None:
    assert said.startswith(root(word))


@pytest.mark.parametrize(
    ("question", "want"),
    [
        ("百分之几", "percent"),
        ("要几天", "duration"),
        ("几点关门", "clock"),
        ("how much is it", "money"),
        ("谁付", "name"),
    ],
)
def test_the_question_word_tells_what_is_wanted(question: str, want: str) -> None:
    assert wanted(question) == want


def test_a_number_counted_in_the_unit_asked_for_comes_first() -> None:
    text = "本合同一式四份,双方各执2本"
    assert [text[span.start : span.end] for span in spans(text, "number", "几份")] == ["四份"]


@pytest.mark.parametrize(
    "question",
    ["这上面写的是什么", "全文是什么", "整份文件的文字版", "What's on this page?", "Can you type this up for me?"],
)
def test_more_ways_to_ask_for_all_of_it(lexicon: Lexicon, question: str) -> None:
    assert understand(question, lexicon).intent is Intent.READ

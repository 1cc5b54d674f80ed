"""The exams themselves: files are well formed, answers are on their pages, and the judges can be trusted."""

import itertools
from random import Random

import pytest
from PIL import Image

from bench.reader.amounts import capitals
from bench.reader.damage import damaged
from bench.reader.grading import Question, folded, holds, judge
from bench.reader.papers import Paper, load
from bench.sketcher import judge as sketches
from bench.sketcher.sight import COLOURS
from bench.sketcher.specimens import Thing, arranged, painted, spoiled

PAPERS = [
    pytest.param(paper, id=f"{name}-{paper.template}-{index}")
    for name in ("dev", "heldout", "third", "fourth", "fifth")
    for index, paper in enumerate(load(name))
]
PROMPTS = {number: sketches.expectations(number) for number in (1, 2)}
KINDS = {"key", "paraphrase", "table", "sentence", "compound", "absent", "read"}


@pytest.mark.parametrize("paper", PAPERS)
def test_what_a_question_expects_is_on_its_page(paper: Paper) -> None:
    document = paper.draw()
    text, facts = folded("\n".join(document.strings)), tuple(document.facts.values())
    for question in paper.questions:
        assert question.kind in KINDS
        assert (question.kind == "absent") == (not question.expect)
        for options in question.expect:
            assert any(holds(text, option) for option in options), (question.ask, options)
        for value in question.forbid:
            assert holds(text, value), (question.ask, value)
        ideal = " ".join(options[0] for options in question.expect) or "文档中没有找到这一项"
        assert judge(question, ideal, facts) == "right", question.ask


def test_the_sets_have_every_kind_and_share_no_template_and_no_question() -> None:
    papers = {name: list(load(name)) for name in ("dev", "heldout", "third", "fourth", "fifth")}
    for of in papers.values():
        assert {question.kind for paper in of for question in paper.questions} == KINDS
        assert {question.language for paper in of for question in paper.questions} == {"zh-Hans", "zh-Hant", "en"}
        assert {"clean", "turned90", "turned180", "turned270", "skewed", "photographed"} <= {
            paper.damage for paper in of
        }
    for one, other in itertools.combinations(papers.values(), 2):
        assert not {paper.template for paper in one} & {paper.template for paper in other}
        asked = [{question.ask for paper in of for question in paper.questions} for of in (one, other)]
        assert not asked[0] & asked[1]


@pytest.mark.parametrize("damage", ["clean", "turned90", "turned180", "turned270", "skewed", "photographed"])
def test_the_same_seed_gives_the_same_picture(damage: str) -> None:
    page = Image.linear_gradient("L").convert("RGB").resize((300, 420))
    first = damaged(page, damage, 5)
    assert first == damaged(page, damage, 5)
    if damage in ("skewed", "photographed"):
        assert first != damaged(page, damage, 6)


@pytest.mark.parametrize(
    ("cents", "words"),
    [
        (2542379, "贰万伍仟肆佰贰拾叁圆柒角玖分"),
        (100000, "壹仟圆整"),
        (10050, "壹佰圆伍角"),
        (1000703, "壹万零柒圆零叁分"),
        (3008000, "叁万零捌拾圆整"),
    ],
)
def test_capitals(cents: int, words: str) -> None:
    assert capitals(cents).removesuffix("整") == words.removesuffix("整")


DUE = Question("key", "en", "amount due?", (("1,160.70",),), ("1,095.00",))
GONE = Question("absent", "en", "fax number?", ())


@pytest.mark.parametrize(
    ("question", "answer", "verdict"),
    [
        (DUE, "The amount due is ¥1160.70 (line 12).", "right"),
        (DUE, "１，１６０．７０", "right"),
        (DUE, "It is 1,095.00, or 1,160.70.", "wrong"),
        (DUE, "It is 21160.70", "wrong"),
        (DUE, "It is 1160.7", "wrong"),
        (DUE, "I could not find an amount due on this page.", "refused"),
        (DUE, "这里用的是降级阅读器，没有语言模型。1160.70", "right"),
        (DUE, "1160.70 " + "and so on " * 80, "wrong"),
        (GONE, "A fax number is not in the document.", "right"),
        (GONE, "文檔中沒有找到傳真號碼。", "right"),
        (GONE, "The fax number is 0571-55145061.", "wrong"),
        (GONE, "No fax number was found; perhaps 0571-55145061.", "wrong"),
        (GONE, "没有语言模型的阅读器：0571", "wrong"),
    ],
)
def test_verdicts_on_answers(question: Question, answer: str, verdict: str) -> None:
    assert judge(question, answer, ("0571-55145061", "1,160.70")) == verdict


@pytest.mark.parametrize(("number", "english"), [(1, 100), (2, 90)])
def test_prompts_are_two_hundred_and_name_only_what_can_be_judged(number: int, english: int) -> None:
    prompts = PROMPTS[number]
    assert len(prompts) == len({each.prompt for each in prompts}) == 200
    assert sum(each.language == "en" for each in prompts) == english
    for each in prompts:
        assert set(each.colours) <= set(COLOURS), each.prompt
        assert each.colours or each.total, each.prompt
        for check in each.checks:
            assert check[0] in sketches.CHECKS, each.prompt
            named = check[1:2] if check[0] == "at" else check[1:]
            assert set(named) <= set(each.colours), each.prompt
        counts = [count for count in each.colours.values() if count]
        if each.total and counts and len(counts) == len(each.colours):
            assert sum(counts) == each.total, each.prompt


def test_the_sets_share_no_prompt_and_have_the_same_categories_in_the_same_shares() -> None:
    first, second = ([each.category for each in PROMPTS[number]] for number in (1, 2))
    assert sorted(first) == sorted(second)
    assert not {each.prompt for each in PROMPTS[1]} & {each.prompt for each in PROMPTS[2]}


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("index", range(3, 200, 9))
def test_the_judge_accepts_a_right_picture_and_rejects_a_wrong_one(number: int, index: int) -> None:
    wanted, rng = PROMPTS[number][index], Random(index)
    things, paper = arranged(wanted, rng), ("plain", "soft", "ground")[index // 9 % 3]
    assert sketches.judge(painted(things, rng, paper=paper), wanted) == []
    assert sketches.judge(painted(spoiled(wanted, things), rng, paper=paper), wanted) != []


def _expect(colours: dict[str, int | None], total: int | None, *checks: tuple[str, ...]) -> sketches.Expectation:
    return sketches.Expectation("en", "combo", "", colours, total, checks)


RED, BLUE = Thing("red", 0.25, 0.5, 0.15), Thing("blue", 0.75, 0.5, 0.15)
TINY_BLUE = Thing("blue", 0.75, 0.5, 0.06)


@pytest.mark.parametrize(
    ("things", "wanted", "right"),
    [
        ([RED, BLUE], _expect({"red": 1, "blue": 1}, 2, ("left_of", "red", "blue")), True),
        ([RED, BLUE], _expect({"red": 1, "blue": 1}, 2, ("left_of", "blue", "red")), False),
        ([RED, BLUE], _expect({"red": 1, "green": 1}, 2), False),
        ([RED, BLUE], _expect({"red": None, "blue": None}, None, ("bigger", "red", "blue")), False),
        ([RED, TINY_BLUE], _expect({"red": None, "blue": None}, None, ("bigger", "red", "blue")), True),
        ([RED, BLUE], _expect({"red": None}, None, ("left", "red")), True),
        ([RED, BLUE], _expect({"blue": None}, None, ("at", "blue", "top-right")), False),
        ([Thing("blue", 0.85, 0.15, 0.1)], _expect({"blue": None}, None, ("at", "blue", "top-right")), True),
        ([RED, BLUE, Thing("green", 0.5, 0.5, 0.08)], _expect({"red": 1, "blue": 1}, 2), False),
        ([], _expect({"red": None}, None), False),
        ([RED, RED], _expect({"red": 2}, 2), False),
    ],
)
def test_the_judge_on_single_points(things: list[Thing], wanted: sketches.Expectation, right: bool) -> None:
    assert (sketches.judge(painted(things, Random(1)), wanted) == []) == right

"""Turns of phrase about the picture's own places, counts after the noun, comparisons, and a sum followed by its parts.

Text in, text out, before `phrases`: each rule leaves words that the grammar reads anyway, or a mark ⟦kind value⟧.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from re import Match, Pattern

from sampan.engines.sketcher.lexicon import CLASSIFIERS, COLOURS_EN, COLOURS_ZH

Rewrite = str | Callable[[Match[str]], str]


def any_of(words: Iterable[str]) -> str:
    """A pattern for one of some words, the longest first."""
    return "(?:" + "|".join(map(re.escape, sorted(words, key=len, reverse=True))) + ")"


HUE_EN = any_of(word for word, value in COLOURS_EN.items() if value != "rainbow")
HUE_ZH = any_of(word for word, value in COLOURS_ZH.items() if value != "rainbow")

# How many times the usual size a thing is that was compared with another; `sized` marks name a row of this.
SIZED = {"vast": 2.8, "huge": 2.2, "double": 2.0, "big": 1.75, "biggish": 1.4}
SIZED |= {"smallish": 0.72, "small": 0.55, "half": 0.5, "tiny": 0.4, "minute": 0.34}

# -- places in the picture

_ENDS = {"左": "left", "右": "right", "上": "top", "顶": "top", "下": "bottom", "底": "bottom", "中": "middle"}
_PICTURE_ZH = "(?<![地拼油壁漫字绘动插版蓝截国年])(?:这?[张幅]?(?:图片|图画|图像|画面|画布|照片|屏幕|画框|图|画))"
_PART_ZH = "(?:半边|半部分|半部|半侧|边缘|侧边|手边|边|侧|面|方|部|端|缘|半)"
_WHERE_ZH = (
    rf"(?P<place>[左右][上下](?:角落|角|方|部)?|正?中(?:间|央|心|部)|正中|[最正靠偏]?[左右上下顶底]{_PART_ZH}|[顶底]下)"
)
_THERE_ZH = "(?:的?(?:位置|地方|部分|区域|一侧|一边|角落|处))?(?:里|上(?!面|方))?"
_STANDS = (
    "跟随|紧跟|跟|停放|停靠|停留|停|站立|站|悬挂|挂|飘扬|飘浮|飘|漂浮|漂|悬浮|悬|浮|坐|趴|躺|卧|蹲|放置|摆放|放|摆"
    "|画|立|长|种|飞|游|贴|插|栖息|堆|排列|排|铺|藏|睡|走|跑|守|竖|搁|倒|依偎"
)


def _side_zh(match: Match[str]) -> str:
    place = match.group("place").lstrip("最正靠偏")
    if place[0] in "左右" and place[1:2] in ("上", "下"):
        return f"⟦side {_ENDS[place[1]]}-{_ENDS[place[0]]}⟧"
    return f"⟦side {_ENDS[place[0]]}⟧"


_FRAME = r"(?:the\s+|this\s+)?(?:picture|image|canvas|frame|scene|page|screen|photo|drawing|painting|illustration)\b"
_HALF = r"(?:half|part|edge|side|portion|third|section|border|area|strip|margin)"
_TO = r"(?:\b(?:at|on|in|along|near|across|towards?)\s+)?(?:\bthe\s+)?(?:very\s+)?"
_SHOWS = r"(?:shows?|holds?|contains?|features?|displays?|carries|bears|hosts?|depicts|includes)"
_SPOT = r"(?:corner|half|side|part|edge|third|portion|section|area|top|bottom|left|right|middle|cent(?:er|re)|" + (
    _FRAME.replace(r"(?:the\s+|this\s+)?", "", 1) + ")"
)
_ONE_EN = r"(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|several|some|many|the|\d+)\b"
_VERBS = (
    r"(?:floats?|hangs?|rests?|hovers?|swims?|flies|sleeps?|grows?|waits?|lies|lie|sits?|stands?|appears?|walks?|perch"
    r"(?:es)?|crouch(?:es)?|(?:is|are)\s+(?:floating|hanging|resting|hovering|parked|standing|lying|sitting|placed))"
)


def _side_en(match: Match[str] | Mapping[str, str]) -> str:
    named = {"upper": "top", "lower": "bottom", "center": "middle", "centre": "middle"}
    return f" ⟦side {named.get(match['place'], match['place'])}⟧ "


def _followed(match: Match[str]) -> str:
    """ "A followed on the right by B": A is left of B."""
    side = match["side"]
    opposite = {"left": "right", "right": "left", "below": "above", "above": "below"}
    return f" ⟦prep {opposite[side]}⟧ "


_PLACES: tuple[tuple[Pattern[str], Rewrite], ...] = (
    (re.compile("(?<=[一-鿿])著(?![名作])"), "着"),
    (re.compile(rf"{_PICTURE_ZH}(?:中的|里的|上的|的|中|里|上)?{_WHERE_ZH}{_THERE_ZH}"), _side_zh),
    (re.compile(f"(?<!依)[靠偏]近?(?P<place>[左右上下顶底])(?![海衣车]){_PART_ZH}?{_THERE_ZH}"), _side_zh),
    (re.compile("(?P<place>[左右上下])半(?:边|部分|部|侧|面|张图|幅图|个画面)"), _side_zh),
    (
        re.compile(f"(?<=[边侧面方部端角间央下上旁前后里中底顶缘围⟧])(?:正|还|各|也|都|紧)?(?:{_STANDS})(?:着|有)"),
        "有",
    ),
    (
        re.compile(rf"{_TO}\b(?P<place>top|upper|bottom|lower)\s+{_HALF}\b(?:\s+of\s+{_FRAME}|(?!\s+of\b))"),
        _side_en,
    ),
    (re.compile(rf"{_TO}\b(?P<place>top|bottom|middle|cent(?:er|re))\s+of\s+{_FRAME}"), _side_en),
    (re.compile(rf"(?<![a-z] )(?:the\s+)?\b(?P<place>top|bottom|middle|cent(?:er|re))\s+(?={_SHOWS}\b)"), _side_en),
    (re.compile(rf"\b(?:the|and)\s+(?P<place>top|bottom|middle|cent(?:er|re))\s+(?={_SHOWS}\b)"), _side_en),
    (re.compile(r"\b(?:across|along)\s+the\s+(?P<place>top|bottom)\b(?!\s+(?:of|left|right))"), _side_en),
    (re.compile(rf"(?<=⟧)\s*{_SHOWS}\b"), " is "),
    (re.compile(rf"\b({_SPOT})\s+{_SHOWS}\b"), r"\1 is"),
    (
        re.compile(
            r"(?:,\s*)?\b(?:(?:is|are)\s+)?followed\s+(?:on|to|from)?\s*(?:the\s+|its\s+)?"
            r"(?P<side>left|right|below|above)(?:\s+side)?\s+by\b"
        ),
        _followed,
    ),
    (re.compile(r",?\s*\b(?:to|on)\s+the\s+(left|right)(?:\s+side)?\s+of\s+which\b"), r", to its \1 "),
    (re.compile(r",?\s*\b(above|below|behind|beside|beneath|in front of)\s+which\b"), r", \1 it "),
    (re.compile(rf"\b{_VERBS}\s+(?={_ONE_EN})"), "is "),
)

# -- counts after the noun

_NUM_ZH = r"(?:\d{1,2}|[一二两三四五六七八九十]{1,3})"
_PIECE = f"[{''.join(sorted(word for word in CLASSIFIERS if len(word) == 1))}]"
_NOUN_ZH = (
    r"[^\s,，、。;；:：—\-()⟦⟧\x00\x010-9一二两三四五六七八九十几和与及在有是画请来共左右上下中前后旁边各另其每比给]"
)
_END_ZH = r"(?=\s*(?:$|[,，、。;；)）和与及]))"
_NUM_EN = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d{1,2})"
_WORD_EN = (
    rf"(?!(?:and|with|of|on|the|an?|in|at|to|by|is|are|from|under|above|below|{_NUM_EN}|left|right|top|bottom|middle"
    r"|first|second|third|size|colou?rs?|number)\b)[a-z]+"
)
_NOUN_EN = rf"{_WORD_EN}(?:\s+{_WORD_EN}){{0,2}}"
_END_EN = r"(?=\s*(?:$|[,.;)!]|and\b))"
_COUNTS: tuple[tuple[Pattern[str], Rewrite], ...] = (
    (re.compile(r"\b(\d{1,2})\s*[x×*]\s*(?=[a-z])"), r"\1 "),
    (re.compile(r"(\d{1,2})\s*[x×*]\s*(?=[一-鿿])"), r"\1个"),
    (re.compile(rf"({_NOUN_ZH}{{1,8}})\s*[x×*]\s*(\d{{1,2}})(?!\d)"), r"\2个\1"),
    (re.compile(rf"\b({_NOUN_EN})\s*(?:\bx|[×*])\s*(\d{{1,2}})\b(?![x×])"), r"\2 \1"),
    (
        re.compile(
            rf"(?:(?<=[,，、。;；和与])|^)\s*({_NOUN_ZH}{{0,7}}(?!的){_NOUN_ZH})[,，:：—\-\s]*({_NUM_ZH}{_PIECE}){_END_ZH}"
        ),
        r"\2\1",
    ),
    (re.compile(rf"[,，:：]\s*(?:一共|总共|共)有?({_NUM_ZH}{_PIECE})(?=\s*(?:$|[,，。;；]))"), r"\1"),
    (re.compile(f"((?:其余|其他|剩下|其它)的?)(?={HUE_ZH})"), r"\1是"),
    (re.compile(rf"((?:^|[。;；])\s*{_NUM_ZH}{_PIECE})\s*[—\-:：,，]+\s*(?={_NOUN_ZH})"), r"\1"),
    (
        re.compile(
            rf"(^|[,.;]\s*|\band\s+)({_NOUN_EN})\s*(?:[:,(—–]|\s-)\s*({_NUM_EN})(?:\s+(?:of\s+them|in\s+(?:all|total)))?"
            rf"{_END_EN}\s*\)?"
        ),
        r"\1\3 \2 ",
    ),
)

# -- comparisons

_MUCH = "(?:得多|很多|许多|好多|多了|几倍)"
_LITTLE = "(?:一点点|一点儿|一点|一些|点儿|些)"
_ONE_ZH = f"那?一?{_PIECE}?"
_COMPARED_ZH = re.compile(
    rf"(?P<a>{HUE_ZH}的?{_ONE_ZH})?(?<!对)比起?(?![萨赛基例特])(?P<b>[^,，。;；比]{{1,12}}?)(?:还要|要|还|更)?(?P<adj>[大小高矮])"
    rf"(?:(?P<much>{_MUCH})|(?P<little>{_LITTLE})|(?P<times>[一两二三四五]倍))?(?=\s*(?:$|[,，。;；]))"
)
_TOLD_ZH = re.compile(
    rf"(?<=[,，。;；])(?P<a>{HUE_ZH}的{_ONE_ZH})(?:更|比较|较|很|非常|要|稍微?)?(?P<adj>[大小])"
    rf"(?:(?P<much>{_MUCH})|(?P<little>{_LITTLE}))?(?=\s*(?:$|[,，。;；]))"
)
_SMALLER = frozenset({"小", "矮", "smaller", "tinier", "shorter", "small", "tiny", "little"})
_MUCH_EN = r"(?P<much>much|far|way|a\s+lot|lots|considerably|significantly|many\s+times)"
_LITTLE_EN = r"(?P<little>slightly|a\s+bit|a\s+little|somewhat)"
_COMPARED_EN = re.compile(
    rf"\b(?:(?:is|are|looks?|being|and)\s+)?(?:(?:{_MUCH_EN}|{_LITTLE_EN})\s+)?"
    r"(?P<adj>bigger|larger|greater|taller|smaller|tinier|shorter)\s+than\b"
)
_TIMES_EN = re.compile(
    r"\b(?:(?:is|are|being)\s+)?(?P<times>twice|double|two\s+times|three\s+times|half|a\s+third)\s+"
    r"(?:as\s+(?:big|large|tall)\s+as|the\s+size\s+of|(?:bigger|larger)\s+than|the\s+size(?=\s*[,.]))"
)
_TOLD_EN = re.compile(
    rf"(?P<one>\bone|\bones)\s+(?:is|are)\s+(?:(?:{_MUCH_EN}|{_LITTLE_EN}|very)\s+)?"
    r"(?P<adj>bigger|larger|smaller|tinier|big|large|small|tiny|huge)(?=\s*(?:$|[,.;]|and\b|while\b|but\b))"
)
_BOTH_SIZES = re.compile(rf"一大一小的?[两二2]({_PIECE})([^,，。、;；和与在]+)")
_TIMES = {"twice": "double", "double": "double", "half": "half", "three times": "vast", "a third": "minute"}
_APART_ZH = re.compile(
    "(?<=[,，:：—])(?:其中)?一([个只辆朵颗条把棵本顶头匹张座件艘架]?)大一[个只辆朵颗条把棵本顶头匹张座件艘架]?小"
)
_THAN_ZH = re.compile(
    rf"(?<!对)比(?![萨赛基例特])(?P<b>[^,，。;；比的]{{1,10}}?)(?:还要|要|还|更)?(?P<adj>[大小高矮])(?:(?P<much>{_MUCH})|(?P<little>{_LITTLE}))?"
    r"的(?P<a>[^,，。;；比和与在]{1,8})"
)


def _sized(match: Match[str]) -> str:
    said = match.groupdict()
    step = "much" if said.get("much") else "little" if said.get("little") else "times" if said.get("times") else ""
    if said["adj"] in _SMALLER:
        return {"much": "tiny", "little": "smallish", "times": "half"}.get(step, "small")
    return {"much": "huge", "little": "biggish", "times": "double"}.get(step, "big")


def _own(words: str) -> str:
    """Colour words that stand for a thing, as 红的."""
    found = re.fullmatch(rf"({HUE_ZH})的?{_ONE_ZH}", words)
    return f"{found[1]}的" if found else words


def _compared_zh(match: Match[str]) -> str:
    first = _own(match["a"]) + "⟦have⟧" if match["a"] else ""
    return f"{first}⟦sized {_sized(match)}⟧{_own(match['b'])}⟦have⟧"


_SIZES: tuple[tuple[Pattern[str], Rewrite], ...] = (
    (_BOTH_SIZES, r"一\1大的\2和一\1小的\2"),
    (_APART_ZH, lambda m: f"一{m[1] or '个'}大的,一{m[1] or '个'}小的"),
    (_THAN_ZH, lambda m: f"{m['a']}⟦sized {_sized(m)}⟧{m['b']}"),
    (_COMPARED_ZH, _compared_zh),
    (_TOLD_ZH, lambda m: f"{_own(m['a'])}⟦have⟧⟦sized {_sized(m)}⟧"),
    (_TIMES_EN, lambda m: f" ⟦sized {_TIMES.get(' '.join(m['times'].split()), 'double')}⟧ "),
    (_COMPARED_EN, lambda m: f" ⟦sized {_sized(m)}⟧ "),
    (_TOLD_EN, lambda m: f"{m['one']} ⟦sized {_sized(m)}⟧ "),
)

# -- a sum, then its parts

_SIDE_ZH = "(?:最?[左右上下][边侧面方]|[左右][上下]角?|[正最]?中间|中央|正中)"
_PARTED_ZH = re.compile(
    rf"(?<=[,，:：、;；—(（])\s*({_SIDE_ZH})的?(?:那?一?{_PIECE})?[是为]?({HUE_ZH})的?(?=[,，、;；。)）]|$)"
)
_PLACED_ZH = re.compile(rf"(?<=[,，:：、;；—(（])\s*({HUE_ZH})的?(?=[放摆站]?在{_SIDE_ZH}(?:[,，、;；。)）]|$))")
_BARE_ZH = re.compile(rf"(?<=[,，:：;；—个只辆朵球车花])((?:[一二两三四五六七八九]{HUE_ZH}){{2,}})(?=[,，。;；]|$)")
_LED_ZH = re.compile(
    rf"((?:[一二两三四五六七八九]{HUE_ZH}){{2,}})(?:共|一共)?([一二两三四五六七八九十]{_PIECE}[^,，。;；和与在]+)(?=[,，。;；]|$)"
)
_PLACE_EN = (
    r"(?:(?:on|in|at|to)\s+(?:the\s+)?(?:far\s+)?(?:(?:top|bottom|upper|lower)[\s-])?"
    r"(?:left|right|middle|cent(?:er|re)|top|bottom)(?:\s+(?:side|corner|half))?)"
)
_PART_EN = re.compile(
    rf"(?:(?P<number>an?|the|{_NUM_EN})\s+)?(?:of\s+(?:them|which|these)\s+)?(?:(?:is|are|being|in)\s+)?(?P<hue>{HUE_EN})\b"
    rf"(?:\s+ones?)?(?P<place>\s+{_PLACE_EN})?"
)
_PLAIN_PART = re.sub(r"\?P<\w+>", "?:", _PART_EN.pattern)
_PARTS_EN = re.compile(
    rf"(?P<lead>[:,;(—]|\s-\s|\bwith\b)(?P<parts>\s*{_PLAIN_PART}(?:(?:\s*[,;]\s*(?:and\s+)?|\s+and\s+){_PLAIN_PART})+)"
    r"(?=\s*(?:$|[.,;)!?]))"
)
_HUES_EN = re.compile(
    rf"\b(?P<number>{_NUM_EN})\s+(?P<noun>[a-z]+(?:\s+[a-z]+)?),?\s+in\s+(?P<hues>{HUE_EN}(?:\s*,\s*{HUE_EN})*,?\s+and\s+{HUE_EN})\b"
    r"(?=\s*(?:$|[.,;]))"
)
_SIDED_EN = re.compile(
    r"(?P<lead>[,:;(]|\band)\s*(?:and\s+)?(?:on\s+|in\s+|at\s+)?(?:the\s+)?"
    r"(?P<side>left|right|middle|cent(?:er|re)|top|bottom)\s*(?:one\s+)?(?:is|=)?\s*"
    rf"(?={HUE_EN}\s*(?:$|[,.;)]|and\b))"
)
_SIZE_PART_ZH = re.compile(rf"(?<=[,，:：;；])(大|小)的(?:那?一?{_PIECE})?[是为]?({HUE_ZH})的?(?=[,，;；。]|$)")
_SIZE_PART_EN = re.compile(
    r"\bthe\s+(?P<size>big|bigger|large|larger|huge|small|smaller|little|tiny)\s+one\s+(?:is\s+)?"
    rf"(?={HUE_EN}\s*(?:$|[,.;)]|and\b))"
)
_SET_EN = re.compile(
    rf"(?P<lead>[:,;(—]|\band)\s*(?P<number>{_NUM_EN})\s+(?:(?:is|are)\s+)?(?={_PLACE_EN}\s*(?:$|[.,;)]|and\b))"
)
_COUNTED = ("", "one", "two", "three", "four", "five", "six")


def _hues_en(match: Match[str]) -> str:
    """ "Three balloons in red, green and blue": one of each where there are as many as colours."""
    hues = re.findall(HUE_EN + r"\b", match["hues"])
    if match["number"] not in (str(len(hues)), _COUNTED[min(len(hues), 6)]):
        return match.group()
    return f"{match['number']} {match['noun']}: {', '.join(hues)}"


def _parts_en(match: Match[str]) -> str:
    parts = list(_PART_EN.finditer(match["parts"]))
    if match["lead"] != ":" and not all(part["number"] or part["place"] for part in parts):
        return match.group()

    def told(part: Match[str]) -> str:
        number = part["number"] if re.fullmatch(_NUM_EN, part["number"] or "") else "one"
        return f"{'1' if number == 'one' else number} ⟦one⟧ {part['hue']}{part['place'] or ''}"

    return f", {', '.join(told(part) for part in parts)}"


def _bare(match: Match[str]) -> str:
    return "," + ",".join(
        f"{part[0]}个{part[1]}的" for part in re.findall(rf"([一二两三四五六七八九])({HUE_ZH})", match[1])
    )


def _parted(text: str) -> str:
    if len(_PARTED_ZH.findall(text)) > 1:
        text = _PARTED_ZH.sub(r"\1的是\2", text)
    if len(_PLACED_ZH.findall(text)) > 1:
        text = _PLACED_ZH.sub(r"\1的", text)
    if len(_SIDED_EN.findall(text)) > 1:
        text = _SIDED_EN.sub(lambda m: f"{m['lead']} {_side_en({'place': m['side']})}⟦one⟧ ", text)
    if len(_SET_EN.findall(text)) > 1:
        text = _SET_EN.sub(r"\g<lead> \g<number> ⟦one⟧ ", text)
    if len(_SIZE_PART_ZH.findall(text)) > 1:
        text = _SIZE_PART_ZH.sub(r"一个\1的\2的", text)
    if len(_SIZE_PART_EN.findall(text)) > 1:
        text = _SIZE_PART_EN.sub(r"1 ⟦one⟧ \g<size> ", text)
    text = _BARE_ZH.sub(_bare, _LED_ZH.sub(r"\2,\1", text))
    return _PARTS_EN.sub(_parts_en, _HUES_EN.sub(_hues_en, text))


def turned(text: str) -> str:
    """A folded prompt with these turns of phrase rewritten."""
    for rules in (_SIZES, _COUNTS):
        for pattern, rewrite in rules:
            text = pattern.sub(rewrite, text)
    text = _parted(text)
    for pattern, rewrite in _PLACES:
        text = pattern.sub(rewrite, text)
    return text

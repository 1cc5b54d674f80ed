"""What an edit's prompt tells to do: steps such as add, remove, recolour, move, in both languages. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction. `deed` is add, remove, change, move, grow, shrink, ground, style or extend; `target` says
    of what,
    `into` says what it becomes or where it goes; `some` is true where a number of the target was said."""

    deed: str
    target: str = ""
    into: str = ""
    some: bool = False


_A, _B = r"(?P<a>.+?)", r"(?P<b>.+)"
_TABLE: tuple[tuple[str, str], ...] = (
    # English
    (
        "extend",
        r"(?:extend|expand|outpaint|uncrop|widen|enlarge|zoom out)\s*(?:of\s+)?(?:the\s+)?(?:picture|image"
        r"|canvas|scene|photo|view)?\s*(?P<b>.*)$",
    ),
    (
        "ground",
        r"(?:change|set|switch|make|turn|replace)\s+(?:the\s+)?(?:background|backdrop|scene"
        r"|setting)\s+(?:colou?r\s+)?(?:to|into|with|as|a|an)?\s*" + _B,
    ),
    (
        "ground",
        r"(?:use|with|on|add|give it|put it on|set it (?:on|in|at)|change to)\s+(?:a"
        r"|an)?\s*(?P<b>.+?)\s+(?:background|backdrop)$",
    ),
    (
        "grow",
        rf"(?:make\s+)?{_A}\s+(?:much\s+|a\s+(?:bit|little|lot)\s+)?(?:bigger|larger|huge|big|large|enormous|taller)$",
    ),
    ("shrink", rf"(?:make\s+)?{_A}\s+(?:much\s+|a\s+(?:bit|little|lot)\s+)?(?:smaller|tiny|small|little|tinier)$"),
    ("grow", r"(?:enlarge|grow|scale up|blow up)\s+(?P<a>.+)$"),
    ("shrink", r"(?:shrink|reduce|scale down)\s+(?P<a>.+)$"),
    ("change", rf"(?:replace|swap|exchange|substitute)\s+{_A}\s+(?:with|by|for)\s+{_B}"),
    (
        "change",
        rf"(?:change|turn|transform|convert|make|recolou?r|repaint|paint|dye"
        rf"|colou?r)\s+{_A}(?:'s colou?r)?\s+(?:in)?(?:to|into)\s+{_B}",
    ),
    (
        "move",
        rf"(?:move|shift|drag|bring|relocate|slide)\s+{_A}\s+(?P<b>(?:to|on|onto|in|into|at|above|below|under"
        rf"|over|next|beside|behind|left|right|up|down|between|near|towards?|closer)\b.*)",
    ),
    (
        "remove",
        r"(?:please\s+)?(?:remove|delete|erase|get rid of|take away|take out|take off|eliminate|drop|clear"
        r"|hide|no more)\s+(?P<a>.+)",
    ),
    ("paint", rf"(?:make|paint|colou?r|recolou?r|dye|turn|repaint)\s+{_B}"),
    ("add", rf"(?:add|draw|insert|include|put|place|also draw|append|write|paint in|give)\s+(?:in\s+)?{_B}"),
    # Chinese
    (
        "extend",
        r"(?:扩展|延伸|扩大|外扩|扩图|扩充|拓展|延展|向.{1,2}扩展)(?:画面|画布|图片|图像|场景|背景"
        r"|图)?(?P<b>.*)$|(?:把|将)?(?:画面|画布|图片|图像|图)(?P<c>.*)(?:扩展|延伸|扩大|延展).*$",
    ),
    (
        "ground",
        r"(?:把|将)?(?:它的|图片的|画面的)?背景(?:颜色|色)?(?:换成|改成|变成|换为|改为|变为|设为|设置为|替换成"
        r"|替换为|换|改|用|是|为)" + _B,
    ),
    ("ground", r"(?:换成|换上|改成|换|加上|加|用|变成|换个|换一个)(?:一个|个)?(?P<b>.+?)(?:的)?背景$"),
    ("change", rf"用{_B}(?:替换|代替|取代|换掉|换)(?P<a>.+)$"),
    (
        "remove",
        r"(?:请)?(?:把|将)?(?P<a>.+?)(?:都)?(?:删除|删掉|去掉|去除|移除|移走|拿走|擦除|擦掉|消除|抹掉|拿掉"
        r"|去了|删了|清除)(?:掉|吧)?$",
    ),
    ("remove", r"(?:请)?(?:删除|删掉|去掉|去除|移除|移走|拿走|擦除|擦掉|消除|抹掉|拿掉|不要|清除)(?P<a>.+)"),
    ("grow", rf"(?:把|将|让)?{_A}(?:变|放|调|弄|画|改)?(?:得)?(?:更)?大(?:一点|一些|点|些|一倍|几倍)?$"),
    ("shrink", rf"(?:把|将|让)?{_A}(?:变|缩|调|弄|画|改)?(?:得)?(?:更)?小(?:一点|一些|点|些|一半)?$"),
    ("grow", r"(?:放大|增大|加大)(?P<a>.+)$"),
    ("shrink", r"(?:缩小|减小)(?P<a>.+)$"),
    ("move", rf"(?:把|将|让)?{_A}(?:移动到|移到|放到|挪到|搬到|移至|挪至|放在|移动至|摆到|移向|往|向){_B}"),
    (
        "change",
        rf"(?:把|将|让)?{_A}(?:的颜色)?(?:变成|改成|换成|变为|改为|换为|替换成|替换为|涂成|染成|画成|改画成"
        rf"|转换成|变){_B}",
    ),
    ("paint", r"(?:变成|改成|换成|变为|改为|转成|做成)" + _B),
    (
        "add",
        r"(?P<p>.*?)(?:添加|增加|加上|添上|画上|再画|放上|再加|加入|补上|加画|多画|写上|写|加|添|画|放)(?:上"
        r"|了)?(?P<b>.+)",
    ),
)
_RULES = tuple((deed, re.compile(pattern)) for deed, pattern in _TABLE)
_CUT = re.compile(
    r"\s*(?:[。.;；!！\n]+|,\s*(?:and\s+)?(?:then\s+)?(?=(?:add|remove|make|change|move|replace|put|turn"
    r"|delete|paint)\b)"
    r"|\band\s+(?:then\s+)?(?=(?:add|remove|make|change|move|replace|turn|delete|paint|enlarge|shrink)\b)"
    r"|[,，]?(?:然后|接着|同时|并且|并)|[,，](?=(?:把|将|再|在|加|去掉|删|移|换|添|背景)))\s*"
)
_NUMBERED = re.compile(
    r"\b(?:a|an|one|two|three|four|five|six|\d+)\b|[一二两三四五六]\s*[只个辆棵朵条张把座匹头位颗枝]"
)


def steps(folded: str) -> Iterator[Step]:
    """The steps of a prompt that was folded to simplified, lower-case text with quoted texts kept; a part that tells
    nothing to do is something to add."""
    for part in _CUT.split(re.sub(r"^(?:please|请|帮我|can you|could you)\s*", "", folded.strip())):
        if part and part.strip(" ,，、"):
            yield _step(part.strip(" ,，、?？"))


def _step(part: str) -> Step:
    for deed, rule in _RULES:
        match = rule.match(part)
        if match is None:
            continue
        found = {key: (value or "").strip() for key, value in match.groupdict().items()}
        target, into = found.get("a", ""), found.get("b", "") or found.get("c", "")
        if deed == "add" and found.get("p"):
            into = f"{found['p']}有{into}" if not found["p"].endswith(("再", "请")) else into
        return Step(deed, target, into, bool(_NUMBERED.search(target)))
    return Step("add", "", part)

"""What was understood of a prompt and what was not drawn, told in the prompt's language."""

from __future__ import annotations

from collections.abc import Sequence

from sampan.engines.sketcher.lexicon import COLOURS_ZH
from sampan.engines.sketcher.request import Place, Relation, Thing, Wish
from sampan.engines.sketcher.vocabulary import Vocabulary

_PLACES_EN = {
    (0, None): "on the left",
    (2, None): "on the right",
    (None, 0): "at the top",
    (None, 2): "at the bottom",
    (1, 1): "in the middle",
    (0, 0): "in the top left",
    (2, 0): "in the top right",
    (0, 2): "in the bottom left",
    (2, 2): "in the bottom right",
    (1, 0): "at the top",
    (1, 2): "at the bottom",
    (0, 1): "on the left",
    (2, 1): "on the right",
}
_PLACES_ZH = {
    (0, None): "左边",
    (2, None): "右边",
    (None, 0): "上方",
    (None, 2): "下方",
    (1, 1): "中间",
    (0, 0): "左上角",
    (2, 0): "右上角",
    (0, 2): "左下角",
    (2, 2): "右下角",
    (1, 0): "上方",
    (1, 2): "下方",
    (0, 1): "左边",
    (2, 1): "右边",
}
_RELATIONS_EN = {
    "left": "left of",
    "right": "right of",
    "above": "above",
    "below": "below",
    "on": "on",
    "under": "under",
    "front": "in front of",
    "behind": "behind",
    "beside": "next to",
    "between": "between",
    "around": "around",
    "inside": "inside",
}
_RELATIONS_ZH = {
    "left": "的左边",
    "right": "的右边",
    "above": "的上方",
    "below": "的下方",
    "on": "上面",
    "under": "下面",
    "front": "前面",
    "behind": "后面",
    "beside": "旁边",
    "between": "之间",
    "around": "周围",
    "inside": "里面",
}
NO_SCENE = (
    "image: the degraded sketcher draws variations of pictures that it drew itself, and this one carries no scene of "
    "its own; ask for an edit, or send the picture as it came from here. 降级绘图器只能为自己画的图片生成变体。"
)
EXAMPLE_EN = "a red cat on the left, two blue cars on the right"
EXAMPLE_ZH = "左边一只红色的猫,右边两辆蓝色的汽车"


def describe(wish: Wish, vocabulary: Vocabulary, notes: Sequence[str] = ()) -> str:
    """One paragraph for `revised_prompt`: what was drawn, then what was not."""
    return _chinese(wish, vocabulary, notes) if wish.chinese else _english(wish, vocabulary, notes)


def not_understood(wish: Wish) -> str:
    """Why nothing is drawn, with an example of what would be."""
    if wish.chinese:
        return f"降级绘图器没有认出可以画的东西。它会画常见的物品、数量、颜色、位置、背景和风格,例如:{EXAMPLE_ZH}。"
    return (
        "The degraded sketcher found nothing in this prompt that it can draw. It draws everyday things with "
        "counts, colours, "
        f"positions, backgrounds and styles, for example: {EXAMPLE_EN}."
    )


def _english(wish: Wish, vocabulary: Vocabulary, notes: Sequence[str]) -> str:
    parts = [_thing_en(thing) for thing in wish.things]
    links = [_relation_en(relation, wish.things) for relation in wish.relations]
    text = "Drawn by the degraded sketcher: " + ("; ".join((*parts, *links)) or "a background")
    ground = " ".join(
        word for word in (wish.backdrop_colour, wish.backdrop and vocabulary.names(wish.backdrop, False)) if word
    )
    text += f". Background: {ground}" if ground else ""
    if wish.styles:
        text += ". Style: " + ", ".join(vocabulary.names(style, False) for style in wish.styles)
    if wish.excluded:
        text += ". Left out as asked: " + ", ".join(vocabulary.names(name, False) for name in wish.excluded)
    if wish.unknown:
        text += ". Not drawn (not understood): " + ", ".join(wish.unknown[:12])
    return ". ".join((text, *notes)) + "."


def _thing_en(thing: Thing) -> str:
    if thing.art == "text":
        return f'the text "{thing.text}"'
    colours = " and ".join(thing.colours) + " " if thing.colours else ""
    size = "large " if thing.size > 1.1 else "small " if thing.size < 0.9 else ""
    text = f' saying "{thing.text}"' if thing.text else ""
    where = f" {_where(thing.places, _PLACES_EN)}" if thing.places else ""
    return f"{thing.count} {size}{colours}{thing.word}{text}{where}"


def _where(places: Sequence[Place], names: dict[Place, str]) -> str:
    return ", ".join(names.get(place, "") for place in places)


def _relation_en(relation: Relation, things: Sequence[Thing]) -> str:
    objects = " and ".join(f"the {things[index].word}" for index in relation.objects)
    return f"the {things[relation.subject].word} {_RELATIONS_EN[relation.kind]} {objects}"


def _chinese(wish: Wish, vocabulary: Vocabulary, notes: Sequence[str]) -> str:
    parts = [_thing_zh(thing) for thing in wish.things]
    links = [_relation_zh(relation, wish.things) for relation in wish.relations]
    text = "由降级绘图器绘制:" + (";".join((*parts, *links)) or "背景")
    colour = _colour_zh(wish.backdrop_colour) if wish.backdrop_colour else ""
    ground = colour + (vocabulary.names(wish.backdrop, True) if wish.backdrop else "")
    text += f"。背景:{ground}" if ground else ""
    if wish.styles:
        text += "。风格:" + "、".join(vocabulary.names(style, True) for style in wish.styles)
    if wish.excluded:
        text += "。按要求未画:" + "、".join(vocabulary.names(name, True) for name in wish.excluded)
    if wish.unknown:
        text += "。没有画(未能理解):" + "、".join(wish.unknown[:12])
    return "。".join((text, *notes)) + "。"


def _colour_zh(colour: str) -> str:
    names = [word for word, value in COLOURS_ZH.items() if value == colour]
    return next((word for word in names if word.endswith("色")), colour)


def _thing_zh(thing: Thing) -> str:
    if thing.art == "text":
        return f"文字“{thing.text}”"
    colours = "和".join(_colour_zh(colour) for colour in thing.colours)
    size = "" if thing.word[:1] in "大小" else "大" if thing.size > 1.1 else "小" if thing.size < 0.9 else ""
    text = f"(写着“{thing.text}”)" if thing.text else ""
    where = _where(thing.places, _PLACES_ZH)
    return f"{where}{thing.count}个{size}{colours}{'的' if colours else ''}{thing.word}{text}"


def _relation_zh(relation: Relation, things: Sequence[Thing]) -> str:
    objects = "和".join(things[index].word for index in relation.objects)
    return f"{things[relation.subject].word}在{objects}{_RELATIONS_ZH[relation.kind]}"

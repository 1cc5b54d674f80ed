"""What a prompt asks for, as frozen values: things, relations between them, a backdrop, styles."""

from __future__ import annotations

from dataclasses import dataclass

Place = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Thing:
    """Something to draw `count` times. `size` is relative (1 is as usual), `places` are thirds of the picture."""

    art: str
    word: str
    count: int = 1
    colours: tuple[str, ...] = ()
    size: float = 1.0
    places: tuple[Place, ...] = ()
    text: str = ""
    definite: bool = False
    arranged: str = ""


@dataclass(frozen=True, slots=True)
class Relation:
    """`kind` is left, right, above, below, on, under, front, behind, beside, between, around or inside; both ends are
    indices of things: `subject` stands in that relation to all `objects` (two for between)."""

    kind: str
    subject: int
    objects: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """A prompt, understood. `unknown` are its words that nothing stands for, `excluded` what must not be drawn,
    `loose_colour` a colour that was said of no thing."""

    things: tuple[Thing, ...]
    relations: tuple[Relation, ...]
    backdrop: str
    backdrop_colour: str
    styles: tuple[str, ...]
    excluded: tuple[str, ...]
    unknown: tuple[str, ...]
    chinese: bool
    loose_colour: str = ""

    @property
    def understood(self) -> bool:
        return bool(self.things or self.backdrop or self.backdrop_colour or self.styles)

"""Where everything stands: from a Wish to items with boxes in pixels. Pure; the same seed gives the same boxes.

Things in touch (on, in front of, around…) become one block. Blocks are ordered into rows and columns by what was
said of
them; what nothing was said of shares one free block. Every cell keeps a margin, so that no two blocks touch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sampan.engines.sketcher import blocks
from sampan.engines.sketcher.blocks import Block, Laid, Sized
from sampan.engines.sketcher.grid import Axis, packed
from sampan.engines.sketcher.request import Place, Relation, Thing, Wish
from sampan.engines.sketcher.scene import Item
from sampan.engines.sketcher.vocabulary import Artwork

FILL = 0.84
_CONTACT = frozenset({"on", "front", "behind", "inside", "around"})
_STILL = frozenset(
    {"text", "own-sign", "own-arrow", "closed-book", "hundred-points", "red-question-mark", "musical-notes"}
)
_ALOFT = frozenset({"sky", "space", "stars", "night", "underwater", "stage", ""})
# What nothing stands on, and what stands on nothing: flat shapes, and things that float.
_AFLOAT = frozenset(
    {"star", "red-heart", "own-circle", "own-square", "own-triangle", "own-rectangle", "own-diamond", "own-oval"}
    | {"own-pentagon", "own-hexagon", "own-octagon", "own-ring", "own-cross", "balloon", "kite", "airplane", "comet"}
    | {"small-airplane", "own-hotairballoon", "flying-saucer", "parachute", "snowflake", "droplet", "musical-note"}
    | {"helicopter", "rocket", "high-voltage", "glowing-star", "sparkles", "text", "own-arrow", "fire", "satellite"}
)
_FRAIL = frozenset(
    {"umbrella", "umbrella-on-ground", "candle", "bee", "honeybee", "butterfly", "fish", "tropical-fish", "light-bulb"}
    | {"own-bottle", "rose", "tulip", "sunflower", "blossom", "key", "pencil", "pen", "bird", "jellyfish"}
)
_RATIO_MOST = 4.0
# Where many things share the picture, each is small already.
_RATIO_CROWDED = 2.6
_MOUTHED = frozenset({"own-vase", "amphora", "basket", "own-box", "bucket"})
_SKY = frozenset(
    {"own-sun", "own-moon", "full-moon", "crescent-moon", "cloud", "own-cloud"}
    | {"rainbow", "sun-with-face", "shooting-star", "comet"}
)


@dataclass(frozen=True, slots=True)
class Frame:
    """The part of a picture, in pixels, that a layout may use."""

    x: float
    y: float
    w: float
    h: float


@dataclass(slots=True)
class _Unit:
    """A block to be placed as a whole: the things in it, how it is laid out for an aspect, and where it was asked
    to be."""

    things: set[int]
    lay: Laid
    place: Place = (None, None)
    free: bool = True
    low: bool = False


@dataclass(slots=True)
class _Plan:
    units: list[_Unit]
    relations: list[Relation]
    x: Axis = field(default_factory=lambda: Axis(0))
    y: Axis = field(default_factory=lambda: Axis(0))

    def holding(self, thing: int) -> int | None:
        for index, unit in enumerate(self.units):
            if thing in unit.things:
                return index
        return None


def arrange(
    wish: Wish, frame: Frame, artwork: Mapping[str, Artwork], measure: Callable[[str], float], seed: int
) -> tuple[Item, ...]:
    """The items of a wish inside a frame. `measure` gives the width over the height of a text when set."""
    chance = random.Random(seed)
    wish = _settled(wish)
    sized = [_sized(thing, artwork, measure, not _equal_sizes(wish)) for thing in wish.things]
    units, relations = _units(wish, sized, chance)
    if not units:
        return ()
    plan = _order(_pooled(_Plan(units, relations), wish))
    cells = _cells(plan, frame, not _equal_sizes(wish))
    placed = _place(plan, cells, wish, chance)
    flips = {
        (index, turn): chance.random() < 0.5
        for index, thing in enumerate(wish.things)
        for turn in range(max(8, thing.count))
    }
    return tuple(_item(spot, wish, flips) for spot in sorted(placed, key=lambda spot: (spot.z, spot.thing, spot.turn)))


def turns(art: str) -> bool:
    """Whether a drawing means the same when it looks the other way."""
    return art not in _STILL and not art.startswith("own-")


def stands(backdrop: str) -> bool:
    """Whether things before this backdrop stand on it; before others they float."""
    return backdrop not in _ALOFT


def _item(spot: blocks.Spot, wish: Wish, flips: Mapping[tuple[int, int], bool]) -> Item:
    thing = wish.things[spot.thing]
    colour = thing.colours[spot.turn % len(thing.colours)] if thing.colours else ""
    flip = flips.get((spot.thing, spot.turn), False) and turns(thing.art)
    return Item(thing.art, thing.word, spot.x, spot.y, spot.w, spot.h, spot.z, colour, flip, thing.text)


def _sized(thing: Thing, artwork: Mapping[str, Artwork], measure: Callable[[str], float], even: bool) -> Sized:
    if thing.art == "text":
        return Sized(thing, measure(thing.text), 3)
    art = artwork[thing.art]
    return Sized(thing, art.aspect, art.bulk, even)


def _settled(wish: Wish) -> Wish:
    """A wish whose "on" is only between things that can carry one another, else "above"; and in which nothing is so
    small beside something huge that it could not be seen."""
    relations = tuple(
        replace(r, kind="above") if r.kind == "on" and not _carries(wish, r) else r for r in wish.relations
    )
    crowded = sum(thing.count for thing in wish.things) > 4
    ratio = _RATIO_CROWDED if crowded else _RATIO_MOST
    least = max((thing.size for thing in wish.things), default=1.0) / ratio
    things = tuple(replace(thing, size=max(least, thing.size)) for thing in wish.things)
    return replace(wish, relations=relations, things=things)


def _carries(wish: Wish, relation: Relation) -> bool:
    upper, lower = wish.things[relation.subject], wish.things[relation.objects[0]]
    if upper.art in _SKY | _AFLOAT and not upper.art.startswith("own-ball"):
        return False
    return lower.count == 1 and lower.art not in _SKY | _AFLOAT | _FRAIL


# -- blocks of things in touch


def _units(wish: Wish, sized: Sequence[Sized], chance: random.Random) -> tuple[list[_Unit], list[Relation]]:
    """One unit for each thing and asked place, those in touch merged; and the relations that are left to be ordered."""
    units: list[_Unit] = []
    for index, thing in enumerate(wish.things):
        places = thing.places or ((None, None),)
        per = max(1, thing.count // len(places)) if len(places) > 1 else thing.count
        for turn, place in enumerate(places):
            lay = _several(index, sized[index], per, turn * per)
            units.append(_Unit({index}, lay, place, not thing.places, low=thing.art == "text"))
    plan = _Plan(units, [])
    left: list[Relation] = []
    _side_by_side(plan, wish)
    _circle(plan, wish, sized)
    # what stands on a thing goes there before that thing is put anywhere: roses, into the vase, onto the table
    for relation in sorted(wish.relations, key=lambda r: (r.kind not in _CONTACT, _laden(wish, r.subject, 0))):
        if not _merge(plan, relation, wish, sized, chance):
            left.append(relation)
    return [unit for unit in plan.units if unit.things], left


def _laden(wish: Wish, thing: int, depth: int) -> int:
    """How many things stand on one another on top of a thing."""
    if depth > 8:
        return depth
    above = [r.subject for r in wish.relations if r.kind in _CONTACT and r.objects[0] == thing]
    return max((1 + _laden(wish, index, depth + 1) for index in above), default=0)


def _side_by_side(plan: _Plan, wish: Wish) -> None:
    """Different things on one and the same other thing share it: they become one unit before they are put there."""
    groups: dict[tuple[str, int], list[int]] = {}
    for relation in wish.relations:
        if relation.kind in ("on", "front", "inside"):
            groups.setdefault((relation.kind, relation.objects[0]), []).append(relation.subject)
    for subjects in groups.values():
        found = list(dict.fromkeys(unit for index in subjects if (unit := plan.holding(index)) is not None))
        if len(found) > 1:
            joined = [plan.units[unit] for unit in found]
            plan.units[found[0]] = _pool(joined, joined[0].place)
            plan.units[found[0]].free = all(unit.free for unit in joined)
            for unit in found[1:]:
                plan.units[unit] = _Unit(set(), joined[0].lay)


def _circle(plan: _Plan, wish: Wish, sized: Sequence[Sized]) -> None:
    """Different things that form one ring become one unit."""
    ringed = [index for index, thing in enumerate(wish.things) if thing.arranged == "ring"]
    if len(ringed) < 2:
        return
    singles = [(i, turn) for i in ringed for turn in range(wish.things[i].count)]
    lays = [_several(index, sized[index], 1, turn) for index, turn in singles]
    plan.units = [unit for unit in plan.units if not unit.things & set(ringed)]
    plan.units.append(_Unit(set(ringed), lambda aspect: blocks.ring([lay(1.0) for lay in lays], None)))


def _several(index: int, sized: Sized, count: int, first: int) -> Laid:
    return lambda aspect: blocks.several(index, sized, count, aspect, first)


def _merge(plan: _Plan, relation: Relation, wish: Wish, sized: Sequence[Sized], chance: random.Random) -> bool:
    """Merges subject and object of a relation of contact into one unit; False where it is one of order."""
    between_count = relation.kind == "between" and len(relation.objects) == 1
    if relation.kind not in _CONTACT and not between_count:
        return False
    one, other = plan.holding(relation.subject), plan.holding(relation.objects[0])
    if one is None or other is None or one == other:
        return one == other
    subject, base = plan.units[one], plan.units[other]
    lean = chance.choice((-1.0, -0.6, 0.6, 1.0))
    lay = _touching(relation, subject.lay, base.lay, wish, sized, lean)
    place = base.place if base.place != (None, None) else subject.place
    merged = _Unit(subject.things | base.things, lay, place, subject.free and base.free)
    plan.units[other] = merged
    plan.units[one] = _Unit(set(), subject.lay)
    return True


def _touching(relation: Relation, subject: Laid, base: Laid, wish: Wish, sized: Sequence[Sized], lean: float) -> Laid:
    thing = relation.objects[0]
    art, count = wish.things[thing].art, wish.things[thing].count
    if relation.kind == "between":
        half = count // 2
        halves = (_several(thing, sized[thing], half, 0), _several(thing, sized[thing], count - half, half))
        return lambda aspect: blocks.amid(subject(1.0), (halves[0](0.6), halves[1](0.6)))
    if relation.kind == "around":
        number = wish.things[relation.subject].count
        singles = [_several(relation.subject, sized[relation.subject], 1, turn) for turn in range(number)]
        if number > 2:
            return lambda aspect: blocks.ring(
                [_shrunk(lay(1.0), 1.0 if sized[thing].even else 0.62) for lay in singles], base(1.0)
            )
        return lambda aspect: (
            blocks.amid(base(1.0), (singles[0](1.0), singles[-1](1.0)))
            if number == 2
            else blocks.flow([subject(1.0), base(1.0)], aspect)
        )
    one, other = sized[relation.subject], sized[thing]
    share = 0.76 * 1.04 ** (one.bulk - other.bulk) if not one.even else one.thing.size / other.thing.size
    larger = one.even and share > 1.0
    several_on = wish.things[relation.subject].count > 1
    if relation.kind == "on" or (relation.kind == "inside" and art in _MOUTHED):
        return lambda aspect: blocks.on(
            _to_side(subject(9.0 if several_on else 2.0), base(aspect), share), base(aspect), art, larger
        )
    if relation.kind == "front":
        return lambda aspect: blocks.front(_shrunk(subject(2.0), share), base(aspect), lean)
    if relation.kind == "behind":
        return lambda aspect: blocks.front(_shrunk(base(2.0), 0.68), subject(aspect), lean)
    return lambda aspect: blocks.inside(subject(1.0), base(aspect))


def _equal_sizes(wish: Wish) -> bool:
    return len({thing.size for thing in wish.things}) == 1


def _to_side(block: Block, base: Block, share: float) -> Block:
    """A block scaled so that its largest thing's longest side is a share of that of the base's largest."""
    return _shrunk(block, share * base.longest / block.longest)


def _shrunk(block: Block, share: float) -> Block:
    return Block(tuple(block.at(0, 0, share)), block.w * share, block.h * share)


# -- orders


def _pooled(plan: _Plan, wish: Wish) -> _Plan:
    """Units that nothing was said of become one, which keeps out of the way of the others."""
    bound = {plan.holding(index) for relation in plan.relations for index in (relation.subject, *relation.objects)}
    loose = [index for index, unit in enumerate(plan.units) if unit.free and index not in bound]
    tied = [unit for index, unit in enumerate(plan.units) if index not in loose]
    sky = [index for index in loose if wish.backdrop and not plan.units[index].low and _is_sky(plan.units[index], wish)]
    texts = [index for index in loose if plan.units[index].low]
    rest = [index for index in loose if index not in sky and index not in texts]
    pooled = [plan.units[index] for index in rest]
    units = list(tied)
    if pooled:
        units.append(_pool(pooled, _gap(tied) if tied else (None, None)))
    if sky:
        units.append(_pool([plan.units[index] for index in sky], (None, 0 if units else None)))
    for index in texts:
        text = plan.units[index]
        low = any(unit.place[1] == 2 for unit in units)
        text.place = (None, 0 if low else 2) if units else (None, None)
        text.free = False
        units.append(text)
    return _Plan(units, plan.relations)


def _is_sky(unit: _Unit, wish: Wish) -> bool:
    return all(wish.things[index].art in _SKY for index in unit.things)


def _pool(units: Sequence[_Unit], place: Place) -> _Unit:
    if len(units) == 1:
        return _Unit(units[0].things, units[0].lay, place, False)
    things = {index for unit in units for index in unit.things}
    return _Unit(
        things,
        lambda aspect: blocks.flow([unit.lay(max(0.7, aspect / len(units))) for unit in units], aspect),
        place,
        False,
    )


def _gap(tied: Sequence[_Unit]) -> Place:
    """The third of the picture that placed units leave: beside those to the left, under those at the top."""
    columns = {unit.place[0] for unit in tied} - {None}
    rows = {unit.place[1] for unit in tied} - {None}
    for used, is_row in ((columns, False), (rows, True)) if not rows else ((rows, True), (columns, False)):
        if used:
            want = 1 if {0, 2} <= used else 2 if 0 in used else 0 if 2 in used else None
            if want is not None:
                return (None, want) if is_row else (want, None)
    if rows or columns:
        return (None, 2)
    return (3, None)


def _order(plan: _Plan) -> _Plan:
    """Turns relations and places into orders on both axes. Contradictions are dropped, the first said wins."""
    count = len(plan.units)
    plan.x, plan.y = Axis(count), Axis(count)
    softs: list[tuple[Axis, int, int]] = []
    for relation in plan.relations:
        subject = plan.holding(relation.subject)
        objects = [
            found for index in relation.objects if (found := plan.holding(index)) is not None and found != subject
        ]
        if subject is not None and objects:
            softs += _orders(plan, relation.kind, subject, objects)
    for one in range(count):
        for other in range(one + 1, count):
            _order_places(plan, one, other)
    for axis, first, second in softs:
        axis.join(first, second)
    for one in range(count):
        for other in range(one + 1, count):
            for axis, side in ((plan.x, 0), (plan.y, 1)):
                if (
                    plan.units[one].place[side] is not None
                    and plan.units[one].place[side] == plan.units[other].place[side]
                ):
                    axis.join(one, other)
    return plan


def _orders(plan: _Plan, kind: str, subject: int, objects: Sequence[int]) -> list[tuple[Axis, int, int]]:
    """Asks the orders of one relation at once; returns the lines that both ends should share, to be asked
    afterwards."""
    first = objects[0]
    if kind == "left":
        plan.x.order(subject, first)
        return [(plan.y, subject, first)]
    if kind == "right":
        plan.x.order(first, subject)
        return [(plan.y, subject, first)]
    if kind == "above":
        plan.y.order(subject, first)
        return [(plan.x, subject, first)]
    if kind in ("below", "under"):
        plan.y.order(first, subject)
        return [(plan.x, subject, first)]
    if kind == "between" and len(objects) > 1:
        second = objects[1]
        upright = any(
            {r.subject, *r.objects} >= set()
            and r.kind in ("above", "below")
            and {plan.holding(r.subject), plan.holding(r.objects[0])} == {first, second}
            for r in plan.relations
        )
        tops = plan.units[first].place[1], plan.units[second].place[1]
        axis, side = (plan.y, 1) if upright or (None not in tops and tops[0] != tops[1]) else (plan.x, 0)
        wanted = plan.units[first].place[side], plan.units[second].place[side]
        if None not in wanted and (wanted[0] or 0) > (wanted[1] or 0):
            first, second = second, first
        if not axis.order(first, subject) or not axis.order(subject, second):
            axis.order(second, subject)
            axis.order(subject, first)
        across = plan.x if axis is plan.y else plan.y
        return [(across, subject, first), (across, subject, second)]
    one, other = (subject, first) if subject < first else (first, subject)
    if not plan.x.order(one, other):
        plan.x.order(other, one)
    return [(plan.y, one, other)]


def _order_places(plan: _Plan, one: int, other: int) -> None:
    for axis, side in ((plan.x, 0), (plan.y, 1)):
        a, b = plan.units[one].place[side], plan.units[other].place[side]
        if side == 0 and 3 in (a, b):
            # the free block stands to the right of whatever is ordered among itself
            axis.order(one, other) if b == 3 else axis.order(other, one)
        elif a is not None and b is not None and a != b:
            axis.order(one, other) if a < b else axis.order(other, one)
        elif (a is None) != (b is None) and (one if a is None else other) in axis.bound:
            # what was put at an edge stays beyond what was only ordered among itself
            held, loose, place = (one, other, a) if b is None else (other, one, b)
            if place in (0, 2):
                axis.order(held, loose) if place == 0 else axis.order(loose, held)


# -- cells


def _cells(plan: _Plan, frame: Frame, exact: bool) -> list[Frame]:
    """One cell for each unit; units that share row and column split it."""
    columns, column_count = _lines(plan, plan.x, 0)
    rows, row_count = _lines(plan, plan.y, 1)
    heights = _row_heights(plan, rows, row_count, exact)
    tops = [sum(heights[:row]) for row in range(row_count + 1)]
    widths = _column_widths(plan, columns, column_count, exact)
    lefts = [sum(widths[:column]) for column in range(column_count + 1)]
    count = len(plan.units)
    spans = [(-1 if c is None else c, -1 if r is None else r) for c, r in zip(columns, rows, strict=True)]
    cells: list[Frame] = []
    for unit, (column, row) in enumerate(spans):
        mates = [u for u in range(count) if u != unit and (spans[u][1] == row or -1 in (row, spans[u][1]))]
        first, last = _run(column, [spans[u][0] for u in mates], column_count)
        mates = [u for u in range(count) if u != unit and (spans[u][0] == column or -1 in (column, spans[u][0]))]
        top, bottom = _run(row, [spans[u][1] for u in mates], row_count)
        twins = [u for u in range(count) if spans[u] == (column, row)]
        cell = Frame(
            frame.x + frame.w * lefts[first],
            frame.y + frame.h * tops[top],
            frame.w * (lefts[last] - lefts[first]),
            frame.h * (tops[bottom] - tops[top]),
        )
        cells.append(_split(cell, twins.index(unit), len(twins)))
    return cells


def _split(cell: Frame, turn: int, count: int) -> Frame:
    if cell.w >= cell.h:
        return Frame(cell.x + cell.w / count * turn, cell.y, cell.w / count, cell.h)
    return Frame(cell.x, cell.y + cell.h / count * turn, cell.w, cell.h / count)


def _run(own: int, taken: Sequence[int], count: int) -> tuple[int, int]:
    """The lines a unit may use: its own, or the longest run that no neighbour stands on."""
    if own >= 0:
        return own, own + 1
    best, start = (0, count), None
    longest = 0
    for line in range(count + 1):
        if line < count and line not in taken:
            start = line if start is None else start
        elif start is not None:
            if line - start > longest:
                longest, best = line - start, (start, line)
            start = None
    return best


def _lines(plan: _Plan, axis: Axis, side: int) -> tuple[list[int | None], int]:
    """The row or column of each unit (None: any), and how many there are, with an empty one where a half must stay
    free."""
    ranks = axis.ranks() or [0] * len(plan.units)
    bound = axis.bound
    places = [unit.place[side] for unit in plan.units]
    fixed = [place is not None for place in places]
    lines: list[int | None] = [ranks[u] if u in bound or fixed[u] else None for u in range(len(ranks))]
    used = sorted({line for line in lines if line is not None})
    if not used:
        return [None] * len(ranks), 1
    last = [u for u, place in enumerate(places) if place == 2]
    if last:
        furthest = max(used)
        for unit in last:
            if not any(first == unit for first, _ in axis.before):
                lines[unit] = furthest
    numbers = packed([line for line in lines if line is not None], ())
    lines = [numbers[line] if line is not None else None for line in lines]
    count = len(numbers)
    lows, highs = places.count(0) > 0, places.count(2) > 0
    middle = places.count(1) > 0 or places.count(3) > 0
    if lows and not highs and (middle or count == 1):
        count += 1
    elif highs and not lows and (middle or count == 1):
        lines = [line + 1 if line is not None else None for line in lines]
        count += 1
    return lines, count


def _row_heights(plan: _Plan, rows: Sequence[int | None], count: int, exact: bool) -> list[float]:
    """Rows share the height alike, but a row of text alone takes less, and one of small things where sizes were
    asked."""
    weights = []
    weighed = exact and not any(unit.place[1] is not None for unit in plan.units)
    for row in range(count):
        here = [unit for unit, own in zip(plan.units, rows, strict=True) if own == row]
        text = here and all(unit.low for unit in here) and count > 1
        tall = max((unit.lay(1.5).h for unit in here), default=1.0) if weighed else 1.0
        weights.append(0.42 if text else tall)
    return _shares(weights)


def _column_widths(plan: _Plan, columns: Sequence[int | None], count: int, exact: bool) -> list[float]:
    """Columns share the width alike, but by what stands in them where sizes were asked and no halves."""
    if not exact or any(unit.place[0] is not None for unit in plan.units):
        return [1 / count] * count
    held = [[unit for unit, own in zip(plan.units, columns, strict=True) if own == column] for column in range(count)]
    return _shares([max((unit.lay(0.7).w for unit in here), default=1.0) for here in held])


def _shares(weights: Sequence[float]) -> list[float]:
    """Weights as shares of one, none below half of what it would be if all were alike."""
    mean = sum(weights) / len(weights)
    raised = [max(weight, 0.5 * mean) for weight in weights]
    return [weight / sum(raised) for weight in raised]


# -- boxes


def _place(plan: _Plan, cells: Sequence[Frame], wish: Wish, chance: random.Random) -> list[blocks.Spot]:
    # on a ground things stand in one line; a second row would float
    least_aspect = 2.4 if stands(wish.backdrop) else 0.0
    laid = [unit.lay(max(least_aspect, cell.w / cell.h)) for unit, cell in zip(plan.units, cells, strict=True)]
    fill = FILL if len(laid) > 1 or len(laid[0].spots) > 1 else 0.7
    scales = [min(cell.w * fill / block.w, cell.h * fill / block.h) for block, cell in zip(laid, cells, strict=True)]
    things = [scale for scale, unit in zip(scales, plan.units, strict=True) if not unit.low]
    exact = not _equal_sizes(wish)
    least = min(things, default=1.0)
    placed: list[blocks.Spot] = []
    # what shares a row stands at one height in it
    shared = chance.uniform(0.42, 0.58), chance.uniform(0.42, 0.58)
    for unit, cell, block, scale in zip(plan.units, cells, laid, scales, strict=True):
        if not unit.low:
            scale = least if exact else min(scale, least * 1.5)
        scale *= chance.uniform(0.93, 1.0) if not exact else 0.97
        w, h = block.w * scale, block.h * scale
        lean_x, lean_y = _lean(unit, wish, shared)
        margin_x, margin_y = cell.w * 0.07, cell.h * 0.07
        x = cell.x + margin_x + max(0.0, cell.w - 2 * margin_x - w) * lean_x
        y = cell.y + margin_y + max(0.0, cell.h - 2 * margin_y - h) * lean_y
        placed += block.at(x, y, scale)
    return placed


def _lean(unit: _Unit, wish: Wish, wander: tuple[float, float]) -> tuple[float, float]:
    """Where in its cell a unit stands, from 0 to 1 each way: corners outward, on the ground where there is one."""
    x, y = unit.place
    outward = {0: 0.0, 2: 1.0}
    if x in (0, 2) and y in (0, 2):
        return outward[x], outward[y]
    if y is not None:
        return wander[0], outward.get(y, 0.5)
    ground = stands(wish.backdrop) and not any(wish.things[index].art in _SKY for index in unit.things)
    return wander[0], (0.93 if ground else wander[1])

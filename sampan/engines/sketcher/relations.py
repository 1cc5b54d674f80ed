"""The second pass over a prompt: places and relations between noun phrases, from the words that stand between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sampan.engines.sketcher.lexicon import PLACES
from sampan.engines.sketcher.request import Place, Relation

CORNERS: tuple[Place, ...] = ((0, 0), (2, 0), (0, 2), (2, 2))
SIDES: tuple[Place, ...] = ((0, None), (2, None))


@dataclass(slots=True)
class Draft:
    """A thing while it is still being read."""

    art: str
    word: str
    count: int = 1
    colours: list[str] = field(default_factory=list)
    size: float = 1.0
    definite: bool = False
    places: list[Place] = field(default_factory=list)
    text: str = ""
    arranged: str = ""
    led: bool = False
    asked: int = 1
    each: bool = False
    like: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A noun phrase (`np`, with the index of its thing) or a word that says how phrases stand to one another."""

    kind: str
    index: int = 0
    value: str = ""
    text: str = ""


def relate(drafts: list[Draft], nodes: Sequence[Node], chinese: bool) -> list[Relation]:
    """Every relation said; places are written into the drafts."""
    found = _Relater(drafts, chinese)
    sentence: list[Node] = []
    orders: list[str] = []
    told: list[Node] = []
    for node in (*nodes, Node("stop")):
        if node.kind == "stop":
            found.read(sentence)
            told += sentence
            own = [order for order in orders if not order.endswith("-all")]
            if own:
                orders.clear()
                found.line_up(own[-1], sentence, told)
            sentence = []
        elif node.kind == "order":
            orders.append(node.value)
        elif node.kind not in ("have", "each"):
            sentence.append(node)
    if orders:
        found.line_up("row", told, told)
    return found.relations


_CHAINS = {"row": ("left", 1), "wor": ("left", -1), "column": ("above", 1), "rising": ("above", -1)}


class _Relater:
    def __init__(self, drafts: list[Draft], chinese: bool) -> None:
        self.drafts = drafts
        self.chinese = chinese
        self.relations: list[Relation] = []
        self.nodes: list[Node] = []
        self.last_subject: list[int] = []
        self.topic: int | None = None
        self.anchor: int | None = None

    def read(self, sentence: Sequence[Node]) -> None:
        self.nodes = self.without_idle(sentence)
        self.last_subject = []
        place = 0
        while place < len(self.nodes):
            node = self.nodes[place]
            handler = getattr(self, "on_" + node.kind, None)
            place = max(place + 1, handler(place, node) or 0) if handler is not None else place + 1
        for node in self.nodes:
            if node.kind in ("np", "ellipsis") and self.topic is None:
                self.topic = node.index

    def line_up(self, order: str, sentence: Sequence[Node], told: Sequence[Node]) -> None:
        """Things of which nothing else was said stand in a row, a column or a ring, in the order of their mention;
        where the sentence names none, those named before."""
        members = self.unplaced(sentence) or self.unplaced(told)
        for index in members:
            self.drafts[index].arranged = {"wor": "row", "rising": "column"}.get(order, order)
        if len(members) < 2 or order not in _CHAINS:
            return
        kind, step = _CHAINS[order]
        chain = members[::step]
        self.relations += [Relation(kind, one, (other,)) for one, other in pairwise(chain)]

    def unplaced(self, nodes: Sequence[Node]) -> list[int]:
        found = dict.fromkeys(node.index for node in nodes if node.kind in ("np", "ellipsis"))
        return [i for i in found if self.drafts[i].count > 0 and not self.drafts[i].places and not self.is_subject(i)]

    def without_idle(self, sentence: Sequence[Node]) -> list[Node]:
        """Drops what stands for no object: grounds with the words that lead to and from them, and the picture
        itself."""
        kept: list[Node] = []
        skip = False
        for place, node in enumerate(sentence):
            follows = sentence[place + 1] if place + 1 < len(sentence) else None
            if skip:
                skip = False
                continue
            if node.kind in ("ground", "background", "frame"):
                after = follows
                if after is not None and after.kind == "de" and place + 2 < len(sentence):
                    after = sentence[place + 2]
                locates = after is not None and after.kind == "loc"
                led = bool(kept) and kept[-1].kind in ("prep", "at", "with")
                if node.kind != "ground" and locates:
                    skip = after is follows and after is not None and after.value in ("on", "inside")
                    continue  # 画面左边: the place is the picture's
                if led and kept[-1].kind == "prep" and node.kind == "frame" and kept[-1].value in PLACES:
                    kept[-1] = Node("side", 0, {"between": "middle"}.get(kept[-1].value, kept[-1].value))
                    continue
                while kept and kept[-1].kind in ("prep", "at", "with"):
                    kept.pop()
                if node.value == "sky" and (led or locates or node.text in ("天上", "空中", "天空")):
                    kept.append(Node("loc" if self.chinese else "side", 0, "sky"))
                elif not led and not locates and node.kind == "ground" and not self.chinese:
                    kept.append(Node("gap"))
                skip = follows is not None and follows.kind == "loc" and follows.value not in ("left", "right")
            else:
                kept.append(node)
        return kept

    # -- groups of noun phrases

    def kind(self, place: int) -> str:
        return self.nodes[place].kind if 0 <= place < len(self.nodes) else ""

    def is_np(self, place: int) -> bool:
        return self.kind(place) in ("np", "ellipsis")

    def group_before(self, place: int, fresh: bool = True) -> list[int]:
        """The phrases joined by "and" that end just before `place`; with `fresh`, as far as they have no place yet."""
        found: list[int] = []
        at = place - 1
        while self.is_np(at):
            index = self.nodes[at].index
            if found and fresh and (self.drafts[index].places or self.is_subject(index)):
                break
            if found and self.kind(at - 1) in ("prep", "loc", "side", "wear", "hold", "verb"):
                break
            found.insert(0, index)
            if self.kind(at - 1) != "and":
                break
            at -= 2
        return found

    def is_subject(self, index: int) -> bool:
        return any(relation.subject == index or index in relation.objects for relation in self.relations)

    def group_after(self, place: int, skip: Sequence[str] = ("comma", "de", "and")) -> tuple[list[int], int]:
        """The phrases joined by "and" that begin at or after `place`, and where they end."""
        at = place
        while self.kind(at) in skip:
            at += 1
        found: list[int] = []
        while self.is_np(at):
            found.append(self.nodes[at].index)
            if (
                self.kind(at + 1) == "and"
                and self.is_np(at + 2)
                and self.kind(at + 3) not in ("loc", "side", "at", "prep")
            ):
                at += 2
            else:
                at += 1
                break
        return found, at

    def antecedent(self, place: int, subjects: Sequence[int]) -> list[int]:
        """Whom "it" means: the phrase before "with", else the last one before that is not itself the subject."""
        said = [
            node.index for node in self.nodes[:place] if node.kind in ("np", "ellipsis") and node.index not in subjects
        ]
        if any(node.kind == "it" and node.value == "that" for node in self.nodes[place : place + 2]):
            return said[-1:]
        plural = any(
            node.kind == "it" and node.value in ("them", "它们", "他们", "她们", "两者")
            for node in self.nodes[place : place + 2]
        )
        if plural and len(said) > 1:
            return said[-2:]
        if self.anchor is None or self.anchor in subjects:
            self.anchor = self.meant(place, subjects, said)
        return [] if self.anchor is None else [self.anchor]

    def meant(self, place: int, subjects: Sequence[int], said: Sequence[int]) -> int | None:
        """The one that "it" means when it is said for the first time; the same is meant from then on."""
        for at in range(place - 1, -1, -1):
            if self.kind(at) == "with":
                owners = [node.index for node in self.nodes[:at] if node.kind in ("np", "ellipsis")]
                if owners and owners[-1] not in subjects:
                    return owners[-1]
        for relation in reversed(self.relations):
            if relation.subject in subjects:
                return relation.objects[0]
        if self.topic is not None and self.topic not in subjects:
            return self.topic
        if not said:
            return None
        return said[0] if self.chinese else said[-1]

    # -- conclusions

    def add(self, kind: str, subjects: Sequence[int], objects: Sequence[int]) -> None:
        objects = [index for index in dict.fromkeys(objects) if index not in subjects]
        if kind == "middle":
            kind = "between"
        if kind == "between" and len(objects) == 1 and self.drafts[objects[0]].count < 2:
            kind = "inside"
        if kind == "enclosed":
            for subject in subjects:
                self.relations += [Relation("around", index, (subject,)) for index in objects]
            return
        kind = {"top": "on", "bottom": "below"}.get(kind, kind)
        if kind not in (
            "left",
            "right",
            "above",
            "below",
            "on",
            "under",
            "front",
            "behind",
            "beside",
            "between",
            "around",
            "inside",
        ):
            return
        if kind in ("between", "around"):
            self.relations += [Relation(kind, subject, tuple(objects)) for subject in subjects if objects]
        else:
            self.relations += [Relation(kind, s, (o,)) for s in subjects for o in objects[:3]]
        if subjects and objects:
            self.last_subject = list(subjects)

    def put(self, indices: Sequence[int], value: str, led: bool) -> None:
        """Gives things a place in the picture."""
        if value in ("corners", "sides"):
            places = CORNERS if value == "corners" else SIDES
            for index in indices:
                self.drafts[index].places = list(places)
        elif value in PLACES:
            for index in indices:
                self.drafts[index].places = [PLACES[value]]
                self.drafts[index].led = led
        self.last_subject = []

    # -- English: the relation stands before its object

    def on_prep(self, place: int, node: Node) -> int:
        before = self.group_before(place)
        if self.kind(place - 1) == "which":
            before = [n.index for n in self.nodes[:place] if n.kind == "np"][-1:]
        if self.kind(place + 1) == "it":
            objects, end = self.antecedent(place, before), place + 2
            while self.kind(end) == "it":
                end += 1
        else:
            objects, end = self.objects_after(place, node.value)
        if not objects and self.kind(place + 1) in ("", "comma", "and") and before:
            self.alone(place, node, before)
            return place + 1
        subjects = before or self.subjects_after(place, end)
        if subjects and objects:
            self.add(node.value, subjects, objects)
        return end if not before and self.kind(end) != "and" else place + 1

    def objects_after(self, place: int, kind: str) -> tuple[list[int], int]:
        at = place + 1
        if not self.is_np(at):
            return [], place + 1
        objects = [self.nodes[at].index]
        joined = self.kind(at + 1) == "and" and self.is_np(at + 2)
        if joined and (kind in ("between", "enclosed") or self.both(at + 2)):
            objects.append(self.nodes[at + 2].index)
            return objects, at + 3
        return objects, at + 1

    def both(self, at: int) -> bool:
        """Chinese verbs take a whole list ("骑着"); an English list after a preposition goes on with new things."""
        return False

    def subjects_after(self, place: int, end: int) -> list[int]:
        """For a relation that leads its clause ("Left of the dog is a cat"), what comes after; else whoever came
        before."""
        if self.kind(place - 1) == "gap" or self.kind(end) == "gap":
            return []
        leads = self.kind(place - 1) in ("", "comma", "and", "with")
        follows = self.is_np(end) or (self.kind(end) == "comma" and self.is_np(end + 1))
        carried_on = self.kind(place - 1) in ("and", "comma") and self.last_subject and self.kind(end) == "comma"
        if leads and follows and not carried_on:
            return self.group_after(end)[0]
        if self.last_subject:
            return self.last_subject
        earlier = [node.index for node in self.nodes[:place] if node.kind in ("np", "ellipsis")]
        return earlier[-1:]

    def alone(self, place: int, node: Node, before: list[int]) -> None:
        """ "with a bird above": a relation without an object means the phrase before "with", else a place."""
        owner = [self.nodes[at - 1].index for at in range(place) if self.kind(at) == "with" and self.is_np(at - 1)]
        if owner:
            self.add(node.value, before, owner[-1:])
        else:
            self.put(before, node.value, led=False)

    def on_side(self, place: int, node: Node) -> int:
        return self.settle_place(place, node)

    def settle_place(self, place: int, node: Node) -> int:
        """A place in the picture belongs to the phrase before it, unless it leads its clause."""
        before = self.group_before(place)
        after, end = self.group_after(place + 1, ("de",))
        if before and not (after and self.drafts[before[-1]].led):
            owner = self.owner(place, before)
            if owner is not None and node.value in ("left", "right", "top"):
                self.add({"top": "on"}.get(node.value, node.value), before, [owner])
                return place + 1
            self.put(before, node.value, led=False)
            return place + 1
        if not after and self.kind(place + 1) == "comma" and not self.is_np(place - 2):
            after, end = self.group_after(place + 1)
        if after:
            self.put(after, node.value, led=True)
            return end
        if self.kind(place - 1) in ("comma", "and") and self.is_np(place - 2):
            self.put([self.nodes[place - 2].index], node.value, led=False)
        return place + 1

    def owner(self, place: int, subjects: Sequence[int]) -> int | None:
        """The phrase before the clause's "with" ("a tree with an apple on the left"), if it has no place of its own."""
        for at in range(place - 1, 0, -1):
            if self.kind(at) in ("comma", "stop", "prep"):
                return None
            if self.kind(at) == "with" and self.is_np(at - 1):
                index = self.nodes[at - 1].index
                return None if self.drafts[index].places or index in subjects else index
        return None

    # -- Chinese: the relation stands after its object

    def on_at(self, place: int, node: Node) -> int:
        before = self.group_before(place)
        at = place + 1
        if self.kind(at) in ("loc", "side"):
            subjects, end = (before, at + 1) if before else self.group_after(at + 1)
            values = [self.nodes[at].value]
            while self.kind(end) == "and" and self.kind(end + 1) == "loc":
                values.append(self.nodes[end + 1].value)
                end += 2
                subjects = subjects or self.group_after(end)[0]
            self.put(subjects, "sides" if set(values) == {"left", "right"} else values[0], led=not before)
            return end
        objects: list[int] = []
        while self.is_np(at) or (self.kind(at) == "and" and objects):
            if self.is_np(at):
                objects.append(self.nodes[at].index)
            at += 1
        if self.kind(at) == "it":
            objects, at = self.antecedent(place, before), at + 1
        if self.kind(at) == "de":
            at += 1
        if self.kind(at) not in ("loc", "side") or not objects:
            if objects and before:
                self.add("on", before, objects[:1])
            return at
        subjects = before or self.group_after(at + 1)[0] or self.last_subject
        self.add(self.nodes[at].value, subjects, objects)
        return at + 1

    def on_loc(self, place: int, node: Node) -> int:
        if node.value in ("corners", "sides") and not self.group_before(place):
            after, end = self.group_after(place + 1)
            self.put(after, node.value, led=True)
            return end
        joined = self.kind(place + 1) == "and" and self.kind(place + 2) == "loc"
        if joined:
            after, end = self.group_after(place + 3)
            self.put(after, "sides", led=True)
            return end
        owned = self.kind(place - 1) == "de"
        at = place - 1 if owned else place
        if self.kind(at - 1) == "it":
            subjects, end = self.group_after(place + 1)
            self.add(node.value, subjects, self.antecedent(place, subjects))
            return end
        before = self.group_before(at, fresh=False)
        if before and not owned and self.drafts[before[-1]].led and self.is_np(place + 1):
            before = []
        if not before and node.value in ("around", "beside") and not owned:
            subjects, end = self.group_after(place + 1)
            self.add(node.value, subjects, self.antecedent(place, subjects))
            return end
        if not before:
            return self.settle_place(place, node) if not owned else place + 1
        after, end = self.group_after(place + 1, ("de",))
        if not after and (owned or node.value not in ("left", "right", "top", "bottom")):
            after, end = self.group_after(place + 1)
        if after:
            self.add(node.value, after, before)
            return place + 1
        if not owned:
            self.put(before, node.value, led=False)
        return place + 1

    def on_verb(self, place: int, node: Node) -> int:
        """骑着, 围着: like an English preposition; 被 before turns 围着 around."""
        before = self.group_before(place)
        if len(before) >= 1 and self.kind(place - 2) == "enclosed" and self.is_np(place - 3):
            self.add("enclosed", [self.nodes[place - 3].index], before)
            return place + 1
        after, _ = self.group_after(place + 1, ())
        if before and after:
            self.add(node.value, before, after)
        return place + 1

    def on_wear(self, place: int, node: Node) -> int:
        return self.carry(place, "on")

    def on_hold(self, place: int, node: Node) -> int:
        return self.carry(place, "beside")

    def carry(self, place: int, kind: str) -> int:
        """What is worn or held is the subject: the hat is on the cat. 戴帽子的猫 says it the other way round."""
        before = self.group_before(place)
        after, end = self.group_after(place + 1, ())
        if before and after:
            self.add(kind, after, before[-1:])
        elif after and self.kind(end) == "de" and self.is_np(end + 1):
            self.add(kind, after, [self.nodes[end + 1].index])
        return end

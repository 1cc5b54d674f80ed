"""From tokens to a Wish: which number and colour belong to which thing, and which things stand how to one another.

Two passes. The first gathers noun phrases: modifiers wait for the thing they stand before (English and Chinese alike
put them there) and are dropped at a clause's end, so that no colour leaks to a neighbour. The second walks over phrases
and relation words: English relations stand before their object ("left of the dog"), Chinese ones after it (狗的左边).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sampan.engines.sketcher import lexicon as lex
from sampan.engines.sketcher.relations import Draft, Node, relate
from sampan.engines.sketcher.request import Relation, Thing, Wish
from sampan.engines.sketcher.tokens import Reading, Token
from sampan.engines.sketcher.turns import SIZED

MOST = 60
_BREAKS = frozenset({"comma", "stop"})
_HEADS = frozenset({"thing", "faint", "back"})
_LEADS = frozenset({"class", "colour", "size", "de", "number", "at", "loc", "side", "have", "and", "comma"})
_PLURAL = 3
# Drawn as the pair that they are.
_PAIRED = frozenset({"chopsticks", "socks", "gloves", "glasses", "sunglasses", "scissors", "jeans", "shorts"})


@dataclass(slots=True)
class _Pending:
    """Modifiers read so far that still lack their thing."""

    number: int | None = None
    colours: list[str] = field(default_factory=list)
    size: float = 1.0
    definite: bool = False
    determined: bool = False
    arranged: str = ""
    each: bool = False
    pair: bool = False
    other: bool = False

    @property
    def empty(self) -> bool:
        return self.number is None and not self.colours and self.size == 1.0


class _Gatherer:
    """The first pass over one prompt."""

    def __init__(self, reading: Reading) -> None:
        self.tokens = reading.tokens
        self.chinese = reading.chinese
        self.drafts: list[Draft] = []
        self.nodes: list[Node] = []
        self.pending = _Pending()
        self.backdrop = ""
        self.backdrop_colour = ""
        self.styles: list[str] = []
        self.excluded: list[str] = []
        self.unknown: list[str] = []
        self.denied = False
        self.clause_start = 0
        self.loose_colour = ""
        self.template: int | None = None  # whom "one" and "the other" mean
        self.open = -1  # the "one" that still waits for its colour

    def run(self) -> None:
        for place, token in enumerate(self.tokens):
            handler = getattr(self, "on_" + token.kind.replace(" ", "_"), None)
            if handler is not None:
                handler(place, token)
        self.end_clause()

    # -- what is near

    def next_kind(self, place: int, over: Sequence[str] = ("de", "class", "skip")) -> str:
        for token in self.tokens[place + 1 :]:
            if token.kind not in over:
                return token.kind
        return ""

    def head_follows(self, place: int) -> bool:
        """Whether the words after `place` lead to a thing without leaving the noun phrase."""
        kind = self.next_kind(place, ("de", "class", "skip", "colour", "size", "unknown", "number"))
        return kind in _HEADS or kind == "text"

    def before(self, place: int, over: Sequence[str] = ("skip",)) -> Token | None:
        for token in reversed(self.tokens[:place]):
            if token.kind not in over:
                return token
        return None

    # -- modifiers

    def on_number(self, place: int, token: Token) -> None:
        if token.text in ("one", "another", "ones") and self.is_one(place):
            self.refer()
            return
        if token.text in ("pairs of", "pair of", "双") and (self.pending.number or 1) > 1:
            self.pending.number = (self.pending.number or 1) * 2
            return
        self.pending.pair = token.text in ("a pair of", "pair of", "一双", "一对", "双")
        if self.pending.number is None or self.pending.number == 1 or (self.pending.number == 5 and token.number):
            self.pending.number = int(token.number)
        self.pending.determined = True

    # -- "one … the other": more of what was spoken of

    def is_one(self, place: int) -> bool:
        """Whether a word of number stands for a thing spoken of: no noun follows, not even one shared with the next
        number ("one red and one blue balloon")."""
        if self.template is None:
            return False
        coloured, joined = bool(self.pending.colours), False
        for token in self.tokens[place + 1 :]:
            if token.kind in _HEADS or token.kind == "text":
                return joined and not coloured
            if token.kind == "colour":
                coloured = True
            elif token.kind == "and":
                coloured, joined = False, True
            elif token.kind not in ("size", "skip", "class", "number", "a", "de", "other", "hue"):
                return True
        return True

    def refer(self, rest: bool = False) -> None:
        """One more of the last kind of thing; out of the count of a group that has no colour yet."""
        assert self.template is not None
        group, waiting = self.drafts[self.template], self.pending
        for index, draft in enumerate(self.drafts):
            if (
                waiting.number is None
                and waiting.colours
                and (draft.art, draft.colours) == (group.art, waiting.colours)
            ):
                self.nodes.append(Node("np", index))
                self.pending = _Pending()
                return
        number = max(1, group.count) if rest else waiting.number or 1
        if group.asked > 1 and not group.colours:
            group.count = max(0, group.count - number)
        size = group.size if waiting.size == 1.0 else waiting.size
        draft = Draft(group.art, group.word, number, list(waiting.colours), size, asked=number, like=self.template)
        self.open = self.push(draft)
        self.nodes.append(Node("np", self.open))
        self.pending = _Pending()

    def on_one(self, place: int, token: Token) -> None:
        if self.template is not None:
            self.refer()

    def on_rest(self, place: int, token: Token) -> None:
        if self.template is not None:
            self.refer(rest=True)

    def on_other(self, place: int, token: Token) -> None:
        if self.is_one(place):
            self.refer()
            return
        self.pending.number = 1
        self.pending.other = self.pending.determined = True

    def on_order(self, place: int, token: Token) -> None:
        self.nodes.append(Node("order", 0, token.value))

    def on_a(self, place: int, token: Token) -> None:
        if self.pending.colours and self.tokens[place - 1].kind in ("and", "comma"):
            # "a red and a blue balloon": the first colour's thing is said later
            self.nodes.append(Node("ellipsis", self.push(Draft("", "", 1, list(self.pending.colours)))))
            self.nodes.append(Node("and"))
            self.pending = _Pending()
        if self.pending.number is None:
            self.pending.number = 1
        self.pending.determined = True

    def on_the(self, place: int, token: Token) -> None:
        self.pending.definite = self.pending.determined = True

    def on_size(self, place: int, token: Token) -> None:
        if not self.head_follows(place) and self.drafts and self.pending.number is None:
            self.drafts[-1].size = token.number
        else:
            self.pending.size = token.number

    def on_sized(self, place: int, token: Token) -> None:
        for node in [node for node in self.nodes if node.kind == "np"][-1:]:
            self.drafts[node.index].size = SIZED[token.value]
        self.open = -1

    def on_colour(self, place: int, token: Token) -> None:
        if token.value == "orange" and token.text == "orange" and self.is_fruit(place):
            self.on_thing(place, Token("thing", "tangerine", "orange"))
            return
        wanted = list(lex.RAINBOW) if token.value == "rainbow" else [token.value]
        prior = self.before(place)
        predicate = (
            prior is not None and prior.kind in ("have", "thing", "says", "hue") and not self.head_follows(place)
        )
        if predicate and self.next_kind(place) == "back word":
            predicate = False
        if self.open >= 0 and not self.pending.colours and not self.head_follows(place):
            self.drafts[self.open].colours += wanted
        elif predicate and self.drafts and self.clause_has_thing():
            self.last_said().colours = wanted
        elif predicate and any(node.kind == "background" for node in self.nodes[self.clause_start :]):
            self.backdrop_colour = wanted[0]
        elif predicate and self.after_pause():
            self.drafts[-1].colours = wanted
        else:
            self.pending.colours += wanted

    def last_said(self) -> Draft:
        """The thing that this clause named last."""
        return self.drafts[[node.index for node in self.nodes[self.clause_start :] if node.kind == "np"][-1]]

    def after_pause(self) -> bool:
        """Whether this clause has no thing of its own and goes on about the one before: "a cup, blue"."""
        clause = [node.kind for node in self.nodes[self.clause_start :]]
        return bool(self.drafts) and not self.drafts[-1].colours and set(clause) <= {"have", "it"}

    def is_fruit(self, place: int) -> bool:
        """ "an orange" is the fruit unless a thing follows, or it says how something is."""
        follows = self.next_kind(place, ("skip",))
        prior = self.before(place)
        if follows in ("thing", "colour", "unknown", "back word", "size", "text", "faint"):
            return False
        said = any(before.kind in ("a", "number", "the") for before in self.tokens[:place])
        if prior is not None and prior.kind == "comma" and said and not self.pending.determined and self.after_pause():
            return False  # "a fish, orange"
        if follows == "and" and self.next_kind(place + 1, ("skip", "and")) == "colour" and not self.pending.determined:
            return False
        return (
            self.pending.determined
            or self.pending.size != 1.0
            or prior is None
            or prior.kind in ("and", "comma", "prep")
        )

    def clause_has_thing(self) -> bool:
        return any(node.kind == "np" for node in self.nodes[self.clause_start :])

    def on_arranged(self, place: int, token: Token) -> None:
        if self.head_follows(place):
            self.pending.arranged = token.value
            if self.pending.number is None:
                self.pending.number = int(token.number) or lex.NUMBERS_ZH.get(token.text)
        elif self.drafts:
            self.drafts[-1].arranged = token.value
        if not token.number:
            self.nodes.append(Node("order", 0, token.value))

    def on_class(self, place: int, token: Token) -> None:
        """碗 counts rice, but 一个碗 is a bowl; 一只黑色 is one of those spoken of."""
        prior = self.before(place)
        if prior is not None and prior.kind == "number" and self.template is not None:
            follows = self.next_kind(place, ("skip", "class", "hue"))
            if follows in ("colour", "have", "at", "size") and self.is_one(place):
                self.refer()
                return
        leads = prior is None or prior.kind in _LEADS
        if (
            token.value
            and leads
            and self.next_kind(place, ("skip",)) not in ("thing", "faint", "back", "colour", "size", "unknown", "class")
        ):
            if prior is not None and prior.kind == "number" and self.next_kind(place, ("skip",)) == "de":
                return
            self.on_thing(place, Token("thing", token.value, token.text))

    # -- things

    def push(self, draft: Draft) -> int:
        self.drafts.append(draft)
        return len(self.drafts) - 1

    def on_faint(self, place: int, token: Token) -> None:
        """A keyword counts as a thing only where a thing must stand: after a determiner or number, before none."""
        plain = self.next_kind(place, ("skip",)) not in ("thing", "faint", "unknown", "back word")
        if plain and (self.pending.determined or self.pending.colours or token.plural) and not self.denied:
            self.on_thing(place, token)
        elif not plain:
            return
        elif self.chinese and len(token.text) > 1 and self.pending.number is not None:
            self.on_thing(place, token)
        else:
            self.unknown.append(token.text)

    def on_thing(self, place: int, token: Token) -> None:
        follows = self.tokens[place + 1] if place + 1 < len(self.tokens) else None
        if follows is not None and follows.kind == "thing" and not (len(token.text) == len(follows.text) == 1):
            return  # a compound: its head comes last; but 猫狗 are two
        if self.chinese and follows is not None and follows.kind == "de" and self.owns(place):
            return
        if self.denied:
            self.excluded.append(token.value)
            return
        index = self.resolve(token)
        last = self.drafts[index - 1] if index else None
        if (
            token.value == "own-sign"
            and last is not None
            and last.art == "text"
            and self.tokens[place - 1].kind == "de"
        ):
            self.drafts[index].text, last.count = last.text, 0
        self.nodes.append(Node("np", index))
        self.template, self.open = index, -1
        self.pending = _Pending()

    def owns(self, place: int) -> bool:
        """猫的帽子: a thing that only says whose another is. A worn thing (戴帽子的猫) is no owner."""
        prior = self.before(place, ("skip", "number", "class", "colour", "size"))
        after = self.tokens[place + 2] if place + 2 < len(self.tokens) else None
        worn = prior is not None and prior.kind in ("wear", "verb", "hold")
        return after is not None and after.kind == "thing" and not worn

    def resolve(self, token: Token) -> int:
        """The index of the thing meant: one spoken of before ("the cat", 猫) or a new one."""
        waiting = self.pending
        for draft in self.drafts:
            if not draft.art:
                draft.art, draft.word = token.value, token.text
        bare = waiting.number is None and waiting.size == 1.0
        anaphoric = not waiting.other and (bare if self.chinese else waiting.definite)
        if anaphoric:
            for index in range(len(self.drafts) - 1, -1, -1):
                draft = self.drafts[index]
                known = not waiting.colours or not draft.colours or waiting.colours == draft.colours
                if (
                    draft.art == token.value
                    and known
                    and (self.chinese is False or not waiting.colours or draft.colours)
                ):
                    return index
        size = waiting.size
        if size == 1.0 and token.number:
            size = token.number
        default = _PLURAL if token.plural else 1
        if waiting.pair and token.value in _PAIRED:
            waiting.number = 1
        if waiting.other:
            self.take_one(token.value)
        number = default if waiting.number is None or (waiting.number == 1 and token.plural) else waiting.number
        if len(waiting.colours) > 1 and number == 1:
            number = len(waiting.colours) if not waiting.determined or token.plural else 1
        if number < 1:
            self.excluded.append(token.value)
        return self.push(
            Draft(
                token.value,
                token.text,
                min(MOST, max(0, number)),
                list(dict.fromkeys(waiting.colours)),
                size,
                waiting.definite,
                arranged=waiting.arranged,
                asked=number,
                each=waiting.each,
            )
        )

    def take_one(self, art: str) -> None:
        """ "The other ball" is one of the two balls that were spoken of."""
        group = self.drafts[self.template] if self.template is not None else None
        if group is not None and group.art == art and group.asked > 1 and not group.colours:
            group.count = max(0, group.count - 1)

    def on_text(self, place: int, token: Token) -> None:
        if self.denied:
            return
        sign = self.drafts[-1] if self.drafts and self.clause_has_thing() else None
        if sign is not None and sign.art == "own-sign" and not sign.text:
            sign.text = token.value
            return
        waiting = self.pending
        draft = Draft("text", token.value, 1, list(waiting.colours), waiting.size, text=token.value)
        self.nodes.append(Node("np", self.push(draft)))
        self.pending = _Pending()

    # -- the ground they stand on

    def on_back(self, place: int, token: Token) -> None:
        if self.denied:
            self.excluded.append(token.value)
            return
        if token.text in ("mountains", "hills") and self.pending.number is not None:
            self.on_thing(place, Token("thing", "mountain", token.text[:-1], plural=True))
            return
        if self.next_kind(place, ("skip",)) in ("thing",) and not self.chinese:
            return  # "a beach ball" of unknown make, "a city bus": says what kind of thing
        if not self.backdrop or self.backdrop in ("sky", "grass", "room"):
            self.backdrop = token.value
        self.pending = _Pending()
        self.nodes.append(Node("ground", 0, token.value, token.text))

    def on_back_word(self, place: int, token: Token) -> None:
        if self.denied:
            self.denied = False
            return
        if self.pending.colours:
            self.backdrop_colour = self.pending.colours[0]
        self.pending = _Pending()
        self.nodes.append(Node("background"))

    def on_each(self, place: int, token: Token) -> None:
        self.pending.each = True

    def on_style(self, place: int, token: Token) -> None:
        if not self.denied and token.value not in self.styles:
            self.styles.append(token.value)

    # -- structure

    def on_unknown(self, place: int, token: Token) -> None:
        if len(token.text) > 1 or self.chinese:
            self.unknown.append(token.text)
        if self.pending.determined and not self.head_follows(place) and not self.denied:
            self.nodes.append(Node("gap"))
            self.pending = _Pending()

    def on_no(self, place: int, token: Token) -> None:
        self.denied = True

    def on_stop(self, place: int, token: Token) -> None:
        self.end_clause()
        self.nodes.append(Node("stop"))
        self.clause_start = len(self.nodes)

    def on_comma(self, place: int, token: Token) -> None:
        if self.pending.colours and self.next_kind(place) == "a" and not self.clause_has_thing():
            return  # "a red, a green and a blue balloon"
        if not self.pending.empty and self.goes_on(place):
            return  # "a big, red ball"
        if self.shares_noun(place):
            return
        self.end_clause()
        self.nodes.append(Node("comma"))
        self.clause_start = len(self.nodes)

    def end_clause(self) -> None:
        waiting = self.pending
        if not waiting.empty and self.drafts and self.clause_has_thing():
            last = self.drafts[-1]
            if waiting.number is not None and waiting.each:
                self.number_each(waiting.number)
            elif waiting.number is not None and not waiting.colours and last.asked == 1 and last.art != "text":
                last.count = last.asked = min(MOST, waiting.number)
            if waiting.colours and not last.colours:
                last.colours = list(waiting.colours)
        elif waiting.colours and self.nodes and self.nodes[-1].kind == "background":
            self.backdrop_colour = waiting.colours[0]
        elif waiting.colours and self.after_pause():
            self.drafts[-1].colours = list(waiting.colours)
        elif waiting.colours:
            self.loose_colour = waiting.colours[0]
        self.pending = _Pending()
        self.denied = False
        self.open = -1

    def number_each(self, number: int) -> None:
        """红气球和蓝气球各两个: so many of each thing of the clause, and of each of its colours."""
        for index in {node.index for node in self.nodes[self.clause_start :] if node.kind in ("np", "ellipsis")}:
            draft = self.drafts[index]
            draft.count = draft.asked = min(MOST, number * max(1, len(draft.colours)))

    def goes_on(self, place: int) -> bool:
        """Whether more adjectives and then the thing follow a pause."""
        return self.next_kind(place, ("skip",)) in ("colour", "size", "de") and self.next_kind(
            place, ("skip", "colour", "size", "de", "and")
        ) in ("thing", "faint")

    def shares_noun(self, place: int) -> bool:
        """ "Two red and three blue balloons": the first number and colour wait for the noun of the second."""
        if not self.pending.colours or self.pending.number is None or self.next_kind(place, ("skip",)) != "number":
            return False
        kinds = []
        for token in self.tokens[place + 1 :]:
            kinds.append(token.kind)
            if token.kind in ("thing", "faint") or token.kind not in ("skip", "number", "class", "colour", "and", "de"):
                break
        if kinds[-1] not in ("thing", "faint") or "colour" not in kinds:
            return False
        number, colours = self.pending.number, list(self.pending.colours)
        draft = Draft("", "", number, colours, self.pending.size, asked=number)
        self.nodes += [Node("ellipsis", self.push(draft)), Node("and")]
        self.pending = _Pending()
        return True

    def on_and(self, place: int, token: Token) -> None:
        if self.denied and self.next_kind(place) not in ("number", "a"):
            return
        self.denied = False
        if self.pending.colours and self.next_kind(place) == "colour":
            return  # "red and blue balloons"
        if self.pending.colours and self.next_kind(place) == "a":
            return
        if self.shares_noun(place) or (not self.pending.empty and token.text in "、&" and self.goes_on(place)):
            return
        self.keep_predicate()
        self.open = -1
        self.nodes.append(Node("and"))

    def keep_predicate(self) -> None:
        if self.pending.colours and self.drafts and not self.drafts[-1].colours and self.clause_has_thing():
            self.drafts[-1].colours = list(self.pending.colours)
        self.pending = _Pending()

    def on_with(self, place: int, token: Token) -> None:
        self.keep_predicate()
        self.nodes.append(Node("with"))

    def pass_on(self, place: int, token: Token) -> None:
        if token.kind in ("prep", "side", "at", "loc", "wear", "hold", "verb", "enclosed"):
            self.keep_predicate() if not self.chinese else None
            self.denied = False
        self.nodes.append(Node(token.kind, 0, token.value, token.text))

    on_prep = on_side = on_at = on_loc = on_wear = on_hold = on_verb = on_enclosed = on_it = on_which = on_frame = (
        pass_on
    )
    on_have = pass_on

    def on_de(self, place: int, token: Token) -> None:
        """的 matters after a thing or a place (狗的左边), not after a colour (红色的)."""
        if place and self.tokens[place - 1].kind in (
            "thing",
            "faint",
            "it",
            "back",
            "back word",
            "frame",
            "loc",
            "text",
        ):
            self.nodes.append(Node("de"))
        follows = self.next_kind(place, ("skip", "hue"))
        nominal = place > 0 and self.tokens[place - 1].kind in ("loc", "colour") and self.template is not None
        told = follows in ("have", "at") if self.pending.colours else follows in ("have", "colour")
        if nominal and told and self.is_one(place):
            self.refer()  # 左边的是红色, 红色的在左边


def understand(reading: Reading) -> Wish:
    """The frozen Wish of a prompt that was read. Never raises: what is not understood is listed in `unknown`."""
    gathered = _Gatherer(reading)
    gathered.run()
    for draft in gathered.drafts:
        if draft.like is not None and not draft.colours:
            draft.colours = list(gathered.drafts[draft.like].colours)
    relations = relate(gathered.drafts, gathered.nodes, reading.chinese)
    return _freeze(gathered, relations, reading.chinese)


def _freeze(gathered: _Gatherer, relations: Sequence[Relation], chinese: bool) -> Wish:
    excluded = set(gathered.excluded)
    kept = [
        index
        for index, draft in enumerate(gathered.drafts)
        if draft.art and draft.count > 0 and draft.art not in excluded
    ]
    places = {old: new for new, old in enumerate(kept)}
    things = tuple(
        Thing(
            d.art,
            d.word,
            d.count * (len(d.places) or 1 if d.each else 1),
            tuple(d.colours),
            d.size,
            tuple(d.places),
            d.text,
            d.definite,
            d.arranged,
        )
        for d in (gathered.drafts[index] for index in kept)
    )
    renumbered = [
        Relation(r.kind, places[r.subject], tuple(places[o] for o in r.objects if o in places))
        for r in relations
        if r.subject in places
    ]
    backdrop = "" if gathered.backdrop in excluded else gathered.backdrop
    unknown = tuple(dict.fromkeys(word for word in gathered.unknown if word))
    return Wish(
        things,
        tuple(r for r in dict.fromkeys(renumbered) if r.objects and r.subject not in r.objects),
        backdrop,
        gathered.backdrop_colour,
        tuple(gathered.styles),
        tuple(dict.fromkeys(gathered.excluded)),
        unknown,
        chinese,
        gathered.loose_colour,
    )

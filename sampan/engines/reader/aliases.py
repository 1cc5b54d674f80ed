"""What things are called on documents and how people ask for them: `aliases.txt`, `askings.txt`, `paraphrases.txt`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain, permutations


def named(words: str) -> frozenset[str]:
    """A set of words, written as one text."""
    return frozenset(words.split())


QUESTION_END = re.compile(r"[\s?。.!,;:呢呀啊吧嘛]+$")
PARTIES = named(
    "buyer seller party_a party_b payer payee sender recipient patient applicant guardian emergency_contact"
    " contact_person "
    "landlord tenant lender borrower employer employee customer supplier guarantor party_c doctor spouse agent insured "
    "witness manager carrier father mother student"
)


@dataclass(frozen=True, slots=True)
class Concept:
    """Something that documents name: what may be said instead, what its values look like, and its names.

    A `strict` one is never answered by its broader concept: a form's "name" is not the reviewer's.
    """

    name: str
    broader: str
    kind: str
    chinese: tuple[str, ...]
    english: tuple[str, ...]
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Asking:
    """A way of asking that names no key: what it is meant by, likeliest first, and the pattern it is told by."""

    keys: tuple[str, ...]
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Meant:
    """A key that a question may be meant by, with what the question says besides."""

    key: str
    rest: str


def concepts() -> Iterator[Concept]:
    """Every concept of `aliases.txt` and `trades.txt`, in their order."""
    for line in chain(_lines("aliases.txt"), _lines("trades.txt")):
        head, _, forms = line.partition("=")
        head, _, kind = head.partition(":")
        name, _, broader = (part.strip(" >") for part in head.partition(">"))
        chinese, _, english = forms.partition("|")
        yield Concept(name, broader, kind.strip(), _listed(chinese), _listed(english), ">>" in head)


def askings() -> tuple[Asking, ...]:
    """Every rule of `askings.txt` and `everyday.txt`, macros put in, in their order."""
    macros: dict[str, str] = {}
    rules: list[Asking] = []
    for line in chain(_lines("askings.txt"), _lines("everyday.txt")):
        if line.startswith("{") and " <- " not in line:
            name, _, meaning = line.partition(" = ")
            macros[name] = _put_in(meaning, macros)
            continue
        keys, _, patterns = line.partition(" <- ")
        listed = tuple(key.strip() for key in keys.split("|"))
        rules.extend(
            Asking(listed, re.compile(_put_in(_together(each.strip()), macros))) for each in patterns.split(" ;; ")
        )
    return tuple(rules)


def meanings(folded: str, rules: tuple[Asking, ...], most: int = 5) -> list[Meant]:
    """The keys that a folded question may be meant by: those of the longest match, then those of matches nearly as
    long."""
    plain = QUESTION_END.sub("", folded).strip()
    found = [(match.end() - match.start(), rule, match) for rule in rules if (match := rule.pattern.search(plain))]
    if not found:
        return []
    found.sort(key=lambda item: -item[0])
    longest = found[0][0]
    made: dict[str, Meant] = {}
    for size, rule, match in found:
        if size < max(2, 0.7 * longest):
            break
        rest = f"{plain[: match.start()]} {plain[match.end() :]}".strip()
        named_part = next((text for text in match.groupdict().values() if text), "")
        for key in rule.keys:
            meant = key.replace("{x}", named_part)
            made.setdefault(meant, Meant(meant, rest))
    return list(made.values())[:most]


def rewrites() -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    """Every rule of `paraphrases.txt`, in its order: a pattern and what may take the place of its match."""
    rules = []
    for line in _lines("paraphrases.txt"):
        pattern, _, choices = line.partition("\t")
        rules.append((re.compile(pattern), tuple(f" {choice.strip()} " for choice in choices.split("|"))))
    return tuple(rules)


def rewritten(folded: str, rules: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]) -> list[str]:
    """A folded question with everyday turns of phrase replaced by the names of keys, one text for each choice.

    Empty where nothing was replaced.
    """
    texts = [folded]
    for pattern, choices in rules:
        if pattern.search(texts[0]):
            texts = [pattern.sub(choice, text) for text in texts for choice in choices][:4]
    return [re.sub(r"\s+", " ", text).strip() for text in texts] if texts != [folded] else []


def _together(pattern: str) -> str:
    """ "when & need" as a regular expression: both words, whichever comes first, not far from each other."""
    parts = [part.strip() for part in pattern.split(" & ")]
    if len(parts) == 1:
        return pattern
    gap = (
        r"[^,?;]{0,44}?"
        if all(part.isascii() for part in parts) and not any("{" in p for p in parts)
        else r"[^,?;]{0,14}?"
    )
    worded = [rf"\b(?:{part})\w{{0,3}}\b" if re.fullmatch(r"[a-z |'-]+", part) else f"(?:{part})" for part in parts]
    return "|".join(gap.join(order) for order in permutations(worded))


def _put_in(text: str, macros: dict[str, str]) -> str:
    for name, meaning in macros.items():
        text = text.replace(name, meaning)
    return text


def _lines(name: str) -> Iterator[str]:
    for line in files(__package__).joinpath(name).read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def _listed(forms: str) -> tuple[str, ...]:
    return tuple(form.strip() for form in forms.split(",") if form.strip())

"""What things are called on documents, in Chinese and English: read from `aliases.txt` and `paraphrases.txt`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files


def named(words: str) -> frozenset[str]:
    """A set of words, written as one text."""
    return frozenset(words.split())


PARTIES = named(
    "buyer seller party_a party_b payer payee sender recipient patient applicant guardian emergency_contact"
    " contact_person "
    "landlord tenant lender borrower employer employee customer supplier guarantor party_c doctor spouse agent insured "
    "witness manager carrier father mother student"
)


@dataclass(frozen=True, slots=True)
class Concept:
    """Something that documents name: what may be said instead, what its values look like, and its names."""

    name: str
    broader: str
    kind: str
    chinese: tuple[str, ...]
    english: tuple[str, ...]


def concepts() -> Iterator[Concept]:
    """Every concept of `aliases.txt`, in its order."""
    for line in _lines("aliases.txt"):
        head, _, forms = line.partition("=")
        head, _, kind = head.partition(":")
        name, _, broader = (part.strip() for part in head.partition(">"))
        chinese, _, english = forms.partition("|")
        yield Concept(name, broader, kind.strip(), _listed(chinese), _listed(english))


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


def _lines(name: str) -> Iterator[str]:
    for line in files(__package__).joinpath(name).read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def _listed(forms: str) -> tuple[str, ...]:
    return tuple(form.strip() for form in forms.split(",") if form.strip())

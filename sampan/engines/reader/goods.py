"""Words with the same meaning, in two languages: a latte is found on a receipt that says 拿铁, a rise as 递增.

A line is one meaning. What stands before a ">" may be said by what stands after it, not the other way round; a line
that begins with "!" names a thing, which a page that holds none of its names says nothing about.
"""

from __future__ import annotations

import re
from importlib.resources import files

from sampan.engines.reader.folding import fold

LONGEST_WORDS = 3


class Goods:
    """A list such as `goods.txt` (what tables hold) or `turns.txt` (what running text says), indexed by each name.

    Holds nothing of any document; safe to share.
    """

    def __init__(self, name: str = "goods.txt") -> None:
        self._others: dict[str, list[str]] = {}
        self.things: set[str] = set()
        text = files(__package__).joinpath(name).read_text("utf-8")
        for line in text.splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            said, _, meant = line.lstrip("!").partition(">")
            forms = [fold(form) for half in said.split("|") for form in half.split(",") if form.strip()]
            more = [fold(form) for form in meant.split(",") if form.strip()]
            for form in forms:
                self._others.setdefault(form, []).extend(other for other in (*forms, *more) if other != form)
            if line.startswith("!"):
                self.things.update(forms)

    def named(self, folded: str) -> list[tuple[str, tuple[str, ...]]]:
        """Every listed name in a folded text, longest first and none inside another, with its other names."""
        found: list[tuple[str, tuple[str, ...]]] = []
        rest = folded
        for form in sorted(self._candidates(folded), key=len, reverse=True):
            if form in rest:
                found.append((form, tuple(self._others[form])))
                rest = rest.replace(form, " \0 ")
        return found

    def others(self, form: str) -> tuple[str, ...]:
        """The other names of a listed name; none where it is not listed."""
        return tuple(self._others.get(form, ()))

    def _candidates(self, folded: str) -> set[str]:
        made: set[str] = set()
        for run in re.findall(r"[\u2e80-\u9fff\da-z]*[\u2e80-\u9fff][\u2e80-\u9fff\da-z]*", folded):
            made.update(run[a:b] for a in range(len(run)) for b in range(a + 1, min(a + 10, len(run)) + 1))
        words = re.findall(r"[a-z][a-z'0-9-]*", folded)
        for size in range(1, LONGEST_WORDS + 1):
            for start in range(len(words) - size + 1):
                made.update(_singular(" ".join(words[start : start + size])))
        return {form for form in made if form in self._others}


def _singular(words: str) -> tuple[str, ...]:
    if words.endswith("es"):
        return words, words[:-1], words[:-2]
    return (words, words[:-1]) if words.endswith("s") and len(words) > 3 else (words,)

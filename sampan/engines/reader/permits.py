"""Yes-or-no questions about what is allowed or owed: the sentence that settles it, and which way."""

from __future__ import annotations

import re

MODAL = re.compile(
    r"能不能|可不可以|可否|能否|是否(?:可以|允许|需要|必须|能|有权|应)|要不要|用不用|需不需要|能"
    r"|可以|允许|准许|有权|必须|需要|要|应该|"
    r"\b(?:can|may|could|must|should|shall|allowed|permitted|entitled|required|have to"
    r"|need to|needs to|obliged|possible|free to|prohibited|forbidden)\b|^\W*(?:is|are|do"
    r"|does|will|did)\b"
)
POLAR = re.compile(
    r"^\W*(?:can|may|must|could|should|shall|is it (?:allowed|possible|permitted)|are "
    r".{2,30}(?:allowed|permitted))\b"
)
FORBIDDEN = re.compile(
    r"不得|禁止|不允许|不准|不能|不可(?!抗)|无权|严禁|不予|不再|\b(?:shall|may|must|can|will|is|are) ?not\b"
    r"|\bcannot\b|\bno\b.{1,40}\b(?:allowed|permitted)\b|\bprohibited\b|\bforbidden\b"
    r"|\bnot (?:be )?(?:allowed|permitted|entitled)\b"
)
CONDITIONAL = re.compile(r"未经|除非|事先|书面同意|\bwithout\b|\bunless\b|\bprior written\b|\bexcept\b")
ALLOWED = re.compile(
    r"可以|允许|有权|可(?=[在于将按自向由以])|准许|\b(?:may|can|allowed"
    r"|permitted|entitled|free to)\b"
)
OWED = re.compile(r"应当|应|必须|须|需|负责|承担|\b(?:shall|must|required|responsible|agrees? to|will|obliged)\b")
FREE = re.compile(
    r"无需|不需|不必|免于|免收|免费|\bnot (?:be )?required\b|\bno need\b|\bneed not\b|\bwaived\b|\bfree of charge\b"
)
OWING = re.compile(
    r"必须|需要|要不要|要|应该|用不用|\b(?:must|should|shall|required|have to|need to|needs to|obliged)\b"
)

SAID = {
    "no": ("不可以", "No"),
    "no, unless": ("不可以，除非满足文中条件", "No, unless the stated condition is met"),
    "yes": ("可以", "Yes"),
    "owed": ("需要", "Yes"),
    "free": ("不需要", "No"),
}


def is_modal(folded: str) -> bool:
    """Whether a folded question asks whether something is allowed or owed."""
    return MODAL.search(folded) is not None


def is_polar(folded: str) -> bool:
    """Whether a folded English question opens like one that is answered with yes or no."""
    return POLAR.match(folded) is not None


def ruling(folded: str, sentence: str) -> str:
    """What a sentence says to a question of that sort, one of the keys of `SAID`; empty where it does not tell."""
    text = sentence.lower()
    if OWING.search(folded) and not re.search(r"能不能|可不可以|可以|\bcan\b|\bmay\b", folded):
        if FREE.search(text):
            return "free"
        if OWED.search(text) and not FORBIDDEN.search(text):
            return "owed"
        return ""
    if FORBIDDEN.search(text):
        return "no, unless" if CONDITIONAL.search(text) else "no"
    if ALLOWED.search(text):
        return "yes"
    return ""


def worded(verdict: str, *, chinese: bool) -> str:
    """The verdict in the language of the question."""
    return SAID[verdict][0 if chinese else 1]

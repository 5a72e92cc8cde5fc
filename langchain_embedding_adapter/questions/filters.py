"""Only real questions become training data.

What ``parsing`` reads out of a model's answer is examined here before it becomes a pair: what asks nothing, copies the
passage, was asked before or speaks of "the passage" is turned down, with a reason. Pure functions for any language;
where a script writes no spaces, characters are counted. What a rule is unsure of passes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from langchain_embedding_adapter.questions.phrases import (
    ABOUT_ASKING,
    CHATTER,
    DOUBTFUL_OPENERS,
    MARKED,
    MENTION,
    OPENERS,
    REQUESTS,
    STOPPED,
)
from langchain_embedding_adapter.questions.styles import Form

Reason = Literal[
    "not a question",
    "too short",
    "too long",
    "copied from the passage",
    "repeated",
    "mentions the passage",
    "not found",
    "unanswerable",
]
"""Why a question is turned down. The last two need more than its text and are given elsewhere."""


@dataclass(frozen=True)
class QuestionRules:
    """What a question about a passage must be like.

    Args:
        min_words: The fewest words; two Chinese, Japanese or Korean characters count as a word, as do four Thai ones.
        max_words: The most words.
        most_copied: The largest share of the question's words that may stand in the passage as one run.
        repeated_above: How alike two questions about a passage may be, from 0 to 1, before the later is a repetition.
    """

    min_words: int = 3
    max_words: int = 60
    most_copied: float = 0.8
    repeated_above: float = 0.8


def rejection(
    question: str,
    passage: str,
    earlier: Sequence[str] = (),
    rules: QuestionRules = QuestionRules(),
    *,
    form: Form = "question",
) -> Reason | None:
    """Say why a question about a passage may not become training data.

    Args:
        question: The question, without numbers or emphasis around it.
        passage: What it was written about.
        earlier: The questions about the same passage that were accepted before.
        rules: The limits.
        form: What was asked for. A ``"statement"`` ("my copied list changes with the original") and ``"keywords"``
            ("copy list python") need not ask; of keywords one word is enough, and only a long sentence counts as
            copied. What a model says to its user is neither.

    Returns:
        The first reason that applies, or ``None`` for a usable question.

    >>> rejection("How long is a year on Mars?", "A Mars year lasts 687 days.")
    >>> rejection("What does the passage say about Mars?", "A Mars year lasts 687 days.")
    'mentions the passage'
    """
    text = _fold(question)
    words = _words(text)
    length = _length(words)
    if not words:
        return "too short"
    if CHATTER.search(text) or ABOUT_ASKING.search(text) or (form == "question" and not _asks(text)):
        return "not a question"
    if length < (1 if form == "keywords" else rules.min_words):
        return "too short"
    if length > rules.max_words:
        return "too long"
    if length >= _FEWEST_COPIED[form == "keywords"] and _copied(words, _words(_fold(passage))) > rules.most_copied:
        return "copied from the passage"
    if any(_likeness(words, _words(_fold(other))) > rules.repeated_above for other in earlier):
        return "repeated"
    if MENTION.search(text):
        return "mentions the passage"
    return None


# A shorter question may share all its words with the passage by chance. By whether these are keywords.
_FEWEST_COPIED = {False: 6, True: 8}

_HALF = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af"  # kana, Han, Hangul: half a word each
_QUARTER = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer: a quarter
_SIGNS = r"\u0900-\u0963\u0966-\u0dff"  # vowel signs of India's scripts, which `\w` leaves out
_WORD = re.compile(rf"[{_HALF}{_QUARTER}]|(?:(?![{_HALF}{_QUARTER}])[\w{_SIGNS}])+")
_ACCENTS = re.compile(r"[\u0300-\u036f\u064b-\u065f]")


def _fold(text: str) -> str:
    """A text without case, accents and typographic variants: `？` is `?`, `É` is `e`."""
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return " ".join(unicodedata.normalize("NFC", plain).replace("’", "'").split())


def _words(folded: str) -> list[str]:
    return _WORD.findall(folded)


def _length(words: Sequence[str]) -> int:
    """How many words these are, rounded up."""
    quarters = sum(2 if re.match(f"[{_HALF}]", word) else 1 if re.match(f"[{_QUARTER}]", word) else 4 for word in words)
    return -(-quarters // 4)


def _copied(words: list[str], passage: list[str]) -> float:
    """The share of the words that is one run of the passage's."""
    return SequenceMatcher(None, words, passage, autojunk=False).find_longest_match().size / len(words)


def _likeness(one: list[str], other: list[str]) -> float:
    """How alike two questions are, from 0 to 1: the words they share, less where the order differs."""
    if not one or not other:
        return 0.0
    shared = len(set(one) & set(other)) / len(set(one) | set(other))
    order = SequenceMatcher(None, one, other, autojunk=False).ratio()
    return shared * (1 + order) / 2


def _asks(text: str) -> bool:
    """Whether a folded text has the form of a question, or of what people ask a search for."""
    if MARKED.search(text) or REQUESTS.search(text):
        return True
    if text.rstrip("\"'*_ ").endswith(("!", ":")):
        return False
    return bool(OPENERS.search(text) or (DOUBTFUL_OPENERS.search(text) and not STOPPED.search(text)))

"""Passages to pairs without labels and without an LLM: pseudo-questions, cut from the passages themselves.

A sentence, its keywords, a passage's most specific words: texts whose passage is known because they were taken out of
it. They stand where ``generation`` stands when no model may read the documents. Everything follows from the passages
and a seed; nothing is called.
"""

from __future__ import annotations

import logging
import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice
from typing import Literal, get_args

from langchain_core.documents import Document

from langchain_embedding_adapter.chunks import document_of, text_id, with_ids
from langchain_embedding_adapter.pairs.dataset import QADataset

logger = logging.getLogger(__name__)

Style = Literal["sentence", "keywords", "few keywords", "terms", "question"]
"""How a pseudo-question is cut from its passage."""

STYLES: tuple[Style, ...] = get_args(Style)
"""All styles, in the order in which a passage's questions come."""

OPENERS = ("what is", "how to", "how does", "why", "which", "when")
"""How the style ``"question"`` begins, in English."""

SHORTEST, LONGEST = 5, 60
"""Words in a sentence that is cut from."""

# Vowel signs and accents that are characters of their own belong to the word, though `\w` leaves them out.
_MARKS = "\u0300-\u036f\u064b-\u065f\u0900-\u0963\u0966-\u109f"
_WORD = re.compile(rf"[^\W\d_][\w'{_MARKS}-]*")
_SENTENCE_END = re.compile(r"(?<=[.!?؟।])\s+|(?<=[。！？])\s*|\n\s*\n")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")  # kana and Han

_FEWEST_WORDS: dict[Style, int] = {"sentence": 1, "keywords": 2, "few keywords": 3, "terms": 2, "question": 3}


def generate_pseudo_questions(
    documents: Iterable[Document],
    *,
    styles: Sequence[Style] = STYLES,
    per_style: int = 1,
    most_passages: int | None = 2000,
    openers: Sequence[str] = OPENERS,
    seed: int = 0,
) -> QADataset:
    """Cut pseudo-questions from each document.

    They are for training alone. **Scored on pseudo-questions any adapter looks splendid, so a gain on them is no
    gain**: they share the passages' words, as questions that people ask do not. Only real questions, even twenty, say
    what was gained.

    Cutting queries out of passages is the inverse cloze task (Lee et al. 2019, "Latent Retrieval for Weakly Supervised
    Open Domain Question Answering", ACL); here the passages keep what was cut, and most styles take keywords only.

    Args:
        documents: The chunks of a collection, as LangChain ``Document`` objects. ``metadata["source"]`` (or
            ``"document_id"``) says which document a chunk was cut from.
        styles: How to cut. ``"sentence"`` takes one of the passage's sentences, on one line; ``"keywords"`` its content
            words in order, each once; ``"few keywords"`` 3 to 6 of them; ``"terms"`` 3 to 6 of the passage's ten most
            specific words in random order; ``"question"`` puts an opener before a few keywords. Content words have
            three letters and are in at most a fifth of the passages. For Chinese, Japanese and others that write no
            spaces between words, ``["sentence"]`` is the list to take.
        per_style: How many questions of each style to cut from a passage; what comes out twice is kept once.
        most_passages: How many passages get questions at most, chosen at random; ``None`` for all.
        openers: What the style ``"question"`` begins with. The default is English: for other languages pass your own,
            or leave the style out.
        seed: What is chosen, where there is a choice.

    Returns:
        The questions, their styles in ``pseudo_styles``, and every document as a passage, those without one too.

    Raises:
        ValueError: If there is no document, a style is unknown, a number is below 1, no opener is left to choose, or
            nothing could be cut.

    Example:
        >>> documents = [Document("A Mars year lasts 687 days."), Document("Venus turns backwards.")]
        >>> dataset = generate_pseudo_questions(documents, styles=["sentence", "keywords"])
        >>> for query, text in dataset.queries.items():
        ...     print(dataset.pseudo_styles[query], "|", text)
        sentence | A Mars year lasts 687 days.
        keywords | mars year lasts days
    """
    _check(styles, per_style, most_passages, openers)
    chunks = with_ids(documents)
    if not chunks:
        raise ValueError("there is no document to cut pseudo-questions from: expected at least one with text")
    words = _WordCounts([chunk.page_content for chunk in chunks])
    chosen = _choose(chunks, most_passages, seed)
    queries: dict[str, str] = {}
    relevant: dict[str, list[str]] = {}
    pseudo_styles: dict[str, str] = {}
    for chunk in chosen:
        passage = str(chunk.id)
        for text, style in _cut(chunk, words, styles, per_style, openers, seed).items():
            query = text_id(f"{passage}\n{style}\n{text}")
            queries[query], relevant[query], pseudo_styles[query] = text, [passage], style
    if not queries:
        raise ValueError(
            f"nothing could be cut from {len(chosen)} passage{'s' * (len(chosen) != 1)}: "
            f"passages of at least one sentence of {SHORTEST} words are needed; cut the documents into longer ones"
        )
    without = len(chosen) - len({passage for (passage,) in relevant.values()})
    if without:
        logger.info("%d of %d passages are too short and gave no pseudo-question", without, len(chosen))
    return QADataset(
        queries=queries,
        corpus={str(chunk.id): chunk.page_content for chunk in chunks},
        relevant_docs=relevant,
        documents={str(chunk.id): document for chunk in chunks if (document := document_of(chunk)) is not None},
        pseudo_styles=pseudo_styles,
        origin={"how": "cut from the passages; nobody asked them"},
    )


def _check(styles: Sequence[Style], per_style: int, most_passages: int | None, openers: Sequence[str]) -> None:
    """Raise a ``ValueError`` that says which option is wrong, if any is."""
    known = ", ".join(map(repr, STYLES))
    unknown = [style for style in styles if style not in STYLES]
    if unknown or not styles:
        raise ValueError(f"expected styles among {known}; got {', '.join(map(repr, unknown)) or 'none'}")
    if per_style < 1:
        raise ValueError(f"per_style must be at least 1, got {per_style}")
    if most_passages is not None and most_passages < 1:
        raise ValueError(f"most_passages must be at least 1, or None for all; got {most_passages}")
    if "question" in styles and not openers:
        raise ValueError("the style 'question' needs openers; pass some, or leave the style out")


def _choose(chunks: list[Document], most: int | None, seed: int) -> list[Document]:
    """At most so many of the chunks, at random, in their order."""
    if most is None or len(chunks) <= most:
        return chunks
    places = random.Random(seed).sample(range(len(chunks)), most)  # noqa: S311 a choice, no secret
    return [chunks[place] for place in sorted(places)]


class _WordCounts:
    """How many passages each word is in, and what that says of the words of a text."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._passages = Counter(word for text in texts for word in set(_words(text)))
        self._count = len(texts)
        self._common = max(0.2 * len(texts), 4)  # in a handful of passages no word is common

    def content(self, text: str) -> list[str]:
        """The words that say what a text is about, in order, each once."""
        return [word for word in dict.fromkeys(_words(text)) if len(word) >= 3 and self._passages[word] <= self._common]

    def most_specific(self, text: str) -> list[str]:
        """The ten words that tell a text from others; those in a single passage are noise and come last."""
        counts = Counter(_words(text))

        def weight(word: str) -> float:
            if self._passages[word] == 1:
                return 0.0
            return math.sqrt(counts[word]) * math.log((self._count + 1) / (self._passages[word] + 1))

        return sorted(counts, key=weight, reverse=True)[:10]


def _cut(
    chunk: Document,
    words: _WordCounts,
    styles: Sequence[Style],
    per_style: int,
    openers: Sequence[str],
    seed: int,
) -> dict[str, Style]:
    """The pseudo-questions of a passage, each text once, with their style."""
    sentences = _sentences(chunk.page_content)
    keywords = [words.content(sentence) for sentence in sentences]
    sources: dict[Style, list[list[str]]] = {
        "sentence": [sentence.split() for sentence in sentences],
        "keywords": keywords,
        "few keywords": keywords,
        "terms": [words.most_specific(chunk.page_content)],
        "question": keywords,
    }
    cut: dict[str, Style] = {}
    for style in styles:
        # A passage's questions depend on no other choice: neither on the other styles nor on the other passages.
        rng = random.Random(text_id(f"{seed}\n{style}\n{chunk.id}"))  # noqa: S311 a choice, no secret
        for text in _draw(style, sources[style], per_style, openers, rng):
            cut.setdefault(text, style)
    return cut


def _draw(
    style: Style, sources: list[list[str]], count: int, openers: Sequence[str], rng: random.Random
) -> Iterator[str]:
    """So many texts of a style, from one list of words after the other, in random order."""
    usable = [source for source in sources if len(source) >= _FEWEST_WORDS[style]]
    for source in islice(cycle(rng.sample(usable, len(usable))), count):
        if style in ("sentence", "keywords"):
            yield " ".join(source)
            continue
        places = rng.sample(range(len(source)), min(len(source), rng.randint(3, 6)))
        taken = " ".join(source[place] for place in (places if style == "terms" else sorted(places)))
        yield f"{rng.choice(openers)} {taken}?" if style == "question" else taken


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _sentences(text: str) -> list[str]:
    """The sentences of a text that are neither too short nor too long."""
    return [sentence for sentence in _SENTENCE_END.split(text) if SHORTEST <= _length(sentence) <= LONGEST]


def _length(sentence: str) -> int:
    """How many words a sentence has; two characters are a word where no spaces are written."""
    return len(_WORD.findall(sentence)) + len(_UNSPACED.findall(sentence)) // 2

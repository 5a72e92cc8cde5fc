"""What the question explorer reads: every question with what it found, every passage's text once, all of it small.

Questions and passages are told by number, texts are shortened until all fit. The names of the fields are in
``page.js``, which reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.details import NOTHING, Found, Lists
from langchain_embedding_adapter.report.page.texts import clean, cut

MOST_QUESTIONS = 2_000
"""Of more, those that changed most are shown."""
TEXT_BYTES = 1_100_000
"""For all passages together."""
LONGEST, SHORTEST = 500, 100
"""Characters of a passage."""


def explorer_data(
    dataset: QADataset,
    lists: Lists,
    query_ids: Sequence[str],
    changes: NDArray[np.float64] | None,
    *,
    kinds: Mapping[str, str],
) -> dict[str, Any]:
    """The explorer's content, as JSON can hold it.

    Args:
        dataset: The texts.
        lists: What the questions found.
        query_ids: Which of them to show.
        changes: For each how much better it is answered; ``None`` where there is no adapter.
        kinds: For each, by id, whether training saw its passage, in words; may be empty.

    Returns:
        ``passages`` (text and number of the document), ``documents``, ``styles``, ``kinds`` and ``questions``: text,
        change × 1000, right passages, their ranks with base and adapter, hits (passage, score × 1000, in turn) with
        base and adapter, and the numbers of style, document and kind, -1 for none.
    """
    rows = {query: row for row, query in reversed(list(enumerate(lists.query_ids)))}
    order = np.array([place for place, query in enumerate(query_ids) if query in rows], dtype=np.intp)
    if len(order) > MOST_QUESTIONS:
        size = np.zeros(len(order)) if changes is None else -np.abs(changes[order])
        order = np.sort(order[np.argsort(size, kind="stable")[:MOST_QUESTIONS]])
    shown = [rows[query_ids[place]] for place in order]
    sides = [lists.base] if lists.adapted is None else [lists.base, lists.adapted]
    passages = _Numbers()
    documents, styles, of_kind = _Numbers(), _Numbers(), _Numbers()
    style_of = {**dataset.styles, **dataset.pseudo_styles}
    questions = []
    for place, row in zip(order.tolist(), shown, strict=True):
        query = query_ids[place]
        right = lists.right[row]
        document = dataset.document(lists.passage_ids[right[0]]) if right and dataset.documents else None
        hits = [_hits(side, row, passages) for side in sides]
        ranks = [list(side.ranks[row]) for side in sides]
        questions.append(
            [
                clean(dataset.queries[query]),
                None if changes is None else round(1000 * float(changes[place])),
                [passages.of(passage) for passage in right],
                ranks[0],
                ranks[-1] if lists.adapted is not None else None,
                hits[0],
                hits[-1] if lists.adapted is not None else None,
                styles.of(style_of.get(query)),
                documents.of(document),
                of_kind.of(kinds.get(query)),
            ]
        )
    ids = [lists.passage_ids[passage] for passage in passages.values]
    texts = [clean(dataset.corpus.get(passage, passage), LONGEST) for passage in ids]
    width = _width(texts)
    table = [
        [cut(text, width), documents.of(dataset.document(passage) if dataset.documents else None)]
        for passage, text in zip(ids, texts, strict=True)
    ]
    return {
        "total": len(query_ids),
        "passages": table,
        "documents": [clean(name, 120) for name in documents.values],
        "styles": [clean(name, 60) for name in styles.values],
        "kinds": [clean(name, 60) for name in of_kind.values],
        "questions": questions,
    }


class _Numbers:
    """Numbers for values, in the order in which they come."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._known: dict[Any, int] = {}

    def of(self, value: Any) -> int:
        if value is None:
            return -1
        if value not in self._known:
            self._known[value] = len(self.values)
            self.values.append(value)
        return self._known[value]


def _hits(side: Found, row: int, passages: _Numbers) -> list[int]:
    """Passage and score of each hit by rank; −1 for one that is not known, before others that are."""
    found: list[int] = []
    hits = list(zip(side.passages[row].tolist(), side.scores[row].tolist(), strict=True))
    while hits and hits[-1][0] == NOTHING:
        hits.pop()
    for passage, score in hits:
        found += [-1, 0] if passage == NOTHING else [passages.of(passage), round(1000 * score)]
    return found


def _width(texts: Sequence[str]) -> int:
    """How many characters of each text to show, so that all of them fit."""
    signs = np.array([len(text) for text in texts])
    sizes = np.array([len(text.encode()) for text in texts]) / np.maximum(signs, 1)
    width = LONGEST
    while width > SHORTEST and (sizes * np.minimum(signs, width)).sum() > TEXT_BYTES:
        width -= 20
    return width

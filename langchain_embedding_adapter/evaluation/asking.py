"""What one question finds, with the base and with the adapter: the passages, where each moved, and which are right."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
from langchain_embedding_adapter.metrics import top_k
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.stores import Metric, StoredVectors, read_store
from langchain_embedding_adapter.tables import aligned, start_of
from langchain_embedding_adapter.vector_cache import VectorCache
from langchain_embedding_adapter.vectors import Floats, embed_dataset, unit

NARROW = 72
"""In fewer columns the two lists stand one below the other."""


@dataclass(frozen=True)
class Hit:
    """A passage that was found.

    Attributes:
        rank: Its place, from 1.
        passage: Its id.
        score: How near it is, as the index compares: cosine, inner product or Euclidean distance.
        text: Its text.
        answers: Whether it is known to answer the question; ``None`` where that is not known of any.
    """

    rank: int
    passage: str
    score: float
    text: str
    answers: bool | None = None


@dataclass(frozen=True)
class Found:
    """A question and what it finds, as the base sees it and as the adapter does."""

    question: str
    base: tuple[Hit, ...]
    adapted: tuple[Hit, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    def shown(self, width: int, *, ids: bool = False) -> str:
        """The two lists for so many columns: side by side, or below each other where these are few.

        Args:
            width: Columns.
            ids: Whether to show the ids of the passages before their texts.

        Beside each passage of the base stands where the adapter has it, and the other way round; ✔ marks one that is
        known to answer.
        """
        if not self.base:  # another model built the index, and its own queries are not known
            cell = width - len("| rank |  |")
            only = [[str(hit.rank), _cell("", hit, cell, ids)] for hit in self.adapted]
            return aligned(["rank", "adapted"], only)
        base, adapted = moves(self.base, self.adapted, gone="gone"), moves(self.adapted, self.base, gone="new")
        if width < NARROW:
            parts = []
            for name, marks, hits in (("base", base, self.base), ("adapted", adapted, self.adapted)):
                parts.append(name)
                parts += [
                    f"{hit.rank:>2} {_cell(mark, hit, width - 3, ids)}" for mark, hit in zip(marks, hits, strict=True)
                ]
            return "\n".join(parts)
        cell = (width - len("| rank |  |  |")) // 2
        table = [
            [str(old.rank), _cell(left, old, cell, ids), _cell(right, new, cell, ids)]
            for left, old, right, new in zip(base, self.base, adapted, self.adapted, strict=True)
        ]
        return aligned(["rank", "base", "adapted"], table)


class SideBySide:
    """Passages whose vectors are at hand, asked with the base and with the adapter.

    Args:
        embeddings: The adapter on its base.
        passages: What is searched.
        known: For questions by their text, the ids of the passages that answer them.
    """

    def __init__(
        self,
        embeddings: AdaptedEmbeddings,
        passages: StoredVectors,
        known: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._embeddings = embeddings
        self._passages = passages
        self._known = known or {}
        self._metric: Metric = passages.metric
        self._vectors = unit(passages.vectors) if self._metric == "cosine" else np.asarray(passages.vectors)

    def ask(self, question: str, k: int) -> Found:
        """The ``k`` best passages for a question, both ways.

        Raises:
            ValueError: If the vectors of the question and of the passages differ in length.
        """
        query = np.asarray([self._embeddings.embeddings.embed_query(question)], dtype=np.float32)
        adapted = self._embeddings.adapt(query)
        if adapted.shape[1] != self._vectors.shape[1]:
            raise ValueError(
                f"the adapter gives vectors of {adapted.shape[1]} dimensions and the passages have "
                f"{self._vectors.shape[1]}: they were embedded with another model"
            )
        base = self._hits(question, query, k) if query.shape == adapted.shape else ()
        return Found(question, base, self._hits(question, adapted, k))

    def _hits(self, question: str, query: Floats, k: int) -> tuple[Hit, ...]:
        """``query`` is ``(1, dimensions)``."""
        if self._metric == "l2":
            scores = np.linalg.norm(self._vectors - query, axis=1)[None]
        else:
            scores = (unit(query) if self._metric == "cosine" else query) @ self._vectors.T
        rows = top_k(-scores if self._metric == "l2" else scores, k)[0]
        right = self._known.get(question)
        ids, texts = self._passages.ids, self._passages.texts
        return tuple(
            Hit(rank, ids[row], float(scores[0, row]), texts[row], None if right is None else ids[row] in right)
            for rank, row in enumerate(rows.tolist(), start=1)
        )


def passages_of(corpus: Mapping[str, str], base: Embeddings, cache: VectorCache | None = None) -> StoredVectors:
    """Passages by id, embedded by the base."""
    vectors = embed_dataset(base, QADataset({}, dict(corpus), {}), cache=cache).passages
    return StoredVectors(
        ids=tuple(corpus),
        texts=tuple(corpus.values()),
        metadatas=({},) * len(corpus),
        vectors=vectors,
        metric="cosine",
        normalised=False,
        total=len(corpus),
    )


def faiss_folder(folder: str | Path, base: Embeddings) -> StoredVectors:
    """What a FAISS folder holds, as LangChain's ``FAISS.save_local`` wrote it.

    Its ``.pkl`` file is unpickled, which runs whatever it holds: the folder has to be one's own.

    Raises:
        FileNotFoundError: If there is no index.
        ImportError: If FAISS is not installed (the extra ``faiss``).
    """
    folder = Path(folder)
    if not (folder / "index.faiss").is_file():
        raise FileNotFoundError(f"{folder} holds no FAISS index: expected the files index.faiss and index.pkl")
    require_extra("faiss", "faiss")
    from langchain_community.vectorstores import FAISS

    return read_store(FAISS.load_local(str(folder), base, allow_dangerous_deserialization=True))


def answers_by_text(dataset: QADataset) -> dict[str, set[str]]:
    """For every question by its text, the ids of the passages that answer it."""
    known: dict[str, set[str]] = {}
    for query, text in dataset.queries.items():
        known.setdefault(text, set()).update(dataset.relevant_docs[query])
    return known


def moves(hits: Collection[Hit], others: Collection[Hit], *, gone: str) -> list[str]:
    """For each hit its way from this list to the other one, or back: ``↑2``, ``↓1``, ``=``; ``gone`` if it has none.

    >>> moves([Hit(1, "a", 0.9, ""), Hit(2, "b", 0.8, "")], [Hit(1, "b", 0.9, "")], gone="gone")
    ['gone', '↑1']
    """
    places = {hit.passage: hit.rank for hit in others}
    marks = []
    for hit in hits:
        place = places.get(hit.passage)
        if place is None:
            marks.append(gone)
            continue
        climbed = hit.rank - place if gone == "gone" else place - hit.rank
        marks.append("=" if not climbed else f"{'↑' if climbed > 0 else '↓'}{abs(climbed)}")
    return marks


def _cell(mark: str, hit: Hit, width: int, ids: bool) -> str:
    """Where the passage goes or comes from, whether it answers, its score, its id if wanted, the start of its text."""
    answers = "" if hit.answers is None else "✔ " if hit.answers else "  "
    head = f"{mark:>4} {answers}{hit.score:.3f} {f'{hit.passage} ' if ids else ''}"
    return head + start_of(hit.text, max(8, width - len(head)))

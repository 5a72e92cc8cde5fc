"""Pairs and passages as matrices."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.vectors.arrow_ids import ids_at
from langchain_embedding_adapter.vectors.ragged import Ragged

if TYPE_CHECKING:
    from langchain_embedding_adapter.stores import Metric  # it brings the vector stores, and serving needs none of them

Floats = NDArray[np.float32]

HASHED = 1024
"""Vectors by which others are told from these."""

BLOCK = 65_536
"""Rows that are looked at at a time: they may be mapped from a file that is larger than memory."""
NO_ROWS = Ragged.empty(0, np.intp)
NO_SCORES = Ragged.empty(0, np.float64)


@dataclass(frozen=True)
class PairVectors:
    """A :class:`QADataset` as matrices.

    Attributes:
        query_ids: Question ids, in the order of the rows of ``queries``.
        passage_ids: Passage ids, in the order of the rows of ``passages``.
        queries: ``(questions, query dimensions)``, as the base model gave them.
        passages: ``(passages, passage dimensions)``, as the base model gave them.
        relevant: For each question the rows of the passages that answer it.
        grades: For each question how well each of them does, above 0.
        listed: For each question the rows of the passages that a teacher has scored; empty where there is no teacher.
        opinions: For each question the teacher's scores of these.
        metric: How questions and passages are compared: by cosine, inner product or Euclidean distance.
        folder: Where :func:`open_pair_vectors` has mapped all of this from; ``None`` for what is anything else.
    """

    query_ids: Sequence[str]
    passage_ids: Sequence[str]
    queries: Floats
    passages: Floats
    relevant: Ragged[np.intp]
    grades: Ragged[np.float64]
    listed: Ragged[np.intp] = NO_ROWS
    opinions: Ragged[np.float64] = NO_SCORES
    metric: Metric = "cosine"
    folder: str | None = None

    def __len__(self) -> int:
        """How many questions there are."""
        return len(self.query_ids)

    @classmethod
    def from_arrays(
        cls,
        dataset: QADataset,
        queries: Floats,
        passages: Floats,
        *,
        passage_ids: Sequence[str] | None = None,
        metric: Metric = "cosine",
    ) -> PairVectors:
        """Join a dataset with vectors that are at hand.

        Args:
            dataset: The questions, and the passages if ``passage_ids`` are not given.
            queries: ``(questions, query dimensions)``, in the order of the dataset's questions.
            passages: ``(passages, passage dimensions)``, in the order of its passages, or of ``passage_ids``.
            passage_ids: Whose vectors these are, in place of the dataset's passages.
            metric: How they are compared.

        Raises:
            ValueError: If the rows are not as many as the questions or passages, or a value is not finite.
        """
        ids = tuple(dataset.corpus if passage_ids is None else passage_ids)
        for name, vectors, texts in (("questions", queries, dataset.queries), ("passages", passages, ids)):
            if vectors.ndim != 2 or len(vectors) != len(texts):
                raise ValueError(f"expected one vector for each of {len(texts)} {name}, got an array {vectors.shape}")
            if not all(np.isfinite(vectors[at : at + BLOCK]).all() for at in range(0, len(vectors), BLOCK)):
                raise ValueError(f"the vectors of the {name} hold values that are not finite")
        rows = {passage: row for row, passage in enumerate(ids)}
        named = {query: list(dict.fromkeys(dataset.relevant_docs[query])) for query in dataset.queries}
        counts = [len(found) for found in named.values()]
        relevant = np.array([rows[passage] for found in named.values() for passage in found], dtype=np.intp)
        grades = np.array(
            [dataset.grade(query, passage) for query, found in named.items() for passage in found], dtype=np.float64
        )
        return cls(
            tuple(dataset.queries),
            ids,
            queries,
            passages,
            Ragged.in_rows(relevant, counts),
            Ragged.in_rows(grades, counts),
            metric=metric,
        )

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that tell these questions and their pairs from others, by a part of the vectors."""
        told = hashlib.sha256(json.dumps([self.queries.shape, self.passages.shape]).encode())
        for array in (self.relevant.offsets, self.relevant.flat, self.grades.flat):
            told.update(np.ascontiguousarray(array).tobytes())
        for vectors in (self.queries, self.passages):
            told.update(vectors[:: max(1, len(vectors) // HASHED)].tobytes())
        return told.hexdigest()[:12]

    @property
    def targets(self) -> Floats:
        """``(passages, passage dimensions)``, what a question of length one is multiplied with to score the passages.

        Their directions, and where the inner product compares them their lengths too, 1 on average. Vectors that
        Euclidean distance compares count by their directions, which rank alike where all have the same length.
        """
        if self.metric != "dot":
            return unit(self.passages)
        lengths = np.linalg.norm(self.passages, axis=1)
        return (self.passages / (lengths.mean() or 1.0)).astype(np.float32, copy=False)

    @property
    def pair_rows(self) -> NDArray[np.int64]:
        """``(pairs,)``: the question's row of every question with a relevant passage, in the order of ``relevant``."""
        return self.relevant.rows

    @property
    def shares(self) -> NDArray[np.float64]:
        """``(pairs,)``: each pair's grade as a share of its question's."""
        grades, rows = self.grades.flat, self.pair_rows
        return grades / np.bincount(rows, grades)[rows]

    def take(self, queries: Collection[str]) -> PairVectors:
        """Only these questions, by id; every passage stays.

        Raises:
            KeyError: If an id is not a question of these vectors.
        """
        rows = {query: row for row, query in enumerate(self.query_ids)}
        return self.rows(np.array([rows[query] for query in queries], dtype=np.intp))

    def rows(self, rows: NDArray[np.integer[Any]], kept: NDArray[np.bool_] | None = None) -> PairVectors:
        """Only the questions in these rows, in the order given; every passage stays.

        Args:
            rows: ``(n,)``.
            kept: ``(pairs,)``, which of all pairs stay; by default all do.
        """
        relevant, grades = self.relevant, self.grades
        if kept is not None:
            relevant, grades = relevant.where(kept), grades.where(kept)
        return replace(
            self,
            folder=None,
            query_ids=ids_at(self.query_ids, rows),
            queries=self.queries[rows],
            relevant=relevant.take(rows),
            grades=grades.take(rows),
            listed=self.listed.take(rows) if self.listed else self.listed,
            opinions=self.opinions.take(rows) if self.opinions else self.opinions,
        )

    def asked_about(self) -> PairVectors:
        """The same questions with only those passages that answer at least one of them.

        >>> dataset = QADataset({"q": "?"}, {"p": "a", "r": "b"}, {"q": ["r"]})
        >>> vectors = PairVectors.from_arrays(dataset, np.ones((1, 2), np.float32), np.ones((2, 2), np.float32))
        >>> vectors.asked_about().passage_ids
        ('r',)
        """
        return self.among(np.unique(self.relevant.flat))

    def among(self, rows: NDArray[np.integer[Any]]) -> PairVectors:
        """The same questions among these passages alone, ``rows`` ascending; every relevant one must be there."""
        heard = self.heard_about(rows)
        return replace(
            heard,
            folder=None,
            passage_ids=ids_at(self.passage_ids, rows),
            passages=self.passages[rows],
            relevant=self.relevant.like(np.searchsorted(rows, self.relevant.flat)),
            listed=heard.listed.like(np.searchsorted(rows, heard.listed.flat)),
        )

    def heard_about(self, rows: NDArray[np.integer[Any]]) -> PairVectors:
        """The same vectors with a teacher's opinions of these passages alone, ``rows`` ascending."""
        kept = np.isin(self.listed.flat, rows)
        return replace(self, listed=self.listed.where(kept), opinions=self.opinions.where(kept))


def unit(vectors: Floats) -> Floats:
    """Vectors scaled to length one, along the last axis; zeros stay."""
    norms = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    scaled: Floats = (vectors / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)
    return scaled

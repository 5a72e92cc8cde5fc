"""Pairs and passages as matrices, embedded once.

Between the texts and the fitting: every distinct text goes to the embedding model exactly once, questions through
``embed_query`` and passages through ``embed_documents`` (models with different prefixes or input types for the two
would give other vectors the other way round), and is kept, in memory or in a file, for whoever asks again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from langchain_embedding_adapter._progress import progress_bar
from langchain_embedding_adapter.models import vectors_name
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.vector_cache import VectorCache, cache_of

if TYPE_CHECKING:
    from langchain_embedding_adapter.stores import Metric  # it brings the vector stores, and serving needs none of them

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]

QUERY_CONCURRENCY = 8
DOCUMENT_BATCH = 256
NAMED = {"query": "questions", "document": "passages"}
"""What progress calls them, by role."""


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
    """

    query_ids: tuple[str, ...]
    passage_ids: tuple[str, ...]
    queries: Floats
    passages: Floats
    relevant: tuple[NDArray[np.intp], ...]
    grades: tuple[NDArray[np.float64], ...]
    listed: tuple[NDArray[np.intp], ...] = ()
    opinions: tuple[NDArray[np.float64], ...] = ()
    metric: Metric = "cosine"

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
            if not np.isfinite(vectors).all():
                raise ValueError(f"the vectors of the {name} hold values that are not finite")
        rows = {passage: row for row, passage in enumerate(ids)}
        relevant, grades = [], []
        for query in dataset.queries:
            found = list(dict.fromkeys(dataset.relevant_docs[query]))
            relevant.append(np.array([rows[passage] for passage in found], dtype=np.intp))
            grades.append(np.array([dataset.grade(query, passage) for passage in found], dtype=np.float64))
        return cls(tuple(dataset.queries), ids, queries, passages, tuple(relevant), tuple(grades), metric=metric)

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
    def pair_rows(self) -> NDArray[np.intp]:
        """``(pairs,)``: the question's row of every question with a relevant passage, in the order of ``relevant``."""
        return np.repeat(np.arange(len(self.relevant)), [len(found) for found in self.relevant])

    @property
    def shares(self) -> NDArray[np.float64]:
        """``(pairs,)``: each pair's grade as a share of its question's."""
        grades = np.concatenate(self.grades)
        return grades / np.bincount(self.pair_rows, grades)[self.pair_rows]

    def take(self, queries: Collection[str]) -> PairVectors:
        """Only these questions, by id; every passage stays.

        Raises:
            KeyError: If an id is not a question of these vectors.
        """
        rows = {query: row for row, query in enumerate(self.query_ids)}
        return self.rows(np.array([rows[query] for query in queries], dtype=np.intp))

    def rows(self, rows: NDArray[np.intp], kept: Sequence[NDArray[np.bool_]] | None = None) -> PairVectors:
        """Only the questions in these rows, in the order given; every passage stays.

        Args:
            rows: ``(n,)``.
            kept: For each of them which of its relevant passages stay relevant; by default all.
        """
        relevant, grades = [self.relevant[row] for row in rows], [self.grades[row] for row in rows]
        if kept is not None:
            relevant = [found[mask] for found, mask in zip(relevant, kept, strict=True)]
            grades = [found[mask] for found, mask in zip(grades, kept, strict=True)]
        return replace(
            self,
            query_ids=tuple(self.query_ids[row] for row in rows),
            queries=self.queries[rows],
            relevant=tuple(relevant),
            grades=tuple(grades),
            listed=tuple(self.listed[row] for row in rows if self.listed),
            opinions=tuple(self.opinions[row] for row in rows if self.opinions),
        )

    def asked_about(self) -> PairVectors:
        """The same questions with only those passages that answer at least one of them.

        >>> dataset = QADataset({"q": "?"}, {"p": "a", "r": "b"}, {"q": ["r"]})
        >>> vectors = PairVectors.from_arrays(dataset, np.ones((1, 2), np.float32), np.ones((2, 2), np.float32))
        >>> vectors.asked_about().passage_ids
        ('r',)
        """
        rows = np.unique(np.concatenate(self.relevant)) if self.relevant else np.array([], dtype=np.intp)
        kept = [np.isin(found, rows) for found in self.listed]
        return replace(
            self,
            passage_ids=tuple(self.passage_ids[row] for row in rows),
            passages=self.passages[rows],
            relevant=_like(self.relevant, np.searchsorted(rows, np.concatenate([*self.relevant, rows[:0]]))),
            listed=tuple(np.searchsorted(rows, found[mask]) for found, mask in zip(self.listed, kept, strict=True)),
            opinions=tuple(scores[mask] for scores, mask in zip(self.opinions, kept, strict=True)),
        )


def _like(parts: Sequence[NDArray[np.intp]], joined: NDArray[np.intp]) -> tuple[NDArray[np.intp], ...]:
    """``joined`` in parts that are as long as these."""
    ends = np.cumsum([len(part) for part in parts])
    return tuple(joined[end - len(part) : end] for part, end in zip(parts, ends.tolist(), strict=True))


def embed_dataset(
    embeddings: Embeddings,
    dataset: QADataset,
    *,
    document_embeddings: Embeddings | None = None,
    cache: VectorCache | None = None,
    show_progress: bool | None = None,
) -> PairVectors:
    """Embed a dataset's questions and passages, each distinct text once.

    Args:
        embeddings: The base embeddings. A client of a service (one with its own ``aembed_query``) gets several
            questions at a time, a local model one after the other.
        dataset: What to embed.
        document_embeddings: What passages are embedded by, where the index was built with another model.
        cache: Where vectors are looked up first and kept as they come; a passing one if not given.
        show_progress: Progress bars; by default where standard error is a terminal.

    Raises:
        ValueError: If the dataset has no texts of its passages, or the model returns a wrong number of vectors, vectors
            of different lengths or values that are not finite.
    """
    if not dataset.corpus:
        raise ValueError("the dataset holds no texts of its passages; name the vector store that does: store=…")
    cache = cache or VectorCache()
    queries = embed_queries(embeddings, list(dataset.queries.values()), cache=cache, show_progress=show_progress)
    documents = embeddings if document_embeddings is None else document_embeddings
    options: dict[str, Any] = {"cache": cache_of(documents, cache, embeddings), "show_progress": show_progress}
    passages = embed_passages(documents, list(dataset.corpus.values()), **options)
    return PairVectors.from_arrays(dataset, queries, passages)


def embed_queries(
    embeddings: Embeddings,
    texts: Sequence[str],
    *,
    cache: VectorCache | None = None,
    show_progress: bool | None = None,
) -> Floats:
    """``embed_query`` of every text, each distinct one once: ``(texts, dimensions)``; see :func:`embed_dataset`."""
    return _embed(
        list(texts),
        "query",
        lambda part: embed_each_query(embeddings, part),
        QUERY_CONCURRENCY * 4,
        vectors_name(embeddings),
        cache or VectorCache(),
        show_progress,
    )


def embed_passages(
    embeddings: Embeddings,
    texts: Sequence[str],
    *,
    cache: VectorCache | None = None,
    show_progress: bool | None = None,
) -> Floats:
    """``embed_documents`` of every text, each distinct one once: ``(texts, dimensions)``; see :func:`embed_dataset`."""
    return _embed(
        list(texts),
        "document",
        embeddings.embed_documents,
        DOCUMENT_BATCH,
        vectors_name(embeddings),
        cache or VectorCache(),
        show_progress,
    )


def remember_documents(
    cache: VectorCache, embeddings: Embeddings, texts: Sequence[str], vectors: NDArray[np.floating[Any]]
) -> None:
    """Keep vectors of documents that are known already, as if ``embeddings`` had just been asked for them."""
    name = vectors_name(embeddings)
    cache.store({_key(name, "document", text): vector for text, vector in zip(texts, vectors, strict=True)})


def unit(vectors: Floats) -> Floats:
    """Vectors scaled to length one, along the last axis; zeros stay."""
    norms = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    scaled: Floats = (vectors / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)
    return scaled


def embed_each_query(embeddings: Embeddings, texts: Sequence[str]) -> list[list[float]]:
    """``embed_query`` for each text, in order; several at a time where the embeddings are a client of a service."""
    if len(texts) > 1 and type(embeddings).aembed_query is not Embeddings.aembed_query:
        with ThreadPoolExecutor(max_workers=min(QUERY_CONCURRENCY, len(texts))) as pool:
            return list(pool.map(embeddings.embed_query, texts))
    return [embeddings.embed_query(text) for text in texts]


def _embed(
    texts: list[str],
    role: str,
    embed: Callable[[list[str]], list[list[float]]],
    batch: int,
    model: str,
    cache: VectorCache,
    show_progress: bool | None,
) -> Floats:
    """Vectors of ``texts``, ``(texts, dimensions)``, from the cache where it has them."""
    keys = [_key(model, role, text) for text in texts]
    known = cache.lookup(set(keys))
    missing = [(key, text) for key, text in dict(zip(keys, texts, strict=True)).items() if key not in known]
    with progress_bar(len(missing), f"embed {NAMED[role]}", "text", show_progress) as bar:
        for start in range(0, len(missing), batch):
            part = missing[start : start + batch]
            vectors = np.asarray(_checked(embed([text for _, text in part]), len(part), model), dtype=np.float32)
            if not np.isfinite(vectors).all():
                row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
                raise ValueError(f"{model} gave a vector with values that are not finite for {part[row][1][:80]!r}")
            fresh = {key: vector for (key, _), vector in zip(part, vectors, strict=True)}
            cache.store(fresh)
            known.update(fresh)
            bar.update(len(part))
    lengths = {len(vector) for vector in known.values()}
    if len(lengths) > 1:
        raise ValueError(f"{model} gave vectors of different lengths: {sorted(lengths)}; is the cache another model's?")
    return np.stack([known[key] for key in keys]) if keys else np.zeros((0, 0), dtype=np.float32)


def _key(model: str, role: str, text: str) -> bytes:
    return hashlib.sha256("\0".join((model, role, text)).encode("utf-8", "surrogatepass")).digest()


def _checked(vectors: list[list[float]], expected: int, model: str) -> list[list[float]]:
    if len(vectors) != expected:
        raise ValueError(f"{model} gave {len(vectors)} vectors for {expected} texts")
    if len({len(vector) for vector in vectors}) > 1:
        raise ValueError(f"{model} gave vectors of different lengths: {sorted({len(vector) for vector in vectors})}")
    return vectors

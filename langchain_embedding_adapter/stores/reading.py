"""A whole store as a matrix: ids, texts, metadata, vectors; in memory, in a file, or a sample."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

from langchain_embedding_adapter.stores.base import Floats, Metric, StoredPage
from langchain_embedding_adapter.stores.registry import reader_of

PAGE = 1000
TOLERANCE = 1e-3
"""Lengths that differ by so much from 1 count as 1: half precision and averages of them do."""


@dataclass(frozen=True)
class StoredVectors:
    """What a store holds.

    Attributes:
        ids: The store's ids.
        texts: The texts, in the order of ``ids``; empty if they were not asked for.
        metadatas: Likewise.
        vectors: ``(ids, dimensions)``, float32; a memory map where a file was named.
        metric: How the store compares vectors.
        normalised: Whether all vectors have length one, so that all metrics rank alike.
        total: How many the store holds, of which these may be a sample.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    metadatas: tuple[dict[str, Any], ...]
    vectors: Floats
    metric: Metric
    normalised: bool
    total: int

    def __len__(self) -> int:
        """How many there are."""
        return len(self.ids)

    @property
    def documents(self) -> list[Document]:
        """The texts as LangChain documents, with the store's ids."""
        rows = zip(self.ids, self.texts, self.metadatas, strict=True)
        return [Document(text, id=key, metadata=metadata) for key, text, metadata in rows]


def read_store(
    store: VectorStore,
    *,
    page_size: int = PAGE,
    texts: bool = True,
    path: str | Path | None = None,
    sample: int | None = None,
    keep: Collection[str] = (),
    seed: int = 0,
) -> StoredVectors:
    """Read a vector store back, in pages, without calling an embedding model.

    Args:
        store: InMemoryVectorStore, FAISS, Chroma, Qdrant, PGVector, PGVectorStore, Milvus, LanceDB, Elasticsearch,
            OpenSearch, or one that is registered (:func:`register_store`).
        page_size: How many rows to ask for at a time.
        texts: Whether to keep texts and metadata; where there are millions, vectors alone take less.
        path: A file for the vectors, which are then mapped into memory and not held in it.
        sample: At most so many of the store's rows, drawn at random, and those of ``keep``.
        keep: Ids of rows that a sample holds in any case.
        seed: Of the draw.

    Raises:
        TypeError: If the store is of a kind that cannot be read back.
        ValueError: If it is empty, or holds vectors of different lengths or with values that are not finite.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> from langchain_core.vectorstores import InMemoryVectorStore
        >>> store = InMemoryVectorStore.from_texts(["A Mars year lasts 687 days."], DeterministicFakeEmbedding(size=8))
        >>> stored = read_store(store)
        >>> stored.texts, stored.vectors.shape, stored.metric
        (('A Mars year lasts 687 days.',), (1, 8), 'cosine')
    """
    reader = reader_of(store)
    metric = reader.metric
    rows = _Rows(None if path is None else Path(path), texts)
    pages = rows.counted(reader.pages(page_size))
    for page in pages if sample is None else _drawn(pages, sample, set(keep), seed):
        rows.add(page)
    return rows.stored(type(store).__name__, metric)


def _drawn(pages: Iterable[StoredPage], sample: int, keep: set[str], seed: int) -> Iterator[StoredPage]:
    """A page of ``sample`` rows drawn at random and those to keep: each row draws a number, and the least ones stay."""
    draw = np.random.default_rng(seed)
    pool: list[tuple[float, str, str, dict[str, Any], Floats]] = []
    kept, limit = 0, 1.0
    for page in pages:
        numbers = draw.random(len(page.ids))
        numbers[[str(key) in keep for key in page.ids]] = -1.0
        kept += int((numbers < 0).sum())
        for row in np.flatnonzero(numbers <= limit).tolist():
            vector = page.vectors[row].copy()
            pool.append((float(numbers[row]), page.ids[row], page.texts[row], page.metadatas[row], vector))
        if len(pool) > 2 * max(sample, kept):
            pool = heapq.nsmallest(max(sample, kept), pool, key=lambda entry: entry[0])
            limit = max(pool[-1][0], 0.0)
    pool = heapq.nsmallest(max(sample, kept), pool, key=lambda entry: entry[0])
    for start in range(0, len(pool), PAGE):
        _, ids, texts, metadatas, vectors = zip(*pool[start : start + PAGE], strict=True)
        yield StoredPage(ids, texts, metadatas, np.stack(vectors))


class _Rows:
    """Rows as they come."""

    def __init__(self, path: Path | None, texts: bool) -> None:
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.metadatas: list[dict[str, Any]] = []
        self._keeps_texts, self._path = texts, path
        self._blocks: list[Floats] = []
        self._file = None if path is None else path.open("wb")
        self._dimensions: int | None = None
        self._normalised = True
        self.total = 0

    def counted(self, pages: Iterable[StoredPage]) -> Iterator[StoredPage]:
        """The same pages; how many rows they have is counted."""
        for page in pages:
            self.total += len(page.ids)
            yield page

    def add(self, page: StoredPage) -> None:
        """Take a page."""
        vectors = np.ascontiguousarray(page.vectors, dtype=np.float32)
        if vectors.ndim != 2 or self._dimensions not in (None, vectors.shape[1]):
            raise ValueError(
                f"the store holds vectors of different lengths, {self._dimensions} and {vectors.shape[-1]} dimensions"
            )
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise ValueError(
                f"the vector of {page.ids[row]!r} holds values that are not finite; delete or embed it anew"
            )
        self._dimensions = vectors.shape[1]
        lengths = np.linalg.norm(vectors, axis=1)
        self._normalised &= bool((np.abs(lengths - 1) < TOLERANCE).all())
        self.ids += map(str, page.ids)
        if self._keeps_texts:
            self.texts += page.texts
            self.metadatas += page.metadatas
        if self._file is None:
            self._blocks.append(vectors)
        else:
            self._file.write(vectors.tobytes())

    def stored(self, kind: str, metric: Metric) -> StoredVectors:
        """All of it."""
        if self._file is not None:
            self._file.close()
        if self._dimensions is None:
            raise ValueError(f"the {kind} is empty: there is nothing to read back")
        shape = len(self.ids), self._dimensions
        if self._path is None:
            vectors = np.concatenate(self._blocks)
        else:
            vectors = np.memmap(self._path, dtype=np.float32, mode="r", shape=shape)
        return StoredVectors(
            ids=tuple(self.ids),
            texts=tuple(self.texts),
            metadatas=tuple(self.metadatas),
            vectors=vectors,
            metric=metric,
            normalised=self._normalised,
            total=self.total,
        )

"""What every kind of vector store has to tell: its vectors, how it compares them, and how to query it adapted.

A store that LangChain users run has a reader in a module of its own; a store of one's own takes ten lines.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Metric = Literal["cosine", "dot", "l2"]
"""How a store compares vectors: by their angle, their inner product, or their Euclidean distance."""

HOLDERS = ("embedding", "embedding_function", "_embedding_function", "embeddings", "_embeddings", "_embedding")
"""Attributes in which stores that nothing is known about may hold their embeddings."""


@dataclass(frozen=True)
class StoredPage:
    """A page of what a store holds.

    Attributes:
        ids: The store's ids.
        texts: The texts.
        metadatas: What else is known of each.
        vectors: ``(texts, dimensions)``, float32, as they are stored.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    metadatas: Sequence[dict[str, Any]]
    vectors: Floats


class StoreReader(ABC):
    """Reads a kind of vector store, and makes twins of it that are queried adapted.

    Subclass it for a store of your own and :func:`~langchain_embedding_adapter.register_store` it; ``pages`` and
    ``metric`` suffice where the store holds its embeddings in an attribute of a usual name. For calibrated relevance
    scores start from :class:`SimilarityScores` or :class:`DistanceScores`.

    Args:
        store: The store.

    Attributes:
        store: The store.

    Example:
        .. code-block:: python

            class ShelfReader(StoreReader):
                metric = "dot"

                def pages(self, size):
                    for rows in self.store.rows(size):
                        ids, texts, metadatas, vectors = zip(*rows)
                        yield StoredPage(ids, texts, metadatas, np.array(vectors, dtype=np.float32))

            register_store(ShelfStore, ShelfReader)
    """

    holders: ClassVar[tuple[str, ...]] = HOLDERS
    """Attributes in which the store may hold its embeddings."""

    def __init__(self, store: Any) -> None:
        self.store = store

    @property
    @abstractmethod
    def metric(self) -> Metric:
        """How the store compares vectors."""

    @abstractmethod
    def pages(self, size: int) -> Iterator[StoredPage]:
        """All that the store holds, ``size`` at a time, without calling an embedding model."""

    @property
    def embeddings(self) -> Embeddings | None:
        """The embeddings that the store queries with, if it has any."""
        return next(iter(self._held(self.store)), None)

    def identify(self, document: Document) -> str | None:
        """The store's id of a document that its search has found, where it tells."""
        return document.id

    def cosine_of(self, score: float) -> float:  # noqa: ARG002
        """The cosine behind a score of the store's ``similarity_search_with_score``, for vectors of length one.

        Raises:
            TypeError: If the reader does not say; :class:`SimilarityScores` and :class:`DistanceScores` do.
        """
        raise TypeError(self._unscored())

    def score_of(self, cosine: float) -> float:  # noqa: ARG002
        """The score that the store gives a cosine: the inverse of :meth:`cosine_of`.

        Raises:
            TypeError: If the reader does not say.
        """
        raise TypeError(self._unscored())

    def twin(self, adapted: Embeddings) -> Any:
        """The same collection, queried through ``adapted``: a shallow copy that holds other embeddings.

        Raises:
            TypeError: If the store holds its embeddings in no place that is known.
        """
        held = [name for name in self.holders if isinstance(vars(self.store).get(name), Embeddings)]
        if not held:
            raise TypeError(
                f"{type(self.store).__name__} holds its embeddings in none of {', '.join(self.holders)}; "
                "open the collection anew with the adapted embeddings instead, or register a StoreReader for it"
            )
        twin = copy.copy(self.store)
        for name in held:
            setattr(twin, name, adapted)
        return twin

    def _unscored(self) -> str:
        return (
            f"what the scores of a {type(self.store).__name__} mean is not known, and a calibration has to know; give "
            f"{type(self).__name__} the methods cosine_of and score_of, from SimilarityScores or DistanceScores say"
        )

    def _held(self, store: VectorStore) -> Iterator[Embeddings]:
        """The embeddings in the places that are known."""
        found = (vars(store).get(name) for name in self.holders)
        return (value for value in found if isinstance(value, Embeddings))


class UnknownReader(StoreReader):
    """For a store that nothing is known about: it may be queried adapted, and is not read back."""

    @property
    def metric(self) -> Metric:
        """Not known.

        Raises:
            TypeError: Always.
        """
        raise TypeError(self._unknown())

    def pages(self, size: int) -> Iterator[StoredPage]:  # noqa: ARG002
        """Not known.

        Raises:
            TypeError: Always.
        """
        raise TypeError(self._unknown())

    def _unknown(self) -> str:
        return (
            f"how to read a {type(self.store).__name__} back is not known; write a StoreReader for it (ten lines) and "
            "register it with register_store"
        )


class SimilarityScores(StoreReader):
    """A reader of a store whose scores are cosines."""

    def cosine_of(self, score: float) -> float:
        """The score."""
        return score

    def score_of(self, cosine: float) -> float:
        """The cosine."""
        return cosine


class DistanceScores(StoreReader):
    """A reader of a store whose scores are distances, of which ``metric`` says which."""

    squared: ClassVar[bool] = True
    """Whether the Euclidean one is squared."""

    def cosine_of(self, score: float) -> float:
        """The cosine at this distance of vectors of length one."""
        if self.metric != "l2":
            return 1 - score
        return 1 - (score if self.squared else score**2) / 2

    def score_of(self, cosine: float) -> float:
        """The distance at this cosine of vectors of length one."""
        if self.metric != "l2":
            return 1 - cosine
        distance = max(0.0, 2 - 2 * cosine)
        return distance if self.squared else distance**0.5

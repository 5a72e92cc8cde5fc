"""The same collection, queried through adapted embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from langchain_embedding_adapter.calibration import ScoreCalibration
from langchain_embedding_adapter.stores.base import StoreReader
from langchain_embedding_adapter.stores.registry import reader_of

AnyStore = TypeVar("AnyStore", bound=VectorStore)


def adapt_store(store: AnyStore, adapted: Embeddings) -> AnyStore:
    """The same collection, queried through ``adapted``; the store given is untouched.

    A shallow copy: both share the client, the index and the documents. What is added through either is embedded by the
    base and found by both. Where training has fitted a calibration (``train(…, calibrate=True)``), relevance scores,
    and with them the retriever's ``score_threshold``, are on the base's scale; raw scores are as they come.

    Args:
        store: A LangChain vector store whose documents the base of ``adapted`` has embedded.
        adapted: The ``AdaptedEmbeddings``.

    Raises:
        TypeError: If the store holds its embeddings in no place that is known; make it anew with ``adapted`` instead.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> from langchain_core.vectorstores import InMemoryVectorStore
        >>> from langchain_embedding_adapter import AdaptedEmbeddings, LinearAdapter
        >>> base = DeterministicFakeEmbedding(size=8)
        >>> store = InMemoryVectorStore.from_texts(["A Mars year lasts 687 days."], base)
        >>> adapted = AdaptedEmbeddings(base, LinearAdapter(8, 8))
        >>> len(adapt_store(store, adapted).similarity_search("How long is a year on Mars?"))
        1
    """
    reader = reader_of(store)
    twin: AnyStore = reader.twin(adapted)
    calibration = getattr(adapted, "calibration", None)
    if isinstance(calibration, ScoreCalibration):
        vars(twin)["_select_relevance_score_fn"] = _calibrated(twin, reader, calibration)
    return twin


def _calibrated(
    twin: VectorStore, reader: StoreReader, calibration: ScoreCalibration
) -> Callable[[], Callable[[float], float]]:
    """The store's choice of a relevance score, of the base's score that an adapted one stands for."""
    choose: Callable[[], Callable[[float], float]] = twin._select_relevance_score_fn

    def select() -> Callable[[float], float]:
        relevance: Any = choose()
        return lambda score: relevance(reader.score_of(calibration(reader.cosine_of(float(score)))))

    return select

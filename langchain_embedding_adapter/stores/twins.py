"""The same collection, queried through adapted embeddings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever

from langchain_embedding_adapter.calibration import ScoreCalibration
from langchain_embedding_adapter.stores.base import StoreReader
from langchain_embedding_adapter.stores.registry import reader_of
from langchain_embedding_adapter.stores.retriever import AdaptedRetriever

AnyStore = TypeVar("AnyStore", bound=VectorStore)


def adapt_store(store: AnyStore, adapted: Embeddings) -> AnyStore:
    """The same collection, queried through ``adapted``; the store given is untouched.

    A shallow copy: both share the client, the index and the documents. What is added through either is embedded by the
    base and found by both. Its retrievers (``as_retriever``) tell in the metadata of their traces which adapter served.
    Where training has fitted a calibration (``train(…, calibrate=True)``), relevance scores,
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
    vars(twin)["_select_relevance_score_fn"] = _calibrated(twin, reader, adapted)
    vars(twin)["as_retriever"] = _traced(twin, adapted)
    return twin


def _calibrated(twin: VectorStore, reader: StoreReader, adapted: Embeddings) -> Callable[[], Callable[[float], float]]:
    """The store's choice of a relevance score, of the base's score that an adapted one stands for."""
    choose = partial(type(twin)._select_relevance_score_fn, twin)  # the class's own: a twin's twin has the twin's

    def select() -> Callable[[float], float]:
        relevance: Any = choose()
        calibration = getattr(adapted, "calibration", None)  # of the adapter that serves by now
        if not isinstance(calibration, ScoreCalibration):
            return cast("Callable[[float], float]", relevance)
        return lambda score: relevance(reader.score_of(calibration(reader.cosine_of(float(score)))))

    return select


def _traced(twin: VectorStore, adapted: Embeddings) -> Callable[..., VectorStoreRetriever]:
    """The store's ``as_retriever``, whose retrievers tell in their traces which adapter served."""
    make: Callable[..., VectorStoreRetriever] = partial(type(twin).as_retriever, twin)

    def as_retriever(**kwargs: Any) -> VectorStoreRetriever:
        made = make(**kwargs)
        if type(made) is not VectorStoreRetriever:  # a store's own kind stays what it is
            return made
        fields = {name: getattr(made, name) for name in type(made).model_fields}
        return AdaptedRetriever(**fields, adapted=adapted)

    return as_retriever

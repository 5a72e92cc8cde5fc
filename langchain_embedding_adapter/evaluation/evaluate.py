"""Base against adapted: the questions of a dataset are asked, and what comes back is counted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from langchain_embedding_adapter.engines import Engine
from langchain_embedding_adapter.evaluation.on_ray import ranker
from langchain_embedding_adapter.evaluation.ranking import DEFAULT_KS, Adapt, compare
from langchain_embedding_adapter.evaluation.stored_pairs import align, as_stored, embed_questions
from langchain_embedding_adapter.evaluation.through_store import evaluate_through
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.details import Details
from langchain_embedding_adapter.report.retrieval import RetrievalReport
from langchain_embedding_adapter.stores import StoredVectors
from langchain_embedding_adapter.vector_cache import VectorCache, cache_of
from langchain_embedding_adapter.vectors import Floats, PairVectors, embed_dataset, embed_queries

logger = logging.getLogger(__name__)


@runtime_checkable
class SupportsAdapt(Protocol):
    """What makes embeddings adapted: the base they wrap, and the map of its query vectors."""

    embeddings: Embeddings

    def adapt(self, queries: Floats) -> Floats:
        """Map query vectors ``(n, in_features)`` to ``(n, out_features)``."""


def evaluate_retrieval(
    embeddings: Embeddings,
    dataset: QADataset | PairVectors,
    *,
    ks: Sequence[int] = DEFAULT_KS,
    store: VectorStore | StoredVectors | None = None,
    stored: StoredVectors | None = None,
    search_kwargs: Mapping[str, Any] | None = None,
    cache: VectorCache | None = None,
    engine: Engine = "local",
    path: str | Path | None = None,
    show_progress: bool | None = None,
) -> RetrievalReport:
    """Rank a dataset's passages for each of its questions and count what comes back.

    Args:
        embeddings: Any LangChain embeddings. With ``AdaptedEmbeddings`` the report sets base against adapted; each
            text is embedded once, by the base. Where another model embeds the documents (``document_embeddings``), base
            are that model's own queries.
        dataset: Questions that training has not seen; or their vectors and the passages', as the base gave them, in
            memory or mapped from files (:func:`open_pair_vectors`): nothing is embedded then.
        ks: The cut-offs.
        store: A vector store that holds the passages, embedded by the base: no document is embedded, and the report, a
            :class:`StoreReport`, has what the store's own search finds beside what an exact one does. Of a store that
            has been read back (:func:`read_store`) only the exact figures come.
        stored: What was read back from the ``store``, so that it need not be read again.
        search_kwargs: For the store's ``similarity_search``: a filter, how hard to look.
        cache: Where vectors are looked up and kept.
        engine: Who ranks, and with a ``path`` embeds: ``"local"``, ``"ray"``, or a ``RayEngine`` with settings of its
            own. On Ray the passages are ranked in parts, side by side.
        path: A folder for the vectors of the questions and passages, as :func:`embed_dataset` takes it; without one
            they are embedded in this process. It takes the place of a ``cache``.
        show_progress: Progress bars; by default where standard error is a terminal.

    Returns:
        Hit rate, recall, MRR, nDCG and MAP at each cut-off; base against adapted with a paired randomisation test.

    Raises:
        ValueError: If the dataset has no question, query and passage vectors differ in length, or another model than
            the base built the index and is not at hand.
    """
    nearest = ranker(engine)
    if store is not None and path is not None:
        raise ValueError("`path` is for the vectors of passages that are embedded, and the store has its own")
    if isinstance(dataset, PairVectors):
        if store is not None or stored is not None or search_kwargs or path is not None:
            raise ValueError(
                "vectors bring their own passages: `store`, `stored`, `search_kwargs` and `path` go with a dataset"
            )
        return compare(
            dataset, embeddings.adapt if isinstance(embeddings, SupportsAdapt) else None, ks, nearest=nearest
        )
    if dataset.pseudo_styles:
        logger.warning(
            "%d of these questions are pseudo-questions: a gain on them is no gain", len(dataset.pseudo_styles)
        )
    base = embeddings
    adapt: Adapt | None = None
    if isinstance(embeddings, SupportsAdapt):
        base, adapt = embeddings.embeddings, embeddings.adapt
        native = getattr(embeddings, "document_embeddings", base)
        if native is not base:
            if store is not None:
                stored = as_stored(store) if stored is None else stored
                dataset = align(dataset, stored)
            adapt = _bridged(embeddings, dataset, cache=cache, show_progress=show_progress)
            base, cache = native, None if cache is None else cache_of(native, cache, base)
    details = Details(dataset, base_model=model_name(base), adapter=adapter_name(embeddings))
    if isinstance(store, VectorStore):
        through = evaluate_through(
            store,
            base,
            adapt,
            dataset,
            ks,
            stored=stored,
            search_kwargs=search_kwargs,
            cache=cache,
            nearest=nearest,
            show_progress=show_progress,
        )
        found = through.details or details
        return replace(through, details=replace(details, dataset=found.dataset, lists=found.lists))
    if search_kwargs or (stored is not None and store is None):
        raise ValueError("`search_kwargs` and `stored` go with a vector store as `store`, and none is given")
    if store is not None:
        dataset = align(dataset, store)
        vectors = embed_questions(base, dataset, store, cache=cache, show_progress=show_progress)
    else:
        where: dict[str, Any] = {"cache": cache} if path is None else {"engine": engine, "path": path}
        vectors = embed_dataset(base, dataset, show_progress=show_progress, **where)
    report = compare(vectors, adapt, ks, nearest=nearest)
    return replace(report, details=replace(details, dataset=dataset, lists=(report.details or details).lists))


def adapter_name(embeddings: object) -> str | None:
    """The kind and the shape of the adapter of adapted embeddings; ``None`` where there is none that says so."""
    adapter = getattr(embeddings, "adapter", None)
    if adapter is None or not hasattr(adapter, "in_features"):
        return None
    kind = getattr(adapter, "kind", "") or type(adapter).__name__
    return f"{kind}, {adapter.in_features} → {adapter.out_features} dimensions"


def _bridged(
    embeddings: SupportsAdapt, dataset: QADataset, *, cache: VectorCache | None, show_progress: bool | None
) -> Adapt:
    """What puts the adapted queries of one model in the place of another's for the same questions."""
    texts = list(dataset.queries.values())
    queries = embed_queries(embeddings.embeddings, texts, cache=cache, show_progress=show_progress)
    return lambda _: embeddings.adapt(queries)

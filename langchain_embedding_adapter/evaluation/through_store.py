"""What a vector store's own search finds, approximate and filtered as it is, base against adapted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from numpy.typing import NDArray

from langchain_embedding_adapter.evaluation.ranking import Adapt, Nearest, compare, listed, lists_of, ranking_scores
from langchain_embedding_adapter.evaluation.stored_pairs import align, embed_questions
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.details import Details
from langchain_embedding_adapter.report.retrieval import RetrievalReport
from langchain_embedding_adapter.stores import StoredVectors, StoreReader, read_store, reader_of
from langchain_embedding_adapter.vector_cache import VectorCache
from langchain_embedding_adapter.vectors import Floats

ELSEWHERE = -1
"""In place of the row of a passage that is none of those read back."""


@dataclass(frozen=True, repr=False, kw_only=True)
class StoreReport(RetrievalReport):
    """What a store's own search finds, and beside it what an exact one would.

    Attributes:
        exact: The report on exact search over all that the store holds, unfiltered; it tells how far scores moved.
    """

    exact: RetrievalReport

    def to_dict(self) -> dict[str, Any]:
        """The store's figures, and the exact ones under ``exact``."""
        return {**super().to_dict(), "exact": self.exact.to_dict()}

    def to_markdown(self) -> str:
        """Both tables."""
        return f"The store's own search: {super().to_markdown()}\n\nExact search: {self.exact.to_markdown()}"


def evaluate_through(
    store: VectorStore,
    embeddings: Embeddings,
    adapt: Adapt | None,
    dataset: QADataset,
    ks: Sequence[int],
    *,
    stored: StoredVectors | None = None,
    search_kwargs: Mapping[str, Any] | None = None,
    cache: VectorCache | None = None,
    nearest: Nearest | None = None,
    show_progress: bool | None = None,
) -> StoreReport:
    """Ask a store a dataset's questions, with the base's vectors and with the adapted ones.

    Args:
        store: The store, filled by the base. It is not changed, and no document is embedded.
        embeddings: The base.
        adapt: Maps its query vectors; ``None`` to evaluate the base alone.
        dataset: The questions; see :func:`~langchain_embedding_adapter.evaluation.stored_pairs.align`.
        ks: The cut-offs.
        stored: What it holds, if that has been read back already.
        search_kwargs: Passed to the store's ``similarity_search``: a filter, how hard to look.
        cache: Where the questions' vectors are looked up and kept.
        nearest: Who does the exact search, in place of this process.
        show_progress: A progress bar; by default where standard error is a terminal.
    """
    stored = read_store(store) if stored is None else stored
    dataset = align(dataset, stored)
    vectors = embed_questions(embeddings, dataset, stored, cache=cache, show_progress=show_progress)
    exact = compare(vectors, adapt, ks, nearest=nearest)
    texts = list(dataset.queries.values())
    reader, rows = reader_of(store), _Rows(stored)
    adapted = None if adapt is None else adapt(vectors.queries)

    def found(queries: Floats) -> NDArray[np.intp]:
        return _search(reader, texts, queries, max(ks), dict(search_kwargs or {}), rows)

    base, moved = found(vectors.queries), None if adapted is None else found(adapted)
    lists = lists_of(
        vectors,
        listed(vectors, vectors.queries, base),
        None if adapted is None or moved is None else listed(vectors, adapted, moved),
    )
    return StoreReport(
        query_ids=exact.query_ids,
        passages=stored.total,
        base_scores=ranking_scores(vectors, base, ks),
        adapted_scores=None if moved is None else ranking_scores(vectors, moved, ks),
        exact=exact,
        details=Details(dataset, lists),
    )


class KnownQueries(Embeddings):
    """Embeddings of questions whose vectors are known; there is nothing else that they embed."""

    def __init__(self, texts: Sequence[str], vectors: Floats) -> None:
        self._known = dict(zip(texts, vectors.tolist(), strict=True))

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        found: list[float] = self._known[text]
        return found

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Nothing: a search has no document to embed.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(f"the store embeds documents to answer a question: {texts[:1]!r:.80}")


class _Rows:
    """The rows of what a search finds."""

    def __init__(self, stored: StoredVectors) -> None:
        self.by_id = {key: row for row, key in enumerate(stored.ids)}
        self.by_text = {text: row for row, text in enumerate(stored.texts)}

    def of(self, key: str | None, text: str) -> int:
        """By id, or by text where the store's search does not tell ids."""
        return self.by_id.get(key, ELSEWHERE) if key is not None else self.by_text.get(text, ELSEWHERE)


def _search(
    reader: StoreReader, texts: Sequence[str], queries: Floats, k: int, settings: dict[str, Any], rows: _Rows
) -> NDArray[np.intp]:
    """Rows of what the store finds for each question, ``(questions, k)``; :data:`ELSEWHERE` where it finds no more."""
    store = reader.twin(KnownQueries(texts, queries))
    table = np.full((len(texts), k), ELSEWHERE, dtype=np.intp)
    for row, text in enumerate(texts):
        for place, document in enumerate(store.similarity_search(text, k=k, **settings)[:k]):
            table[row, place] = rows.of(reader.identify(document), document.page_content)
    return table

"""Questions about passages that a vector store holds: its vectors, its ids, nothing embedded but the questions."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from langchain_embedding_adapter.chunks import document_of_metadata
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.stores import StoredVectors, read_store
from langchain_embedding_adapter.vector_cache import VectorCache
from langchain_embedding_adapter.vectors import PairVectors, embed_queries

logger = logging.getLogger(__name__)


def as_stored(store: VectorStore | StoredVectors) -> StoredVectors:
    """What a store holds, unless it has been read already."""
    return store if isinstance(store, StoredVectors) else read_store(store)


def align(dataset: QADataset, stored: StoredVectors) -> QADataset:
    """The dataset with the store's passages in place of its own.

    A passage is the store's if the store has its id, or else its very text, white space at the ends apart; the text
    decides where the store has another under that id. A question whose passages are all gone from the store is left
    out, and their number logged.

    Args:
        dataset: The questions; its ``corpus`` may be empty, ``relevant_docs`` then name the store's ids.
        stored: What the store holds.

    Returns:
        The questions that have a passage in the store, with all that the store holds as corpus if its texts were read.

    Raises:
        ValueError: If the store holds no passage of any question.
    """
    known = set(stored.ids)
    by_text: dict[str, list[str]] = {}
    for key, text in zip(stored.ids, stored.texts, strict=False):
        by_text.setdefault(text.strip(), []).append(key)
    places: dict[str, list[str]] = {}
    for passage in dataset.passages_asked_about():
        same = by_text.get(dataset.corpus.get(passage, "").strip(), [])
        places[passage] = [passage] if passage in known and (passage in same or not same) else same
    relevant = {
        query: list(dict.fromkeys(key for passage in passages for key in places[passage]))
        for query, passages in dataset.relevant_docs.items()
    }
    kept = [query for query, found in relevant.items() if found]
    missing = sorted(passage for passage, found in places.items() if not found)
    if not kept:
        raise ValueError(
            f"the store holds none of the {len(places)} passages that the questions are about, neither by id "
            f"({missing[0]!r}; the store's ids are like {stored.ids[0]!r}) nor by text"
        )
    if missing:
        logger.warning(
            "%d of %d passages are not in the store (%r …): %d questions about them alone are left out",
            len(missing),
            len(places),
            missing[0],
            len(relevant) - len(kept),
        )
    asked = dataset.subset(kept)
    documents = {
        key: document_of_metadata(metadata) for key, metadata in zip(stored.ids, stored.metadatas, strict=False)
    }
    return QADataset(
        queries=asked.queries,
        corpus={key: text if text.strip() else key for key, text in zip(stored.ids, stored.texts, strict=False)},
        relevant_docs={query: relevant[query] for query in asked.queries},
        documents={key: document for key, document in documents.items() if document is not None},
        grades={query: _grades(dataset, query, places) for query in asked.grades},
        styles=asked.styles,
        parts=asked.parts,
        pseudo_styles=asked.pseudo_styles,
        origin=asked.origin,
    )


def embed_questions(
    embeddings: Embeddings,
    dataset: QADataset,
    stored: StoredVectors,
    *,
    cache: VectorCache | None = None,
    show_progress: bool | None = None,
) -> PairVectors:
    """An aligned dataset as matrices: questions are embedded, each distinct one once; passages are the store's.

    Raises:
        ValueError: If the model returns a wrong number of vectors, vectors of different lengths or values that are
            not finite.
    """
    queries = embed_queries(embeddings, list(dataset.queries.values()), cache=cache, show_progress=show_progress)
    return PairVectors.from_arrays(dataset, queries, stored.vectors, passage_ids=stored.ids, metric=stored.metric)


def _grades(dataset: QADataset, query: str, places: Mapping[str, list[str]]) -> dict[str, float]:
    """Grades by the store's ids; where two passages are one in the store, the better counts."""
    grades: dict[str, float] = {}
    for passage in dataset.relevant_docs[query]:
        for key in places[passage]:
            grades[key] = max(grades.get(key, 0.0), dataset.grade(query, passage))
    return grades

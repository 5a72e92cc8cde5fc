"""LangChain's ``FAISS``: any index that can ``reconstruct`` its vectors, flat, IVF and HNSW among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from langchain_core.documents import Document

from langchain_embedding_adapter.stores.base import DistanceScores, Metric, StoredPage

FEWEST_PASSES = 16
"""An IVF index is searched from end to end for each block it gives, so there are not more blocks than so many."""


class FaissReader(DistanceScores):
    """Reads the index by position and the docstore by id; L2 scores are squared distances.

    An index that quantises gives what it keeps, which is near what it was given. With ``normalize_L2`` the index holds,
    and compares, vectors of length one: L2 ranks them as the cosine does.
    """

    holders = ("embedding_function",)

    @property
    def metric(self) -> Metric:
        """By the index: inner product or L2, whatever strategy the store was told."""
        import faiss

        return "dot" if self.store.index.metric_type == faiss.METRIC_INNER_PRODUCT else "l2"

    def pages(self, size: int) -> Iterator[StoredPage]:
        """Its vectors by position.

        Raises:
            TypeError: If the index keeps nothing that its vectors could be told from.
        """
        index, ids = self._index(), self.store.index_to_docstore_id
        block = max(size, -(-index.ntotal // FEWEST_PASSES))
        for start in range(0, index.ntotal, block):
            try:
                vectors = index.reconstruct_n(start, min(block, index.ntotal - start))
            except RuntimeError as error:
                raise TypeError(
                    f"{type(index).__name__} keeps nothing that its vectors could be read back from ({error}); pass a "
                    "corpus with texts, and they are embedded once"
                ) from error
            for at in range(start, start + len(vectors), size):
                keys = [ids[row] for row in range(at, min(at + size, start + len(vectors)))]
                documents = [self._document(key) for key in keys]
                yield StoredPage(
                    keys,
                    [document.page_content for document in documents],
                    [document.metadata for document in documents],
                    np.asarray(vectors[at - start : at - start + len(keys)], dtype=np.float32),
                )

    def cosine_of(self, score: float) -> float:
        """The score of an inner product is itself; an L2 score is a squared distance."""
        return score if self.metric == "dot" else super().cosine_of(score)

    def score_of(self, cosine: float) -> float:
        """The inverse."""
        return cosine if self.metric == "dot" else super().score_of(cosine)

    def _index(self) -> Any:
        """The index, without one that only renames positions."""
        import faiss

        index = faiss.downcast_index(self.store.index)
        return faiss.downcast_index(index.index) if isinstance(index, faiss.IndexIDMap) else index

    def _document(self, key: str) -> Document:
        found = self.store.docstore.search(key)
        if not isinstance(found, Document):
            raise ValueError(f"the index has a vector for {key!r}, and the docstore has no document of that id")
        return found

"""``langchain_chroma``'s ``Chroma``, in memory, on disk or on a server."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from langchain_embedding_adapter.stores.base import DistanceScores, Metric, StoredPage


class ChromaReader(DistanceScores):
    """Reads the collection page by page; scores are distances, L2 ones squared.

    LangChain gives the client no embedding function of its own, so that no name of one is kept in the collection: it
    may be opened with the base and with the adapted embeddings alike. ``similarity_search_by_image`` calls
    ``embed_image``, which adapted embeddings do not have.
    """

    holders = ("_embedding_function",)

    @property
    def metric(self) -> Metric:
        """By the collection's configuration; Chroma's own default is L2."""
        known: dict[str, Metric] = {"cosine": "cosine", "ip": "dot", "l2": "l2"}
        configuration = self.store._collection.configuration
        spaces = [(configuration.get(kind) or {}).get("space") for kind in ("hnsw", "spann")]
        return known[next((space for space in spaces if space), "l2")]

    def pages(self, size: int) -> Iterator[StoredPage]:
        """Its records, in the order in which the collection gives them."""
        start = 0
        while True:
            page = self.store.get(include=["embeddings", "metadatas", "documents"], limit=size, offset=start)
            if not page["ids"]:
                return
            yield StoredPage(
                page["ids"],
                [text or "" for text in page["documents"]],
                [dict(metadata or {}) for metadata in page["metadatas"]],
                np.asarray(page["embeddings"], dtype=np.float32),
            )
            start += len(page["ids"])

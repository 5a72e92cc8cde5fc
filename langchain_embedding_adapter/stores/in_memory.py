"""``langchain_core``'s ``InMemoryVectorStore``: a dictionary of rows, compared by cosine."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from langchain_embedding_adapter.stores.base import Metric, SimilarityScores, StoredPage


class InMemoryReader(SimilarityScores):
    """Reads ``store.store``; its scores are cosines."""

    holders = ("embedding",)
    metric: Metric = "cosine"

    def pages(self, size: int) -> Iterator[StoredPage]:
        """Its rows, in the order in which they were added."""
        rows = iter(list(self.store.store.values()))
        while page := list(islice(rows, size)):
            yield StoredPage(
                [row["id"] for row in page],
                [row["text"] for row in page],
                [row["metadata"] for row in page],
                np.array([row["vector"] for row in page], dtype=np.float32),
            )

"""``langchain_postgres``'s ``PGVector``: two tables that all collections share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from langchain_embedding_adapter.stores.base import DistanceScores, Metric, StoredPage


class PGVectorReader(DistanceScores):
    """Reads ``langchain_pg_embedding`` by key; scores are cosine distances, distances, or negated inner products.

    A store in ``async_mode`` has no synchronous connection: open the collection once more without it to read it back.
    """

    holders = ("embedding_function",)
    squared = False

    @property
    def metric(self) -> Metric:
        """By the store's ``distance_strategy``: PostgreSQL compares as it is asked."""
        known: dict[str, Metric] = {"l2": "l2", "cosine": "cosine", "inner": "dot"}
        return known[self.store._distance_strategy.value]

    def pages(self, size: int) -> Iterator[StoredPage]:
        """Its rows, in the order of their ids.

        Raises:
            TypeError: If the store is in ``async_mode``.
        """
        if self.store.async_mode:
            raise TypeError("a PGVector in async_mode has no connection to read with; open it without async_mode")
        from sqlalchemy import select

        table, collections = self.store.EmbeddingStore, self.store.CollectionStore
        rows = (
            select(table.id, table.document, table.cmetadata, table.embedding)
            .join(collections, table.collection_id == collections.uuid)
            .where(collections.name == self.store.collection_name)
            .order_by(table.id)
            .limit(size)
        )
        last: str | None = None
        while True:
            with self.store._make_sync_session() as session:
                page = session.execute(rows if last is None else rows.where(table.id > last)).all()
            if not page:
                return
            yield StoredPage(
                [row.id for row in page],
                [row.document or "" for row in page],
                [dict(row.cmetadata or {}) for row in page],
                np.array([np.asarray(row.embedding, dtype=np.float32) for row in page]),
            )
            last = page[-1].id

    def cosine_of(self, score: float) -> float:
        """An inner product is negated, so that the least score is the best."""
        return -score if self.metric == "dot" else super().cosine_of(score)

    def score_of(self, cosine: float) -> float:
        """The inverse."""
        return -cosine if self.metric == "dot" else super().score_of(cosine)

"""``langchain_community``'s ``LanceDB``: a table in a folder, in object storage, or in LanceDB Cloud."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from langchain_core.documents import Document

from langchain_embedding_adapter.stores.base import DistanceScores, Metric, StoredPage


class LanceDBReader(DistanceScores):
    """Streams the table; scores are distances, L2 ones squared, for inner products one minus the product.

    The store searches by the metric of the index on its vectors or, without an index, by L2: its own ``distance``
    reaches no search and only decides how relevance is computed. A search that is given ``metrics`` scores by those.

    With its default ``mode="overwrite"`` the store replaces the whole table at each ``add_texts``, through a twin as
    without; open it with ``mode="append"`` to add. A filter is applied after the search unless it is given
    ``prefilter=True``. Search by maximal marginal relevance keeps the order of similarity, and needs a column named
    ``vector``. ``query_type="hybrid"`` fails in the store, whatever its embeddings, since LanceDB 0.13.
    """

    holders = ("_embedding",)

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._ids: dict[int, str] = {}

    @property
    def metric(self) -> Metric:
        """By the index on the vectors, and L2 without one.

        Raises:
            TypeError: If the index compares by Hamming distance.
        """
        known: dict[str, Metric] = {"l2": "l2", "cosine": "cosine", "dot": "dot"}
        table = self.store.get_table()
        for index in [] if table is None else table.list_indices():
            if self.store._vector_key in index.columns:
                kind = str(table.index_stats(index.name).distance_type).lower()
                if kind not in known:
                    raise TypeError(f"the index compares by {kind}, which an adapter is not trained for")
                return known[kind]
        return "l2"

    def pages(self, size: int) -> Iterator[StoredPage]:
        """Its rows that have a vector, in the order of the table; metadata has every key that any row has."""
        store = self.store
        for batch in self._batches(size, [store._id_key, store._text_key, store._vector_key]):
            rows = batch.filter(batch.column(store._vector_key).is_valid())
            if not rows.num_rows:
                continue
            vectors = rows.column(store._vector_key).flatten().to_numpy(zero_copy_only=False)
            yield StoredPage(
                [str(key) for key in rows.column(store._id_key).to_pylist()],
                [text or "" for text in rows.column(store._text_key).to_pylist()],
                _metadatas(rows),
                vectors.astype(np.float32).reshape(rows.num_rows, -1),
            )

    def identify(self, document: Document) -> str | None:
        """By text and metadata, since a document found has no id; the first of several that have both alike."""
        sought = _mark(document.page_content, document.metadata)
        if sought not in self._ids:
            self._ids.clear()
            for batch in self._batches(10_000, [self.store._id_key, self.store._text_key]):
                columns = (batch.column(key).to_pylist() for key in (self.store._id_key, self.store._text_key))
                for key, text, metadata in zip(*columns, _metadatas(batch), strict=True):
                    self._ids.setdefault(_mark(text, metadata), str(key))
        return self._ids.get(sought)

    def _batches(self, size: int, columns: list[str]) -> Iterator[Any]:
        """All rows as Arrow batches of at most ``size``, the metadata with them where the table has any."""
        table = self.store.get_table()
        if table is not None:
            columns += ["metadata"] * ("metadata" in table.schema.names)
            yield from table.search().select(columns).to_batches(batch_size=size)


def _metadatas(batch: Any) -> list[dict[str, Any]]:
    if "metadata" not in batch.schema.names:
        return [{} for _ in range(batch.num_rows)]
    return [dict(metadata or {}) for metadata in batch.column("metadata").to_pylist()]


def _mark(text: str, metadata: dict[str, Any]) -> int:
    """What tells rows apart."""
    return hash((text, repr(metadata)))

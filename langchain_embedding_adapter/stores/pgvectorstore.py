"""``langchain_postgres``'s ``PGVectorStore``: a table a collection, through an asynchronous engine."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter.stores.base import DistanceScores, Metric, StoredPage

INNER = "_PGVectorStore__vs"
"""Where the store keeps the asynchronous one that does its work, and the embeddings with it."""


class PGVectorStoreReader(DistanceScores):
    """Reads the table by key; scores are cosine distances, distances, or inner products.

    Embeddings with an ``embed_query_inline_template`` are computed by the database itself; adapted ones have none, and
    their queries are computed here.
    """

    squared = False

    @property
    def metric(self) -> Metric:
        """By the store's ``distance_strategy``."""
        known: dict[str, Metric] = {"EUCLIDEAN": "l2", "COSINE_DISTANCE": "cosine", "INNER_PRODUCT": "dot"}
        return known[self._inner().distance_strategy.name]

    @property
    def embeddings(self) -> Embeddings | None:
        """Those of the inner store."""
        found: Embeddings = self._inner().embedding_service
        return found

    def pages(self, size: int) -> Iterator[StoredPage]:
        """Its rows, in the order of their ids."""
        inner, last = self._inner(), None
        while True:
            page = self.store._engine._run_as_sync(_page(inner, size, last))
            if not page:
                return
            yield StoredPage(
                [str(row[0]) for row in page],
                [row[1] or "" for row in page],
                [_metadata(inner, row[3:]) for row in page],
                np.array([_vector(row[2]) for row in page], dtype=np.float32),
            )
            last = page[-1][0]

    def cosine_of(self, score: float) -> float:
        """An inner product is itself."""
        return score if self.metric == "dot" else super().cosine_of(score)

    def score_of(self, cosine: float) -> float:
        """The inverse."""
        return cosine if self.metric == "dot" else super().score_of(cosine)

    def twin(self, adapted: Embeddings) -> Any:
        """A copy around a copy of the inner store."""
        inner = copy.copy(self._inner())
        inner.embedding_service = adapted
        twin = copy.copy(self.store)
        setattr(twin, INNER, inner)
        return twin

    def _inner(self) -> Any:
        return vars(self.store)[INNER]


async def _page(inner: Any, size: int, last: Any) -> Any:
    """Rows after the key ``last``: id, text, vector, columns of metadata, and metadata as JSON."""
    from sqlalchemy import column, select, table

    names = [inner.id_column, inner.content_column, inner.embedding_column, *inner.metadata_columns]
    names += [inner.metadata_json_column] * bool(inner.metadata_json_column)
    columns: list[Any] = [column(name) for name in names]
    rows = select(*columns).select_from(table(inner.table_name, schema=inner.schema_name))
    rows = rows.order_by(columns[0]).limit(size)
    async with inner.engine.connect() as connection:
        found = await connection.execute(rows if last is None else rows.where(columns[0] > last))
        return found.all()


def _metadata(inner: Any, values: Any) -> dict[str, Any]:
    """What the metadata columns and the JSON column hold."""
    found = dict(zip(inner.metadata_columns, values, strict=False))
    return {**((values[-1] or {}) if inner.metadata_json_column else {}), **found}


def _vector(found: Any) -> Any:
    """A vector, which comes as text where the connection does not know the type."""
    return np.fromstring(found.strip("[]"), sep=",") if isinstance(found, str) else found

"""``langchain_milvus``'s ``Milvus``: a server, or Milvus Lite in a file; sparse and full-text fields beside or not."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter.stores.base import Metric, StoredPage, StoreReader

MOST = 16384
"""How many rows a server gives at a time."""


class MilvusReader(StoreReader):
    """Iterates over the collection; scores are cosines, inner products or, for ``L2``, squared distances.

    The collection has to exist: a store that nothing was added to yet knows no fields. In hybrid search only the dense
    query is adapted. A document found has its key in ``metadata[primary_field]``, unless the store keeps metadata in a
    ``metadata_field``: then its search tells no key.
    """

    holders = ("embedding_func",)

    @property
    def metric(self) -> Metric:
        """By the index of the dense field, or the one that it will get.

        Raises:
            TypeError: If it compares otherwise.
        """
        known: dict[str, Metric] = {"COSINE": "cosine", "IP": "dot", "L2": "l2"}
        _, field = self._dense()
        index = (self.store._get_index(field) or {}).get("index_param") or self.store._index_param_map.get(field, {})
        kind = str(index.get("metric_type", "L2"))
        if kind not in known:
            raise TypeError(f"the field {field!r} is compared by {kind}, which is none of {', '.join(known)}")
        return known[kind]

    @property
    def embeddings(self) -> Embeddings | None:
        """The dense ones, if there is one only."""
        dense = [embeddings for embeddings in self._all() if isinstance(embeddings, Embeddings)]
        return dense[0] if len(dense) == 1 else None

    def pages(self, size: int) -> Iterator[StoredPage]:
        """Its entities, in the order of their keys, with dynamic fields and columns as metadata.

        Raises:
            TypeError: If the vectors are not of 32 bits.
        """
        store, (_, vector) = self.store, self._dense()
        if not store.client.has_collection(store.collection_name):
            return
        key, text, metadata = store._primary_field, store._text_field, store._metadata_field
        wanted = [*_fields(store, vector), vector]
        rows = store.client.query_iterator(store.collection_name, batch_size=min(size, MOST), output_fields=wanted)
        try:
            while page := rows.next():
                others = [{name: row[name] for name in row if name not in (key, text, vector)} for row in page]
                yield StoredPage(
                    [str(row[key]) for row in page],
                    [row[text] or "" for row in page],
                    [dict(row[metadata] or {}) for row in page] if metadata else others,
                    np.array([row[vector] for row in page], dtype=np.float32),
                )
        finally:
            rows.close()

    def identify(self, document: Document) -> str | None:
        """The primary key, integers as text."""
        found = None if self.store._metadata_field else document.metadata.get(self.store._primary_field)
        return None if found is None else str(found)

    def cosine_of(self, score: float) -> float:
        """A squared distance in collections that compare by L2, else the cosine itself."""
        return 1 - score / 2 if self.metric == "l2" else score

    def score_of(self, cosine: float) -> float:
        """The inverse."""
        return max(0.0, 2 - 2 * cosine) if self.metric == "l2" else cosine

    def twin(self, adapted: Embeddings) -> Any:
        """A copy that holds ``adapted`` in place of the dense embeddings; sparse ones and built-in functions stay.

        Raises:
            TypeError: If there are several dense ones, and none of them is the base of ``adapted``; or none at all.
        """
        held, base = self._all(), self.embeddings or getattr(adapted, "embeddings", None)
        replaced = [isinstance(one, Embeddings) and one is base for one in held]
        if not any(replaced):
            self._dense()
        new = [adapted if here else old for here, old in zip(replaced, held, strict=True)]
        twin = copy.copy(self.store)
        twin.embedding_func = new if isinstance(self.store.embedding_func, list) else new[0]
        twin._vector_field = copy.copy(self.store._vector_field)  # searches of the store's own append to a list here
        return twin

    def _all(self) -> list[Any]:
        """The embeddings that the store holds, dense and sparse."""
        return list(self.store._as_list(self.store.embedding_func))

    def _dense(self) -> tuple[Embeddings, str]:
        """The one dense embeddings and their field."""
        fields = zip(self._all(), self.store._vector_fields_from_embedding, strict=True)
        dense = [(embeddings, field) for embeddings, field in fields if isinstance(embeddings, Embeddings)]
        if len(dense) == 1:
            return dense[0]
        if not dense:
            raise TypeError("the store holds no dense embeddings, so that there are none to adapt")
        names = ", ".join(field for _, field in dense)
        raise TypeError(
            f"the store holds several dense embeddings, of {names}; adapt the very object that it holds for one of "
            "them, and to read its vectors open the collection with that one as Milvus(embeddings, vector_field=...)"
        )


def _fields(store: Any, vector: str) -> list[str]:
    """The fields of the collection that hold no vectors, and what stands for dynamic ones."""
    described = store.client.describe_collection(store.collection_name)
    kinds = {field["name"]: field["type"].name for field in described["fields"]}
    if kinds[vector] != "FLOAT_VECTOR":
        raise TypeError(f"the field {vector!r} is a {kinds[vector]}; only a FLOAT_VECTOR is read back")
    return [name for name in kinds if "VECTOR" not in kinds[name]] + ["$meta"] * bool(described["enable_dynamic_field"])

"""``langchain_community``'s ``OpenSearchVectorSearch``: vectors of the k-NN plugin."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from langchain_embedding_adapter.stores.base import Metric, StoredPage, StoreReader
from langchain_embedding_adapter.stores.elasticsearch import HALF, INNER, KEEP, L2, Scale

BY_SPACE: dict[str, tuple[Metric, Scale]] = {
    "l2": ("l2", L2),
    "cosinesimil": ("cosine", HALF),
    "innerproduct": ("dot", INNER),
}
"""What approximate search gives, by ``space_type``, with Lucene, Faiss and NMSLIB alike:
https://docs.opensearch.org/latest/mappings/supported-field-types/knn-spaces/"""
NMSLIB: Scale = (lambda cosine: 1 / (2 - cosine), lambda score: 2 - 1 / score)
"""What NMSLIB gave for ``cosinesimil`` before 2.19: https://github.com/opensearch-project/k-NN/issues/2319"""


class OpenSearchReader(StoreReader):
    """Scrolls through the index; scores are those of approximate search.

    LangChain is told the fields at each search and keeps none: the vectors are read from ``vector_field`` or else from
    the only field of vectors that the mapping has, the texts from ``text`` or else from the only field of text. Hybrid
    search embeds each query twice and knows the fields ``vector_field`` and ``text`` only; only its dense query is
    adapted. Script scoring compares by the ``space_type`` that each search names, L2 unless it names one.
    """

    holders = ("embedding_function",)

    @property
    def metric(self) -> Metric:
        """By the mapping of the index.

        Raises:
            TypeError: If the index compares by another space, or it is not known in which field its vectors are.
        """
        return self._convention[0]

    def pages(self, size: int) -> Iterator[StoredPage]:
        """Its documents that have a vector, in the order in which the shards hold them."""
        from opensearchpy.helpers import scan

        field, text = self._field("knn_vector", "vector_field"), self._field("text", "text")
        hits = scan(
            self.store.client,
            query={"query": {"exists": {"field": field}}},
            index=self.store.index_name,
            scroll=KEEP,
            size=size,
        )
        while page := list(islice(hits, size)):
            sources = [hit["_source"] for hit in page]
            yield StoredPage(
                [hit["_id"] for hit in page],
                [source.get(text) or "" for source in sources],
                [_metadata(source, {field, text}) for source in sources],
                np.array([source[field] for source in sources], dtype=np.float32),
            )

    def cosine_of(self, score: float) -> float:
        """By the space of the field."""
        return self._convention[1][1](score)

    def score_of(self, cosine: float) -> float:
        """The inverse."""
        return self._convention[1][0](cosine)

    @cached_property
    def _convention(self) -> tuple[Metric, Scale]:
        """The metric and the scale of the scores."""
        field = self._properties()[self._field("knn_vector", "vector_field")]
        if "model_id" in field:
            field = self.store.client.transport.perform_request("GET", f"/_plugins/_knn/models/{field['model_id']}")
        method = field.get("method") or {}
        space = method.get("space_type") or field.get("space_type") or "l2"
        if space not in BY_SPACE:
            raise TypeError(f"the index compares by {space}, which an adapter is not trained for")
        metric, scale = BY_SPACE[space]
        return metric, NMSLIB if space == "cosinesimil" and method.get("engine") == "nmslib" and self._old() else scale

    def _old(self) -> bool:
        """Whether the server is older than 2.19; the serverless service tells no version and is not."""
        if self.store.is_aoss:
            return False
        major, minor, *_ = map(int, self.store.client.info()["version"]["number"].split("-")[0].split("."))
        return (major, minor) < (2, 19)

    def _properties(self) -> dict[str, Any]:
        """The fields of the index."""
        mappings = self.store.client.indices.get_mapping(index=self.store.index_name)
        found: dict[str, Any] = next(iter(mappings.values()))["mappings"].get("properties", {})
        return found

    def _field(self, kind: str, usual: str) -> str:
        """The field of a type that has the usual name, or is the only one."""
        found = [name for name, field in self._properties().items() if field.get("type") == kind]
        if usual not in found and len(found) != 1:
            raise TypeError(
                f"the index {self.store.index_name!r} has no field {usual!r} of type {kind}, and not one other but "
                f"{len(found)}; register a StoreReader that names the field"
            )
        return usual if usual in found else found[0]


def _metadata(source: dict[str, Any], apart: set[str]) -> dict[str, Any]:
    """The field ``metadata`` or, as LangChain has it, the whole document where there is none."""
    if "metadata" in source:
        return dict(source["metadata"] or {})
    return {key: value for key, value in source.items() if key not in apart}

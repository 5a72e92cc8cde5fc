"""``langchain_elasticsearch``'s ``ElasticsearchStore``: dense vectors, searched alone or beside the words."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter.stores.base import Metric, StoredPage, StoreReader

Scale = tuple[Callable[[float], float], Callable[[float], float]]
"""The score of a cosine, and the cosine of a score, for vectors of length one."""

HALF: Scale = (lambda cosine: (1 + cosine) / 2, lambda score: 2 * score - 1)
L2: Scale = (lambda cosine: 1 / (1 + max(0.0, 2 - 2 * cosine)), lambda score: 1 - (1 / score - 1) / 2)
INNER: Scale = (
    lambda cosine: cosine + 1 if cosine > 0 else 1 / (1 - cosine),
    lambda score: score - 1 if score > 1 else 1 - 1 / score,
)
"""Lucene's scales, which both Elasticsearch and OpenSearch have; ``L2`` is of the squared distance."""
BY_SIMILARITY: dict[str, tuple[Metric, Scale]] = {
    "cosine": ("cosine", HALF),
    "dot_product": ("dot", HALF),
    "l2_norm": ("l2", L2),
    "max_inner_product": ("dot", INNER),
}
"""What search by ``knn`` gives, by the ``similarity`` of the field:
https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/dense-vector#dense-vector-similarity"""
BY_SCRIPT: dict[str, tuple[Metric, Scale]] = {
    "COSINE": ("cosine", (lambda cosine: cosine + 1, lambda score: score - 1)),
    "DOT_PRODUCT": ("dot", (lambda cosine: 1 / (1 + math.exp(-cosine)), lambda score: math.log(score / (1 - score)))),
    "EUCLIDEAN_DISTANCE": (
        "l2",
        (lambda cosine: 1 / (1 + max(0.0, 2 - 2 * cosine) ** 0.5), lambda score: 1 - (1 / score - 1) ** 2 / 2),
    ),
}
"""What exact search gives, by the strategy's distance. The script of ``MAX_INNER_PRODUCT`` does not compile."""
KEEP = "5m"
"""For how long the server keeps the view of the index from one page to the next."""


class ElasticsearchReader(StoreReader):
    """Reads the index from one point in time; scores are those of Lucene, or of the script of exact search.

    In hybrid search only the dense query is adapted; LangChain gives no scores with it. Documents found carry no id
    unless the search is given a ``doc_builder`` that sets one (``id=hit["_id"]``). Indices that keep vectors quantised,
    as the server's default does, give scores that are approximate. ``dot_product`` takes vectors of length one only.
    """

    holders = ("embedding",)
    wrapper: ClassVar[str] = "EmbeddingServiceAdapter"
    """What LangChain wraps around embeddings for the client."""

    @property
    def metric(self) -> Metric:
        """By the mapping of the index or, in exact search, by the strategy.

        Raises:
            TypeError: If the index holds no dense vectors in the store's field.
        """
        return self._convention[0]

    def pages(self, size: int) -> Iterator[StoredPage]:
        """Its documents that have a vector, in the order in which the shards hold them.

        Vectors are asked for by ``fields``: from 9.2 on they are no part of ``_source`` unless asked for by an option
        that servers before 9.1 refuse.
        """
        inner = self.store._store
        text, field = inner.text_field, inner.vector_field
        last: dict[str, Any] = {}
        view = inner.client.open_point_in_time(index=inner.index, keep_alive=KEEP)["id"]
        try:
            while True:
                found = inner.client.search(
                    pit={"id": view, "keep_alive": KEEP},
                    query={"exists": {"field": field}},
                    sort=[{"_shard_doc": "asc"}],
                    size=size,
                    fields=[field],
                    source_includes=[text, "metadata"],
                    track_total_hits=False,
                    **last,
                )
                view, hits = found.get("pit_id", view), found["hits"]["hits"]
                if not hits:
                    return
                yield StoredPage(
                    [hit["_id"] for hit in hits],
                    [hit["_source"].get(text) or "" for hit in hits],
                    [dict(hit["_source"].get("metadata") or {}) for hit in hits],
                    np.array([hit["fields"][field] for hit in hits], dtype=np.float32),
                )
                last = {"search_after": hits[-1]["sort"]}
        finally:
            inner.client.close_point_in_time(id=view)

    def cosine_of(self, score: float) -> float:
        """By the similarity of the field."""
        return self._convention[1][1](score)

    def score_of(self, cosine: float) -> float:
        """The inverse."""
        return self._convention[1][0](cosine)

    def twin(self, adapted: Embeddings) -> Any:
        """A copy around a copy of the helper that searches; each holds the embeddings.

        Raises:
            TypeError: If the store has no embeddings: a model in Elasticsearch embeds, or nothing does.
        """
        from langchain_elasticsearch import embeddings

        if self.embeddings is None:
            model = getattr(self.store._store.retrieval_strategy, "model_id", None)
            who = f"the model {model!r} within Elasticsearch embeds its queries" if model else "it has no embeddings"
            raise TypeError(
                f"this ElasticsearchStore cannot be queried adapted: {who}; open it with `embedding`, the LangChain "
                "embeddings of the same model (ElasticsearchEmbeddings for one within Elasticsearch)"
            )
        twin = super().twin(adapted)
        twin._store = copy.copy(self.store._store)
        twin._embedding_service = twin._store.embedding_service = getattr(embeddings, self.wrapper)(adapted)
        return twin

    @cached_property
    def _convention(self) -> tuple[Metric, Scale]:
        """The metric and the scale of the scores."""
        inner = self.store._store
        mapping = next(iter(inner.client.indices.get_mapping(index=inner.index).values()))["mappings"]
        for name in inner.vector_field.split("."):
            mapping = mapping.get("properties", {}).get(name, {})
        if mapping.get("type") != "dense_vector" or mapping.get("element_type") == "bit":
            raise TypeError(f"{inner.vector_field!r} of the index {inner.index!r} holds no dense vectors of numbers")
        if type(inner.retrieval_strategy).__name__ == "DenseVectorScriptScoreStrategy":
            distance = inner.retrieval_strategy.distance.value
            if distance not in BY_SCRIPT:
                raise TypeError(f"exact search by {distance} fails in the client; index for approximate search instead")
            return BY_SCRIPT[distance]
        return BY_SIMILARITY[mapping.get("similarity", "cosine")]


class AsyncElasticsearchReader(ElasticsearchReader):
    """Makes twins of an ``AsyncElasticsearchStore``; its client is no way to read the index back from ordinary code."""

    wrapper = "AsyncEmbeddingServiceAdapter"

    @property
    def metric(self) -> Metric:
        """Not read.

        Raises:
            TypeError: Always.
        """
        raise TypeError("an AsyncElasticsearchStore is not read back; open its index with ElasticsearchStore for that")

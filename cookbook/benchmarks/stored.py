"""Benchmark collections on disk, and embeddings that look their vectors up.

A collection is ``NAME.json`` (``queries``, ``corpus``, ``relevant_docs``, and ``split``, question id to train or test,
where there is one) and, for a model that is not to be run again, ``NAME.MODEL.npz`` (``query_vectors``,
``document_vectors``: unit rows in the order of the JSON's keys).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter import QADataset
from langchain_embedding_adapter.vectors import Floats, embed_dataset

DATA = Path(__file__).parents[3] / "shared" / "data"


class StoredEmbeddings(Embeddings):
    """Looks up what a model once gave: training and evaluation then cost nothing but themselves.

    Attributes:
        model: The name of the model.
        texts: How many texts have been embedded so far.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.texts = 0
        self._queries: dict[str, Floats] = {}
        self._documents: dict[str, Floats] = {}

    def add(self, dataset: QADataset, queries: Floats, passages: Floats) -> None:
        """Take over the vectors of one collection, rows in the order of its questions and passages."""
        self._queries |= dict(zip(dataset.queries.values(), queries, strict=True))
        self._documents |= dict(zip(dataset.corpus.values(), passages, strict=True))

    def embed_query(self, text: str) -> list[float]:
        self.texts += 1
        vector: list[float] = self._queries[text].tolist()
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.texts += len(texts)
        return [self._documents[text].tolist() for text in texts]


def load_stored(data: Path, names: list[str], model: str) -> tuple[StoredEmbeddings, list[QADataset]]:
    """Collections and the embeddings that know their vectors."""
    embeddings = StoredEmbeddings(model)
    datasets = []
    for name in names:
        dataset = QADataset.load(data / f"{name}.json")
        with np.load(data / f"{name}.{model}.npz") as vectors:
            embeddings.add(dataset, vectors["query_vectors"], vectors["document_vectors"])
        datasets.append(dataset)
    return embeddings, datasets


def store(embeddings: Embeddings, model: str, datasets: Iterable[QADataset]) -> StoredEmbeddings:
    """Embed these collections now, to look the vectors up from then on."""
    stored = StoredEmbeddings(model)
    for dataset in datasets:
        vectors = embed_dataset(embeddings, dataset, show_progress=False)
        stored.add(dataset, vectors.queries, vectors.passages)
    return stored


def split_as_published(data: Path, name: str, dataset: QADataset) -> tuple[QADataset, QADataset]:
    """Train and test as the collection's own file splits them; all of it is to train where it does not."""
    split = json.loads((data / f"{name}.json").read_text(encoding="utf-8")).get("split", {})
    test = [query for query in dataset.queries if split.get(query, "train") == "test"]
    return dataset.subset(dataset.queries.keys() - test), dataset.subset(test)

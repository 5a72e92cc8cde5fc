"""Benchmark collections on disk, and embeddings that look their vectors up.

A collection is ``NAME.json`` (``queries``, ``corpus``, ``relevant_docs``) and, for a model that is not to be run again,
``NAME.MODEL.npz`` (``query_vectors``, ``document_vectors``: unit rows in the order of the JSON's keys).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter import QADataset

DATA = Path(__file__).parents[3] / "shared" / "data"


class StoredEmbeddings(Embeddings):
    """Looks up what a model once gave: training and evaluation then cost nothing but themselves."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._queries: dict[str, list[float]] = {}
        self._documents: dict[str, list[float]] = {}

    def add(self, dataset: QADataset, file: Path) -> None:
        """Take over the vectors of one collection."""
        with np.load(file) as vectors:
            self._queries |= dict(zip(dataset.queries.values(), vectors["query_vectors"].tolist(), strict=True))
            self._documents |= dict(zip(dataset.corpus.values(), vectors["document_vectors"].tolist(), strict=True))

    def embed_query(self, text: str) -> list[float]:
        return self._queries[text]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self._documents[text] for text in texts]


def load_stored(data: Path, names: list[str], model: str) -> tuple[StoredEmbeddings, list[QADataset]]:
    """Collections and the embeddings that know their vectors."""
    embeddings = StoredEmbeddings(model)
    datasets = []
    for name in names:
        dataset = QADataset.load(data / f"{name}.json")
        embeddings.add(dataset, data / f"{name}.{model}.npz")
        datasets.append(dataset)
    return embeddings, datasets

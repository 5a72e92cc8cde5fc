"""An index queried with another model than the one that built it: how much of its own quality is kept.

    python cookbook/benchmarks/model_change.py [--data FOLDER] [--model MINILM] [--most-texts N] [--json]

The collections and the vectors of all-MiniLM-L6-v2 are those of stored.py, WordLlama runs live. WordLlama asks a MiniLM
index, and with ``--model`` (a folder or name that sentence-transformers loads as all-MiniLM-L6-v2) MiniLM asks a
WordLlama index: it has to embed what is cut from the passages. ``--most-texts 4000`` lets so many passages teach, where
there are more. nDCG@10 × 100 on the published test questions; where there is no published split, on the questions about
half of the passages. The columns:

- *native*: the model that built the index, asking itself;
- *rebuilt*: the model that asks, on an index rebuilt with it: what there would be to gain;
- *ridge*: least squares on the passages, the usual way;
- *linear*: ``bridge_models(memory=False)``;
- *bridge*: ``bridge_models``, with a memory of the texts where that did better;
- *labelled*: that, trained on the training questions: ``AdapterTrainer(new, document_embeddings=old)``;
- *same*: the same with ``expect="same passages"``: tomorrow's questions are about the passages of today's.

Test questions decide nothing: the bridge is chosen with pseudo-questions, its fixed settings on other collections.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from stored import DATA, StoredEmbeddings, load_stored, split_as_published

from langchain_embedding_adapter import AdapterTrainer, LinearAdapter, QADataset, WordLlamaEmbeddings, bridge_models
from langchain_embedding_adapter.bridging.alignment import ridge_regression
from langchain_embedding_adapter.evaluation.ranking import compare
from langchain_embedding_adapter.stores import StoredVectors
from langchain_embedding_adapter.tables import aligned
from langchain_embedding_adapter.vector_cache import VectorCache
from langchain_embedding_adapter.vectors import Floats, PairVectors, embed_dataset, unit

MODEL = "all-MiniLM-L6-v2"
NAMES = ("scifact", "lyft_10k_2021", "uber_10k_2021", "apple_environment_2024")
METRIC = "ndcg@10"
WAYS = ("ridge", "linear", "bridge", "labelled", "same")


class KnownOrLive(Embeddings):
    """Looks up what is stored, and asks the model for the rest."""

    model = MODEL

    def __init__(self, stored: StoredEmbeddings, folder: str) -> None:
        from sentence_transformers import SentenceTransformer

        self._stored, self._model = stored, SentenceTransformer(folder, device="cpu")
        self._asked: dict[str, list[float]] = {}

    def embed_query(self, text: str) -> list[float]:
        try:
            return self._stored.embed_query(text)
        except KeyError:
            if text not in self._asked:  # both directions cut the same questions
                vector = self._model.encode(text, normalize_embeddings=True, show_progress_bar=False)
                self._asked[text] = vector.tolist()
            return self._asked[text]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._stored.embed_documents(texts)


def parts(data: Path, name: str, dataset: QADataset) -> tuple[QADataset, QADataset]:
    """Training and test questions."""
    train, test = split_as_published(data, name, dataset)
    if len(test):
        return train, test
    train, test = dataset.split(test_size=0.5, seed=0, by="passage")
    return train, test


def index_of(dataset: QADataset, vectors: PairVectors) -> StoredVectors:
    """The passages as a store that the old model has filled."""
    ids, texts = tuple(dataset.corpus), tuple(dataset.corpus.values())
    return StoredVectors(ids, texts, ({},) * len(ids), vectors.passages, "cosine", True, len(ids))


def measure(
    new: Embeddings, old: Embeddings, train: QADataset, test: QADataset, *, most_texts: int, old_is_live: bool
) -> dict[str, Any]:
    """One collection, one direction."""
    theirs, cache = embed_dataset(old, test, show_progress=False), VectorCache()
    ours = embed_dataset(new, test, cache=cache, show_progress=False)
    store = index_of(test, theirs)
    ridge = LinearAdapter(ours.queries.shape[1], theirs.queries.shape[1])
    ridge.weight = ridge_regression(unit(ours.passages), unit(theirs.passages))

    def score(queries: Floats) -> float:
        return 100 * float(compare(theirs, lambda _: queries, [10])[METRIC].adapted or 0.0)

    row: dict[str, Any] = {
        "texts": min(most_texts, len(test.corpus)),
        "of": len(test.corpus),
        "questions": len(test),
        "native": score(theirs.queries),
        "rebuilt": 100 * compare(ours, None, [10])[METRIC].base,
        "ridge": score(ridge.adapt(ours.queries)),
    }
    options: dict[str, Any] = {"store": store, "most_texts": most_texts, "cache": cache, "show_progress": False}
    teller = old if old_is_live else None
    row["linear"] = score(bridge_models(new, teller, memory=False, **options).adapter.adapt(ours.queries))
    started = time.perf_counter()
    bridge = bridge_models(new, teller, **options)
    row["seconds"] = time.perf_counter() - started
    adapted = bridge.adapter.adapt(ours.queries)
    row["bridge"] = score(adapted)
    row["chosen"] = bridge.report.chosen
    trainer = AdapterTrainer(new, document_embeddings=old, cache=cache, show_progress=False)
    for way, expect in (("labelled", "both"), ("same", "same passages")):
        refined = trainer.train(train, adapter=bridge.adapter, expect=expect, store=store)
        row[way] = score(refined.adapter.adapt(ours.queries))
    if row["texts"] < row["of"]:
        row |= by_coverage(bridge, theirs, adapted)
    return row


def by_coverage(bridge: Any, theirs: PairVectors, adapted: Floats) -> dict[str, float]:
    """The share kept on questions about texts that taught, and about the others, where a memory tells."""
    keys = getattr(bridge.adapter, "values", None)
    if keys is None:
        return {}
    taught = {row.tobytes() for row in np.round(keys, 5)}
    known = np.array([row.tobytes() in taught for row in np.round(unit(theirs.passages), 5)])
    asks = np.array([known[found].all() for found in theirs.relevant])
    shares = {}
    for name, rows in (("kept, taught", np.flatnonzero(asks)), ("kept, others", np.flatnonzero(~asks))):
        if len(rows):
            report = compare(theirs.rows(rows), lambda _, rows=rows: adapted[rows], [10])[METRIC]
            shares[name] = (report.adapted or 0.0) / report.base
    return shares


def rows_of(data: Path, model: str | None, most_texts: int, names: list[str]) -> Iterator[dict[str, Any]]:
    word_llama = WordLlamaEmbeddings()
    for name in names:
        stored, (dataset,) = load_stored(data, [name], MODEL)
        train, test = parts(data, name, dataset)
        minilm: Embeddings = stored if model is None else KnownOrLive(stored, model)
        directions = {("WordLlama", "MiniLM"): (word_llama, minilm, model is not None)}
        if model is not None:
            directions["MiniLM", "WordLlama"] = (minilm, word_llama, True)
        for (asking, built), (new, old, live) in directions.items():
            row = {"collection": name, "asks": asking, "index of": built}
            yield row | measure(new, old, train, test, most_texts=most_texts, old_is_live=live)


def show(rows: list[dict[str, Any]]) -> str:
    """The table: figures, and of each way the share of the native one."""
    header = ["collection", "asks", "index of", "texts", "questions", "native", "rebuilt"]
    header += [cell for way in WAYS for cell in (way, "kept")] + ["s"]

    def cells(row: dict[str, Any]) -> list[str]:
        known = [str(row[name]) for name in ("collection", "asks", "index of", "texts", "questions")]
        known += [f"{row[name]:.1f}" for name in ("native", "rebuilt")]
        known += [cell for way in WAYS for cell in (f"{row[way]:.1f}", f"{100 * row[way] / row['native']:.0f}")]
        return [*known, f"{row['seconds']:.0f}"]

    return aligned(header, [cells(row) for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", help="all-MiniLM-L6-v2, as sentence-transformers loads it")
    parser.add_argument("--most-texts", type=int, default=10_000, help="so many passages teach at most")
    parser.add_argument("--collections", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for row in rows_of(options.data, options.model, options.most_texts, options.collections):
        print(json.dumps(row), file=sys.stderr, flush=True)
        rows.append(row)
    print(json.dumps(rows) if options.json else show(rows))


if __name__ == "__main__":
    main()

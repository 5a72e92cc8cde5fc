"""What each form of memory keeps of what a memory gains on real questions, among many others that it holds.

    python cookbook/benchmarks/memory_quality.py [--data FOLDER] [--entries 5000 50000] [--json]

SciFact, split as published, trained with ``expect="same passages"``, where a memory is chosen. Its training questions
are then remembered together with others, up to so many entries: vectors of other collections' texts plus noise, each
with a passage of its own. The forms of memory_scale.py hold the same entries, but for *condensed*, which holds a fifth
of them. nDCG@10 × 100 of the test questions, the linear map without a memory beside them, and how many questions each
form ranks better, the same and worse than exact recall does.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from stored import DATA, load_stored, split_as_published

from langchain_embedding_adapter import AdaptedEmbeddings, AdapterTrainer, LinearAdapter, MemoryAdapter
from langchain_embedding_adapter.adapters import BaseAdapter, QuantisedMemoryAdapter
from langchain_embedding_adapter.evaluation import evaluate_retrieval
from langchain_embedding_adapter.fitting import fit_memory
from langchain_embedding_adapter.tables import aligned
from langchain_embedding_adapter.vectors import Floats, PairVectors, Ragged, embed_dataset, unit

MODEL, COLLECTION = "all-MiniLM-L6-v2", "scifact"
NOISE = 0.5
"""Length of what is added to a real vector."""
CELLS_PER_ROOT = 2.3
CONDENSED = 5


def others(data: Path, count: int, dimensions: int) -> tuple[Floats, Floats]:
    """Questions of no interest, and a passage for each."""
    found = []
    for path in sorted(data.glob(f"*.{MODEL}.npz")):
        if not path.name.startswith(COLLECTION):
            with np.load(path) as vectors:
                found += [vectors["query_vectors"], vectors["document_vectors"]]
    texts, random = np.concatenate(found), np.random.default_rng(0)

    def near(rows: Floats) -> Floats:
        return unit(rows + random.standard_normal(rows.shape, dtype=np.float32) * np.float32(NOISE / dimensions**0.5))

    chosen = texts[random.integers(len(texts), size=count)]
    return near(chosen), near(chosen)


def among(vectors: PairVectors, data: Path, count: int) -> PairVectors:
    """These questions and others, ``count`` in all."""
    queries, passages = others(data, count - len(vectors.queries), vectors.queries.shape[1])
    own, more = len(vectors.passages), len(queries)
    relevant = np.concatenate([vectors.relevant.flat, own + np.arange(more)])
    counts = np.concatenate([vectors.relevant.counts, np.ones(more, dtype=np.int64)])
    grades = np.concatenate([vectors.grades.flat, np.ones(more)])
    return PairVectors(
        [*vectors.query_ids, *(f"other {row}" for row in range(more))],
        [*vectors.passage_ids, *(f"other {row}" for row in range(more))],
        np.concatenate([vectors.queries, queries]),
        np.concatenate([vectors.passages, passages]),
        Ragged.in_rows(relevant, counts),
        Ragged.in_rows(grades, counts),
    )


def forms(vectors: PairVectors, weight: Floats, recall: tuple[float, float]) -> dict[str, BaseAdapter]:
    """The memory of these questions beside this map, in every form."""
    size, dimensions = vectors.queries.shape
    cells = round(CELLS_PER_ROOT * size**0.5)
    made: dict[str, MemoryAdapter | QuantisedMemoryAdapter] = {
        "exact": MemoryAdapter(dimensions, dimensions, size, *recall),
        "cells": MemoryAdapter(dimensions, dimensions, size, *recall, cells=cells),
        "condensed": MemoryAdapter(dimensions, dimensions, size // CONDENSED, *recall),
        "quantised": QuantisedMemoryAdapter(dimensions, dimensions, size, cells, *recall),
    }
    for memory in made.values():
        memory.weight = weight
    return {form: fit_memory(vectors, memory, seed=0) for form, memory in made.items()}


def compared(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    embeddings, (dataset,) = load_stored(arguments.data, [COLLECTION], MODEL)
    train, test = split_as_published(arguments.data, COLLECTION, dataset)
    chosen = AdapterTrainer(embeddings).train(train, expect="same passages", adapter="memory")
    if not isinstance(chosen.adapter, MemoryAdapter):
        raise TypeError(f"expected that a memory is chosen, and it was: {chosen.verdict}")
    recall = chosen.adapter.temperature, chosen.adapter.strength
    vectors = embed_dataset(embeddings, train, show_progress=False)
    linear = LinearAdapter(chosen.adapter.in_features, chosen.adapter.out_features)
    linear.weight = chosen.adapter.weight

    def scores(adapter: BaseAdapter) -> Any:
        report = evaluate_retrieval(AdaptedEmbeddings(embeddings, adapter), test, show_progress=False)
        return report.adapted_scores["ndcg@10"]

    def row(form: str, entries: int, found: Any, exact: Any) -> dict[str, Any]:
        told = {"form": form, "entries": entries, "ndcg@10": 100 * float(found.mean()), "recall": recall}
        return told | {"better": int((found > exact).sum()), "worse": int((found < exact).sum())}

    without, rows = scores(linear), []
    for entries in arguments.entries:
        made = forms(among(vectors, arguments.data, max(entries, len(train))), linear.weight, recall)
        exact = scores(made["exact"])
        rows.append(row("no memory", entries, without, exact))
        rows += [row(form, entries, scores(adapter), exact) for form, adapter in made.items()]
    return rows


def show(rows: list[dict[str, Any]]) -> str:
    header = ["entries", "form", "nDCG@10", "better / worse than exact"]
    return aligned(
        header,
        [
            [f"{row['entries']:,}", row["form"], f"{row['ndcg@10']:.2f}", f"{row['better']} / {row['worse']}"]
            for row in rows
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, nargs="+", default=[1_000, 5_000, 50_000], help="that are remembered")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the collections")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON, too, in the last line")
    arguments = parser.parse_args()
    rows = compared(arguments)
    print(f"temperature {rows[0]['recall'][0]:g}, strength {rows[0]['recall'][1]:g}\n\n{show(rows)}")
    if arguments.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()

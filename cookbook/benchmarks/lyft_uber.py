"""LlamaIndex's own demo of its adapter, repeated: train on Lyft's annual report, test on Uber's.

    python cookbook/benchmarks/lyft_uber.py [--data FOLDER] [--json]

The two collections are LLM-written questions on two 10-K filings of 2021, published as ``data/train_dataset.json`` and
``data/val_dataset.json`` in https://github.com/run-llama/finetune-embedding; save them in FOLDER as
``lyft_10k_2021.json`` and ``uber_10k_2021.json``. WordLlama embeds them live; all-MiniLM-L6-v2 is looked up in
``NAME.all-MiniLM-L6-v2.npz`` (see stored.py), and left out where these files are missing. Nothing here is tuned to the
test: every row is the default.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from langchain_core.embeddings import Embeddings
from stored import DATA, load_stored

from langchain_embedding_adapter import AdapterTrainer, BaseAdapter, QADataset, WordLlamaEmbeddings
from langchain_embedding_adapter.tables import aligned

TRAIN, TEST = "lyft_10k_2021", "uber_10k_2021"
STORED_MODEL = "all-MiniLM-L6-v2"

# Published by LlamaIndex for bge-small-en on the same pairs: hit rate@5 and MRR@5 of base and of its linear adapter
# (docs, "Finetuning an Adapter on Top of any Black-Box Embedding Model").
PUBLISHED = [
    {"model": "bge-small-en", "adapter": "base (published by LlamaIndex)", "hit_rate@5": 0.787, "mrr@5": 0.643},
    {"model": "bge-small-en", "adapter": "linear (published by LlamaIndex)", "hit_rate@5": 0.799, "mrr@5": 0.662},
]


class GatedAdapter(BaseAdapter):
    """A custom module: a small network decides how far each query moves along a learned shift."""

    def __init__(self, in_features: int, out_features: int, hidden_features: int = 256) -> None:
        super().__init__(in_features, out_features)
        torch.manual_seed(0)
        self.gate = torch.nn.Sequential(torch.nn.Linear(in_features, 1), torch.nn.Sigmoid())
        self.shift = torch.nn.Sequential(
            torch.nn.Linear(in_features, hidden_features),
            torch.nn.GELU(),
            torch.nn.Linear(hidden_features, out_features, bias=False),
        )
        torch.nn.init.zeros_(self.shift[-1].weight)

    def forward(self, queries: torch.Tensor) -> torch.Tensor:
        return queries + self.gate(queries) * self.shift(queries)


def measure(model: str, embeddings: Embeddings, train: QADataset, test: QADataset) -> list[dict[str, Any]]:
    """Train each adapter on the one collection and examine it on the other."""
    trainer = AdapterTrainer(embeddings)
    trainer.train(train)  # embeds everything, so that the seconds below are those of fitting and deciding alone
    features = len(embeddings.embed_query(next(iter(train.queries.values()))))
    adapters: dict[str, BaseAdapter | str | None] = {
        "default": None,
        "linear": "linear",
        "two-layer": "two-layer",
        "custom module": GatedAdapter(features, features),
    }
    rows: list[dict[str, Any]] = []
    for name, adapter in adapters.items():
        started = time.perf_counter()
        result = trainer.train(train, adapter=adapter)
        seconds = time.perf_counter() - started
        report = result.evaluate(test)
        hit, mrr, ndcg = (report[metric] for metric in ("hit_rate@5", "mrr@5", "ndcg@10"))
        if not rows:
            rows.append({"model": model, "adapter": "base"} | {m.metric: m.base for m in (hit, mrr, ndcg)})
        rows.append(
            {"model": model, "adapter": name, "gain": hit.gain, "p": hit.p_value, "seconds": seconds}
            | {m.metric: m.adapted for m in (hit, mrr, ndcg)}
        )
    return rows


def show(rows: list[dict[str, Any]]) -> str:
    header = ["model", "adapter", "hit rate@5", "gain", "p", "MRR@5", "nDCG@10", "seconds"]
    formats = {"hit_rate@5": ".3f", "gain": "+.3f", "p": ".3f", "mrr@5": ".3f", "ndcg@10": ".3f", "seconds": ".1f"}

    def cell(row: dict[str, Any], key: str) -> str:
        return format(row[key], formats[key]) if key in row else ""

    return aligned(header, [[row["model"], row["adapter"], *(cell(row, key) for key in formats)] for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the collections")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    if not (arguments.data / f"{TRAIN}.json").is_file():
        sys.exit(f"{arguments.data} holds no {TRAIN}.json.\n{__doc__}")
    datasets = [QADataset.load(arguments.data / f"{name}.json") for name in (TRAIN, TEST)]
    rows = [*PUBLISHED, *measure("WordLlama", WordLlamaEmbeddings(), *datasets)]
    if (arguments.data / f"{TEST}.{STORED_MODEL}.npz").is_file():
        embeddings, datasets = load_stored(arguments.data, [TRAIN, TEST], STORED_MODEL)
        rows += measure(STORED_MODEL, embeddings, *datasets)
    print(json.dumps(rows) if arguments.json else show(rows))


if __name__ == "__main__":
    main()

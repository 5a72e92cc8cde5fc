"""What a score threshold lets through: base, adapted, and adapted on the base's scale (``train(calibrate=True)``).

    python cookbook/benchmarks/thresholds.py [--data FOLDER] [--json]

The collections and stored vectors are those of stored.py; each adapter is trained on the published training questions
and looked at with the published test questions. The threshold is the median score of the base's right hits among each
question's best twenty: half of what is right passes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from stored import DATA, StoredEmbeddings, load_stored, split_as_published

from langchain_embedding_adapter import AdapterTrainer, QADataset
from langchain_embedding_adapter.selection.thresholds import hits
from langchain_embedding_adapter.tables import aligned
from langchain_embedding_adapter.vectors import embed_dataset

MODEL = "all-MiniLM-L6-v2"


def measure(name: str, embeddings: StoredEmbeddings, train: QADataset, test: QADataset) -> list[dict[str, Any]]:
    """What passes the threshold, three ways."""
    result = AdapterTrainer(embeddings, show_progress=False).train(train, calibrate=True)
    calibration = result.embeddings.calibration
    vectors = embed_dataset(embeddings, test, show_progress=False)
    base, base_right = hits(vectors, vectors.queries)
    adapted, right = hits(vectors, result.adapter.adapt(vectors.queries))
    ways = {"base": (base, base_right), "adapted": (adapted, right)}
    if calibration is not None:
        ways["calibrated"] = (np.vectorize(calibration)(adapted), right)
    threshold = float(np.median(base[base_right]))
    rows = []
    for way, (scores, found) in ways.items():
        passing = scores >= threshold
        precision = float(found[passing].mean()) if passing.any() else None
        rows.append(
            {
                "collection": name,
                "scores": way,
                "threshold": threshold,
                "best": float(np.median(scores.reshape(len(test), -1)[:, 0])),
                "hits": float(passing.sum() / len(test)),
                "precision": precision,
                "right": int(found[passing].sum()),
            }
        )
    return rows


def show(rows: list[dict[str, Any]]) -> str:
    """The table."""
    return aligned(
        ["collection", "scores", "threshold", "median of the best hit", "hits a question", "precision", "right hits"],
        [
            [
                row["collection"],
                row["scores"],
                f"{row['threshold']:.3f}",
                f"{row['best']:.3f}",
                f"{row['hits']:.2f}",
                "–" if row["precision"] is None else f"{row['precision']:.3f}",
                str(row["right"]),
            ]
            for row in rows
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in ("scifact", "apple_environment_2024"):
        embeddings, (dataset,) = load_stored(options.data, [name], MODEL)
        rows += measure(name, embeddings, *split_as_published(options.data, name, dataset))
    embeddings, (train, test) = load_stored(options.data, ["lyft_10k_2021", "uber_10k_2021"], MODEL)
    rows += measure("lyft → uber", embeddings, train, test)
    print(json.dumps(rows) if options.json else show(rows))


if __name__ == "__main__":
    main()

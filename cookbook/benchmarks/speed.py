"""Seconds to train: LlamaIndex's engine and ours side by side, in one run, on the same pairs.

    python cookbook/benchmarks/speed.py [--data FOLDER] [--engine PYTHON] [--repeat 3] [--large]

FOLDER holds ``lyft_10k_2021`` (all questions train), ``scifact`` and ``apple_environment_2024`` (their train parts), as
stored.py describes them. Vectors of all-MiniLM-L6-v2 are looked up, so that no model's own time is measured. The
columns, each the median over the repetitions, which take turns:

- *engine*: ``EmbeddingAdapterFinetuneEngine``, 4 epochs, run by PYTHON, the interpreter of an environment with
  ``llama-index-finetuning``; imports are not counted. Without ``--engine`` its *recipe*, stated again on vectors that
  are at hand (incumbents.py), stands in.
- *fit*: ``fit_linear`` with the default settings, on vectors that are at hand.
- *select and fit*: what ``AdapterTrainer.train`` does by default once everything is embedded.
- *train*: ``AdapterTrainer(embeddings).train(dataset)``, from the texts on, with an empty cache.

In brackets: so many times as fast as the first. ``OMP_NUM_THREADS`` sets the threads of both sides.

``--large`` trains on 10,000 made pairs of 768 dimensions first: gain on unseen questions, seconds, peak memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from incumbents import METRIC, asked_about, engine_of_llama_index, recipe_of_llama_index
from stored import DATA, StoredEmbeddings, load_stored, split_as_published

from langchain_embedding_adapter import AdapterTrainer, LinearAdapter, QADataset, TrainingConfig
from langchain_embedding_adapter.fitting import fit_linear
from langchain_embedding_adapter.selection.training import Task, by_cross_validation
from langchain_embedding_adapter.tables import aligned
from langchain_embedding_adapter.vectors import Floats, embed_dataset, unit

NAMES = ["lyft_10k_2021", "scifact", "apple_environment_2024"]
STORED_MODEL = "all-MiniLM-L6-v2"
EPOCHS = 4
PAIRS, DIMENSIONS = 10_000, 768


def ways(embeddings: StoredEmbeddings, dataset: QADataset, engine: str | None) -> dict[str, Callable[[], float]]:
    """Each way to train, as a call that tells its seconds."""
    vectors = embed_dataset(embeddings, dataset, show_progress=False)
    start, config = LinearAdapter(vectors.queries.shape[1], vectors.passages.shape[1]), TrainingConfig()
    task = Task(dataset, vectors, start, config, validation=None, weights=None, show_progress=False)
    first = asked_about(dataset, first=True)
    first_vectors = embed_dataset(embeddings, first, show_progress=False)
    rival: dict[str, Callable[[], float]] = {
        "recipe": lambda: timed(lambda: recipe_of_llama_index(first_vectors, EPOCHS))
    }
    if engine is not None:
        rival = {"engine": lambda: engine_of_llama_index(engine, first, first_vectors, EPOCHS).seconds}
    return rival | {
        "fit": lambda: timed(lambda: fit_linear(vectors, start, config)),
        "select and fit": lambda: timed(
            lambda: by_cross_validation(task, family="default", expect="both", further=None)
        ),
        "train": lambda: timed(lambda: AdapterTrainer(embeddings, show_progress=False).train(dataset)),
    }


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(
    name: str, embeddings: StoredEmbeddings, dataset: QADataset, *, engine: str | None, repeat: int
) -> dict[str, Any]:
    """The row of one collection; one way after the other, and all of them again."""
    calls = ways(embeddings, dataset, engine)
    runs = [{way: call() for way, call in calls.items()} for _ in range(repeat)]
    row = {
        "collection": name,
        "pairs": len(dataset),
        "seconds": {way: median(run[way] for run in runs) for way in calls},
    }
    print(json.dumps(row | {"runs": runs}), file=sys.stderr, flush=True)
    return row


def large() -> dict[str, Any]:
    """Train on made pairs, two questions a passage: a linear map can undo the turn and mute the noise."""
    random = np.random.default_rng(0)

    def normal(rows: int, falling: float) -> Floats:
        """Unit vectors whose spread falls off from axis to axis, as that of real ones does."""
        spread = np.arange(1.0, DIMENSIONS + 1) ** -falling
        return unit((random.normal(size=(rows, DIMENSIONS)) * spread).astype(np.float32))

    passages = normal(PAIRS // 2, falling=1)
    about = np.arange(PAIRS) % len(passages)
    turn = np.eye(DIMENSIONS) + 0.5 * random.normal(size=(DIMENSIONS, DIMENSIONS)) / np.sqrt(DIMENSIONS)
    queries = unit((passages[about] @ turn + normal(PAIRS, falling=0.5)).astype(np.float32))
    dataset = QADataset(
        {f"q{row}": f"question {row}" for row in range(PAIRS)},
        {f"p{row}": f"passage {row}" for row in range(len(passages))},
        {f"q{row}": [f"p{passage}"] for row, passage in enumerate(about)},
    )
    embeddings = StoredEmbeddings("made")
    embeddings.add(dataset, queries, passages)
    started = time.perf_counter()
    result = AdapterTrainer(embeddings, show_progress=False).train(dataset)
    seconds = {"train": time.perf_counter() - started}
    figure = result.report[METRIC]
    return {
        "collection": "made",
        "pairs": PAIRS,
        "dimensions": DIMENSIONS,
        "base": figure.base,
        "adapted": figure.adapted,
        "seconds": seconds,
        "peak GiB": peak(),
    }


def peak() -> float:
    """The most memory that this process has had, in GiB."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 2**10) / 2**30


def show(rows: list[dict[str, Any]]) -> str:
    """The table of the collections and, if they were asked for, that of the made pairs."""
    tables = []
    compared = [row for row in rows if "dimensions" not in row]
    for row in rows[: len(rows) - len(compared)]:
        cells = [row["pairs"], row["dimensions"], *(f"{row[name]:.3f}" for name in ("base", "adapted"))]
        cells += [f"{row['seconds']['train']:.1f}", f"{row['peak GiB']:.1f}"]
        header = ["pairs", "dimensions", "base nDCG@10", "adapted", "train, s", "peak GiB"]
        tables.append(aligned(header, [[str(cell) for cell in cells]]))
    first, *others = compared[0]["seconds"]
    lines = []
    for row in compared:
        seconds = row["seconds"]
        ours = [f"{seconds[way]:.2f} ({seconds[first] / seconds[way]:.1f}×)" for way in others]
        lines.append([row["collection"], str(row["pairs"]), f"{seconds[first]:.2f}", *ours])
    tables.append(aligned(["collection", "pairs", *(f"{way}, s" for way in (first, *others))], lines))
    return "\n\n".join(tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the collections")
    parser.add_argument("--engine", metavar="PYTHON", help="an interpreter that has llama-index-finetuning")
    parser.add_argument("--repeat", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--large", action="store_true", help="train on 10,000 made pairs too")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    if not (arguments.data / f"{NAMES[0]}.json").is_file():
        sys.exit(f"{arguments.data} holds no {NAMES[0]}.json.\n{__doc__}")
    rows = [large()] if arguments.large else []  # first: its peak is this process's
    embeddings, datasets = load_stored(arguments.data, NAMES, STORED_MODEL)
    for call in ways(embeddings, datasets[0], None).values():
        call()  # what torch and scipy import when they are first used is nobody's own
    for name, dataset in zip(NAMES, datasets, strict=True):
        train, _ = split_as_published(arguments.data, name, dataset)
        rows.append(measure(name, embeddings, train, engine=arguments.engine, repeat=arguments.repeat))
    print(json.dumps(rows) if arguments.json else show(rows))


if __name__ == "__main__":
    main()

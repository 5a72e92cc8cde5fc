"""What each way to train gains, on every collection, with every model and with few pairs and many.

    python cookbook/benchmarks/quality.py [--data FOLDER] [--sizes 100 300 all] [--subsets 5] [--models …]
        [--engine PYTHON] [--auto] [--write]

FOLDER holds collections as stored.py describes them: ``scifact`` and ``apple_environment_2024`` (with a ``split``),
``lyft_10k_2021`` (to train on) and ``uber_10k_2021`` (to test with). all-MiniLM-L6-v2 is looked up in stored vectors;
WordLlama embeds everything before the first measurement. Each method then embeds for itself, through look-ups that are
counted. Nothing here is tuned to a collection: every row is the default, or what its name says.

The rows (what the rivals compute is in incumbents.py):

- *LlamaIndex's engine*: ``EmbeddingAdapterFinetuneEngine`` with its default settings, run by PYTHON, the interpreter of
  an environment with ``llama-index-finetuning``, on all pairs. Without ``--engine`` there are no such rows.
- *LlamaIndex's recipe*: the same training, stated again.
- *in-batch softmax*: the same loss, shuffled, AdamW (lr 1e-3), up to 50 epochs, stopped early on a held-out fifth.
- *ridge to the positive*: least squares from each question to the mean of its passages, held to the identity.
- *linear*, *same passages*, *default*: ours; the last is ``AdapterTrainer(embeddings).train(dataset)``.
- *auto*, *auto, same passages*: ours with ``adapter="auto"``, on all pairs. They take minutes: only with ``--auto``.

``--write`` puts the tables into RESULTS.md and the figure into quality.svg, beside this file (with matplotlib).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from incumbents import (
    METRIC,
    Adapt,
    asked_about,
    engine_of_llama_index,
    in_batch_softmax,
    linear,
    recipe_of_llama_index,
    ridge_to_the_positive,
)
from numpy.typing import NDArray
from results import table, write
from stored import DATA, StoredEmbeddings, load_stored, split_as_published, store

from langchain_embedding_adapter import AdapterTrainer, QADataset, WordLlamaEmbeddings
from langchain_embedding_adapter.evaluation.ranking import compare
from langchain_embedding_adapter.vectors import PairVectors, embed_dataset

NAMES = ["lyft_10k_2021", "uber_10k_2021", "scifact", "apple_environment_2024"]
STORED_MODEL, LIVE_MODEL = "all-MiniLM-L6-v2", "WordLlama"
RESAMPLES = 2000


@dataclass(frozen=True)
class Collection:
    """What to train on and what to test with."""

    name: str
    train: QADataset
    test: QADataset


@dataclass(frozen=True)
class Run:
    """One way to train, gone once.

    Attributes:
        adapt: What it has learned.
        seconds: What it took, embedding included.
        texts: How many texts it had embedded.
        chosen: What was chosen, if anything was.
    """

    adapt: Adapt
    seconds: float
    texts: int
    chosen: str = ""


def collections(data: Path, datasets: list[QADataset]) -> Iterator[Collection]:
    """The collections as they are split in their sources."""
    lyft, uber, *others = datasets
    yield Collection("lyft → uber", lyft, uber)
    for name, dataset in zip(NAMES[2:], others, strict=True):
        yield Collection(name, *split_as_published(data, name, dataset))


def methods(
    embeddings: StoredEmbeddings, dataset: QADataset, *, engine: str | None, auto: bool
) -> Iterator[tuple[str, Callable[[], Run]]]:
    """Every way to train: its name, and a call that trains."""

    def embed(part: QADataset) -> PairVectors:
        return embed_dataset(embeddings, part, show_progress=False)

    def timed(train: Callable[[], tuple[Adapt, str]]) -> Run:
        texts, started = embeddings.texts, time.perf_counter()
        adapt, chosen = train()
        return Run(adapt, time.perf_counter() - started, embeddings.texts - texts, chosen)

    def of_llama_index(epochs: int) -> Run:
        run = engine_of_llama_index(str(engine), first, embed(first), epochs)
        return Run(linear(run.weight), run.seconds, run.texts)

    def stopped_early() -> Adapt:
        vectors = embed(dataset)
        parts = dataset.split(0.2, seed=0, by="passage")
        return in_batch_softmax(*(vectors.take(list(part.queries)) for part in parts), seed=0)

    def ours(**options: Any) -> Run:
        def train() -> tuple[Adapt, str]:
            result = AdapterTrainer(embeddings, show_progress=False).train(dataset, **options)
            return result.embeddings.adapt, str(result.selection.chosen) if result.selection else ""

        return timed(train)

    first, asked = asked_about(dataset, first=True), asked_about(dataset)
    if engine is not None:
        yield "LlamaIndex's engine, 1 epoch", lambda: of_llama_index(1)
        yield "LlamaIndex's engine, 4 epochs", lambda: of_llama_index(4)
    yield "LlamaIndex's recipe, 1 epoch", lambda: timed(lambda: (recipe_of_llama_index(embed(first), 1), ""))
    yield "LlamaIndex's recipe, 4 epochs", lambda: timed(lambda: (recipe_of_llama_index(embed(first), 4), ""))
    yield "in-batch softmax, early stop", lambda: timed(lambda: (stopped_early(), ""))
    yield "ridge to the positive", lambda: timed(lambda: (ridge_to_the_positive(embed(asked)), ""))
    yield "linear", lambda: ours(adapter="linear")
    yield "same passages", lambda: ours(expect="same passages")
    yield "default", ours
    if auto:
        yield "auto", lambda: ours(adapter="auto")
        yield "auto, same passages", lambda: ours(adapter="auto", expect="same passages")


def measure(
    collection: Collection,
    embeddings: StoredEmbeddings,
    sizes: list[int | None],
    subsets: int,
    *,
    engine: str | None,
    auto: bool,
) -> list[dict[str, Any]]:
    """A row for each way to train and each number of pairs."""
    test = embed_dataset(embeddings, collection.test, show_progress=False)
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    for size in sizes:
        if size is not None and size >= len(collection.train):
            continue
        for subset in range(subsets if size else 1):
            dataset = chosen_at_random(collection.train, size, subset)
            known = dataset.passages_asked_about() if collection.train.corpus == collection.test.corpus else set()
            seen = np.array([bool(known & set(collection.test.relevant_docs[query])) for query in test.query_ids])
            whole = {"engine": engine, "auto": auto} if size is None else {"engine": None, "auto": False}
            for name, train in methods(embeddings, dataset, **whole):
                run = train()
                report = compare(test, run.adapt, [10])
                base = report.base_scores[METRIC]
                gains = (report.adapted_scores or {})[METRIC] - base
                row = {"collection": collection.name, "model": embeddings.model, "pairs": len(dataset), "method": name}
                row = rows.setdefault((len(dataset), name), row | {"base": float(base.mean()), "runs": []})
                row["runs"].append(
                    {"gains": gains, "seen": seen, "seconds": run.seconds, "texts": run.texts, "chosen": run.chosen}
                )
                done = (collection.name, embeddings.model, len(dataset), name, gains.mean(), run.seconds)
                logging.info("%s %s %d %s %+.4f %.1fs", *done)
    return [over_subsets(row) for row in rows.values()]


def chosen_at_random(dataset: QADataset, size: int | None, seed: int) -> QADataset:
    """So many of the questions, or all; the corpus stays."""
    if size is None:
        return dataset
    rows = np.random.default_rng(seed).choice(len(dataset), size, replace=False)
    queries = list(dataset.queries)
    return dataset.subset([queries[row] for row in rows])


def over_subsets(row: dict[str, Any]) -> dict[str, Any]:
    """One row of the table: over the subsets the mean gain, and the worst."""
    runs = row.pop("runs")
    gains = np.mean([run["gains"] for run in runs], axis=0)
    means = [float(run["gains"].mean()) for run in runs]
    low, high = interval(gains)

    def part(seen: bool) -> float | None:
        figures = [run["gains"][run["seen"] == seen].mean() for run in runs if (run["seen"] == seen).any()]
        return float(np.mean(figures)) if figures else None

    first = runs[0]["gains"]
    return row | {
        "gain": float(gains.mean()),
        "low": low,
        "high": high,
        "worst": min(means),
        "seen": part(True),
        "unseen": part(False),
        "better": int((first > 1e-12).sum()),
        "same": int((np.abs(first) <= 1e-12).sum()),
        "worse": int((first < -1e-12).sum()),
        "texts": round(np.mean([run["texts"] for run in runs])),
        "seconds": float(np.mean([run["seconds"] for run in runs])),
        "chosen": runs[0]["chosen"],
    }


def interval(gains: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the bootstrap means."""
    random = np.random.default_rng(0)
    means = [gains[random.integers(0, len(gains), len(gains))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def warm_up(embeddings: StoredEmbeddings, dataset: QADataset) -> None:
    """What torch and scipy import when they are first used is no method's own."""
    for name, train in methods(
        embeddings, chosen_at_random(dataset, min(30, len(dataset)), 0), engine=None, auto=False
    ):
        logging.info("warming up: %s", name)
        train()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the collections")
    parser.add_argument("--sizes", nargs="+", default=["100", "300", "all"], help="numbers of training pairs")
    parser.add_argument("--subsets", type=int, default=5, help="how many subsets of each size")
    models = [STORED_MODEL, LIVE_MODEL]
    parser.add_argument("--models", nargs="+", default=models, choices=models, help="the embedding models")
    parser.add_argument("--engine", metavar="PYTHON", help="an interpreter that has llama-index-finetuning")
    parser.add_argument("--auto", action="store_true", help="measure adapter='auto' too, on all pairs")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md and quality.svg beside this file")
    arguments = parser.parse_args()
    if not (arguments.data / f"{NAMES[0]}.json").is_file():
        sys.exit(f"{arguments.data} holds no {NAMES[0]}.json.\n{__doc__}")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("langchain_embedding_adapter").setLevel(logging.WARNING)
    stored, datasets = load_stored(arguments.data, NAMES, STORED_MODEL)
    sizes = [None if size == "all" else int(size) for size in arguments.sizes]
    options = {"engine": arguments.engine, "auto": arguments.auto}
    warm_up(stored, datasets[0])
    rows: list[dict[str, Any]] = []
    for model in arguments.models:
        embeddings = stored if model == STORED_MODEL else store(WordLlamaEmbeddings(), model, datasets)
        for collection in collections(arguments.data, datasets):
            rows += measure(collection, embeddings, sizes, arguments.subsets, **options)
    print(json.dumps(rows) if arguments.json else table(rows))
    if arguments.write:
        write(rows, Path(__file__).parent)


if __name__ == "__main__":
    main()

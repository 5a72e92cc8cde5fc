"""What each way to train gains, on every collection, with every model and with few pairs and many.

    python cookbook/benchmarks/quality.py [--data FOLDER] [--sizes 100 300 all] [--subsets 5] [--write]

FOLDER holds collections as stored.py describes them: ``scifact`` and ``apple_environment_2024`` (with a ``split``),
``lyft_10k_2021`` (to train on) and ``uber_10k_2021`` (to test with). all-MiniLM-L6-v2 is looked up in stored vectors;
WordLlama embeds live. Nothing here is tuned to a collection: every row is the default, or what its name says.

The rows:

- *LlamaIndex's recipe*: its adapter training, stated again: a linear layer that starts as the identity, AdamW (lr 2e-5,
  linear warm-up over a tenth of the steps, then linear decay, gradients clipped to norm 1), batches of ten in the order
  of the data, softmax over the batch's first positives with cosines times 20 (llama-index-finetuning 0.4,
  ``EmbeddingAdapterFinetuneEngine`` with its default settings).
- *in-batch softmax*: the same loss, shuffled, AdamW (lr 1e-3), up to 50 epochs, stopped early on a held-out fifth.
- *ridge to the positive*: least squares from each question to the mean of its passages, held to the identity.
- *linear*, *same passages*, *default*: ours; the last is ``AdapterTrainer(embeddings).train(dataset)``.

``--write`` puts the table into RESULTS.md and the figure into quality.svg, beside this file (with matplotlib).
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
import torch
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray
from stored import DATA, load_stored

from langchain_embedding_adapter import AdapterTrainer, LinearAdapter, QADataset, WordLlamaEmbeddings
from langchain_embedding_adapter.evaluation import compare
from langchain_embedding_adapter.fitting import CLOSED_FORMS, mean_answers
from langchain_embedding_adapter.tables import aligned
from langchain_embedding_adapter.vectors import Floats, PairVectors, VectorCache, embed_dataset, unit

METRIC = "ndcg@10"
STORED_MODEL = "all-MiniLM-L6-v2"
RESAMPLES = 2000

Adapt = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Collection:
    """What to train on and what to test with."""

    name: str
    train: QADataset
    test: QADataset


def collections(datasets: dict[str, QADataset], splits: dict[str, dict[str, str]]) -> Iterator[Collection]:
    """The collections as they are split in their sources."""
    yield Collection("lyft → uber", datasets["lyft_10k_2021"], datasets["uber_10k_2021"])
    for name, split in splits.items():
        parts = [[query for query, part in split.items() if part == wanted] for wanted in ("train", "test")]
        yield Collection(name, *(datasets[name].subset(part) for part in parts))


def recipe_of_llama_index(vectors: PairVectors, epochs: int) -> Adapt:
    """Its training loop, stated again (see the head of this file)."""
    queries = torch.from_numpy(unit(vectors.queries))
    positives = torch.from_numpy(unit(vectors.passages)[[found[0] for found in vectors.relevant]])
    layer = torch.nn.Linear(queries.shape[1], positives.shape[1], bias=False)
    torch.nn.init.eye_(layer.weight)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=2e-5)
    batches = list(torch.arange(len(queries)).split(10))
    steps = epochs * len(batches)
    warm_up = int(0.1 * steps)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: step / warm_up if step < warm_up else max(0.0, (steps - step) / max(1, steps - warm_up)),
    )
    for _ in range(epochs):
        for batch in batches:
            adapted = torch.nn.functional.normalize(layer(queries[batch]), dim=1)
            loss = torch.nn.functional.cross_entropy(20 * adapted @ positives[batch].T, torch.arange(len(batch)))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(layer.parameters(), 1)
            optimizer.step()
            rate.step()
    weight = layer.weight.detach().numpy()
    return lambda given: np.asarray(given @ weight.T)


def in_batch_softmax(vectors: PairVectors, validation: PairVectors, seed: int) -> Adapt:
    """The common recipe: in-batch negatives, shuffled, stopped early."""
    queries = torch.from_numpy(unit(vectors.queries))
    positives = torch.from_numpy(unit(vectors.passages)[[found[0] for found in vectors.relevant]])
    layer = torch.nn.Linear(queries.shape[1], positives.shape[1], bias=False)
    torch.nn.init.eye_(layer.weight)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(seed)
    best, found, stale = -1.0, layer.weight.detach().numpy().copy(), 0
    for epoch in range(51):
        weight = layer.weight.detach().numpy().copy()
        figure = compare(validation, lambda given, weight=weight: given @ weight.T, [10])[METRIC].adapted or 0.0
        best, found, stale = (figure, weight, 0) if figure > best else (best, found, stale + 1)
        if stale > 5 or epoch == 50:
            break
        for batch in torch.randperm(len(queries), generator=generator).split(32):
            adapted = torch.nn.functional.normalize(layer(queries[batch]), dim=1)
            loss = torch.nn.functional.cross_entropy(20 * adapted @ positives[batch].T, torch.arange(len(batch)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return lambda given: np.asarray(given @ found.T)


def ridge_to_the_positive(vectors: PairVectors) -> Adapt:
    """Least squares, in closed form."""
    adapter: LinearAdapter = CLOSED_FORMS["ridge regression"](*map(torch.from_numpy, mean_answers(vectors)))
    return adapter.adapt


def methods(
    embeddings: Embeddings, cache: VectorCache, dataset: QADataset, vectors: PairVectors
) -> Iterator[tuple[str, Callable[[], tuple[Adapt, str]]]]:
    """Every way to train: its name, and a call that trains and tells what was chosen, if anything was."""

    def ours(**options: Any) -> tuple[Adapt, str]:
        result = AdapterTrainer(embeddings, cache=cache, show_progress=False).train(dataset, **options)
        return result.embeddings.adapt, str(result.selection.chosen) if result.selection else ""

    def stopped_early() -> tuple[Adapt, str]:
        parts = dataset.split(0.2, seed=0, by="passage")
        return in_batch_softmax(*(vectors.take(list(part.queries)) for part in parts), seed=0), ""

    yield "LlamaIndex's recipe, 1 epoch", lambda: (recipe_of_llama_index(vectors, 1), "")
    yield "LlamaIndex's recipe, 4 epochs", lambda: (recipe_of_llama_index(vectors, 4), "")
    yield "in-batch softmax, early stop", stopped_early
    yield "ridge to the positive", lambda: (ridge_to_the_positive(vectors), "")
    yield "linear", lambda: ours(adapter="linear")
    yield "same passages", lambda: ours(expect="same passages")
    yield "default", ours


def interval(gains: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the bootstrap means."""
    random = np.random.default_rng(0)
    means = [gains[random.integers(0, len(gains), len(gains))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def measure(
    collection: Collection, model: str, embeddings: Embeddings, sizes: list[int | None], subsets: int
) -> list[dict[str, Any]]:
    """A row for each way to train and each number of pairs."""
    cache = VectorCache()
    everything = embed_dataset(embeddings, collection.train, cache=cache, show_progress=False)
    test = embed_dataset(embeddings, collection.test, cache=cache, show_progress=False)
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    for size in sizes:
        if size is not None and size >= len(collection.train):
            continue
        for subset in range(subsets if size else 1):
            kept = np.arange(len(collection.train))
            if size:
                kept = np.sort(np.random.default_rng(subset).choice(kept, size, replace=False))
            dataset = collection.train.subset([everything.query_ids[row] for row in kept])
            vectors = everything.rows(kept)
            known = dataset.passages_asked_about() if collection.train.corpus == collection.test.corpus else set()
            seen = np.array([bool(known & set(collection.test.relevant_docs[query])) for query in test.query_ids])
            for name, train in methods(embeddings, cache, dataset, vectors):
                started = time.perf_counter()
                adapt, chosen = train()
                seconds = time.perf_counter() - started
                report = compare(test, adapt, [10])
                base = report.base_scores[METRIC]
                gains = (report.adapted_scores or {})[METRIC] - base
                row = rows.setdefault(
                    (len(kept), name),
                    {
                        "collection": collection.name,
                        "model": model,
                        "pairs": len(kept),
                        "method": name,
                        "base": float(base.mean()),
                        "runs": [],
                    },
                )
                row["runs"].append({"gains": gains, "seen": seen, "seconds": seconds, "chosen": chosen})
                logging.info("%s %s %d %s %+.4f %.1fs", collection.name, model, len(kept), name, gains.mean(), seconds)
    return [summary(row) for row in rows.values()]


def summary(row: dict[str, Any]) -> dict[str, Any]:
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
        "seconds": float(np.mean([run["seconds"] for run in runs])),
        "chosen": runs[0]["chosen"],
    }


def show(rows: list[dict[str, Any]]) -> str:
    """The table, gains in points of nDCG@10."""

    def points(value: float | None) -> str:
        return "" if value is None else f"{100 * value:+.1f}"

    header = [
        "collection",
        "model",
        "pairs",
        "method",
        "base",
        "gain",
        "95 %",
        "worst",
        "seen",
        "unseen",
        "better / same / worse",
        "s",
    ]
    return aligned(
        header,
        [
            [
                row["collection"],
                row["model"],
                str(row["pairs"]),
                row["method"],
                f"{100 * row['base']:.1f}",
                points(row["gain"]),
                f"{points(row['low'])} … {points(row['high'])}",
                points(row["worst"]),
                points(row["seen"]),
                points(row["unseen"]),
                f"{row['better']} / {row['same']} / {row['worse']}",
                f"{row['seconds']:.1f}",
            ]
            for row in rows
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the collections")
    parser.add_argument("--sizes", nargs="+", default=["100", "300", "all"], help="numbers of training pairs")
    parser.add_argument("--subsets", type=int, default=5, help="how many subsets of each size")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md and quality.svg beside this file")
    arguments = parser.parse_args()
    names = ["lyft_10k_2021", "uber_10k_2021", "scifact", "apple_environment_2024"]
    if not (arguments.data / f"{names[0]}.json").is_file():
        sys.exit(f"{arguments.data} holds no {names[0]}.json.\n{__doc__}")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("langchain_embedding_adapter").setLevel(logging.WARNING)
    stored, found = load_stored(arguments.data, names, STORED_MODEL)
    datasets = dict(zip(names, found, strict=True))
    splits = {
        name: json.loads((arguments.data / f"{name}.json").read_text(encoding="utf-8"))["split"] for name in names[2:]
    }
    sizes = [None if size == "all" else int(size) for size in arguments.sizes]
    rows: list[dict[str, Any]] = []
    for model, embeddings in ((STORED_MODEL, stored), ("WordLlama", WordLlamaEmbeddings())):
        for collection in collections(datasets, splits):
            rows += measure(collection, model, embeddings, sizes, arguments.subsets)
    print(json.dumps(rows) if arguments.json else show(rows))
    if arguments.write:
        here = Path(__file__).parent
        command = f"python cookbook/benchmarks/quality.py {' '.join(sys.argv[1:])}"
        (here / "RESULTS.md").write_text(
            RESULTS.format(command=command, table=show(rows), chosen=choices(rows)), encoding="utf-8"
        )
        draw(rows, here / "quality.svg")


RESULTS = """# Results

nDCG@10 × 100 gained over the base by changing the query vector only, on the collections' own test questions. Made by
`{command}` (what the methods are stands at the head of that file). Where pairs are fewer than all, figures are means
over subsets, *worst* is the worst subset. *95 %* is a bootstrap interval over questions; better / same / worse count
the questions of the first subset; *seen* and *unseen* are the test questions about passages with and without a
training question.

{table}

## What was chosen by default

{chosen}
"""


def choices(rows: list[dict[str, Any]]) -> str:
    """What selection took by default, in the first subset of each size."""
    return aligned(
        ["collection", "model", "pairs", "chosen"],
        [
            [row["collection"], row["model"], str(row["pairs"]), row["chosen"]]
            for row in rows
            if row["method"] == "default"
        ],
    )


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Gain against pairs, a panel for each collection and model."""
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys((row["collection"], row["model"]) for row in rows))
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    axes = figure.subplots(2, -(-len(panels) // 2)).ravel()
    shown = {
        "LlamaIndex's recipe, 4 epochs": "tab:gray",
        "in-batch softmax, early stop": "tab:orange",
        "linear": "tab:green",
        "default": "tab:blue",
    }
    for (collection, model), axis in zip(panels, axes, strict=False):
        for name, colour in shown.items():
            points = sorted(
                (row["pairs"], 100 * row["gain"])
                for row in rows
                if (row["collection"], row["model"], row["method"]) == (collection, model, name)
            )
            axis.plot(*zip(*points, strict=True), marker="o", color=colour, label=name)
        axis.axhline(0, color="black", linewidth=0.5)
        pairs = sorted({row["pairs"] for row in rows if row["collection"] == collection})
        axis.set(xscale="log", title=f"{collection}\n{model}", xlabel="training pairs", ylabel="nDCG@10 × 100 gained")
        axis.set_xticks(pairs, [str(number) for number in pairs])
        axis.minorticks_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(shown))
    figure.savefig(file)


if __name__ == "__main__":
    main()

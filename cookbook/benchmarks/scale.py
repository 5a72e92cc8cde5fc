"""How training grows: seconds, memory and recovered gain, by documents and by pairs, on vectors that are made.

    python cookbook/benchmarks/scale.py --documents 1000000 --pairs 100000 --dim 384 --json
    python cookbook/benchmarks/scale.py --growth [--write]

Passages are unit vectors whose spread falls off from axis to axis, as that of real ones does. A question is its passage
through a map that is known, with noise. Vectors are written to files a block at a time and mapped, as those of a large
index would be; ``AdapterTrainer.train`` sees the maps. The gain (nDCG@10) is measured on questions that are not trained
on, among all passages, beside that of the linear map that undoes what was done, which knows the map and the noise.

``--memory 4GB`` bounds the fit. ``--exact`` repeats the chosen fit with sampled negatives and with all of them, and
says how far down the exact objective the first comes; that takes long. With ``--json`` the last line is JSON.
``--growth`` runs one size after the other, each in a process of its own, and ``--write`` draws them (scale.svg) and
writes the table (SCALE.md).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_embedding_adapter import AdapterTrainer, LinearAdapter, TrainingConfig, evaluate_retrieval
from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
from langchain_embedding_adapter.fitting.convex import fit_linear_exactly
from langchain_embedding_adapter.fitting.sampled import fit_linear_sampled
from langchain_embedding_adapter.result import TrainingResult
from langchain_embedding_adapter.tables import aligned
from langchain_embedding_adapter.vectors import Floats, PairVectors, Ragged, unit

METRIC = "ndcg@10"
ASKED = 500
"""Questions that are not trained on."""
BLOCK = 65_536
TURN, NOISE = 0.5, 1.0
"""How far the map is from the identity, and the length of the noise."""
OF_PASSAGES, OF_NOISE = 1.0, 0.5
"""How fast the spread falls off from axis to axis."""
HERE = Path(__file__).parent
GROWTH: list[dict[str, Any]] = [
    *({"documents": documents, "pairs": 10_000} for documents in (10_000, 31_623, 100_000, 316_228, 1_000_000)),
    *({"documents": 1_000_000, "pairs": pairs} for pairs in (1_000, 100_000, 1_000_000)),
    {"documents": 1_000_000, "pairs": 100_000, "dim": 384},
    *({"documents": size, "pairs": size, "exact": True} for size in (10_000, 30_000)),
]
DIM = 128
"""Of the vectors whose growth is drawn."""


def spread(dim: int, falling: float) -> Floats:
    """The standard deviation along each axis of vectors of length about one, ``(dim,)``."""
    found = np.arange(1.0, dim + 1) ** -falling
    scaled: Floats = (found / np.linalg.norm(found)).astype(np.float32)
    return scaled


def turn(dim: int) -> Floats:
    """The map from passages to questions, ``(dim, dim)``."""
    drawn = np.random.default_rng(1).normal(size=(dim, dim)) / dim**0.5
    found: Floats = (np.eye(dim) + TURN * drawn).astype(np.float32)
    return found


def undoing(dim: int) -> LinearAdapter:
    """What undoes map and noise: the part of a passage's log-likelihood, given the question, that is linear in both."""
    adapter = LinearAdapter(dim, dim)
    adapter.weight = turn(dim) / (NOISE * spread(dim, OF_NOISE)) ** 2
    return adapter


def make(folder: Path, documents: int, pairs: int, dim: int) -> PairVectors:
    """The vectors, mapped from files that are written a block at a time."""
    draw, through = np.random.default_rng(0), turn(dim)
    about = draw.integers(documents, size=pairs)

    def filled(name: str, rows: int, block_of: Callable[[int, int], Floats]) -> Floats:
        array = np.lib.format.open_memmap(folder / name, mode="w+", dtype=np.float32, shape=(rows, dim))
        for at in range(0, rows, BLOCK):
            array[at : at + BLOCK] = block_of(at, min(BLOCK, rows - at))
        array.flush()
        mapped: Floats = np.load(folder / name, mmap_mode="r")
        return mapped

    def normal(rows: int, falling: float) -> Floats:
        return draw.standard_normal((rows, dim), dtype=np.float32) * spread(dim, falling)

    passages = filled("passages.npy", documents, lambda _, rows: unit(normal(rows, OF_PASSAGES)))
    queries = filled(
        "queries.npy",
        pairs,
        lambda at, rows: unit(passages[about[at : at + rows]] @ through + NOISE * normal(rows, OF_NOISE)),
    )
    ones = np.ones(pairs, dtype=np.int64)
    names = (tuple(map(str, range(rows))) for rows in (pairs, documents))
    return PairVectors(
        *names, queries, passages, Ragged.in_rows(about, ones), Ragged.in_rows(ones.astype(np.float64), ones)
    )


def figure(vectors: PairVectors, adapter: BaseAdapter) -> tuple[float, float]:
    """The metric of the base and of the adapter on these questions."""
    adapted = AdaptedEmbeddings(DeterministicFakeEmbedding(size=adapter.in_features), adapter)
    row = evaluate_retrieval(adapted, vectors, ks=[10])[METRIC]
    return row.base, float(row.adapted or 0.0)


def measure(documents: int, pairs: int, dim: int, memory: str | None, *, exact: bool) -> dict[str, Any]:
    """Make, train, check."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        vectors = make(Path(folder), documents, pairs + ASKED, dim)
        learned, asked = vectors.rows(np.arange(pairs)), vectors.rows(np.arange(pairs, pairs + ASKED))
        learned = replace(learned, queries=vectors.queries[:pairs])  # the map, not a copy
        seconds = {"make": time.perf_counter() - began}
        before = peak()
        trainer = AdapterTrainer(DeterministicFakeEmbedding(size=dim), show_progress=False)
        began = time.perf_counter()
        result = trainer.train(learned, adapter="linear", memory=memory)
        seconds["train"] = time.perf_counter() - began
        row: dict[str, Any] = {
            "documents": documents,
            "pairs": pairs,
            "dimensions": dim,
            "chosen": str(result.selection and result.selection.chosen),
            "ridge": result.history[-1].get("ridge"),
            "evaluations": len(result.history),
            "peak_rss_gb": peak(),
            "peak_rss_gb_before": before,
        }
        began = time.perf_counter()
        base, adapted = figure(asked, result.adapter)
        _, known = figure(asked, undoing(dim))
        seconds["check"] = time.perf_counter() - began
        row |= {"base": base, "adapted": adapted, "gain": adapted - base, "gain_of_the_known_map": known - base}
        if exact:
            row |= against_the_exact(learned, asked, result, base)
        return row | {"seconds": seconds, "pairs_per_second": pairs / seconds["train"]}


def against_the_exact(
    learned: PairVectors, asked: PairVectors, result: TrainingResult, base: float
) -> dict[str, float]:
    """The fit that was chosen with sampled negatives and with all: gains, and the exact objective at both optima."""
    if result.selection is None:
        raise ValueError("nothing was chosen")
    config = result.selection.chosen.map.settings(TrainingConfig())
    config = replace(config, ridge=result.history[-1].get("ridge", config.ridge), tolerance=1e-4)
    start = LinearAdapter(result.adapter.in_features, result.adapter.out_features)
    found, losses = {}, {}
    for way, fit in (("exact", fit_linear_exactly), ("sampled", fit_linear_sampled)):
        adapter, _ = fit(learned, start, config)
        found[f"gain_{way}"] = figure(asked, adapter)[1] - base
        _, history = fit_linear_exactly(learned, adapter, replace(config, max_steps=1))  # its ridge is zero there
        losses[way] = history[0]["loss"] + config.ridge * float(((adapter.weight - start.weight) ** 2).sum())
    _, history = fit_linear_exactly(learned, start, replace(config, max_steps=1))
    return found | {
        "share_of_the_exact_descent": (history[0]["loss"] - losses["sampled"]) / (history[0]["loss"] - losses["exact"])
    }


def peak() -> float:
    """The most memory that this process has had, mapped pages of files among it, in GB."""
    status = Path("/proc/self/status")
    if not status.is_file():
        import resource  # on macOS

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e9


def apart(size: dict[str, Any]) -> dict[str, Any]:
    """:func:`measure` in a process of its own, whose peak is its own."""
    given = {"dim": DIM} | size
    arguments = [f"--{name}" if value is True else f"--{name}={value}" for name, value in given.items()]
    done = subprocess.run(  # noqa: S603 our own file
        [sys.executable, __file__, "--json", *arguments], check=True, capture_output=True, text=True
    )
    print(done.stdout.splitlines()[-1], file=sys.stderr, flush=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def table(rows: list[dict[str, Any]]) -> str:
    header = ["documents", "pairs", "dim", "train, s", "pairs/s", "peak, GB", "base", "gain", "known map", "chosen"]
    return aligned(
        header,
        [
            [
                f"{row['documents']:,}",
                f"{row['pairs']:,}",
                str(row["dimensions"]),
                f"{row['seconds']['train']:.1f}",
                f"{row['pairs_per_second']:,.0f}",
                f"{row['peak_rss_gb']:.2f}",
                f"{row['base']:.3f}",
                f"{row['gain']:+.3f}",
                f"{row['gain_of_the_known_map']:+.3f}",
                row["chosen"] + (f" → {row['ridge']:.2g}" if row["ridge"] else ""),
            ]
            for row in rows
        ],
    )


def table_of_exact(rows: list[dict[str, Any]]) -> str:
    header = ["documents", "pairs", "gain, sampled", "gain, exact", "share of the exact descent"]
    return aligned(
        header,
        [
            [
                f"{row['documents']:,}",
                f"{row['pairs']:,}",
                f"{row['gain_sampled']:+.4f}",
                f"{row['gain_exact']:+.4f}",
                f"{row['share_of_the_exact_descent']:.4f}",
            ]
            for row in rows
        ],
    )


PAGE = """# Growth

Made vectors: a question is its passage through a known map, with noise. Trained by `AdapterTrainer.train(vectors,
adapter="linear")` from mapped files, selection included, on two virtual CPUs. The gain is nDCG@10 on questions
that were not trained on, among all documents, beside that of the map that undoes map and noise. The peak is the whole
process's, pages of mapped files among it. After the arrow is the ridge that held-out questions profit from.

```bash
python cookbook/benchmarks/scale.py --growth --write
```

![Seconds and memory by documents and by pairs](scale.svg)

{rows}

## Against the exact objective

The fit that was chosen, to a tolerance of 0.0001, once with 2,048 negatives for each block of questions and once with
all of them, and how far down the exact objective the first comes, of the way that the second does:

{exact}
"""


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Seconds and memory by documents and by pairs, both axes logarithmic."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.2), sharey=True, layout="constrained")
    rows = [row for row in rows if row["dimensions"] == DIM]
    few = [row for row in rows if row["pairs"] == GROWTH[0]["pairs"]]
    many = [row for row in rows if row["documents"] == 1_000_000]
    for axis, part, name, fixed in (
        (axes[0], few, "documents", f"{GROWTH[0]['pairs']:,} pairs"),
        (axes[1], many, "pairs", "1,000,000 documents"),
    ):
        part = sorted(part, key=lambda row: row[name])
        at = [row[name] for row in part]
        axis.loglog(at, [row["seconds"]["train"] for row in part], "o-", color="#1f5fbf", label="train, seconds")
        axis.loglog(at, [row["peak_rss_gb"] for row in part], "s--", color="#b35c00", label="peak memory, GB")
        first = part[0]["seconds"]["train"]
        axis.loglog(at, [first * x / at[0] for x in at], ":", color="0.6", label="in proportion")
        axis.set(xlabel=name, title=f"{fixed}, {part[0]['dimensions']} dimensions")
        axis.grid(visible=True, which="major", alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--memory", help="what the fit may hold, as 4GB")
    parser.add_argument("--exact", action="store_true", help="compare with all scores one by one")
    parser.add_argument("--json", action="store_true", help="print the row as JSON")
    parser.add_argument("--growth", action="store_true", help="one size after the other")
    parser.add_argument("--write", action="store_true", help="draw and write what --growth has measured")
    arguments = parser.parse_args()
    if not arguments.growth:
        row = measure(arguments.documents, arguments.pairs, arguments.dim, arguments.memory, exact=arguments.exact)
        print(table([row]))
        if arguments.json:
            print(json.dumps(row))
        return
    found = [(size, apart(size)) for size in GROWTH]
    rows = [row for size, row in found if "exact" not in size]
    page = PAGE.format(rows=table(rows), exact=table_of_exact([row for size, row in found if "exact" in size]))
    print(page)
    if arguments.write:
        draw(rows, HERE / "scale.svg")
        (HERE / "SCALE.md").write_text(page, encoding="utf-8")
    if arguments.json:
        print(json.dumps([row for _, row in found]))


if __name__ == "__main__":
    main()

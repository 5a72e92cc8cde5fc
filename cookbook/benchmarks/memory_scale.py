"""What a memory of many questions costs, by the form in which it holds them.

    python cookbook/benchmarks/memory_scale.py --questions 1000000 [--dim 384] [--data FOLDER] [--json]

Questions are made (memory_world.py) and lie in files, which are mapped. Each form is filled in a process of its own and
served, one question at a time, in another on one thread:

- *exact*: every entry by itself. *cells*: the far ones as wholes. Both are left out where they would take more than
  ``--most-gb``.
- *condensed*: ``--condensed`` entries, each of many questions.
- *quantised*: every entry, as codes.

Told of each: seconds to fill (and of the cores' time, which tells more where others are at work), the memory that took
(of its own; pages of the mapped files come and go), megabytes of the adapter, microseconds of a question, the cosine of
what it gives with what exact recall gives (mean and worst of the probes), and the share of exact recall's gain over the
base in nDCG@10 that is kept. Probes are new questions about the same passages.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from memory_world import make_world, pair_vectors, read
from stored import DATA

from langchain_embedding_adapter.fitting import Entries
from langchain_embedding_adapter.tables import aligned
from langchain_embedding_adapter.vectors import Floats, unit

FORMS = ("exact", "cells", "condensed", "quantised")
MODEL = "all-MiniLM-L6-v2"


def directions_of(data: Path, dimensions: int) -> Floats:
    """Vectors of the texts of all collections at hand, if they have these dimensions; else random ones."""
    found = []
    for path in sorted(data.glob(f"*.{MODEL}.npz")):
        with np.load(path) as vectors:
            found += [vectors["query_vectors"], vectors["document_vectors"]]
    if found and found[0].shape[1] == dimensions:
        return unit(np.concatenate(found))
    random = np.random.default_rng(1)
    topics = random.standard_normal((100, dimensions), dtype=np.float32)
    return unit(topics[random.integers(100, size=10_000)] + random.standard_normal((10_000, dimensions), np.float32))


def run(folder: Path, part: str, form: str, *, threads: int | None = None, **options: float) -> dict[str, Any]:
    """One part of one form, in a process of its own."""
    alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    script = Path(__file__).with_name("memory_world.py")
    command = [sys.executable, str(script), str(folder), part, form, json.dumps(options)]
    done = subprocess.run(  # noqa: S603
        command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | (alone if threads else {})
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def by_exact_recall(folder: Path, temperature: float, strength: float) -> Floats:
    """Where the formula leads each probe, summed over all questions a block at a time."""
    probes = np.asarray(read(folder, "probes"))
    recalled = np.zeros(probes.shape)
    for _, keys, values in Entries(pair_vectors(folder), probes.shape[1]).blocks():
        recalled += np.exp((probes @ keys.T - 1) / np.float32(temperature)) @ values
    return unit((probes + strength * recalled).astype(np.float32))


def ndcg(queries: Floats, passages: Floats, answers: Any) -> float:
    """Mean nDCG@10; one passage is right."""
    scores = queries @ passages.T
    ranks = (scores > scores[np.arange(len(answers)), answers][:, None]).sum(axis=1)
    return float(np.where(ranks < 10, 1 / np.log2(ranks + 2), 0).mean())


def measure(folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    recall = {"temperature": arguments.temperature, "strength": arguments.strength}
    probes, answers = read(folder, "probes"), read(folder, "probe_answers")
    passages = np.asarray(read(folder, "passages"))
    exact = by_exact_recall(folder, **recall)
    base, gain = ndcg(probes, passages, answers), ndcg(exact, passages, answers)
    rows = []
    for form in arguments.forms:
        whole = 8 * arguments.questions * arguments.dim / 1e9
        if form in ("exact", "cells") and whole > arguments.most_gb:
            continue
        if form == "condensed" and arguments.questions <= arguments.condensed:
            continue
        calls = min(arguments.calls, 100) if form == "exact" and whole > 0.1 else arguments.calls
        row = run(folder, "fill", form, **recall, condensed=arguments.condensed) | run(
            folder, "serve", form, threads=1, calls=calls
        )
        adapted = read(folder, f"{form}.adapted")
        cosines = np.einsum("pd,pd->p", adapted, exact)
        row |= {"cosine": float(cosines.mean()), "worst_cosine": float(cosines.min())}
        row |= {"base": base, "exact": gain, "adapted": ndcg(adapted, passages, answers)}
        row["gain_kept"] = (row["adapted"] - base) / (gain - base) if gain != base else None
        rows.append({"form": form, "questions": arguments.questions, "dim": arguments.dim} | row)
        for path in folder.glob(f"{form}.*"):
            path.unlink()
    return rows


def show(rows: list[dict[str, Any]]) -> str:
    header = [
        "form",
        "fill, s (of CPU)",
        "peak, MiB",
        "MB",
        "p50 / p99, µs (of CPU)",
        "cosine (worst)",
        "nDCG@10",
        "gain kept",
    ]
    lines = [
        [
            row["form"],
            f"{row['seconds']:.1f} ({row['cpu_seconds']:.1f})",
            f"{row['peak_MiB']:.0f}",
            f"{row['MB']:.1f}",
            f"{row['p50_us']:.0f} / {row['p99_us']:.0f} ({row['cpu_p50_us']:.0f} / {row['cpu_p99_us']:.0f})",
            f"{row['cosine']:.4f} ({row['worst_cosine']:.4f})",
            f"{row['adapted']:.3f}",
            "–" if row["gain_kept"] is None else f"{100 * row['gain_kept']:.1f} %",
        ]
        for row in rows
    ]
    return aligned(header, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=100_000, help="that are remembered")
    parser.add_argument("--dim", type=int, default=384, help="dimensions of their vectors")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS, help="of memory")
    parser.add_argument("--temperature", type=float, default=0.05, help="of the memory")
    parser.add_argument("--strength", type=float, default=0.5, help="of the memory")
    parser.add_argument("--probes", type=int, default=300, help="new questions that are asked")
    parser.add_argument("--calls", type=int, default=1000, help="that are timed")
    parser.add_argument("--condensed", type=int, default=10_000, help="entries of the memory that is condensed")
    parser.add_argument("--scattered", action="store_true", help="questions that hardly lie in clusters")
    parser.add_argument("--most-gb", type=float, default=4, help="of a memory that holds every entry as it is")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the collections")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON, too, in the last line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        directions = directions_of(arguments.data, arguments.dim)
        counts = {"questions": arguments.questions, "probes": arguments.probes}
        make_world(folder, directions, **counts, scattered=arguments.scattered)
        before = os.getloadavg()[0]
        rows = measure(folder, arguments)
    print(f"{arguments.questions:,} questions of {arguments.dim} dimensions; load before {before:.1f}\n")
    print(f"base {rows[0]['base']:.3f}, exact recall {rows[0]['exact']:.3f} nDCG@10\n" if rows else "nothing fits")
    print(show(rows))
    if arguments.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()

"""What serving costs: the latency of an adapted question, of memories, and the time to a first answer.

    python cookbook/benchmarks/serving.py [--llama-index PYTHON] [--calls 1000] [--repeat 5] [--json]

Three tables, everything on one thread. The base embeddings are a look-up that returns a list at hand, so that what is
seen is the adapter's own.

- *A question*: microseconds of one ``embed_query``, median and 99th percentile, by dimensions. *bare NumPy* is the
  least there is to do: list to array, product, norm, list. *torch* is the same with a tensor and an ``nn.Linear``.
  *LlamaIndex* is its ``AdapterEmbeddingModel`` on the same weights, run by PYTHON, the interpreter of an environment
  with ``llama-index-embeddings-adapter``. All take turns, a block of calls each, and all give the same direction.
- *Memories*: milliseconds of one ``embed_query`` through a ``MemoryAdapter``, by entries and dimensions; *bare NumPy*
  is its formula over all entries.
- *First answer*: seconds from the start of an interpreter to the first vector, each way loading the saved map of 1,536
  dimensions itself; and the memory that the process holds then (serving_start.py).

In brackets: so many times as long (as much) as the first column (row).
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # before NumPy and torch read them
    os.environ[variable] = "1"

import argparse  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from serving_start import LookUp, Vector, cold, made, save_for_llama_index  # noqa: E402

from langchain_embedding_adapter import AdaptedEmbeddings, LinearAdapter, MemoryAdapter  # noqa: E402
from langchain_embedding_adapter.fitting import filled, memory_for  # noqa: E402
from langchain_embedding_adapter.tables import aligned  # noqa: E402
from langchain_embedding_adapter.vectors import Floats, unit  # noqa: E402

DIMENSIONS = [384, 768, 1536, 3072]
ENTRIES = [1_000, 10_000, 50_000]
MEMORY_DIMENSIONS = [384, 1536]
BLOCK = 50

Block = Callable[[int], list[float]]
"""Makes so many calls and tells the seconds of each."""


def block_of(call: Callable[[], Any]) -> Block:
    """Calls in a row after one that is not counted, with the garbage collector waiting as ``timeit`` has it."""

    def block(calls: int) -> list[float]:
        call()
        seconds = []
        gc.disable()
        for _ in range(calls):
            started = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - started)
        gc.enable()
        return seconds

    return block


def taking_turns(ways: dict[str, Block], calls: int) -> dict[str, dict[str, float]]:
    """Median and 99th percentile of each way, in seconds; a block of one, a block of the next, and around again."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    while len(seconds[next(iter(ways))]) < calls:
        for way, block in ways.items():
            seconds[way] += block(min(BLOCK, calls))
    return {
        way: {"p50": float(np.quantile(found, 0.5)), "p99": float(np.quantile(found, 0.99))}
        for way, found in seconds.items()
    }


def with_numpy(weight: Floats, vector: Vector) -> Vector:
    adapted = weight @ np.array(vector, dtype=np.float32)
    return (adapted / np.sqrt(adapted @ adapted)).tolist()  # type: ignore[no-any-return]


def with_torch(layer: torch.nn.Linear, vector: Vector) -> Vector:
    with torch.inference_mode():
        return torch.nn.functional.normalize(layer(torch.tensor(vector)), dim=0).tolist()  # type: ignore[no-any-return]


def linear_layer(weight: Floats) -> torch.nn.Linear:
    layer = torch.nn.Linear(*weight.shape[::-1], bias=False)
    layer.weight.data = torch.from_numpy(weight)
    return layer


def adapted_with(adapter: LinearAdapter | MemoryAdapter, vector: Vector, **arrays: Floats) -> AdaptedEmbeddings:
    adapter.load_arrays(arrays)
    return AdaptedEmbeddings(LookUp(vector), adapter)


@contextmanager
def llama_index(python: str, folder: Path) -> Iterator[tuple[Block, Vector]]:
    """Its adapter over a saved layer, ready to be called, in a process of ``python``; and the vector that it gives."""
    script = Path(__file__).with_name("serving_llama_index.py")
    command = [python, str(script), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101

        def ask(calls: int) -> Any:
            process.stdin.write(f"{calls}\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{python} could not run llama-index-embeddings-adapter; what it said is above")
            return json.loads(line)

        yield ask, ask(0)
        process.stdin.close()


def check(answers: dict[str, Vector]) -> None:
    """That all ways say the same."""
    first, *others = answers.values()
    for way, other in zip(list(answers)[1:], others, strict=True):
        cosine = np.dot(first, other) / np.linalg.norm(first) / np.linalg.norm(other)
        if cosine < 1 - 1e-5:
            raise RuntimeError(f"{way} gives another direction (cosine {cosine:.6f}); nothing was compared")


def question(dimensions: int, *, calls: int, python: str | None) -> dict[str, Any]:
    """The row of one number of dimensions."""
    weight, vector = made(dimensions)
    adapted, layer = adapted_with(LinearAdapter(dimensions, dimensions), vector, weight=weight), linear_layer(weight)
    answers: dict[str, Callable[[], Vector]] = {
        "bare NumPy": lambda: with_numpy(weight, vector),
        "ours": lambda: adapted.embed_query("?"),
        "torch": lambda: with_torch(layer, vector),
    }
    ways = {way: block_of(call) for way, call in answers.items()}
    given = {way: call() for way, call in answers.items()}
    row: dict[str, Any] = {"table": "question", "dimensions": dimensions}
    if python is None:
        check(given)
        return row | {"seconds": taking_turns(ways, calls)}
    with tempfile.TemporaryDirectory() as folder:
        save_for_llama_index(Path(folder) / "model", weight)
        (Path(folder) / "vector.json").write_text(json.dumps(vector), encoding="utf-8")
        with llama_index(python, Path(folder)) as (block, answer):
            check(given | {"LlamaIndex": answer})
            return row | {"seconds": taking_turns(ways | {"LlamaIndex": block}, calls)}


def memory(entries: int, dimensions: int, *, calls: int) -> dict[str, Any]:
    """The row of one size of memory."""
    weight, vector = made(dimensions)
    random = np.random.default_rng(1)
    keys, values = (unit(random.standard_normal((entries, dimensions), dtype=np.float32)) for _ in range(2))
    adapter = memory_for(dimensions, dimensions, entries, temperature=0.05, strength=0.5)
    adapter.weight = weight
    adapted = AdaptedEmbeddings(LookUp(vector), filled(adapter, keys, values, seed=0))

    def over_all() -> Vector:
        query = np.array(vector, dtype=np.float32)
        mapped = weight @ query
        near = np.exp((keys @ query - 1) / np.float32(adapter.temperature))
        moved = mapped / np.sqrt(mapped @ mapped) + np.float32(adapter.strength) * (near @ values)
        return (moved / np.sqrt(moved @ moved)).tolist()  # type: ignore[no-any-return]

    answers: dict[str, Callable[[], Vector]] = {"bare NumPy": over_all, "ours": lambda: adapted.embed_query("?")}
    check({way: call() for way, call in answers.items()})
    seconds = taking_turns({way: block_of(call) for way, call in answers.items()}, calls)
    return {"table": "memory", "entries": entries, "dimensions": dimensions, "seconds": seconds}


def show(rows: list[dict[str, Any]]) -> str:
    """The tables of what was measured."""
    tables = [
        compared(rows, "question", ["dimensions"], "µs", lambda seconds: f"{1e6 * seconds:.0f}"),
        compared(rows, "memory", ["entries", "dimensions"], "ms", lambda seconds: f"{1e3 * seconds:.2f}"),
    ]
    started = [row for row in rows if row["table"] == "first answer"]
    if started:
        header = ["first answer", "s", "MiB"]
        lines = [
            [
                row["way"],
                f"{row['seconds']:.2f} ({row['seconds'] / started[0]['seconds']:.1f}×)",
                "–" if row["MiB"] is None else f"{row['MiB']:.0f}",
            ]
            for row in started
        ]
        tables.append(aligned(header, lines))
    return "\n\n".join(table for table in tables if table)


def compared(
    rows: list[dict[str, Any]], table: str, keys: list[str], unit_name: str, told: Callable[[float], str]
) -> str:
    """The ways side by side: median / 99th percentile, and how often the first way's median."""
    found = [row for row in rows if row["table"] == table]
    lines = []
    for row in found:
        first, *others = row["seconds"].values()
        cells = [f"{told(first['p50'])} / {told(first['p99'])}"]
        cells += [f"{told(way['p50'])} / {told(way['p99'])} ({way['p50'] / first['p50']:.2f}×)" for way in others]
        lines.append([*(f"{row[key]:,}" for key in keys), *cells])
    header = [*keys, *(f"{way}, {unit_name}" for row in found[:1] for way in row["seconds"])]
    return aligned(header, lines) if found else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-index", metavar="PYTHON", help="an interpreter with llama-index-embeddings-adapter")
    parser.add_argument("--dimensions", type=int, nargs="+", default=DIMENSIONS, help="of the questions")
    parser.add_argument("--entries", type=int, nargs="*", default=ENTRIES, help="of the memories")
    parser.add_argument("--calls", type=int, default=1000, help="calls of each way; a tenth of them for memories")
    parser.add_argument("--repeat", type=int, default=5, help="how often each first answer is waited for")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [question(found, calls=arguments.calls, python=arguments.llama_index) for found in arguments.dimensions]
    few = max(1, arguments.calls // 10)
    sizes = [(entries, dimensions) for dimensions in MEMORY_DIMENSIONS for entries in arguments.entries]
    rows += [memory(entries, dimensions, calls=few) for entries, dimensions in sizes]
    rows += cold(repeat=arguments.repeat, python=arguments.llama_index) if arguments.repeat else []
    print(json.dumps(rows) if arguments.json else show(rows))


if __name__ == "__main__":
    main()

"""Made questions for memory_scale.py, in files; and the process that fills one memory from them, or serves it.

    python memory_world.py FOLDER fill|serve FORM

Around each of many directions (of real texts where ``--data`` has their vectors) lie a few passages. The questions
about a passage sound more like some of its neighbours (``scattered``: like any passages), which no linear map can know
and a memory can; besides, each is a little different. A tenth as many passages as questions.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from langchain_embedding_adapter.adapters import ADAPTERS
from langchain_embedding_adapter.fitting import fit_memory, memory_for, question_memory
from langchain_embedding_adapter.fitting import memory as fitting
from langchain_embedding_adapter.vectors import Floats, PairVectors, Ragged, unit

APART, OTHERS, OWN, UNLIKE = 0.35, 4, 0.8, 1.0
"""How far passages lie from their direction; what a passage's questions sound like; how far these lie from that."""
NEIGHBOURS = 20
BLOCK = 50_000


def make_world(folder: Path, directions: Floats, *, questions: int, probes: int, scattered: bool = False) -> None:
    """Write ``queries``, ``passages``, ``answers`` (the passage of each question), and new questions: ``probes``."""
    random = np.random.default_rng(0)
    dimensions = directions.shape[1]

    def noise(rows: int, size: float) -> Floats:
        return random.standard_normal((rows, dimensions), dtype=np.float32) * np.float32(size / dimensions**0.5)

    count = max(2, questions // 10)
    of_direction = np.sort(random.integers(len(directions), size=count))
    passages = unit(directions[of_direction] + noise(count, APART))
    centres = np.float32(OWN) * passages
    for _ in range(OTHERS):
        far = random.integers(count, size=count) if scattered else random.integers(-NEIGHBOURS, NEIGHBOURS, size=count)
        centres += passages[(np.arange(count) + far) % count]
    answers = random.integers(count, size=questions)
    queries = np.lib.format.open_memmap(folder / "queries.npy", "w+", np.float32, (questions, dimensions))
    for start in range(0, questions, BLOCK):
        asked = centres[answers[start : start + BLOCK]]
        queries[start : start + BLOCK] = unit(asked + noise(len(asked), UNLIKE))
    about = answers[random.integers(questions, size=probes)]
    arrays = {"passages": passages, "answers": answers, "probe_answers": about}
    for name, array in (arrays | {"probes": unit(centres[about] + noise(probes, UNLIKE))}).items():
        np.save(folder / f"{name}.npy", array)


def read(folder: Path, name: str) -> Any:
    return np.load(folder / f"{name}.npy", mmap_mode="r")


def pair_vectors(folder: Path) -> PairVectors:
    queries, passages, answers = (read(folder, name) for name in ("queries", "passages", "answers"))
    once = np.ones(len(answers), dtype=np.int64)
    grades = Ragged.in_rows(np.ones(len(answers)), once)
    ids = [range(len(rows)) for rows in (queries, passages)]  # nothing here reads them
    return PairVectors(*ids, queries, passages, Ragged.in_rows(np.asarray(answers), once), grades)  # type: ignore[arg-type]


class PeakMemory:
    """The most memory of its own that this process holds, looked at often; pages of mapped files do not count."""

    def __enter__(self) -> PeakMemory:
        self.peak, self._done = 0.0, threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watching.join()

    def _watch(self) -> None:
        status = Path("/proc/self/status")
        while status.exists():
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            self.peak = max(self.peak, int(lines["RssAnon"].split()[0]) / 1024)
            if self._done.wait(0.02):
                break


def fill(folder: Path, form: str, *, temperature: float, strength: float, condensed: int) -> dict[str, Any]:
    """Fill a memory of this form, and write its arrays."""
    vectors = pair_vectors(folder)
    questions, dimensions = vectors.queries.shape
    size = condensed if form == "condensed" else questions
    fitting.LARGE = 0 if form == "cells" else 2**62
    fitting.VAST = 0 if form == "quantised" else 2**62
    make = question_memory if form == "quantised" else memory_for
    memory = make(dimensions, dimensions, min(size, questions), temperature, strength)
    with PeakMemory() as memory_held:
        started, at_work = time.perf_counter(), time.process_time()
        filled = fit_memory(vectors, memory, seed=0)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - at_work
    arrays = filled.to_arrays()
    for name, array in arrays.items():
        np.save(folder / f"{form}.{name}.npy", array)
    (folder / f"{form}.json").write_text(json.dumps({"kind": filled.kind, "arguments": filled.arguments}))
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "MB": sum(array.nbytes for array in arrays.values()) / 1e6,
        "peak_MiB": memory_held.peak,
        "peak_with_mapped_MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def serve(folder: Path, form: str, *, calls: int) -> dict[str, Any]:
    """Adapt the probes one by one; what comes of it is written, too."""
    told = json.loads((folder / f"{form}.json").read_text())
    adapter = ADAPTERS[told["kind"]](**told["arguments"])
    adapter.load_arrays({name: read(folder, f"{form}.{name}") for name in adapter.to_arrays()})
    probes = np.asarray(read(folder, "probes"))
    seconds, at_work, adapted = [], [], []
    adapter.adapt(probes[:1])
    for call in range(max(calls, len(probes))):
        query = probes[call % len(probes)][None]
        started, worked = time.perf_counter(), time.thread_time()
        found = adapter.adapt(query)
        seconds.append(time.perf_counter() - started)
        at_work.append(time.thread_time() - worked)
        adapted += [found] if len(adapted) < len(probes) else []
    np.save(folder / f"{form}.adapted.npy", np.concatenate(adapted))
    measured = {"": seconds, "cpu_": at_work}
    return {
        f"{way}p{q}_us": 1e6 * float(np.quantile(found, q / 100)) for way, found in measured.items() for q in (50, 99)
    }


if __name__ == "__main__":
    place, part, its_form, options = Path(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
    print(json.dumps((fill if part == "fill" else serve)(place, its_form, **options)))

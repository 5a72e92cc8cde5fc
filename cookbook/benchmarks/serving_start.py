"""Seconds from the start of an interpreter to the first adapted vector, and the memory that it holds then.

A part of serving.py. Each way is a program of its own that loads the same map: *langchain-core* is an embeddings class
without an adapter, what every LangChain program waits for; the others add the map, loaded and applied with NumPy, by
this package, with torch, and by LlamaIndex.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter import AdaptedEmbeddings, LinearAdapter
from langchain_embedding_adapter.vectors import Floats, unit

DIMENSIONS = 1536

Vector = list[float]

# The programs whose first answer is waited for: a folder is their argument, the vector of the question lies in it.
STARTS = """
import json, sys
folder = sys.argv[1]
with open(folder + "/vector.json") as file:
    vector = json.load(file)
"""
AN_EMBEDDINGS_CLASS = """
from langchain_core.embeddings import Embeddings
class LookUp(Embeddings):
    def embed_query(self, text): return vector
    def embed_documents(self, texts): return [vector for _ in texts]
"""
ENDS = """
assert len(answer) == len(vector)
print("answered", flush=True)
try:
    with open("/proc/self/statm") as file:
        import resource
        print(int(file.read().split()[1]) * resource.getpagesize(), flush=True)
except (OSError, ImportError):
    print("", flush=True)
"""
PROGRAMS = {
    "langchain-core": AN_EMBEDDINGS_CLASS + "answer = LookUp().embed_query('?')",
    "bare NumPy": AN_EMBEDDINGS_CLASS
    + """
import numpy as np
weight = np.load(folder + "/weight.npy")
adapted = weight @ np.array(LookUp().embed_query("?"), dtype=np.float32)
answer = (adapted / np.sqrt(adapted @ adapted)).tolist()
""",
    "ours": AN_EMBEDDINGS_CLASS
    + """
from langchain_embedding_adapter import AdaptedEmbeddings
answer = AdaptedEmbeddings.from_pretrained(folder + "/adapter", LookUp()).embed_query("?")
""",
    "torch": AN_EMBEDDINGS_CLASS
    + """
import torch
state = torch.load(folder + "/model/pytorch_model.bin", weights_only=True)
layer = torch.nn.Linear(len(vector), len(vector), bias=False)
layer.load_state_dict({"weight": state["linear.weight"]})
with torch.inference_mode():
    answer = torch.nn.functional.normalize(layer(torch.tensor(LookUp().embed_query("?"))), dim=0).tolist()
""",
}
LLAMA_INDEX = """
from llama_index.core.embeddings import BaseEmbedding
from llama_index.embeddings.adapter import AdapterEmbeddingModel
class LookUp(BaseEmbedding):
    def _get_query_embedding(self, query): return vector
    def _get_text_embedding(self, text): return vector
    async def _aget_query_embedding(self, query): return vector
answer = AdapterEmbeddingModel(LookUp(), folder + "/model", device="cpu").get_query_embedding("?")
"""


class LookUp(Embeddings):
    """One vector, at hand."""

    def __init__(self, vector: Vector) -> None:
        self.vector = vector

    def embed_query(self, text: str) -> Vector:  # noqa: ARG002
        return self.vector

    def embed_documents(self, texts: list[str]) -> list[Vector]:
        return [self.vector for _ in texts]


def made(dimensions: int) -> tuple[Floats, Vector]:
    """A map that turns and scales, and a question's vector."""
    random = np.random.default_rng(0)
    noise = random.normal(size=(dimensions, dimensions)) / math.sqrt(dimensions)
    return (np.eye(dimensions) + 0.3 * noise).astype(np.float32), unit(random.normal(size=(1, dimensions)))[0].tolist()


def save_for_llama_index(folder: Path, weight: Floats) -> None:
    """What its ``LinearLayer`` loads."""
    folder.mkdir(parents=True)
    shape = {"in_features": weight.shape[1], "out_features": weight.shape[0], "bias": False}
    (folder / "config.json").write_text(json.dumps(shape), encoding="utf-8")
    torch.save({"linear.weight": torch.from_numpy(weight)}, folder / "pytorch_model.bin")


def first_answer(python: str, program: str, folder: Path) -> tuple[float, float | None]:
    """Seconds from the start of an interpreter to the vector, and the MiB that it holds then."""
    command = [python, "-W", "ignore", "-c", STARTS + program + ENDS, str(folder)]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 ours and the user's
        assert process.stdout is not None  # noqa: S101
        said = process.stdout.readline()
        seconds = time.perf_counter() - started
        held = process.stdout.readline().strip()
    if said != "answered\n" or process.returncode:
        raise RuntimeError(f"{python} gave no answer; what it said is above")
    return seconds, int(held) / 2**20 if held else None


def cold(*, repeat: int, python: str | None, dimensions: int = DIMENSIONS) -> list[dict[str, Any]]:
    """A row for each way to start; they take turns."""
    weight, vector = made(dimensions)
    ways = {way: (sys.executable, program) for way, program in PROGRAMS.items()}
    if python is not None:
        ways["LlamaIndex"] = (python, LLAMA_INDEX)
    runs: dict[str, list[tuple[float, float | None]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "vector.json").write_text(json.dumps(vector), encoding="utf-8")
        np.save(folder / "weight.npy", weight)
        save_for_llama_index(folder / "model", weight)
        adapter = LinearAdapter(dimensions, dimensions)
        adapter.load_arrays({"weight": weight})
        AdaptedEmbeddings(LookUp(vector), adapter).save_pretrained(folder / "adapter")
        for turn in range(repeat + 1):
            for way, (interpreter, program) in ways.items():
                run = first_answer(interpreter, program, folder)
                if turn:  # the first of each fills the disk's cache
                    runs[way].append(run)
    return [
        {
            "table": "first answer",
            "way": way,
            "seconds": median(seconds for seconds, _ in found),
            "MiB": median(held for _, held in found) if all(held is not None for _, held in found) else None,
        }
        for way, found in runs.items()
    ]

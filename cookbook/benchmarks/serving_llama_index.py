"""LlamaIndex's adapter, called as often as it is told.

    PYTHON serving_llama_index.py FOLDER

PYTHON belongs to an environment with ``llama-index-embeddings-adapter``; nothing of this project is imported. FOLDER
holds ``model``, a ``LinearLayer`` that it saved, and ``vector.json``, what the base gives for every question. Each line
of the input is a number of calls, answered by a line of JSON: the seconds of each, or for none of them the vector.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")  # that the package is no longer maintained

import torch  # noqa: E402
from llama_index.core.embeddings import BaseEmbedding  # noqa: E402
from llama_index.embeddings.adapter import AdapterEmbeddingModel  # noqa: E402


class LookUp(BaseEmbedding):
    """One vector, at hand."""

    vector: list

    def _get_query_embedding(self, query: str) -> list[float]:  # noqa: ARG002
        return self.vector

    def _get_text_embedding(self, text: str) -> list[float]:  # noqa: ARG002
        return self.vector

    async def _aget_query_embedding(self, query: str) -> list[float]:  # noqa: ARG002
        return self.vector


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    base = LookUp(vector=json.loads((folder / "vector.json").read_text(encoding="utf-8")))
    adapted = AdapterEmbeddingModel(base, str(folder / "model"), device="cpu")
    for line in sys.stdin:
        answer = adapted.get_query_embedding("?")
        seconds = []
        gc.disable()
        for _ in range(int(line)):
            started = time.perf_counter()
            adapted.get_query_embedding("?")
            seconds.append(time.perf_counter() - started)
        gc.enable()
        print(json.dumps(seconds or answer), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

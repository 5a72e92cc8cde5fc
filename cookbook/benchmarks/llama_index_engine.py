"""LlamaIndex's adapter training, run with vectors that are looked up.

    PYTHON llama_index_engine.py FOLDER

PYTHON belongs to an environment with ``llama-index-finetuning``; nothing of this project is imported. FOLDER holds
``pairs.json`` (``queries``, ``corpus``, ``relevant_docs``, ``epochs``) and ``vectors.npz`` (``queries``, ``passages``,
rows in the order of the JSON's keys). ``result.npz`` is written beside them: ``weight``, the map; ``seconds``, from the
making of the engine to the saved map, without the imports; ``texts``, how many texts it had embedded.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np


def stand_in(name: str, **content: Any) -> None:
    """A module in the place of a package: what lies in the package is found, its ``__init__`` does not run."""
    module = types.ModuleType(name)
    vars(module).update({"__path__": []} | content)
    sys.modules[name] = module


def folders(name: str) -> list[str]:
    """Where a package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        sys.exit(f"{sys.executable} has no {name}; install llama-index-finetuning")
    return list(spec.submodule_search_locations or [])


# What these packages import first, OpenAI's, Mistral's and Cohere's clients, the engine has no use for; its module of
# types names Cohere's reranker.
warnings.simplefilter("ignore")  # that the package is no longer maintained
stand_in("llama_index.finetuning", __path__=folders("llama_index.finetuning"))
stand_in("llama_index.finetuning.embeddings", __path__=folders("llama_index.finetuning.embeddings"))
stand_in("llama_index.postprocessor")
stand_in("llama_index.postprocessor.cohere_rerank", CohereRerank=object)

from llama_index.core.embeddings import BaseEmbedding  # noqa: E402
from llama_index.finetuning.embeddings.adapter import EmbeddingAdapterFinetuneEngine  # noqa: E402
from llama_index.finetuning.embeddings.common import EmbeddingQAFinetuneDataset  # noqa: E402


class LookUp(BaseEmbedding):
    """Vectors by text, and a count of what was asked for."""

    queries: dict
    passages: dict
    texts: int = 0

    def _get_query_embedding(self, query: str) -> list[float]:
        self.texts += 1
        return self.queries[query]

    def _get_text_embedding(self, text: str) -> list[float]:
        self.texts += 1
        return self.passages[text]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


def train(embeddings: LookUp, pairs: dict[str, Any], epochs: int, folder: Path) -> Any:
    """The layer that its engine trains with its default settings."""
    engine = EmbeddingAdapterFinetuneEngine(
        EmbeddingQAFinetuneDataset(**pairs),
        embeddings,
        epochs=epochs,
        dim=len(next(iter(embeddings.queries.values()))),
        model_output_path=str(folder / "model"),
    )
    engine.finetune()
    return engine.model


def main(folder: Path) -> None:
    pairs = json.loads((folder / "pairs.json").read_text(encoding="utf-8"))
    epochs = pairs.pop("epochs")
    with np.load(folder / "vectors.npz") as vectors:
        embeddings = LookUp(
            queries=dict(zip(pairs["queries"].values(), vectors["queries"].tolist())),  # noqa: B905 not in Python 3.9
            passages=dict(zip(pairs["corpus"].values(), vectors["passages"].tolist())),  # noqa: B905
        )
    few = dict(list(pairs["queries"].items())[:10])
    train(embeddings, pairs | {"queries": few}, 1, folder)  # what torch imports at the first step is not counted
    embeddings.texts = 0
    started = time.perf_counter()
    layer = train(embeddings, pairs, epochs, folder)
    seconds = time.perf_counter() - started
    weight = layer.linear.weight.detach().cpu().numpy()
    np.savez(folder / "result.npz", weight=weight, seconds=seconds, texts=embeddings.texts)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

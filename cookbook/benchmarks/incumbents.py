"""The rivals: other ways to train a linear map of the query vectors.

All start as the identity and leave the passages alone, as ours do. LlamaIndex's adapter training is here twice: stated
again, on vectors; and its own engine, run by an interpreter that has it (``pip install llama-index-finetuning``; 0.4 is
what was compared).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from langchain_embedding_adapter import LinearAdapter, QADataset
from langchain_embedding_adapter.evaluation.ranking import compare
from langchain_embedding_adapter.fitting import CLOSED_FORMS, mean_answers
from langchain_embedding_adapter.vectors import Floats, PairVectors, unit

METRIC = "ndcg@10"

Adapt = Callable[[Floats], Floats]


def recipe_of_llama_index(vectors: PairVectors, epochs: int) -> Adapt:
    """Its training loop, stated again.

    A linear layer that starts as the identity, AdamW (lr 2e-5, linear warm-up over a tenth of the steps, then linear
    decay, gradients clipped to norm 1), batches of ten in the order of the data, softmax over the batch's first
    positives with cosines times 20: ``EmbeddingAdapterFinetuneEngine`` with its default settings.
    """
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
    return linear(layer.weight.detach().numpy())


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
        figure = compare(validation, linear(weight), [10])[METRIC].adapted or 0.0
        best, found, stale = (figure, weight, 0) if figure > best else (best, found, stale + 1)
        if stale > 5 or epoch == 50:
            break
        for batch in torch.randperm(len(queries), generator=generator).split(32):
            adapted = torch.nn.functional.normalize(layer(queries[batch]), dim=1)
            loss = torch.nn.functional.cross_entropy(20 * adapted @ positives[batch].T, torch.arange(len(batch)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return linear(found)


def ridge_to_the_positive(vectors: PairVectors) -> Adapt:
    """Least squares, in closed form."""
    adapter: LinearAdapter = CLOSED_FORMS["ridge regression"](*map(torch.from_numpy, mean_answers(vectors)))
    return adapter.adapt


def linear(weight: Floats) -> Adapt:
    """The map ``W q``; ``weight`` is ``(out, in)``."""
    return lambda queries: np.asarray(queries @ weight.T)


@dataclass(frozen=True)
class EngineRun:
    """What LlamaIndex's engine did.

    Attributes:
        weight: The map, ``(dimensions, dimensions)``.
        seconds: From the making of the engine to the saved map.
        texts: How many texts it had embedded.
    """

    weight: Floats
    seconds: float
    texts: int


def engine_of_llama_index(python: str, dataset: QADataset, vectors: PairVectors, epochs: int) -> EngineRun:
    """Its own engine, as an interpreter that has ``llama-index-finetuning`` runs it, with vectors looked up.

    Args:
        python: The interpreter.
        dataset: What to train on.
        vectors: The same as vectors.
        epochs: Its only setting that is not left at the default.

    Raises:
        RuntimeError: If the interpreter cannot run the engine.
    """
    script = Path(__file__).with_name("llama_index_engine.py")
    pairs = {"queries": dataset.queries, "corpus": dataset.corpus, "relevant_docs": dataset.relevant_docs}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pairs.json").write_text(json.dumps(pairs | {"epochs": epochs}), encoding="utf-8")
        np.savez(Path(folder) / "vectors.npz", queries=vectors.queries, passages=vectors.passages)
        answer = subprocess.run([python, str(script), folder], check=False, capture_output=True, text=True)  # noqa: S603 named by the user
        if answer.returncode:
            raise RuntimeError(f"{python} could not run llama-index-finetuning's engine:\n{answer.stderr}")
        with np.load(Path(folder) / "result.npz") as result:
            return EngineRun(result["weight"], float(result["seconds"]), int(result["texts"]))


def asked_about(dataset: QADataset, *, first: bool = False) -> QADataset:
    """What a rival needs to embed: the questions with the passages that answer them, or with the first one of each."""
    relevant = {query: found[:1] if first else found for query, found in dataset.relevant_docs.items()}
    kept = {passage for found in relevant.values() for passage in found}
    return replace(
        dataset,
        corpus={passage: text for passage, text in dataset.corpus.items() if passage in kept},
        relevant_docs=relevant,
        documents={passage: document for passage, document in dataset.documents.items() if passage in kept},
        grades={},
    )

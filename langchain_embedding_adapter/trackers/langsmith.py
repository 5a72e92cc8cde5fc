"""Base and adapted as two experiments on one LangSmith dataset, so that a team sees them where it looks anyway.

The questions become the dataset's examples, retrieval is the target, and the metrics of :func:`evaluate_retrieval` are
the evaluators' scores. Everything here goes over the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.vectorstores import VectorStore

from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
from langchain_embedding_adapter.evaluation.ranking import DEFAULT_KS, nearest_passages, ranking_scores
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.stores import StoredVectors
from langchain_embedding_adapter.trackers.sides import Adapted, Sides, sides_of
from langchain_embedding_adapter.vectors import Floats

if TYPE_CHECKING:
    from langsmith import Client
    from langsmith.schemas import Example

QUESTION, PASSAGES = "question", "passage_ids"
SHOWN = 500
"""Characters of a passage that a run shows."""

Target = Callable[[dict[str, Any]], dict[str, Any]]
Evaluator = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class LangSmithExperiments:
    """Two experiments on one dataset.

    Attributes:
        dataset_name: The dataset.
        base: Name of the experiment with the base embeddings.
        adapted: Name of the one with the adapter.
        questions: How many examples each of them ran on.
    """

    dataset_name: str
    base: str
    adapted: str
    questions: int

    def __str__(self) -> str:
        return f"{self.base} and {self.adapted}, {self.questions} questions each, on {self.dataset_name!r}"


def evaluate_on_langsmith(
    adapted: Adapted,
    dataset: QADataset,
    dataset_name: str,
    *,
    ks: Sequence[int] = DEFAULT_KS,
    store: VectorStore | StoredVectors | None = None,
    experiment: str = "",
    metadata: Mapping[str, Any] | None = None,
    max_concurrency: int = 0,
    client: Client | None = None,
) -> LangSmithExperiments:
    """Run a dataset's questions with the base and with the adapter, as two LangSmith experiments that can be compared.

    Args:
        adapted: The result of training or of bridging, whose vectors need not be embedded again, or adapted embeddings.
        dataset: Questions that training has not seen.
        dataset_name: The LangSmith dataset. Where there is none of this name it is made; questions that it lacks
            become examples with ``question`` as input and ``passage_ids`` as reference output. Only examples that are
            questions of ``dataset`` run.
        ks: The cut-offs of hit rate, recall, MRR, nDCG and MAP, each a score of its own.
        store: A vector store that holds the passages, in place of embedding them; the ranking is exact.
        experiment: What the experiments' names begin with; ``base`` and ``adapted`` follow.
        metadata: Of both experiments, beside the names of the embeddings and the adapter.
        max_concurrency: How many examples at a time.
        client: A ``langsmith.Client``; by default one that reads its key from the environment.

    Raises:
        ValueError: If the dataset has no question.

    Example:
        .. code-block:: python

            result = trainer.train(train)
            print(evaluate_on_langsmith(result, test, "handbook questions"))
    """
    if not len(dataset):
        raise ValueError("there is no question to evaluate with")
    if client is None:
        from langsmith import Client

        client = Client()
    sides = sides_of(adapted, dataset, store)
    examples = _examples(client, dataset_name, sides.dataset)
    embeddings = adapted if isinstance(adapted, AdaptedEmbeddings) else adapted.embeddings
    names = {}
    for side, queries in (("base", sides.vectors.queries), ("adapted", sides.adapted)):
        told = {"embeddings": model_name(embeddings.embeddings), "side": side, **(metadata or {})}
        if side == "adapted":
            told |= {"adapter": type(embeddings.adapter).__name__}
        results = client.evaluate(
            _retrieval(sides, queries, max(ks)),
            data=examples,
            evaluators=[_scores(sides, ks)],
            experiment_prefix=f"{experiment}-{side}".lstrip("-"),
            metadata=told,
            max_concurrency=max_concurrency,
        )
        names[side] = results.experiment_name
    return LangSmithExperiments(dataset_name, names["base"], names["adapted"], len(examples))


def _examples(client: Client, name: str, dataset: QADataset) -> list[Example]:
    """The examples that are these questions, one each; those that were missing are made first."""
    if not client.has_dataset(dataset_name=name):
        client.create_dataset(name, description="Questions, and the ids of the passages that answer them.")
    rows = {text: query for query, text in dataset.queries.items()}

    def known() -> dict[str, Example]:
        found = client.list_examples(dataset_name=name)
        return {str((each.inputs or {}).get(QUESTION)): each for each in found if each.inputs}

    there = known()
    missing = [
        {
            "inputs": {QUESTION: text},
            "outputs": {PASSAGES: list(dataset.relevant_docs[query])},
            "metadata": {"query_id": query},
        }
        for text, query in rows.items()
        if text not in there
    ]
    if missing:
        client.create_examples(dataset_name=name, examples=missing)
        there = known()
    return [there[text] for text in rows]


def _retrieval(sides: Sides, queries: Floats, k: int) -> Target:
    """The first passages of a question by these query vectors: what is run on every example."""
    rows = {text: row for row, text in enumerate(sides.dataset.queries.values())}

    def retrieve(inputs: dict[str, Any]) -> dict[str, Any]:
        row = rows[inputs[QUESTION]]
        found = nearest_passages(sides.vectors, queries[row : row + 1], k)[0]
        ids = [sides.vectors.passage_ids[passage] for passage in found.tolist()]
        return {PASSAGES: ids, "passages": [sides.dataset.corpus.get(key, "")[:SHOWN] for key in ids]}

    return retrieve


def _scores(sides: Sides, ks: Sequence[int]) -> Evaluator:
    """Every metric of what was found, as :func:`evaluate_retrieval` counts it."""
    rows = {text: row for row, text in enumerate(sides.dataset.queries.values())}
    places = {key: row for row, key in enumerate(sides.vectors.passage_ids)}

    def retrieval_metrics(inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
        asked = sides.vectors.rows(np.array([rows[inputs[QUESTION]]]))
        found = np.array([[places[key] for key in outputs[PASSAGES]]], dtype=np.intp)
        scores = ranking_scores(asked, found, ks)
        return {"results": [{"key": metric, "score": float(figures[0])} for metric, figures in scores.items()]}

    return retrieval_metrics

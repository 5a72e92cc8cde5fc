"""Checks that cost something: whether the base finds a question's passage, whether a model says that it answers."""

from __future__ import annotations

import re

from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.vector_cache import VectorCache
from langchain_embedding_adapter.vectors import embed_dataset, unit

BLOCK = 256
"""Questions that are looked up at a time."""


def says_no(answer: str) -> bool:
    """Whether a second opinion is against a question; what is neither yes nor no is not.

    >>> says_no("**No**, it does not say."), says_no("Yes.")
    (True, False)
    """
    words = re.findall(r"\w+", re.sub(r"(?s).*</think>", "", answer).casefold())
    return bool(words) and words[0] in ("no", "nein", "non", "not", "false")


def found_again(dataset: QADataset, embeddings: Embeddings, within: int, cache: VectorCache | None) -> list[bool]:
    """Whether the embeddings rank a passage that answers a question so high among all, for each question."""
    if not len(dataset):
        return []
    vectors = embed_dataset(embeddings, dataset, cache=cache)
    queries, passages = unit(vectors.queries), unit(vectors.passages)
    good: list[bool] = []
    for start in range(0, len(queries), BLOCK):
        scores = queries[start : start + BLOCK] @ passages.T
        for row, relevant in zip(scores, vectors.relevant[start : start + BLOCK], strict=True):
            good.append(int((row > row[relevant].max()).sum()) < within)
    return good

"""Two ways to leave questions out, one for each future.

*Topic folds* leave out whole clusters of passages with every question about them: tomorrow's questions are about new
passages. (Folds by single passage are not enough: neighbouring passages of one article leak.) *Question folds* leave
out questions at random: tomorrow's questions are about the passages of today.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.fitting import SideBySide, as_tensor
from langchain_embedding_adapter.fitting.clustering import lloyd_means, nearest_mean
from langchain_embedding_adapter.vectors import Floats, PairVectors, Ragged, unit

LARGEST_SAMPLE = 4096
"""Most passages that are looked at to find the clusters; the others join the nearest one."""
ROUNDS = 10
"""How often the clusters' centres move."""

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Fold:
    """What to fit on and what to examine with.

    Attributes:
        fitted: Questions to fit on, with only those of their passages that are not left out.
        examined: Questions left out, with only those of their passages that are left out with them.
        hidden: For each examined question the rows of its other passages: neither right nor wrong in the ranking.
        among_asked: Whether only passages with questions are ranked. Those that happen to have one lie closer together
            than all passages do; a map that merely leads there would look good, and be of no use for other passages.
    """

    fitted: PairVectors
    examined: PairVectors
    hidden: Ragged[np.intp]
    among_asked: bool = False


def question_folds(vectors: PairVectors, count: int, seed: int) -> list[Fold]:
    """Folds by question; questions with the same vector stay together, else one would give the other away."""
    numbers: dict[bytes, int] = {}
    same = [numbers.setdefault(query.tobytes(), len(numbers)) for query in vectors.queries]
    side = (np.random.default_rng(seed).permutation(len(numbers)) % count)[same]
    return [
        Fold(
            vectors.rows(np.flatnonzero(side != number)),
            vectors.rows(np.flatnonzero(side == number)),
            Ragged.empty(int((side == number).sum()), np.intp),
        )
        for number in range(count)
        if 0 < (side == number).sum() < len(side)
    ]


def topic_folds(vectors: PairVectors, count: int, seed: int) -> list[Fold]:
    """Folds by cluster of the passages with questions, about √n clusters, dealt out so that folds are of like size.

    A question about passages of several folds is examined in the one that holds most of them, on these alone, and
    fitted on none of its passages there.
    """
    asked = np.unique(vectors.relevant.flat)
    clusters = _clusters(unit(vectors.passages[asked]), max(count, round(len(asked) ** 0.5)), seed)
    pairs, questions = vectors.relevant.flat, vectors.pair_rows
    of_question = _most_frequent(questions, clusters[np.searchsorted(asked, pairs)])
    sizes = np.bincount(of_question, minlength=clusters.max() + 1)
    fold_of_cluster = np.zeros(len(sizes), dtype=np.intp)
    load = np.zeros(count)
    for cluster in np.argsort(-sizes, kind="stable"):
        fold_of_cluster[cluster] = load.argmin()
        load[load.argmin()] += sizes[cluster]
    fold_of_passage = np.full(len(vectors.passages), -1)
    fold_of_passage[asked] = fold_of_cluster[clusters]
    fold_of_question = fold_of_cluster[of_question]
    folds = []
    for number in range(count):
        outside_pairs = fold_of_passage[pairs] != number
        some_outside = np.bincount(questions, outside_pairs) > 0
        examined = np.flatnonzero(fold_of_question == number)
        fitted = np.flatnonzero((fold_of_question != number) & some_outside)
        if len(fitted) and len(examined):
            folds.append(
                Fold(
                    vectors.rows(fitted, outside_pairs),
                    vectors.rows(examined, ~outside_pairs),
                    vectors.relevant.where(outside_pairs).take(examined),
                    among_asked=True,
                )
            )
    return folds


def _clusters(passages: Floats, count: int, seed: int) -> Indices:
    """The cluster of each passage, ``(passages,)``, by k-means over unit vectors."""
    random = np.random.default_rng(seed)
    vectors = sample = as_tensor(passages)
    if len(vectors) > LARGEST_SAMPLE:
        sample = vectors[np.sort(random.choice(len(vectors), LARGEST_SAMPLE, replace=False))]
    with SideBySide(brief=True):
        nearest = nearest_mean(vectors, lloyd_means(sample, min(count, len(sample)), random, ROUNDS))
    return np.asarray(nearest.numpy(), dtype=np.intp)


def _most_frequent(rows: Indices, values: Indices) -> Indices:
    """The value that each row has most often (of several, the least), rows counted from 0 without a gap."""
    found, counts = np.unique(np.stack([rows, values]), axis=1, return_counts=True)
    order = np.lexsort((found[1], -counts, found[0]))
    first = np.unique(found[0][order], return_index=True)[1]
    return np.asarray(found[1][order][first])

"""Two ways to leave questions out, one for each future.

*Topic folds* leave out whole clusters of passages with every question about them: tomorrow's questions are about new
passages. (Folds by single passage are not enough: neighbouring passages of one article leak.) *Question folds* leave
out questions at random: tomorrow's questions are about the passages of today.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.vectors import Floats, PairVectors, unit

LARGEST_SAMPLE = 4096
"""Most passages that are looked at to find the clusters; the others join the nearest one."""

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
    hidden: tuple[Indices, ...]
    among_asked: bool = False


def question_folds(vectors: PairVectors, count: int, seed: int) -> list[Fold]:
    """Folds by question; questions with the same vector stay together, else one would give the other away."""
    _, same = np.unique(vectors.queries, axis=0, return_inverse=True)
    groups = np.random.default_rng(seed).permutation(same.max() + 1) % count
    side = groups[same.ravel()]
    nothing: Indices = np.array([], dtype=np.intp)
    return [
        Fold(
            vectors.rows(np.flatnonzero(side != number)),
            vectors.rows(np.flatnonzero(side == number)),
            (nothing,) * int((side == number).sum()),
        )
        for number in range(count)
        if 0 < (side == number).sum() < len(side)
    ]


def topic_folds(vectors: PairVectors, count: int, seed: int) -> list[Fold]:
    """Folds by cluster of the passages with questions, about √n clusters, dealt out so that folds are of like size.

    A question about passages of several folds is examined in the one that holds most of them, on these alone, and
    fitted on none of its passages there.
    """
    asked = np.unique(np.concatenate(vectors.relevant))
    clusters = _clusters(unit(vectors.passages[asked]), max(count, round(len(asked) ** 0.5)), seed)
    of_question = [_most_frequent(clusters[np.searchsorted(asked, found)]) for found in vectors.relevant]
    sizes = np.bincount(of_question, minlength=clusters.max() + 1)
    fold_of_cluster = np.zeros(len(sizes), dtype=np.intp)
    load = np.zeros(count)
    for cluster in np.argsort(-sizes, kind="stable"):
        fold_of_cluster[cluster] = load.argmin()
        load[load.argmin()] += sizes[cluster]
    fold_of_passage = np.full(len(vectors.passages), -1)
    fold_of_passage[asked] = fold_of_cluster[clusters]
    fold_of_question = fold_of_cluster[np.array(of_question)]
    folds = []
    for number in range(count):
        outside = [fold_of_passage[found] != number for found in vectors.relevant]
        examined = np.flatnonzero(fold_of_question == number)
        fitted = np.array(
            [row for row, kept in enumerate(outside) if fold_of_question[row] != number and kept.any()], dtype=np.intp
        )
        if len(fitted) and len(examined):
            folds.append(
                Fold(
                    vectors.rows(fitted, [outside[row] for row in fitted]),
                    vectors.rows(examined, [~outside[row] for row in examined]),
                    tuple(vectors.relevant[row][outside[row]] for row in examined),
                    among_asked=True,
                )
            )
    return folds


def _clusters(passages: Floats, count: int, seed: int) -> Indices:
    """The cluster of each passage, ``(passages,)``, by k-means over unit vectors."""
    from scipy.cluster.vq import kmeans2, vq

    random = np.random.default_rng(seed)
    sample = passages
    if len(passages) > LARGEST_SAMPLE:
        sample = passages[np.sort(random.choice(len(passages), LARGEST_SAMPLE, replace=False))]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty")  # it stays so, and harms nothing
        centres, _ = kmeans2(sample.astype(np.float64), min(count, len(sample)), minit="++", rng=random)
    nearest, _ = vq(passages.astype(np.float64), centres)
    return np.asarray(nearest, dtype=np.intp)


def _most_frequent(values: Sequence[int] | Indices) -> int:
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()])

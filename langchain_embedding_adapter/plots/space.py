"""A map of the collection: where its passages lie, and where the adapter takes the questions."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from langchain_core.vectorstores import VectorStore
from numpy.typing import NDArray

from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.plots.paper import BLUE, GREEN, INK, PALE, sheet
from langchain_embedding_adapter.stores import StoredVectors
from langchain_embedding_adapter.trackers.sides import Adapted, sides_of
from langchain_embedding_adapter.vectors import Floats, unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUESTIONS = 40
"""So many arrows can be told apart."""
MANY = 5_000
"""From so many passages on their dots are one image in a file of vectors."""


def plot_map(
    adapted: Adapted,
    dataset: QADataset,
    *,
    questions: int | Collection[str] = QUESTIONS,
    store: VectorStore | StoredVectors | None = None,
    seed: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Passages and questions in two dimensions: an arrow from each base query to the adapted one.

    The two dimensions are the principal components of the passages' directions, and questions are projected onto them.
    The axes say how much of the passages' variance that is; mostly it is little, and neighbours on the map need not be
    neighbours in the space. The right passages of the questions are filled.

    Args:
        adapted: The result of training or of bridging, whose vectors need not be embedded again, or adapted embeddings.
        dataset: Passages and questions.
        questions: How many questions to draw, taken at random, or which, by id.
        store: A vector store that holds the passages, in place of embedding them.
        seed: Of the draw.
        ax: Where to draw; a new figure by default.

    Raises:
        ValueError: If there is no such question, or fewer than three passages.
    """
    sides = sides_of(adapted, dataset.subset(_chosen(dataset, questions, seed)), store)
    vectors = sides.vectors
    passages = unit(vectors.passages)
    if len(passages) < 3:
        raise ValueError(f"expected at least three passages to make a map of, got {len(passages)}")
    centre, plane, share = principal_plane(passages)

    def place(found: Floats) -> NDArray[np.float64]:
        return (unit(found) - centre) @ plane

    axes = sheet(ax, width=6.4, height=5.4)
    spots, start, end = place(passages), place(vectors.queries), place(sides.adapted)
    right = np.unique(vectors.relevant.flat)
    axes.scatter(
        spots[:, 0], spots[:, 1], s=9, color="0.8", linewidths=0, label="passages", rasterized=len(spots) > MANY
    )
    axes.scatter(
        spots[right][:, 0], spots[right][:, 1], s=26, color=GREEN, marker="s", linewidths=0, label="right passages"
    )
    axes.scatter(
        start[:, 0],
        start[:, 1],
        s=22,
        facecolors="none",
        edgecolors=INK,
        linewidths=0.9,
        label="questions, base",
        zorder=3,
    )
    axes.scatter(end[:, 0], end[:, 1], s=20, color=BLUE, marker="^", linewidths=0, label="questions, adapted", zorder=4)
    for tail, head in zip(start, end, strict=True):
        if np.abs(head - tail).max() > 0:
            axes.annotate("", head, tail, arrowprops={"arrowstyle": "->", "color": BLUE, "linewidth": 0.9}, zorder=3)
    axes.set(
        xlabel=f"first component ({share[0]:.0%} of the passages' variance)",
        ylabel=f"second component ({share[1]:.0%})",
    )
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(visible=True, color=PALE, alpha=0.25, linewidth=0.5)
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return axes


def principal_plane(vectors: Floats) -> tuple[Floats, NDArray[np.float64], NDArray[np.float64]]:
    """The plane in which vectors spread most.

    Args:
        vectors: ``(n, dim)``.

    Returns:
        Their mean ``(dim,)``, the plane's two directions ``(dim, 2)``, each with its largest entry positive, and the
        share of the variance along each, ``(2,)``.
    """
    centre = vectors.mean(axis=0)
    covariance = np.cov(vectors.astype(np.float64), rowvar=False)
    spread, directions = np.linalg.eigh(covariance)
    plane = directions[:, [-1, -2]]
    plane *= np.sign(plane[np.abs(plane).argmax(axis=0), [0, 1]])
    return centre, plane, spread[[-1, -2]] / max(float(spread.sum()), 1e-300)


def _chosen(dataset: QADataset, questions: int | Collection[str], seed: int) -> list[str]:
    """Ids of the questions to draw."""
    if not isinstance(questions, int):
        unknown = set(questions) - dataset.queries.keys()
        if unknown or not questions:
            raise ValueError(f"expected ids of questions of the dataset, got {sorted(unknown)[:3]}")
        return list(questions)
    ids = list(dataset.queries)
    if not ids or questions < 1:
        raise ValueError("there is no question to draw")
    rows = np.random.default_rng(seed).choice(len(ids), min(questions, len(ids)), replace=False)
    return [ids[row] for row in np.sort(rows)]

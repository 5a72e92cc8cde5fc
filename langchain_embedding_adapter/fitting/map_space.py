"""Where the fit of a linear map searches.

The gradient of any loss of scores is a sum of products of questions and passages, and so is all that a fit adds to the
map it starts from (the representer theorem): ``W = W₀ + passagesᵀ · C · questions``. Where either are few, it is
cheaper to search for the coordinates ``C``, one for every passage and question, than for the entries of ``W``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from langchain_embedding_adapter.fitting.lbfgs import entrywise
from langchain_embedding_adapter.fitting.products import inner

STEP = 200
"""A step costs so many multiplications for every number of a point, about."""

Product = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class MapSpace:
    """How a map is written, on the side of the passages and on the side of the questions.

    A point of the search is ``(2, rows, columns)``: its coordinates and its image, the same times the Gram matrices, so
    that steps are taken on both at once and no evaluation has to find the image of a sum again. It is ``(1, out, in)``
    where both sides are written in their dimensions, and a point is its own image.

    Attributes:
        queries: ``(questions, in)``.
        passages: ``(passages, out)``.
        of_queries: ``(questions, questions)``, the Gram matrix; ``None`` where that side is written in its dimensions.
        of_passages: ``(passages, passages)``, likewise.
    """

    queries: Tensor
    passages: Tensor
    of_queries: Tensor | None
    of_passages: Tensor | None

    @classmethod
    def cheapest(cls, queries: Tensor, passages: Tensor, most_entries: int) -> MapSpace:
        """The way that makes steps cheapest, of those whose points have at most ``most_entries`` numbers."""
        (questions, inputs), (answers, outputs) = queries.shape, passages.shape

        def cost(choice: tuple[bool, ...]) -> tuple[bool, int]:
            by_question, by_passage = choice
            rows, columns = (answers if by_passage else outputs), (questions if by_question else inputs)
            of_passages = answers**2 * columns if by_passage else 2 * answers * outputs * columns
            of_queries = rows * questions**2 if by_question else 2 * answers * inputs * questions
            entries = (1 + any(choice)) * rows * columns
            return any(choice) and entries > most_entries, of_passages + of_queries + STEP * entries

        by_question, by_passage = min(product([False, True], repeat=2), key=cost)
        return cls(
            queries,
            passages,
            inner(queries, queries) if by_question else None,
            inner(passages, passages) if by_passage else None,
        )

    @classmethod
    def of_dimensions(cls, queries: Tensor, passages: Tensor) -> MapSpace:
        """Both sides written in their dimensions: here every map is a point."""
        return cls(queries, passages, None, None)

    @property
    def origin(self) -> Tensor:
        """The point of a map to which nothing is added."""
        rows = self.passages.shape[self.of_passages is None]
        columns = self.queries.shape[self.of_queries is None]
        return self.queries.new_zeros(1 if self.of_queries is None and self.of_passages is None else 2, rows, columns)

    def by_passage(self, point: Tensor, multiply: Product = inner) -> Tensor:
        """``(passages, columns)``, a new tensor: the passages times what a point adds to the map."""
        return point[-1].clone() if self.of_passages is not None else multiply(self.passages, point[-1].T)

    def gradient(self, by_passage: Tensor, multiply: Product = inner) -> Tensor:
        """The point of the gradient, given ``(passages, columns)``, that with respect to :meth:`by_passage`."""
        coordinates = by_passage if self.of_passages is not None else multiply(self.passages.T, by_passage.T)
        if self.of_passages is None and self.of_queries is None:
            return coordinates[None]
        image = coordinates if self.of_passages is None else multiply(self.of_passages, coordinates.T)
        return torch.stack([coordinates, image if self.of_queries is None else multiply(image, self.of_queries)])

    def matrix(self, point: Tensor) -> Tensor:
        """``(out, in)``, what a point adds to the map."""
        added = point[0] if self.of_passages is None else inner(self.passages.T, point[0].T)
        return added if self.of_queries is None else inner(added, self.queries.T)


def dot(left: Tensor, right: Tensor) -> float:
    """The inner product of what two points add to the map."""
    return entrywise(left[0], right[-1])

"""What a report carries beside its scores, for whoever wants to see the questions: texts, and what was found.

The lists are made when they are asked for: an evaluation that nobody looks into costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.story import TrainingStory

DEPTH = 10
"""How many passages of each question are listed."""
NOTHING = -1
"""In place of a passage's row, where no more were found."""


@dataclass(frozen=True)
class Found:
    """What the questions found, one way of asking.

    Attributes:
        passages: ``(questions, depth)``, rows of the passages, best first; :data:`NOTHING` where there are no more.
        scores: ``(questions, depth)``, their cosines.
        ranks: For each question the rank, from 1, of each right passage, in the order of ``right``; 0 where it is not
            known, as it is beyond the list.
    """

    passages: NDArray[np.intp]
    scores: NDArray[np.float32]
    ranks: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Lists:
    """What each question found, base beside adapted.

    Attributes:
        query_ids: The questions, in the order of the rows.
        passage_ids: The passages that rows stand for.
        right: For each question the rows of the passages that answer it.
        base: With the base's queries.
        adapted: With the adapted ones; ``None`` where there are none.
    """

    query_ids: Sequence[str]
    passage_ids: Sequence[str]
    right: tuple[tuple[int, ...], ...]
    base: Found
    adapted: Found | None


@dataclass(frozen=True)
class Details:
    """What is known of a report's questions.

    Attributes:
        dataset: Their texts, passages, documents and styles.
        lists: What they found, or what tells it when it is asked.
        story: How the adapter was trained.
        asked: What the questions were to the adapter: kept ``"apart"`` from its training; left out of a fit in turn
            (``"folds"``); what decided whether it is used (``"deciding"``); or nobody's (``"pseudo"``).
        base_model: The name of the base.
        adapter: The adapter's kind and shape.
    """

    dataset: QADataset | None = None
    lists: Lists | Callable[[], Lists | None] | None = None
    story: TrainingStory | None = None
    asked: Literal["apart", "folds", "deciding", "pseudo"] = "apart"
    base_model: str | None = None
    adapter: str | None = None

    def found(self) -> Lists | None:
        """What the questions found; ``None`` where that is not known."""
        return self.lists() if callable(self.lists) else self.lists

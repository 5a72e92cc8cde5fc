"""The choice between the base and everything that could be put in its place.

Candidates are cross-validated for two futures: questions about new passages (topic folds) and new questions about the
passages of today (question folds), and a rule (:mod:`~langchain_embedding_adapter.selection.rule`) takes the winner.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting import QuestionWeights, feasible
from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.report.retrieval import RetrievalReport
from langchain_embedding_adapter.selection.candidates import BASE, Candidate, Family, Future, candidates
from langchain_embedding_adapter.selection.crossvalidation import Examined, cross_validate
from langchain_embedding_adapter.selection.fold_ranking import FitByDescent
from langchain_embedding_adapter.selection.folds import Fold, question_folds, topic_folds
from langchain_embedding_adapter.selection.rule import NEW, SAME, VALIDATION, Gains, ahead, choose, standard_error
from langchain_embedding_adapter.selection.sampling import GROWTH, LARGEST, enough, sample_of, sample_with
from langchain_embedding_adapter.tables import aligned
from langchain_embedding_adapter.vectors import PairVectors, Ragged

logger = logging.getLogger(__name__)

ENOUGH = {NEW: 400, SAME: 200}
"""No further fold is examined after so many questions: which passages are new decides, and so they have more."""


@dataclass(frozen=True)
class Selection:
    """What was tried, what won, and why.

    Printed, it is the reason and a table of the candidates.

    Attributes:
        chosen: The winner.
        reason: Why, in a sentence.
        metric: What was compared.
        gains: For each future the gain of each candidate on each examined question; candidates that were given up
            early are not among them.
        reports: For each future base against winner on the examined questions.
        given_up: Candidates given up after the first folds.
        sampled: Most questions that candidates were examined on; of more, a random part was.
    """

    chosen: Candidate
    reason: str
    metric: str
    gains: Mapping[str, Mapping[Candidate, Gains]]
    reports: Mapping[str, RetrievalReport]
    given_up: tuple[Candidate, ...]
    sampled: int = LARGEST

    @property
    def improved(self) -> bool:
        """Whether anything but the base won."""
        return self.chosen != BASE

    def to_markdown(self, most: int = 10) -> str:
        """The candidates with the best gains, the winner marked, and the reason."""
        futures = list(self.gains)
        mean = {
            choice: [100 * self.gains[future][choice].mean() for future in futures] for choice in self.gains[futures[0]]
        }
        listed = sorted(mean, key=lambda choice: -sum(mean[choice]))[:most]
        listed += [choice for choice in dict.fromkeys((self.chosen, BASE)) if choice not in listed]
        rows = [
            [
                ("✔ " if choice == self.chosen else "") + str(choice),
                *(
                    f"{figure:+.1f} ± {100 * standard_error(self.gains[future][choice]):.1f}"
                    for future, figure in zip(futures, mean[choice], strict=True)
                ),
            ]
            for choice in listed
        ]
        header = ["candidate", *(f"{label(self.metric)} × 100, {future}" for future in futures)]
        note = f"{len(mean)} candidates examined, {len(self.given_up)} given up early."
        return f"{self.reason}\n\n{aligned(header, rows)}\n\n{note}"

    def to_dict(self) -> dict[str, Any]:
        """Winner, reason and every candidate's gains, as JSON can hold them."""
        futures = list(self.gains)
        return {
            "chosen": str(self.chosen),
            "reason": self.reason,
            "metric": self.metric,
            "candidates": [
                {
                    "candidate": str(choice),
                    **{
                        future: {
                            "gain": float(self.gains[future][choice].mean()),
                            "standard_error": standard_error(self.gains[future][choice]),
                        }
                        for future in futures
                    },
                }
                for choice in self.gains[futures[0]]
            ],
            "given_up": [str(choice) for choice in self.given_up],
        }

    def __str__(self) -> str:
        return self.to_markdown()

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return self.to_markdown()


def select(
    vectors: PairVectors,
    start: BaseAdapter,
    config: TrainingConfig,
    *,
    expect: Future = "both",
    family: Family = "default",
    validation: PairVectors | None = None,
    question_weights: QuestionWeights | None = None,
    further: Sequence[Candidate] = (),
    fit_by_descent: FitByDescent | None = None,
) -> Selection:
    """Choose, by cross-validation or on questions that are given for it.

    Args:
        vectors: Questions to learn from.
        start: A linear or memory adapter: the identity, or yesterday's, to train again.
        config: Grids and settings.
        expect: What tomorrow's questions will be about.
        family: What to choose among.
        validation: Questions that decide, in place of cross-validation.
        question_weights: How much questions count in the fit, by id.
        further: Candidates besides the built-in ones.
        fit_by_descent: Fits those of them that have no optimum to solve for.

    Raises:
        ValueError: If there are too few questions, or all are about one passage.
    """
    choices = [
        *candidates(
            start,
            config,
            questions=len(vectors.query_ids),
            family=family,
            all_passages=expect == SAME and config.negatives == "asked",
            taught=bool(vectors.listed),
        ),
        *further,
    ]
    sampled, most = LARGEST, min(len(vectors.query_ids), GROWTH * LARGEST) if validation is None else 0
    while True:
        if validation is None:
            kinds = folds_of(vectors, config, sampled)
        else:
            kinds = deciding(vectors, validation, config, sampled)
        examined = cross_validate(
            kinds, choices, start, config, question_weights=question_weights, fit_by_descent=fit_by_descent
        )
        gains = {kind: gains_of(found, config) for kind, found in examined.items()}
        chosen, reason = choose(gains, expect, small=len(vectors.query_ids) < config.small, metric=config.metric)
        needed = min(most, enough(ahead(gains, chosen, expect), sampled))
        if needed <= sampled:
            break
        logger.info("%d questions do not tell the best candidates apart", sampled)
        sampled = min(most, max(needed, 2 * sampled))
    logger.info("%s", reason)
    return Selection(
        chosen=chosen,
        reason=reason,
        metric=config.metric,
        gains=gains,
        reports={kind: found.report(chosen, sorted({5, 10, config.cutoff})) for kind, found in examined.items()},
        given_up=tuple(choice for choice in choices if choice not in next(iter(gains.values()))),
        sampled=sampled,
    )


def deciding(
    vectors: PairVectors, validation: PairVectors, config: TrainingConfig, sampled: int
) -> dict[str, list[Fold]]:
    """The questions that decide, in the place of folds; of more questions or passages than can be, a part."""
    few = feasible(vectors, config)
    if not (few and feasible(validation, replace(config, negatives="all"))):
        vectors, validation = sample_with(vectors, validation, len(vectors) if few else sampled, config.seed)
    return {VALIDATION: [Fold(vectors, validation, Ragged.empty(len(validation.query_ids), np.intp))]}


def folds_of(vectors: PairVectors, config: TrainingConfig, sampled: int = LARGEST) -> dict[str, list[Fold]]:
    """Folds for each future: what is left out is new passages, or new questions about the same ones.

    Args:
        vectors: The questions and passages.
        config: How many folds, and the seed.
        sampled: Most questions to examine; of more, a random part is.

    Raises:
        ValueError: If there are not two questions about two passages.
    """
    if len(vectors.query_ids) > sampled:
        logger.info("candidates are examined on %d of the questions", sampled)
    vectors = sample_of(vectors, sampled, config.seed)
    folds = {
        NEW: topic_folds(vectors, config.folds, config.seed),
        SAME: question_folds(vectors, config.folds, config.seed),
    }
    if min(map(len, folds.values())) < 2:
        raise ValueError(
            "training needs different questions about at least two passages, to fit on some and examine with others; "
            f"got {len(vectors.query_ids)} about {len(np.unique(vectors.relevant.flat))}"
        )
    examined = {kind: np.cumsum([len(fold.examined.query_ids) for fold in found]) for kind, found in folds.items()}
    return {kind: found[: 1 + int((examined[kind] < ENOUGH[kind]).sum())] for kind, found in folds.items()}


def gains_of(examined: Examined, config: TrainingConfig) -> dict[Candidate, Gains]:
    """Each candidate's gain over the base on each question, in the metric that decides."""
    scores = {choice: examined.scores(choice, [config.cutoff])[config.metric] for choice in examined.ranks}
    return {choice: found - scores[BASE] for choice, found in scores.items()}

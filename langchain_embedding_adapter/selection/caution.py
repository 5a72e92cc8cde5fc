"""The choice where nobody has asked yet: a map learned from pseudo-questions, taken with caution.

Whatever is learned from questions cut out of passages looks splendid on questions cut out of passages. So the map is
taken at half its strength, provided that it helps questions cut in ways it has not seen about topics it has not seen.
A few real questions, even twenty, may say better: they shrink it, turn it down or let it have its full strength.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting import QuestionWeights
from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.selection.candidates import BASE, Candidate, QueryMap
from langchain_embedding_adapter.selection.choice import Selection, deciding, gains_of
from langchain_embedding_adapter.selection.crossvalidation import cross_validate
from langchain_embedding_adapter.selection.folds import Fold, topic_folds
from langchain_embedding_adapter.selection.rule import Gains, standard_error
from langchain_embedding_adapter.selection.sampling import LARGEST, sample_of
from langchain_embedding_adapter.vectors import PairVectors

logger = logging.getLogger(__name__)

WEAK, CAUTIOUS, FULL = 0.25, 0.5, 1.0
"""Strengths: how far to go from the start towards the map that was fitted."""
OTHER_STYLES = "pseudo-questions of other styles (no gain)"


def select_cautiously(
    vectors: PairVectors,
    styles: Mapping[str, str],
    start: BaseAdapter,
    config: TrainingConfig,
    *,
    validation: PairVectors | None = None,
    question_weights: QuestionWeights | None = None,
) -> Selection:
    """Choose how far to trust a map that pseudo-questions teach.

    Args:
        vectors: The pseudo-questions.
        styles: How each was cut.
        start: Where training starts: a linear adapter.
        config: The settings; the map has their ``scale`` and ``ridge``.
        validation: Real questions to check it on.
        question_weights: How much questions count in the fit, by id.
    """
    if validation is not None:
        folds = deciding(vectors, validation, config, LARGEST)
    else:
        folds = {OTHER_STYLES: _style_folds(vectors, styles, config)}
    fitted = QueryMap("convex", config.scale, config.ridge, config.negatives, taught=bool(vectors.listed))
    choices = {
        strength: Candidate(QueryMap(**{**vars(fitted), "strength": strength})) for strength in (WEAK, CAUTIOUS, FULL)
    }
    examined = cross_validate(
        folds, [BASE, *choices.values()], start, config, question_weights=question_weights, abandon=False
    )
    gains = {kind: gains_of(found, config) for kind, found in examined.items()}
    ((kind, of_kind),) = gains.items()
    strength = trusted({strength: of_kind[choice] for strength, choice in choices.items()}, real=validation is not None)
    chosen = choices.get(strength, BASE)
    report = examined[kind].report(chosen, sorted({5, 10, config.cutoff}))
    reason = _reason(chosen, of_kind[chosen], config.metric, real=validation is not None)
    logger.info("%s", reason)
    return Selection(chosen, reason, config.metric, gains, {kind: report}, given_up=())


def trusted(gains: Mapping[float, Gains], *, real: bool) -> float:
    """The strength to take, 0 for none.

    Half the strength is the rule: with it, a mix of styles gained on every collection that was measured
    (``cookbook/benchmarks/NO_LABELS.md``). Few questions say too little to choose freely among strengths. Where they
    speak for more by a standard error, it is the whole; where they speak against it, a quarter, and nothing where they
    do so by a standard error.
    """
    half, further = gains[CAUTIOUS], gains[FULL] - gains[CAUTIOUS]
    if not real:
        return CAUTIOUS if half.mean() > 0 else 0.0
    if half.mean() < 0:
        return WEAK if half.mean() > -standard_error(half) else 0.0
    return FULL if further.mean() > standard_error(further) else CAUTIOUS


def _reason(chosen: Candidate, gains: Gains, metric: str, *, real: bool) -> str:
    if real:
        checked = f"{len(gains)} real questions ({label(metric)} × 100)"
        if chosen == BASE:
            return f"What the pseudo-questions taught did harm on {checked}, and the base is kept."
        figure = f"{100 * gains.mean():+.1f} ± {100 * standard_error(gains):.1f}"
        return f"Chosen: {chosen}, learned from pseudo-questions. It gains {figure} on {checked}."
    if chosen == BASE:
        return "What some styles of pseudo-questions taught did not help the others, and the base is kept."
    return (
        f"Chosen: {chosen}, learned from pseudo-questions. Its gain is unverified: no real question was seen. "
        "Twenty of them with their passages, as validation=…, would tell."
    )


def _style_folds(vectors: PairVectors, styles: Mapping[str, str], config: TrainingConfig) -> list[Fold]:
    """Topic folds in which a part of the styles is examined and only the others are fitted."""
    vectors = sample_of(vectors, LARGEST, config.seed)
    names = sorted({styles[query] for query in vectors.query_ids})
    part = {name: number % config.folds for number, name in enumerate(names)}
    found = []
    for number, fold in enumerate(topic_folds(vectors, config.folds, config.seed)):
        inside = np.array([part[styles[query]] != number for query in fold.fitted.query_ids])
        outside = np.array([part[styles[query]] == number for query in fold.examined.query_ids])
        if len(names) == 1:
            inside[:], outside[:] = True, True
        if inside.any() and outside.any():
            kept = np.flatnonzero(outside)
            found.append(
                Fold(
                    fold.fitted.rows(np.flatnonzero(inside)),
                    fold.examined.rows(kept),
                    fold.hidden.take(kept),
                    among_asked=True,
                )
            )
    if not found:
        raise ValueError("expected pseudo-questions about at least two passages, to learn from some and examine others")
    return found

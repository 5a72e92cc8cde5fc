"""From one model's query space into another's passages: what is tried, and what is taken.

Closed forms align the two spaces, the best of them is the centre of the ranking objective (each pseudo-question should
find the passage it was cut from), and a memory of the texts may stand beside it. Questions that were left out decide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.adapters import BaseAdapter, LinearAdapter
from langchain_embedding_adapter.bridging.alignment import ALIGNMENTS
from langchain_embedding_adapter.bridging.report import BridgeReport, BridgeRow
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.evaluation.ranking import retrieval_scores
from langchain_embedding_adapter.fitting import filled, fit_linear, memory_for
from langchain_embedding_adapter.vectors import Floats, PairVectors, Ragged, unit

METRIC, DEPTH = "ndcg@10", 10
FEWEST = 20
"""Texts that a bridge needs at least, so that some can be left out."""
EXAMINED = 1000
"""Most questions of either kind that are looked at."""
CENTRED = 2000
"""So many questions tell how long mapped vectors are."""
RANKING = TrainingConfig(scale=80, ridge=0.2)
"""Of the ranking objective."""
RECALLS = ((0.03, 0.7), (0.03, 0.6), (0.03, 0.5), (0.02, 0.4))
"""Of the memory: its temperature, and the cosine to a text from which on it outweighs the map."""


@dataclass(frozen=True)
class BridgeVectors:
    """Texts embedded by both models, and questions about them embedded by the new one.

    Attributes:
        new: ``(texts, in)``, documents of the new model.
        old: ``(texts, out)``, documents of the old one, as the index has them.
        questions: ``(questions, in)``, queries of the new model.
        about: ``(questions,)``, the text that each was cut from.
    """

    new: Floats
    old: Floats
    questions: Floats
    about: NDArray[np.intp]

    def pairs(self, questions: NDArray[np.intp], passages: Floats | None = None) -> PairVectors:
        """Some of the questions, with the old model's passages or those given."""
        passages = self.old if passages is None else passages
        return PairVectors(
            query_ids=tuple(map(str, questions.tolist())),
            passage_ids=tuple(map(str, range(len(passages)))),
            queries=self.questions[questions],
            passages=passages,
            relevant=Ragged.in_rows(self.about[questions], np.ones_like(questions)),
            grades=Ragged.in_rows(np.ones(len(questions)), np.ones_like(questions)),
        )


@dataclass(frozen=True)
class Examination:
    """Which texts and questions are learned from, and which examine.

    Attributes:
        texts: Rows of the texts to learn from.
        questions: Rows of the questions to learn from, all about these.
        covered: Rows of other questions about these.
        uncovered: Rows of questions about texts that are left out.
    """

    texts: NDArray[np.intp]
    questions: NDArray[np.intp]
    covered: NDArray[np.intp]
    uncovered: NDArray[np.intp]

    @classmethod
    def draw(cls, vectors: BridgeVectors, seed: int) -> Examination:
        """A fifth of the texts is left out, and a fifth of the questions about the others.

        Raises:
            ValueError: If that leaves nothing to learn from or to examine with.
        """
        count = len(vectors.new)
        if count < FEWEST or not len(vectors.about):
            raise ValueError(
                f"expected at least {FEWEST} texts with questions cut from them, some to learn from and some to "
                f"examine with; got {count} texts and {len(vectors.about)} questions"
            )
        draw = np.random.default_rng(seed)
        left_out = np.isin(np.arange(count), draw.permutation(count)[: count // 5])
        order = draw.permutation(len(vectors.about))
        about_left_out = left_out[vectors.about[order]]
        uncovered, others = order[about_left_out], order[~about_left_out]
        covered, questions = np.split(others, [len(others) // 5])
        if not min(map(len, (uncovered, covered, questions))):
            raise ValueError(
                f"{len(order)} questions cut from {count} texts are too few to leave some out; give more texts, or ask "
                "for more questions"
            )
        return cls(np.flatnonzero(~left_out), np.sort(questions), covered[:EXAMINED], uncovered[:EXAMINED])


@dataclass(frozen=True)
class Way:
    """A way across.

    Attributes:
        alignment: The closed form.
        ranked: Whether the ranking objective is minimised from there.
        recall: Temperature and nearness of the memory beside the map, one of :data:`RECALLS`, if there is one.
    """

    alignment: str
    ranked: bool = False
    recall: tuple[float, float] | None = None

    def __str__(self) -> str:
        name = self.alignment + ", ranked" * self.ranked
        if self.recall is None:
            return name
        return f"{name} + memory ({self.recall[0]:g}, {self.recall[1]:g})"


def fit_bridge(
    vectors: BridgeVectors,
    *,
    coverage: float = 1.0,
    memory: bool = True,
    examination: Examination | None = None,
    native_queries: Floats | None = None,
    seed: int = 0,
) -> tuple[BaseAdapter, BridgeReport]:
    """Try the ways across, take the best, and fit it to all texts and questions.

    Args:
        vectors: What both models know.
        coverage: The part of the index that the texts are.
        memory: Whether to try a memory of the texts.
        examination: What examines; by default it is drawn.
        native_queries: ``(covered + uncovered, out)``, the old model's own queries of what examines, if known.
        seed: Of what is drawn.

    Raises:
        ValueError: If there are too few texts or questions.
    """
    vectors = BridgeVectors(unit(vectors.new), unit(vectors.old), unit(vectors.questions), vectors.about)
    examination = examination or Examination.draw(vectors, seed)
    covered, uncovered = (vectors.questions[rows] for rows in (examination.covered, examination.uncovered))

    def row(name: str, queries: tuple[Floats, Floats], passages: Floats | None = None) -> BridgeRow:
        first, second = (
            float(retrieval_scores(vectors.pairs(rows, passages), found, [DEPTH])[METRIC].mean())
            for rows, found in zip((examination.covered, examination.uncovered), queries, strict=True)
        )
        return BridgeRow(name, first, second, coverage * first + (1 - coverage) * second)

    part = replace(vectors, questions=vectors.questions[examination.questions])
    part = replace(part, about=vectors.about[examination.questions])
    tried: dict[Way, BridgeRow] = {}

    def try_(way: Way, linear: LinearAdapter) -> None:
        adapter = with_memory(linear, part, examination.texts, way.recall, seed)
        tried[way] = row(str(way), (adapter.adapt(covered), adapter.adapt(uncovered)))

    def best() -> Way:
        return max(tried, key=lambda way: tried[way].figure)

    for name in ALIGNMENTS:
        try_(Way(name), aligned_map(part, examination.texts, name))
    ranked = replace(best(), ranked=True)
    linear = ranked_map(part, aligned_map(part, examination.texts, ranked.alignment))
    try_(ranked, linear)
    for recall in RECALLS if memory else ():
        try_(replace(ranked, recall=recall), linear)

    chosen, native = best(), None
    if native_queries is not None:
        of_covered, of_uncovered = np.split(native_queries, [len(covered)])
        native = row("the old model's own queries", (of_covered, of_uncovered))
    report = BridgeReport(
        rows=tuple(tried.values()),
        chosen=str(chosen),
        texts=len(vectors.new),
        questions=len(vectors.about),
        coverage=coverage,
        native=native,
        rebuilt=row("an index rebuilt by the new model", (covered, uncovered), vectors.new),
    )
    everything = np.arange(len(vectors.new))
    linear = aligned_map(vectors, everything, chosen.alignment)
    if chosen.ranked:
        linear = ranked_map(vectors, linear)
    return with_memory(linear, vectors, everything, chosen.recall, seed), report


def aligned_map(vectors: BridgeVectors, texts: NDArray[np.intp], alignment: str) -> LinearAdapter:
    """The closed form of these texts, scaled so that a mapped question has length one in the middle."""
    weight = ALIGNMENTS[alignment](vectors.new[texts], vectors.old[texts])
    length = float(np.linalg.norm(vectors.questions[:CENTRED] @ weight.T, axis=1).mean())
    adapter = LinearAdapter(vectors.new.shape[1], vectors.old.shape[1])
    adapter.weight = (weight / (length or 1.0)).astype(np.float32)
    return adapter


def ranked_map(vectors: BridgeVectors, centre: LinearAdapter) -> LinearAdapter:
    """The map that ranks each question's passage first, held to ``centre``."""
    fitted, _ = fit_linear(vectors.pairs(np.arange(len(vectors.about))), centre, RANKING)
    return fitted


def with_memory(
    linear: LinearAdapter,
    vectors: BridgeVectors,
    texts: NDArray[np.intp],
    recall: tuple[float, float] | None,
    seed: int,
) -> BaseAdapter:
    """The map, and beside it the memory of these texts if there is to be one.

    A text's key is the new model's vector, its value the old one's: a question near a text goes where the index has it.
    """
    if recall is None:
        return linear
    temperature, near = recall
    strength = float(np.exp((1 - near) / temperature))
    memory = memory_for(linear.in_features, linear.out_features, len(texts), temperature, strength)
    memory.weight = linear.weight
    return filled(memory, vectors.new[texts], vectors.old[texts], seed)

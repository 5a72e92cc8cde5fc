"""Candidates examined on questions that their fit has not seen.

All candidates of a fold share what they have in common: each map's scores and what each memory adds to them; a
candidate then costs an addition and a count. Folds run side by side, each on one thread, so that the result is the
same on any number of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from langchain_embedding_adapter.adapters import BaseAdapter, LinearAdapter, MemoryAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.evaluation.ranking import DEFAULT_KS
from langchain_embedding_adapter.fitting import (
    CLOSED_FORMS,
    LinearProblem,
    Problem,
    QuestionWeights,
    SideBySide,
    as_tensor,
    mean_answers,
    recall_table,
)
from langchain_embedding_adapter.metrics import compute_metrics
from langchain_embedding_adapter.report.retrieval import RetrievalReport, Scores
from langchain_embedding_adapter.selection.candidates import (
    BASE,
    WHOLE,
    Candidate,
    QueryMap,
    Recall,
    is_identity,
    linear_part,
)
from langchain_embedding_adapter.selection.folds import Fold
from langchain_embedding_adapter.vectors import PairVectors, unit

RANKED_PASSAGES = 16_384
"""Most passages without a question that are ranked: of more, a random part, and the base suffers as the adapted do."""
NEAREST = 32
"""How many of them compete with a memory for each question: those that the map beside it finds nearest."""
BEHIND = 0.5
"""A map is given up when, after the first folds, its best candidate is behind by so many standard errors everywhere."""
IN_CACHE = 2**18
"""Numbers at a time that a core has at hand: larger blocks are slower, and fresh memory for them slower still."""
TOLERANCE = 0.3
"""Of the convex fit in a fold, by a bound that lies well above the truth: the ranking has long settled by then."""

Ranks = NDArray[np.int32]
Field = tuple[Tensor, Tensor]
"""What memories recall, ``(examined, out)``, and add to the scores of the passages with questions."""
FitByDescent = Callable[[str, PairVectors], BaseAdapter]


@dataclass(frozen=True)
class Examined:
    """What one kind of folds found.

    Attributes:
        vectors: The examined questions of every fold, one fold after the other, each question once.
        passages: How many passages were ranked.
        ranks: For each candidate that was not given up the rank, from 0, of every right passage; beyond the cut-offs
            of reports and of the metric that decides it may be told too low.
    """

    vectors: PairVectors
    passages: int
    ranks: Mapping[Candidate, Ranks]

    def scores(self, candidate: Candidate, ks: Sequence[int]) -> Scores:
        """Every metric of every question, ``(questions,)``, with this candidate."""
        rows, grades, counts, in_order = self._pairs
        best = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        gains, ideal = (
            _placed(rows, ranks, found, len(counts), max(ks))
            for ranks, found in ((self.ranks[candidate], grades), (best, in_order))
        )
        return compute_metrics(gains, ideal, counts, ks)

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
        """Each right passage's question and grade, how many a question has, and its grades from the highest on."""
        rows, grades = self.vectors.pair_rows, np.concatenate(self.vectors.grades)
        return rows, grades, np.bincount(rows), grades[np.lexsort((-grades, rows))]

    def report(self, candidate: Candidate, ks: Sequence[int] = DEFAULT_KS) -> RetrievalReport:
        """Base against a candidate, question by question."""
        return RetrievalReport(
            query_ids=self.vectors.query_ids,
            passages=self.passages,
            base_scores=self.scores(BASE, ks),
            adapted_scores=self.scores(candidate, ks),
        )


def cross_validate(
    kinds: Mapping[str, Sequence[Fold]],
    choices: Sequence[Candidate],
    start: BaseAdapter,
    config: TrainingConfig,
    *,
    question_weights: QuestionWeights | None = None,
    fit_by_descent: FitByDescent | None = None,
    abandon: bool = True,
) -> dict[str, Examined]:
    """Examine every candidate on every fold of every kind.

    Args:
        kinds: Folds by the future they stand for.
        choices: The candidates, :data:`BASE` among them.
        start: Where training starts.
        config: The settings.
        question_weights: How much questions count in the fit, by id.
        fit_by_descent: Fits an adapter of a kind that has no optimum to solve for.
        abandon: Whether to give up candidates that are far behind after the first folds.
    """
    fine = replace(config, tolerance=TOLERANCE)
    found: dict[str, list[tuple[Fold, dict[Candidate, Ranks]]]] = {kind: [] for kind in kinds}
    remaining = list(choices)
    passages = as_tensor(next(iter(kinds.values()))[0].examined.targets)  # every fold's

    def examine(job: tuple[str, Fold]) -> tuple[str, Fold, dict[Candidate, Ranks]]:
        kind, fold = job
        ranking = _FoldRanking(fold, passages, start, fine, question_weights, fit_by_descent)
        return kind, fold, dict(ranking.of(remaining))

    first = [(kind, folds[0]) for kind, folds in kinds.items()]
    others = [(kind, fold) for kind, folds in kinds.items() for fold in folds[1:]]
    # The loop of descent sets torch's one random state, and has to have it for itself.
    with SideBySide(workers=None if fit_by_descent is None else 1) as pool:
        for jobs in filter(None, (first, others)):
            for kind, fold, ranks in pool.map(examine, jobs):
                found[kind].append((fold, ranks))
            if abandon and jobs is first and others:
                so_far = {kind: _joined(results, remaining) for kind, results in found.items()}
                remaining = _promising(so_far, remaining, config)
    return {kind: _joined(results, remaining) for kind, results in found.items()}


def _joined(results: Sequence[tuple[Fold, dict[Candidate, Ranks]]], choices: Sequence[Candidate]) -> Examined:
    parts = [fold.examined for fold, _ in results]
    vectors = replace(
        parts[0],
        query_ids=tuple(query for part in parts for query in part.query_ids),
        queries=np.concatenate([part.queries for part in parts]),
        relevant=tuple(found for part in parts for found in part.relevant),
        grades=tuple(found for part in parts for found in part.grades),
        listed=(),
        opinions=(),
    )
    everything = len(parts[0].passages)
    passages = max(len(_asked(fold)) if fold.among_asked else everything for fold, _ in results)
    return Examined(
        vectors, passages, {choice: np.concatenate([ranks[choice] for _, ranks in results]) for choice in choices}
    )


def _placed(
    rows: NDArray[np.intp], ranks: NDArray[np.integer], grades: NDArray[np.float64], questions: int, deepest: int
) -> NDArray[np.float64]:
    """Grades by question and rank, ``(questions, deepest)``."""
    table = np.zeros((questions, deepest))
    found = ranks < deepest
    table[rows[found], ranks[found]] = grades[found]
    return table


def _promising(so_far: Mapping[str, Examined], choices: Sequence[Candidate], config: TrainingConfig) -> list[Candidate]:
    """The candidates whose map is, in some future, not far behind the best, or costs no fit."""
    kept: set[QueryMap] = {BASE.map, WHOLE}
    for examined in so_far.values():
        scores = {choice: examined.scores(choice, [config.cutoff])[config.metric] for choice in choices}
        best = scores[max(choices, key=lambda choice: float(scores[choice].mean()))]
        for choice in choices:
            behind = best - scores[choice]
            if behind.mean() <= BEHIND * behind.std() / len(behind) ** 0.5:
                kept.add(choice.map)
    return [choice for choice in choices if choice.map in kept]


class _FoldRanking:
    """The ranks of one fold's right passages, by candidate."""

    def __init__(
        self,
        fold: Fold,
        passages: Tensor,
        start: BaseAdapter,
        config: TrainingConfig,
        question_weights: QuestionWeights | None,
        fit_by_descent: FitByDescent | None,
    ) -> None:
        self.fold, self.start, self.config = fold, start, config
        self.question_weights, self.fit_by_descent = question_weights, fit_by_descent
        self.examined = as_tensor(unit(fold.examined.queries))
        asked = _asked(fold)
        others = np.setdiff1d(np.arange(0 if fold.among_asked else len(fold.examined.passages)), asked)
        if len(others) > RANKED_PASSAGES:
            others = np.sort(np.random.default_rng(config.seed).choice(others, RANKED_PASSAGES, replace=False))
        self.asked, self.others = passages[asked], passages[others]
        self.rows, self.columns = _entries(fold.examined.relevant, asked)
        self.hidden = _entries(fold.hidden, asked)

    def of(self, choices: Sequence[Candidate]) -> Iterator[tuple[Candidate, Ranks]]:
        """Each candidate and the ranks it gives."""
        fields = self._fields({choice.memory for choice in choices if choice.memory and choice.map != WHOLE})
        over = self._fields_over({choice.memory for choice in choices if choice.memory and choice.map == WHOLE})
        for query_map, adapted in self._maps(list(dict.fromkeys(choice.map for choice in choices))):
            recalling = over if query_map == WHOLE else fields
            best, nearest = self._nearest(adapted, recalling.get(None))
            scores = torch.cat([adapted @ self.asked.T, best], dim=1)  # (examined, passages with questions + nearest)
            scores[self.hidden] = -torch.inf
            own = {}
            if recalling:
                recalled = torch.stack([recalled for recalled, _ in recalling.values()], dim=2)
                of_others = self._of_nearest(nearest, recalled)
                own = {
                    temperature: torch.cat([of_asked, of_others[:, :, number]], dim=1)
                    for number, (temperature, (_, of_asked)) in enumerate(recalling.items())
                }
            for choice in choices:
                if choice.map == query_map:
                    temperature, strength = choice.memory or (None, 1.0)
                    more = own.get(temperature) if choice.memory is not None or choice == BASE else None
                    yield choice, self._ranks(scores if more is None else scores.add(more, alpha=strength))

    def _nearest(self, adapted: Tensor, known: Field | None) -> tuple[Tensor, Tensor]:
        """Scores and rows of the other passages that are nearest to each question, ``(examined, nearest)``.

        With a memory that training starts from, those are nearest to where it leads, which may be far away.
        """
        count = min(NEAREST, len(self.others))
        towards = adapted if known is None else adapted + known[0]
        blocks = towards.split(max(1, IN_CACHE // max(1, len(self.others))))
        best, nearest = map(
            torch.cat, zip(*((block @ self.others.T).topk(count, dim=1) for block in blocks), strict=True)
        )
        return (best if known is None else self._of_nearest(nearest, adapted[:, :, None])[:, :, 0]), nearest

    def _of_nearest(self, nearest: Tensor, recalled: Tensor) -> Tensor:
        """The scores of each question's nearest other passages with what each memory recalls.

        Args:
            nearest: ``(examined, nearest)``, their rows.
            recalled: ``(examined, out, memories)``.

        Returns:
            ``(examined, nearest, memories)``.
        """
        size = max(1, IN_CACHE // max(1, nearest.shape[1] * self.others.shape[1]))
        return torch.cat(
            [self.others[rows] @ parts for rows, parts in zip(nearest.split(size), recalled.split(size), strict=True)]
        )

    def _ranks(self, scores: Tensor) -> Ranks:
        right = scores[self.rows, self.columns]
        if len(self.rows) > 4 * len(scores):  # many right passages a question: only the first ranks are told apart
            deepest = max(*DEFAULT_KS, self.config.cutoff)
            scores = scores.topk(min(deepest, scores.shape[1]), dim=1).values
        if len(self.rows) != len(scores):
            scores = scores[self.rows]
        return (scores > right[:, None]).sum(dim=1).to(torch.int32).numpy()

    def _maps(self, maps: Sequence[QueryMap]) -> Iterator[tuple[QueryMap, Tensor]]:
        """Each map and the unit query vectors it gives, ``(examined, out)``."""
        fitted = self.fold.fitted
        start = linear_part(self.start)
        answers: tuple[Tensor, Tensor] | None = None
        problems: dict[tuple[str, bool], LinearProblem] = {}
        latest: dict[tuple[str, bool], Tensor] = {}
        solved: dict[QueryMap, LinearAdapter] = {}
        for query_map in maps:
            if query_map.method == "start":
                adapter: BaseAdapter = start
            elif query_map == WHOLE:
                adapter = self.start
            elif query_map.method in CLOSED_FORMS:
                if answers is None:
                    keys, passages = mean_answers(fitted)
                    answers = as_tensor(keys), as_tensor(passages)
                adapter = moved(start, CLOSED_FORMS[query_map.method](*answers), query_map.strength)
            elif query_map.method == "convex":
                whole = replace(query_map, strength=1.0)
                if whole not in solved:
                    settings = whole.settings(self.config)
                    kind = whole.negatives, whole.taught
                    if kind not in problems:
                        problem = Problem.of(fitted, settings, question_weights=self.question_weights)
                        problems[kind] = LinearProblem.of(problem, start, settings)
                    solved[whole], latest[kind], _ = problems[kind].minimise(settings, latest.get(kind), parts=1)
                adapter = moved(start, solved[whole], query_map.strength)
            elif self.fit_by_descent is not None:
                adapter = self.fit_by_descent(query_map.method, fitted)
            else:
                raise ValueError(f"no way to fit {query_map.method!r}")
            yield query_map, normalize(self._adapted(adapter), dim=1)

    def _adapted(self, adapter: BaseAdapter) -> Tensor:
        """The examined questions, adapted; a linear map by torch, whose products keep to one thread here."""
        if not isinstance(adapter, LinearAdapter):
            return as_tensor(adapter.adapt(self.examined.numpy()))
        adapted = self.examined @ as_tensor(adapter.weight).T
        return adapted if adapter.bias is None else adapted + torch.from_numpy(adapter.bias)

    def _fields(self, memories: set[Recall]) -> dict[float | None, Field]:
        """What a memory of strength one recalls, and adds to the scores of passages with questions, by temperature.

        Where training starts from a memory, every field holds it; ``None`` is that memory alone, at its strength.
        """
        fields: dict[float | None, Field] = {}
        remembers = isinstance(self.start, MemoryAdapter) and not is_identity(self.start)
        if not memories and not remembers:
            return fields
        keys, ways = recall_table(self.fold.fitted, self.asked.shape[1])
        if isinstance(self.start, MemoryAdapter) and remembers:
            known = self.start.keys.any(axis=1)
            (own,) = self._recalled(self.start.keys[known], self.start.values[known], [self.start.temperature])
            fields[None] = self.start.strength * own[0], self.start.strength * own[1]
            keys = np.concatenate([self.start.keys[known], keys])
            ways = np.concatenate([self.start.values[known], ways])
        return fields | self._by_temperature(keys, ways, memories)

    def _fields_over(self, memories: set[Recall]) -> dict[float | None, Field]:
        """The same for memories over the one that training starts from."""
        if not memories:
            return {}
        keys, ways = recall_table(self.fold.fitted, self.asked.shape[1], self.start)
        return self._by_temperature(keys, ways, memories)

    def _by_temperature(
        self, keys: NDArray[np.float32], ways: NDArray[np.float32], memories: set[Recall]
    ) -> dict[float | None, Field]:
        temperatures = sorted({temperature for temperature, _ in memories})
        return {**dict(zip(temperatures, self._recalled(keys, ways, temperatures), strict=True))}

    def _recalled(
        self, keys: NDArray[np.float32], ways: NDArray[np.float32], temperatures: Sequence[float]
    ) -> Iterator[Field]:
        """What these entries recall, ``(examined, out)``, and add to the scores, at each temperature."""
        distance = self.examined @ as_tensor(keys).T - 1
        directions = as_tensor(ways)
        for temperature in temperatures:
            recalled = torch.exp(distance / temperature) @ directions
            yield recalled, recalled @ self.asked.T


def moved(start: LinearAdapter, fitted: LinearAdapter, strength: float) -> LinearAdapter:
    """The map that goes ``strength`` of the way from ``start`` to ``fitted``."""
    if strength == 1:
        return fitted
    adapter = LinearAdapter(start.in_features, start.out_features, bias=fitted.bias is not None)
    adapter.weight = start.weight + np.float32(strength) * (fitted.weight - start.weight)
    if fitted.bias is not None:
        before = np.zeros_like(fitted.bias) if start.bias is None else start.bias
        adapter.bias = before + np.float32(strength) * (fitted.bias - before)
    return adapter


def _asked(fold: Fold) -> NDArray[np.intp]:
    """Rows of the passages that have a question anywhere in the fold, ascending."""
    involved = [*fold.examined.relevant, *fold.hidden]
    if fold.fitted.passages is fold.examined.passages:
        involved += fold.fitted.relevant
    return np.unique(np.concatenate(involved))


def _entries(passages: Sequence[NDArray[np.intp]], asked: NDArray[np.intp]) -> tuple[Tensor, Tensor]:
    """Question and column of each of these passages, given for each question."""
    rows = np.repeat(np.arange(len(passages)), [len(found) for found in passages])
    columns = np.searchsorted(asked, np.concatenate(passages).astype(np.intp))
    return torch.from_numpy(rows), torch.from_numpy(columns)

"""The ranks of one fold's right passages with every candidate, which share what they have in common.

Each map's scores are found once, and so is what each memory adds to them; a candidate then costs an addition and a
count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

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
    as_tensor,
    inner,
    mean_answers,
    recall_table,
)
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
from langchain_embedding_adapter.vectors import PairVectors, Ragged, unit

RANKED_PASSAGES = 16_384
"""Most passages without a question that are ranked: of more, a random part, and the base suffers as the adapted do."""
NEAREST = 32
"""How many of them compete with a memory for each question: those that the map beside it finds nearest."""
IN_CACHE = 2**18
"""Numbers at a time that a core has at hand: larger blocks are slower, and fresh memory for them slower still."""

Ranks = NDArray[np.int32]
Field = tuple[Tensor, Tensor]
"""What memories recall, ``(examined, out)``, and add to the scores of the passages with questions."""
FitByDescent = Callable[[str, PairVectors], BaseAdapter]


class FoldRanking:
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
        asked, others = ranked_passages(fold, config.seed)
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
            scores = torch.cat([inner(adapted, self.asked), best], dim=1)  # passages with questions, then the nearest
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
            torch.cat, zip(*(inner(block, self.others).topk(count, dim=1) for block in blocks), strict=True)
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
        found = []
        for rows, parts in zip(nearest.split(size), recalled.split(size), strict=True):
            passages = self.others[rows]
            by_memory = [(passages * recalled[:, None]).sum(dim=2) for recalled in parts.unbind(2)]  # bmm is not steady
            found.append(torch.stack(by_memory, dim=2))
        return torch.cat(found)

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
        """The examined questions, adapted; a linear map by products that are the same on any number of threads."""
        if not isinstance(adapter, LinearAdapter):
            return as_tensor(adapter.adapt(self.examined.numpy()))
        adapted = inner(self.examined, as_tensor(adapter.weight))
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
        distance = inner(self.examined, as_tensor(keys)) - 1
        directions = as_tensor(ways).T
        for temperature in temperatures:
            recalled = inner(torch.exp(distance / temperature), directions)
            yield recalled, inner(recalled, self.asked)


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


def ranked_passages(fold: Fold, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of what a fold ranks, ascending: the passages that have a question anywhere in it, and the others."""
    asked = passages_asked_about(fold)
    others = np.setdiff1d(np.arange(0 if fold.among_asked else len(fold.examined.passages)), asked)
    if len(others) > RANKED_PASSAGES:
        others = np.sort(np.random.default_rng(seed).choice(others, RANKED_PASSAGES, replace=False))
    return asked, others


def passages_asked_about(fold: Fold) -> NDArray[np.intp]:
    """Rows of the passages that have a question anywhere in the fold, ascending."""
    involved = [fold.examined.relevant.flat, fold.hidden.flat]
    if fold.fitted.passages is fold.examined.passages:
        involved.append(fold.fitted.relevant.flat)
    return np.unique(np.concatenate(involved))


def _entries(passages: Ragged[np.intp], asked: NDArray[np.intp]) -> tuple[Tensor, Tensor]:
    """Question and column of each of these passages, given for each question."""
    return torch.from_numpy(passages.rows), torch.from_numpy(np.searchsorted(asked, passages.flat))

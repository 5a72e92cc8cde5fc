"""A teacher: a reranker's opinion of the nearest passages, as soft labels for the fit.

Whoever scores (question, passage) may teach: a LangChain cross-encoder, a reranker (a document compressor) or any
function. It is checked first: on questions whose answers are known it has to rank at least as well as the base, else
its opinion is left out. Every score is asked for once and kept in the cache of vectors.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from langchain_core.documents import BaseDocumentCompressor, Document
from numpy.typing import NDArray

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter._progress import progress_bar
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.evaluation.ranking import nearest_passages, ranking_scores
from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.retrieval import RetrievalReport
from langchain_embedding_adapter.vector_cache import VectorCache
from langchain_embedding_adapter.vectors import PairVectors, Ragged

logger = logging.getLogger(__name__)

CHECKED = 200
"""Most questions that a teacher is checked on."""


class CrossEncoder(Protocol):
    """LangChain's ``BaseCrossEncoder``, and whatever looks like it."""

    def score(self, text_pairs: list[tuple[str, str]]) -> Sequence[float]:
        """A score for each (question, passage), higher for a better answer."""


Teacher = Callable[[list[tuple[str, str]]], Sequence[float]] | CrossEncoder | BaseDocumentCompressor
"""Who scores (question, passage) pairs."""


@dataclass(frozen=True, repr=False)
class TeacherCheck:
    """How a teacher did against the base before anything was learned from it.

    Attributes:
        report: The base's order of its nearest passages against the teacher's, on questions whose answers are known.
        used: Whether the teacher's opinion was learned from.
        reason: Why, in a sentence.
    """

    report: RetrievalReport
    used: bool
    reason: str

    def __str__(self) -> str:
        return f"{self.reason}\n\n{self.report}"

    __repr__ = __str__


class Consultation:
    """A teacher, asked about questions and passages; each pair is asked about once.

    Args:
        teacher: Who scores.
        cache: Where scores are looked up and kept.
        show_progress: A progress bar; by default where standard error is a terminal.
    """

    def __init__(self, teacher: Teacher, cache: VectorCache, show_progress: bool | None = None) -> None:
        self.name = _name(teacher)
        self._score = _scorer(teacher)
        self._cache = cache
        self._show_progress = show_progress

    def check(self, dataset: QADataset, vectors: PairVectors, config: TrainingConfig) -> TeacherCheck:
        """Rank the base's nearest passages as the teacher would, for at most :data:`CHECKED` questions."""
        count = len(vectors.query_ids)
        if count > CHECKED:
            chosen = np.sort(np.random.default_rng(config.seed).choice(count, CHECKED, replace=False))
            vectors = vectors.rows(chosen)
        nearest = nearest_passages(vectors, vectors.queries, config.teacher_depth)
        opinions = self._opinions(dataset, vectors, list(nearest))
        taught = [row[np.argsort(-own, kind="stable")] for row, own in zip(nearest, opinions, strict=True)]
        depth = min(config.cutoff, nearest.shape[1])
        ks = sorted({min(5, depth), depth})
        base, own = (ranking_scores(vectors, order, ks) for order in (nearest, np.stack(taught)))
        report = RetrievalReport(vectors.query_ids, nearest.shape[1], base, own)
        metric = f"{config.metric.partition('@')[0]}@{depth}"
        row = report[metric]
        used = (row.gain or 0.0) >= 0
        figures = f"{label(metric)} {row.base:.3f} → {row.adapted:.3f} on {len(vectors.query_ids)} questions"
        reason = (
            f"The teacher {self.name} ranks the base's nearest passages no worse than the base ({figures})."
            if used
            else f"The teacher {self.name} ranks worse than the base ({figures}) and was left out."
        )
        logger.log(logging.INFO if used else logging.WARNING, "%s", reason)
        return TeacherCheck(report, used, reason)

    def teach(self, dataset: QADataset, vectors: PairVectors, config: TrainingConfig) -> PairVectors:
        """The vectors with the teacher's opinion of each question's nearest and right passages.

        Its scores are brought to the scale on which their softmax over the list is the best guess at the right
        passages (temperature scaling, Guo et al., 2017, arXiv:1706.04599).
        """
        nearest = nearest_passages(vectors.asked_about(), vectors.queries, config.teacher_depth)
        asked = np.unique(vectors.relevant.flat)
        listed = [np.union1d(asked[row], found) for row, found in zip(nearest, vectors.relevant, strict=True)]
        opinions = self._opinions(dataset, vectors, listed)
        factor = _calibrated(
            opinions, [np.isin(row, found) for row, found in zip(listed, vectors.relevant, strict=True)]
        )
        logger.info("one unit of the teacher's scores is worth %.3g in log-odds", factor)
        return replace(vectors, listed=Ragged.of(listed), opinions=Ragged.of(factor * own for own in opinions))

    def _opinions(
        self, dataset: QADataset, vectors: PairVectors, listed: Sequence[NDArray[np.intp]]
    ) -> list[NDArray[np.float64]]:
        """The score of each listed passage, by question."""
        found = []
        with progress_bar(len(listed), "teacher", "question", self._show_progress) as bar:
            for query, rows in zip(vectors.query_ids, listed, strict=True):
                question = dataset.queries[query]
                found.append(self._of_question(question, [dataset.corpus[vectors.passage_ids[row]] for row in rows]))
                bar.update()
        return found

    def _of_question(self, question: str, passages: list[str]) -> NDArray[np.float64]:
        keys = [
            hashlib.sha256("\0".join(("teacher", self.name, question, text)).encode("utf-8", "surrogatepass")).digest()
            for text in passages
        ]
        known = self._cache.lookup(set(keys))
        missing = {key: text for key, text in zip(keys, passages, strict=True) if key not in known}
        if missing:
            scores = np.asarray(self._score(question, list(missing.values())), dtype=np.float32).ravel()
            if len(scores) != len(missing):
                raise ValueError(f"the teacher {self.name} gave {len(scores)} scores for {len(missing)} passages")
            if not np.isfinite(scores).all():
                raise ValueError(f"the teacher {self.name} gave a score that is not finite for {question[:80]!r}")
            fresh = {key: scores[number : number + 1] for number, key in enumerate(missing)}
            self._cache.store(fresh)
            known |= fresh
        return np.array([known[key][0] for key in keys], dtype=np.float64)


def _scorer(teacher: Teacher) -> Callable[[str, list[str]], Iterable[float]]:
    """Any teacher as a function of a question and some passages."""
    if isinstance(teacher, BaseDocumentCompressor):
        return lambda question, passages: _reranked(teacher, question, passages)
    score: Any = getattr(teacher, "score", teacher)
    if not callable(score):
        raise TypeError(
            "expected a teacher that scores (question, passage) pairs: a LangChain cross-encoder, a document "
            f"compressor or a function of a list of pairs; got {type(teacher).__name__}"
        )
    return lambda question, passages: score([(question, passage) for passage in passages])


def _reranked(reranker: BaseDocumentCompressor, question: str, passages: list[str]) -> list[float]:
    """Its ``relevance_score`` of each passage, or 1/rank where it gives none; what it drops is below everything."""
    documents = [Document(text, metadata={"row": row}) for row, text in enumerate(passages)]
    ranked = reranker.compress_documents(documents, question)
    scores = {
        found.metadata["row"]: float(found.metadata.get("relevance_score", 1 / rank))
        for rank, found in enumerate(ranked, start=1)
    }
    least, highest = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    dropped = least - (highest - least or 1.0)
    return [scores.get(row, dropped) for row in range(len(passages))]


def _name(teacher: Teacher) -> str:
    """The class or function and, where it says so, the model: ``CohereRerank:rerank-v3.5``."""
    owner = getattr(teacher, "__self__", teacher)
    kind = getattr(teacher, "__qualname__", type(teacher).__name__)
    for part in (owner, getattr(owner, "config", None)):
        for attribute in ("model_name", "model", "model_id", "_name_or_path"):
            if isinstance(model := getattr(part, attribute, None), str) and model:
                return f"{kind}:{model}"
    return kind


def _calibrated(opinions: Sequence[NDArray[np.float64]], right: Sequence[NDArray[np.bool_]]) -> float:
    """What to multiply scores with so that their softmax is the likeliest to have picked the right passages."""
    require_extra("scipy", "train")
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    spread = float(np.concatenate([own - own.mean() for own in opinions]).std()) or 1.0

    def surprise(log_factor: float) -> float:
        factor = np.exp(log_factor) / spread
        return float(
            np.mean(
                [logsumexp(factor * own) - factor * own[mask].mean() for own, mask in zip(opinions, right, strict=True)]
            )
        )

    return float(np.exp(minimize_scalar(surprise, bounds=(-4, 4), method="bounded").x) / spread)

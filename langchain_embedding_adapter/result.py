"""``TrainingResult``: what training made, and how it was found to do."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
from langchain_embedding_adapter.evaluation.evaluate import evaluate_retrieval
from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.retrieval import RetrievalReport
from langchain_embedding_adapter.report.story import TrainingStory
from langchain_embedding_adapter.tables import format_p_value
from langchain_embedding_adapter.teacher import TeacherCheck
from langchain_embedding_adapter.vector_cache import VectorCache
from langchain_embedding_adapter.vectors import PairVectors

if TYPE_CHECKING:
    from langchain_embedding_adapter.selection.choice import Selection


@dataclass(frozen=True)
class TrainingResult:
    """What training made, and how it was found to do.

    Printed, it is the verdict and the table of the questions that decided.

    Attributes:
        embeddings: The base with the adapter on top: what a retriever takes.
        report: Base against adapted on questions that the fit had not seen: those of the cross-validation (about new
            passages, unless ``expect="same passages"``), or those held out. Where ``improved`` is false, "adapted" is
            what was turned down, or the base; where an adapter was trained again, "base" is that adapter. Where there
            was no real question to ask, it has the base alone.
        history: A row a step or an epoch; row 0 is the base.
        improved: Whether the adapter beat the base; where not, ``embeddings`` carries what training started from.
        config: The settings.
        selection: What was tried, what won and why; ``None`` for adapters that are trained in epochs.
        teacher: How the teacher did against the base; ``None`` where there was none.
    """

    embeddings: AdaptedEmbeddings
    report: RetrievalReport
    history: list[dict[str, float]]
    improved: bool
    config: TrainingConfig
    selection: Selection | None
    teacher: TeacherCheck | None
    _cache: VectorCache = field(repr=False)

    @property
    def adapter(self) -> BaseAdapter:
        """The adapter."""
        return self.embeddings.adapter

    @property
    def verdict(self) -> str:
        """One sentence: what was chosen and by how much it beat the base, or that the base is kept."""
        if self.selection is not None:
            return self.selection.reason
        row = self.report[self.config.metric]
        p_value = format_p_value(row.p_value or 0.0)
        figures = f"{label(row.metric)} {row.base:.3f} → {row.adapted:.3f}"
        asked = f"{len(self.report.query_ids)} held-out questions"
        if self.improved:
            return f"The adapter beats the base on {asked}: {figures} (p {p_value})."
        return f"No gain on {asked} ({figures}): the base is kept."

    def evaluate(self, dataset: QADataset | PairVectors, **options: Any) -> RetrievalReport:
        """Base against adapted on questions that training has not seen; no text is embedded a second time.

        Args:
            dataset: The questions, or their vectors.
            **options: As in :func:`evaluate_retrieval`: ``ks``, ``store``, ``stored``, ``search_kwargs``.
        """
        report = evaluate_retrieval(self.embeddings, dataset, cache=self._cache, **options)
        if report.details is None or self._story is None:
            return report
        return replace(report, details=replace(report.details, story=self._story))

    def save(self, folder: str | Path) -> None:
        """Write the adapter, as ``embeddings.save_pretrained`` does, with report, selection, history and story as JSON.

        ``report.save("report.html")`` makes a page of them.
        """
        extra: dict[str, Any] = {"report.json": self.report.to_dict(), "history.json": self.history}
        if self.selection is not None:
            extra["selection.json"] = self.selection.to_dict()
        if self._story is not None:
            extra["story.json"] = self._story.to_dict()
        self.embeddings.save_pretrained(folder, extra=extra)

    @property
    def _story(self) -> TrainingStory | None:
        """How the adapter came about, for the pages of reports."""
        return None if self.report.details is None else self.report.details.story

    def __str__(self) -> str:
        verdict = self.verdict if self.teacher is None else f"{self.verdict} {self.teacher.reason}"
        return f"{verdict}\n\n{self.report}"

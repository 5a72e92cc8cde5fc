"""How the ways from one model to another did, as a table: what bridging found out on its way."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.report.retrieval import RetrievalReport
from langchain_embedding_adapter.tables import aligned


@dataclass(frozen=True)
class BridgeRow:
    """How one way across did on pseudo-questions that it had not seen, nDCG@10.

    Attributes:
        name: What it is.
        covered: On questions about texts that it learned from.
        uncovered: On questions about texts that were left out.
        figure: Both, each by its part of the index: how much of it the texts cover.
    """

    name: str
    covered: float
    uncovered: float
    figure: float


@dataclass(frozen=True)
class BridgeReport:
    """What was tried on the way from one model to another, on pseudo-questions that were left out.

    They share words with their passages as questions that people ask do not: the figures rank the ways across, and what
    a bridge keeps of real questions only real ones tell (:meth:`BridgeResult.evaluate`).

    Attributes:
        rows: The ways across, from simple to complex.
        chosen: The name of the one taken, fitted to all texts.
        texts: How many texts taught.
        questions: How many pseudo-questions.
        coverage: The part of the index that the texts are.
        native: The old model's own queries on the same questions; ``None`` where it was not at hand.
        rebuilt: What an index rebuilt with the new model would give on them.
    """

    rows: tuple[BridgeRow, ...]
    chosen: str
    texts: int
    questions: int
    coverage: float
    native: BridgeRow | None
    rebuilt: BridgeRow

    @property
    def best(self) -> BridgeRow:
        """The row of the way that was taken."""
        return next(row for row in self.rows if row.name == self.chosen)

    @property
    def share_kept(self) -> float | None:
        """The figure of what was taken as a share of the old model's own; ``None`` where that is not known."""
        return None if self.native is None or not self.native.figure else self.best.figure / self.native.figure

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {**asdict(self), "share_kept": self.share_kept}

    def __str__(self) -> str:
        known = [*([] if self.native is None else [self.native]), self.rebuilt]
        cells = [[row.name, *(f"{value:.3f}" for value in (row.covered, row.uncovered, row.figure))] for row in known]
        for row in self.rows:
            name = row.name + " (taken)" * (row.name == self.chosen)
            cells.append([name, *(f"{value:.3f}" for value in (row.covered, row.uncovered, row.figure))])
        head = f"{self.texts} texts, {self.coverage:.0%} of the index; {self.questions} pseudo-questions"
        if self.share_kept is not None:
            head += f", {self.share_kept:.1%} of the old model's own figure on them (of real questions: evaluate)"
        return f"{head}\n\n{aligned(['nDCG@10', 'texts learned from', 'texts left out', 'by coverage'], cells)}"


@dataclass(frozen=True)
class BridgeEvaluation:
    """The old model's own queries (the report's "base") against the bridged new model's ("adapted").

    Attributes:
        report: Both on the same questions.
    """

    report: RetrievalReport

    def share_kept(self, metric: str = "ndcg@10") -> float:
        """The bridged model's figure as a share of the old model's own; above 1 where it is the better one.

        Raises:
            KeyError: If the report has no such metric.
            ValueError: If the old model finds nothing, so that there is no share.
        """
        row = self.report[metric]
        if row.adapted is None or not row.base:
            raise ValueError(f"the old model's own {label(metric)} is {row.base:g}: there is no share of it to keep")
        return row.adapted / row.base

    def to_dict(self) -> dict[str, Any]:
        """The report, and of each metric the share that is kept where there is one."""
        shares = {row.metric: self.share_kept(row.metric) if row.base else None for row in self.report.rows}
        return {**self.report.to_dict(), "share_kept": shares}

    def __str__(self) -> str:
        kept = ", ".join(
            f"{label(row.metric)} {self.share_kept(row.metric):.1%}" for row in self.report.rows if row.base
        )
        return f"{self.report}\n\nKept of the old model's own (base): {kept or 'it finds nothing'}"

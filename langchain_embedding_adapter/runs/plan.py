"""What a journey would do and cost, and where it has led: what the command prints before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from langchain_embedding_adapter.generation import GenerationPlan
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.tables import aligned


@dataclass(frozen=True)
class Plan:
    """What a journey would do, and cost.

    Attributes:
        stages: For each its name, whether it is there, and what it would do.
        generation: What the chat model would be asked; ``None`` where none is.
        embedded_tokens: About how many tokens would be embedded, vectors at hand not counted.
        cost: In the currency of the prices, as far as these are given.
    """

    stages: tuple[tuple[str, bool, str], ...]
    generation: GenerationPlan | None
    embedded_tokens: int
    cost: float | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self) | {
            "stages": [{"stage": name, "kept": kept, "what": what} for name, kept, what in self.stages],
        }

    def __str__(self) -> str:
        rows = [[name, "kept" if kept else "to do", what] for name, kept, what in self.stages]
        lines = [aligned(["stage", "state", "what"], rows)]
        if self.generation is not None and self.generation.calls:
            lines += ["", "the first prompt:", "", self.generation.prompt]
        if self.cost is not None:
            lines += ["", f"about {self.cost:,.2f} at these prices"]
        return "\n".join(lines)


@dataclass(frozen=True)
class Arrival:
    """Where a journey has led.

    Attributes:
        pairs: The pairs.
        improved: Whether the adapter beat the base.
        verdict: That in words.
        report: The table of the test, and what it was made of; ``None`` where there is no question to test with.
        page: The report page, if there is one.
        next: What to do next: pairs of a line to type and what it does.
    """

    run: Path
    pairs: QADataset
    improved: bool
    verdict: str
    report: tuple[str, Mapping[str, Any]] | None
    page: Path | None
    next: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "run": str(self.run),
            "questions": len(self.pairs),
            "passages": len(self.pairs.corpus),
            "improved": self.improved,
            "verdict": self.verdict,
            "adapter": str(self.run / "adapter"),
            "report": None if self.report is None else self.report[1],
            "page": None if self.page is None else str(self.page),
            "next": [line for line, _ in self.next],
        }

    def __str__(self) -> str:
        steps = [f"{what}:\n    {line}" for line, what in self.next]
        table = [] if self.report is None else ["", self.report[0].rstrip()]
        return "\n".join([self.verdict, *table, "", *steps])

"""What a generation will cost, and what it came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from langchain_embedding_adapter.tables import aligned


@dataclass(frozen=True)
class GenerationPlan:
    """What a generation will ask for, before anything is spent.

    Tokens are estimated at four characters each; answers at the length of those that are at hand, else at twenty-five
    tokens a question.

    Attributes:
        chunks: How many there are.
        answered: Those of them whose answers are in the file already.
        calls: Calls to be made, if none has to be repeated.
        input_tokens: Tokens of their prompts.
        output_tokens: Tokens of their answers.
        cost: In the currency of the prices, if these are given.
        styles: How many of the calls ask in which style.
        prompt: The first prompt, filled in.
    """

    chunks: int
    answered: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    styles: dict[str, int]
    prompt: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            self.prompt,
            "",
            f"{self.calls:,} calls for {self.chunks:,} chunks ({self.answered:,} are answered already)",
            f"about {self.input_tokens:,} tokens in, {self.output_tokens:,} tokens out",
        ]
        if self.cost is not None:
            lines.append(f"about {self.cost:,.2f} at these prices")
        if len(self.styles) > 1:
            lines.append("styles: " + ", ".join(f"{name} {count:,}" for name, count in self.styles.items()))
        return "\n".join(lines)


@dataclass(frozen=True)
class GenerationSummary:
    """What a generation came to.

    Attributes:
        chunks: How many there are.
        answered: Those with an answer.
        asked: Those that this run asked about.
        questions: Questions that were kept.
        rejected: Questions that were turned down, by reason.
        without: Answered chunks that no question is left of.
        failed: Chunks that were given up, by error.
        calls: Calls, attempts counted one by one.
        retries: Attempts after the first.
        input_tokens: Tokens of this run's prompts, as the model reported them.
        output_tokens: Tokens of this run's answers, likewise.
        seconds: How long it took.
        styles: Questions kept, by style.
        stopped: Why it ended early, if it did.
    """

    chunks: int
    answered: int
    asked: int
    questions: int
    rejected: dict[str, int]
    without: int
    failed: dict[str, int]
    calls: int
    retries: int
    input_tokens: int
    output_tokens: int
    seconds: float
    styles: dict[str, int] = field(default_factory=dict)
    stopped: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    def __str__(self) -> str:
        rows = [
            ["questions kept", f"{self.questions:,}"],
            *([f"  {style}", f"{count:,}"] for style, count in self.styles.items() if len(self.styles) > 1),
            ["questions turned down", f"{sum(self.rejected.values()):,}"],
            *([f"  {reason}", f"{count:,}"] for reason, count in self.rejected.items()),
            ["chunks answered", f"{self.answered:,} of {self.chunks:,}"],
            ["  without a question left", f"{self.without:,}"],
            ["chunks given up", f"{sum(self.failed.values()):,}"],
            *([f"  {error}", f"{count:,}"] for error, count in self.failed.items()),
            ["calls, and repeated ones", f"{self.calls:,}, {self.retries:,}"],
            ["tokens in, out", f"{self.input_tokens:,}, {self.output_tokens:,}"],
            ["seconds", f"{self.seconds:,.1f}"],
        ]
        table = aligned(["generated", ""], rows)
        return table if self.stopped is None else f"{table}\n\nstopped early: {self.stopped}"

"""What a page shows, as plain frozen values: whoever makes them decides what is told, the page how it looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["better", "worse", "unclear", "few"]
"""What an interval says of a gain: all above 0, all below, both possible; or that there are too few questions."""
Outcome = Literal["ship", "worse", "unclear", "kept", "unverified", "base"]
"""What the page says on top."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval; ``None`` at the ends where there are too few questions to tell."""

    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """Some questions, or all by one metric: base against adapted.

    Attributes:
        name: Whose figures these are.
        questions: How many questions.
        base: Their mean with the base.
        adapted: With the adapter; ``None`` where only the base was asked, as all that follows.
        gain: The difference.
        status: What its interval says.
        tally: Questions that are answered better, as well and worse.
    """

    name: str
    questions: int
    base: Estimate
    adapted: Estimate | None = None
    gain: Estimate | None = None
    status: Status | None = None
    tally: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Breakdown:
    """The questions in groups, by one property of theirs."""

    key: str
    title: str
    intro: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Verdict:
    """What the page says on top.

    Attributes:
        outcome: In one word.
        headline: In a few.
        sentence: In one sentence, with its uncertainty.
        plainly: The same without a metric's name.
        advice: What to do now.
        caveats: What to bear in mind.
    """

    outcome: Outcome
    headline: str
    sentence: str
    plainly: str = ""
    advice: str = ""
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """One that selection tried: gain and standard error for each future, × 100."""

    name: str
    figures: tuple[tuple[float, float], ...]
    chosen: bool
    base: bool


@dataclass(frozen=True)
class Choice:
    """How the adapter was chosen.

    Attributes:
        reason: In a sentence.
        metric: What was compared.
        futures: What the questions were about.
        candidates: The best of them, winner and base among them.
        tried: How many there were.
        given_up: How many of these were given up early.
    """

    reason: str
    metric: str
    futures: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    tried: int
    given_up: int


@dataclass(frozen=True)
class Shift:
    """The scores of the best hits, in bins.

    Attributes:
        edges: The bins' edges.
        base: How many questions' best hits lie in each, with the base.
        adapted: With the adapter.
        quartiles: Of base and adapted.
    """

    edges: tuple[float, ...]
    base: tuple[int, ...]
    adapted: tuple[int, ...]
    quartiles: tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class Example:
    """A question that changed much; ranks are told in words."""

    question: str
    base_rank: str
    adapted_rank: str
    change: float


@dataclass(frozen=True)
class Facts:
    """What is known of data and training.

    Attributes:
        counts: Names and figures.
        rejected: Why questions were turned down, and how many.
        kept_samples: Some questions, each with its passage.
        rejected_samples: Some that were turned down, each with its reason.
        prompt: What a model was told to write them.
    """

    counts: tuple[tuple[str, str], ...] = ()
    rejected: tuple[tuple[str, int], ...] = ()
    kept_samples: tuple[tuple[str, str], ...] = ()
    rejected_samples: tuple[tuple[str, str], ...] = ()
    prompt: str = ""


@dataclass(frozen=True)
class Page:
    """All that a page shows; what is empty is left out, or said to be missing.

    Attributes:
        title: Of the document.
        base_model: The name of the base.
        adapter: The adapter's kind and shape.
        questions: How many were asked.
        passages: How many were ranked.
        metric: The label of the metric that the verdict is in.
        verdict: What it comes to.
        tally: Questions answered better, as well and worse.
        metrics: Every metric.
        seen: Questions about passages seen in training and others.
        groups: Questions by style, length, document.
        shift: How the scores of the best hits moved.
        choice: How the adapter was chosen.
        history: The fit's rows.
        examples: The questions that changed most, gains first.
        explorer: What the explorer reads, as JSON can hold it; ``None`` where nothing is known of the questions.
        explorer_note: What its lists are.
        facts: What the data was.
        use: Lines to copy.
        repeat: Lines that do it again.
        settings: The settings of training.
        versions: Of Python and the packages.
        exact: For a store's own search, every metric of an exact one.
    """

    title: str
    base_model: str
    adapter: str
    questions: int
    passages: int
    metric: str
    verdict: Verdict
    tally: tuple[int, int, int] | None
    metrics: tuple[Row, ...]
    seen: Breakdown | None = None
    groups: tuple[Breakdown, ...] = ()
    shift: Shift | None = None
    choice: Choice | None = None
    history: tuple[Mapping[str, float], ...] = ()
    examples: tuple[Example, ...] = ()
    explorer: Mapping[str, Any] | None = None
    explorer_note: str = ""
    facts: Facts = field(default_factory=Facts)
    use: str = ""
    repeat: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    exact: tuple[Row, ...] = ()

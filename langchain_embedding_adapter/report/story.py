"""The story of a training, as plain values: what a report page tells beyond the scores.

It is made where an adapter is trained, saved beside it as ``story.json``, and told again where the adapter is examined.
It holds figures and names, no question and no passage, except for samples that whoever makes the page puts in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class TrainingStory:
    """How an adapter came about.

    Attributes:
        verdict: What was chosen and why, or why the base is kept, in a sentence.
        improved: Whether anything beat the base.
        metric: What decided.
        chosen: The winner's name; ``None`` where one adapter was trained in epochs.
        candidates: For each candidate its name (``candidate``) and for each future its ``gain`` and ``standard_error``.
        given_up: Candidates that were given up early.
        futures: For each future the metric of each examined question with the base (``base``) and with the winner
            (``adapted``).
        history: A row a step or an epoch of the winner's fit.
        counts: How many questions, passages, passages asked about and documents there were.
        pseudo_questions: How many of the questions nobody asked.
        origin: Where the questions are from.
        digest: Tells these pairs from others.
        settings: The settings of training.
        expect: What tomorrow's questions are expected to be about.
        retrained: Whether training started from an adapter, which it handed back where nothing beat it.
        asked_for: The kind of adapter that was asked for by name, if one was.
        given: What else training was given: ``"validation"``, ``"store"`` …
        teacher: How the teacher did, if there was one.
        base_model: The name of the base.
        adapter: The adapter's kind and shape.
        versions: Of Python and the packages.
        questions: Ids of the training questions; not saved.
        seen: Ids of the passages that a training question is about; not saved.
        seen_documents: Ids of the documents these are from; not saved.
        generation: What the generation of the questions came to, if they were generated.
        rejected: Some of the questions that were turned down, each with its ``reason``; not saved.
        commands: How to repeat it in a shell, if that is how it was made.
        folder: Where the adapter is, if it has been saved.
    """

    verdict: str
    improved: bool
    metric: str
    chosen: str | None = None
    candidates: tuple[Mapping[str, Any], ...] = ()
    given_up: tuple[str, ...] = ()
    futures: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)
    history: tuple[Mapping[str, float], ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    pseudo_questions: int = 0
    origin: Mapping[str, Any] = field(default_factory=dict)
    digest: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    expect: str | None = None
    retrained: bool = False
    asked_for: str | None = None
    given: tuple[str, ...] = ()
    teacher: str | None = None
    base_model: str | None = None
    adapter: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    questions: frozenset[str] = frozenset()
    seen: frozenset[str] = frozenset()
    seen_documents: frozenset[str] = frozenset()
    generation: Mapping[str, Any] = field(default_factory=dict)
    rejected: tuple[Mapping[str, str], ...] = ()
    commands: tuple[str, ...] = ()
    folder: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """What is saved: figures and names, as JSON can hold them."""
        passing = {"questions", "seen", "seen_documents", "rejected", "commands", "folder", "generation"}
        return {name: value for name, value in asdict(self).items() if name not in passing}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingStory:
        """What :meth:`to_dict` gave, also of a version that told more.

        Raises:
            ValueError: If it is something else.
        """
        if not isinstance(data, Mapping) or not {"verdict", "improved", "metric"} <= data.keys():
            raise ValueError(f"expected the story of a training (story.json), got {data!r:.80}")
        known = {one.name for one in fields(cls)}
        told = {name: value for name, value in data.items() if name in known}
        for name in ("candidates", "given_up", "history", "given"):
            told[name] = tuple(told.get(name, ()))
        return cls(**told)

"""Calls of one kind that are to be made, where their answers go, and what is told of those that were given up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from langchain_core.runnables import Runnable

from langchain_embedding_adapter.generation.answers import AnswerFile
from langchain_embedding_adapter.generation.asked import Ask, Asker
from langchain_embedding_adapter.generation.places import AnswerFolder


@dataclass(frozen=True)
class Failure:
    """A call that was given up.

    Attributes:
        chunk: The chunk that was asked about.
        error: The class of the error.
        message: What it said.
        question: The question that was judged, if one was.
    """

    chunk: str
    error: str
    message: str
    question: str | None = None

    @classmethod
    def of(cls, ask: Ask, error: Exception) -> Failure:
        """What is told of an error."""
        return cls(error=type(error).__name__, message=str(error), **ask.about())

    def to_dict(self) -> dict[str, str]:
        """As JSON can hold it."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        return f"{self.error}({self.message!r})"


@dataclass
class Stage:
    """Calls of one kind that are to be made, and where their answers go.

    Attributes:
        name: What they are about: ``"answers"`` or ``"judged"``.
        chain: What is called.
        asks: What has no answer yet.
        asker: Makes these from rows, elsewhere.
        answers: Where answers are kept.
        failures: What was given up.
        update: Told of so many that are through.
    """

    name: str
    chain: Runnable[Any, Any]
    asks: Sequence[Ask]
    asker: Asker
    answers: AnswerFile | AnswerFolder
    failures: list[Failure]
    update: Callable[[int], Any]

    @property
    def inputs(self) -> list[Any]:
        """What the chain is called with."""
        return [ask.input for ask in self.asks]

    def on_answer(self, position: int, output: Any) -> None:
        """Keep an answer."""
        self.answers.append(self.asks[position].answer(output))
        self.update(1)

    def on_failure(self, position: int, error: Exception) -> None:
        """Note what was given up."""
        self.failures.append(Failure.of(self.asks[position], error))

"""From a model's answers to questions worth learning from: which are kept, which are turned down, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_embedding_adapter.questions.filters import QuestionRules, rejection


class Review:
    """The questions of answers, as they were parsed, by the rules.

    Args:
        rows: Answers: ``chunk``, ``text``, ``questions``, and where known ``wanted`` (the most to keep), ``style``,
            ``form`` (question, statement or keywords) and ``also`` (a second chunk, with its ``text``).
        rules: What a question has to be like; ``None`` keeps everything.

    Attributes:
        rows: The answers by chunk; a chunk's last one counts.
        kept: Questions by chunk.
        rejected: A row for each question that was turned down: chunk, question, style, reason.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], rules: QuestionRules | None) -> None:
        self.rows = {str(row["chunk"]): row for row in rows}
        self.kept: dict[str, list[str]] = {}
        self.rejected: list[dict[str, str]] = []
        for chunk, row in self.rows.items():
            kept = self.kept[chunk] = []
            for question in row["questions"]:
                if len(kept) == row.get("wanted"):
                    break
                reason = None
                if rules is not None:
                    form = row.get("form", "question")
                    reason = rejection(question, self.passage(chunk), kept, rules, form=form)
                if reason is None:
                    kept.append(question)
                else:
                    self._reject(chunk, question, reason)

    @property
    def questions(self) -> list[tuple[str, str]]:
        """Chunk and text of every question that is kept."""
        return [(chunk, question) for chunk, questions in self.kept.items() for question in questions]

    @property
    def reasons(self) -> dict[str, int]:
        """How many were turned down, by reason."""
        return dict(Counter(row["reason"] for row in self.rejected).most_common())

    def passage(self, chunk: str) -> str:
        """The text that the questions of a chunk are about."""
        row = self.rows[chunk]
        return str(row["text"]) if not row.get("also") else f"{row['text']}\n\n{row['also']['text']}"

    def keep_if(self, good: Sequence[bool], reason: str) -> None:
        """Turn down those of :attr:`questions` that are not good."""
        for (chunk, question), fine in zip(self.questions, good, strict=True):
            if not fine:
                self.kept[chunk].remove(question)
                self._reject(chunk, question, reason)

    def _reject(self, chunk: str, question: str, reason: str) -> None:
        style = str(self.rows[chunk].get("style", ""))
        self.rejected.append({"chunk": chunk, "question": question, "style": style, "reason": reason})

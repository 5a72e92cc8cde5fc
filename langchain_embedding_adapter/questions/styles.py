"""Ways to ask: what a model is told, by the name that is recorded with every question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Form = Literal["question", "statement", "keywords"]
"""What is put to a search: a question, a sentence that asks nothing, or bare search words."""


@dataclass(frozen=True)
class QuestionStyle:
    """A way to ask.

    Attributes:
        name: For the record.
        instruction: What the model is told.
        form: What comes of it; only a ``"question"`` has to ask.
        joins: Whether a question is about this chunk and the next one of its document together.
    """

    name: str
    instruction: str
    form: Form = "question"
    joins: bool = False


STYLES: dict[str, QuestionStyle] = {
    style.name: style
    for style in (
        QuestionStyle(
            "natural",
            "Ask as somebody would who has the problem and has not read the passage, in their own everyday words.",
        ),
        QuestionStyle(
            "keywords",
            "Write them as people type into a search box: two to six words, no question mark, no filling words.",
            form="keywords",
        ),
        QuestionStyle("terse", "Ask as briefly as one can, in at most eight words."),
        QuestionStyle(
            "conversational",
            "Ask as somebody would in a chat with a colleague: a few words on their situation, then the question.",
        ),
        QuestionStyle("how-to", "Ask how to do or to mend something, as somebody would who is in the middle of it."),
        QuestionStyle(
            "statement",
            "Write no questions but statements of one sentence, each a claim that somebody wants to check or a trouble "
            "that they want to be rid of.",
            form="statement",
        ),
        QuestionStyle(
            "multi-hop", "Each question must need both parts of the passage: neither answers it alone.", joins=True
        ),
    )
}
"""The built-in ways to ask, by name."""

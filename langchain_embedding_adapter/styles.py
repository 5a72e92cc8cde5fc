"""Ways to ask: what a model is told, by the name that is recorded with every question."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class QuestionStyle:
    """A way to ask.

    Attributes:
        name: For the record.
        instruction: What the model is told.
        keywords: Whether what it writes are search words, which need not be a question.
        joins: Whether a question is about this chunk and the next one of its document together.
    """

    name: str
    instruction: str
    keywords: bool = False
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
            keywords=True,
        ),
        QuestionStyle("terse", "Ask as briefly as one can, in at most eight words."),
        QuestionStyle(
            "conversational",
            "Ask as somebody would in a chat with a colleague: a few words on their situation, then the question.",
        ),
        QuestionStyle("how-to", "Ask how to do or to mend something, as somebody would who is in the middle of it."),
        QuestionStyle(
            "multi-hop", "Each question must need both parts of the passage: neither answers it alone.", joins=True
        ),
    )
}
"""The built-in ways to ask, by name."""

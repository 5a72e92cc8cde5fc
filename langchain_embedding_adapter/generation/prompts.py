"""What a model is asked for: kinds of questions, languages, askers, examples, and how they are mixed.

Users ask in many ways, and an adapter learns the way it is shown. Each chunk draws its wording from the mix by its own
id, so that a second run asks it the same, and a mix can be told from what was answered.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.documents import Document
from langchain_core.prompts import BasePromptTemplate, ChatPromptTemplate

from langchain_embedding_adapter.chunks import document_of
from langchain_embedding_adapter.questions.styles import STYLES, QuestionStyle

Prompt = BasePromptTemplate[Any] | str
Difficulty = Literal["easy", "hard"]

DEFAULT_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            "You write the questions that people put to a search over a collection of documents. "
            "You answer with the questions alone, one a line.",
        ),
        (
            "human",
            "Passage:\n\n{passage}\n\n"
            "Write {questions_per_chunk} different questions that this passage answers. {instructions} Each should be "
            "specific enough that no other passage answers as well. Do not mention the passage.",
        ),
    ]
)
"""The prompt that is used unless another is given; its variables are ``passage``, ``questions_per_chunk`` and
``instructions``."""

JUDGE_PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "human",
            "Passage:\n\n{passage}\n\nQuestion: {question}\n\nDoes the passage alone answer the question? Answer with "
            "one word, yes or no.",
        )
    ]
)
"""The prompt of the second opinion."""


_DIFFICULTY: dict[str, str] = {
    "easy": "Keep them easy: use the words that the passage uses.",
    "hard": "Make them hard to find: use none of the passage's own rare words, and say the same in other ones.",
}


@dataclass(frozen=True)
class Wording:
    """What one chunk is asked with.

    Attributes:
        style: The way to ask.
        prompt: The prompt template.
        variables: Its variables.
        also: A second chunk that the questions are about.
    """

    style: QuestionStyle
    prompt: BasePromptTemplate[Any]
    variables: dict[str, Any]
    also: Document | None = None


class PromptMix:
    """Chooses the wording of every chunk.

    Args:
        prompts: Templates, or their texts.
        styles: Names of :data:`STYLES` or styles of one's own; a mapping gives each a weight.
        languages: Languages to write in; none for the passage's own.
        personas: Who asks: ``"a nurse on a night shift"``.
        examples: Questions that real users asked, to show the model how they sound.
        difficulty: ``"easy"`` or ``"hard"``.
        questions_per_chunk: How many to ask for.
        seed: Of the draw.

    Raises:
        ValueError: If a style is unknown, or a prompt lacks or has a variable that it should not.
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        *,
        styles: Sequence[str | QuestionStyle] | Mapping[str | QuestionStyle, float] = ("natural",),
        languages: Sequence[str] = (),
        personas: Sequence[str] = (),
        examples: Sequence[str] = (),
        difficulty: Difficulty | None = None,
        questions_per_chunk: int = 2,
        seed: int = 0,
    ) -> None:
        weights = dict(styles) if isinstance(styles, Mapping) else dict.fromkeys(styles, 1.0)
        self.styles = {_style(style): float(weight) for style, weight in weights.items()}
        if not self.styles or min(self.styles.values()) < 0 or not sum(self.styles.values()) > 0:
            raise ValueError(f"expected at least one style of a weight above 0, got {styles!r}")
        if difficulty is not None and difficulty not in _DIFFICULTY:
            raise ValueError(f"expected the difficulty 'easy', 'hard' or None, got {difficulty!r}")
        asks = list(self.styles) != [STYLES["natural"]] or languages or personas or examples or difficulty
        self.prompts = [_template(prompt, needs_instructions=bool(asks)) for prompt in prompts]
        self.languages, self.personas, self.examples = list(languages), list(personas), list(examples)
        self.difficulty, self.questions_per_chunk, self.seed = difficulty, questions_per_chunk, seed

    def wordings(self, chunks: Sequence[Document]) -> list[Wording]:
        """The wording of each chunk, chunks in the order of their documents."""
        return [self.wording(chunk, neighbour_of(chunks, row)) for row, chunk in enumerate(chunks)]

    def wording(self, chunk: Document, neighbour: Document | None) -> Wording:
        """The wording of one chunk, before the next one of the same document, if there is one."""
        draw = random.Random(f"{self.seed} {chunk.id}")  # noqa: S311 no secret
        weights = {style: weight for style, weight in self.styles.items() if neighbour is not None or not style.joins}
        if not sum(weights.values()) > 0:
            weights = {STYLES["natural"]: 1.0}
        (style,) = draw.choices(list(weights), list(weights.values()))
        also = neighbour if style.joins else None
        passage = chunk.page_content
        if also is not None:
            passage = f"Part 1:\n\n{passage}\n\nPart 2:\n\n{also.page_content}"
        instructions = [style.instruction]
        if self.personas:
            instructions.append(f"The one who asks is {draw.choice(self.personas)}.")
        if self.difficulty is not None:
            instructions.append(_DIFFICULTY[self.difficulty])
        instructions.append(
            f"Write in {draw.choice(self.languages)}." if self.languages else "Write in the passage's language."
        )
        if self.examples:
            shown = draw.sample(self.examples, min(5, len(self.examples)))
            instructions.append("Questions that users really asked sound like this:\n- " + "\n- ".join(shown) + "\n\n")
        variables = {
            "passage": passage,
            "questions_per_chunk": self.questions_per_chunk,
            "instructions": " ".join(instructions),
        }
        prompt = draw.choice(self.prompts)
        return Wording(style, prompt, {name: variables[name] for name in prompt.input_variables}, also)


def _style(style: str | QuestionStyle) -> QuestionStyle:
    if isinstance(style, QuestionStyle):
        return style
    if style not in STYLES:
        raise ValueError(f"unknown style {style!r}; expected one of {', '.join(STYLES)}, or a QuestionStyle")
    return STYLES[style]


def _template(prompt: Prompt, *, needs_instructions: bool) -> BasePromptTemplate[Any]:
    template = ChatPromptTemplate.from_template(prompt) if isinstance(prompt, str) else prompt
    variables = set(template.input_variables)
    if "passage" not in variables or variables - {"passage", "questions_per_chunk", "instructions"}:
        raise ValueError(
            "expected a prompt with the variables {passage}, {questions_per_chunk} and, for styles and the like, "
            f"{{instructions}}; got {', '.join(sorted(variables)) or 'none'}"
        )
    if needs_instructions and "instructions" not in variables:
        raise ValueError(
            "styles, languages, personas, examples and difficulty reach the model through the prompt's variable "
            "{instructions}, which this prompt lacks"
        )
    return template


def neighbour_of(chunks: Sequence[Document], row: int) -> Document | None:
    """The next chunk of the same document."""
    document = document_of(chunks[row])
    following = chunks[row + 1] if row + 1 < len(chunks) else None
    return following if document is not None and following is not None and document_of(following) == document else None

"""From a model's answer to a list of questions.

Models number, bullet, bold, quote, introduce and apologise; some answer in JSON, some think aloud. What comes out of
here is the questions alone, or nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any

from langchain_core.output_parsers import BaseOutputParser

_THINKING = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"```[\w-]*\n(.*?)```", re.DOTALL)
_MARKER = re.compile(
    r"^(?:[#>\s]*)(?:\*\*|__)?"  # heading, quotation, bold
    r"(?:(?:Q|Question|Query|Frage|Pregunta)\s*\d*\s*[:.)\-]|\(?\d+\s*[.):\]]|[-*•–+]\s)"  # Q1: 1. (1) - *
    r"(?:\*\*|__)?\s*",
    re.IGNORECASE,
)
_ANSWER = re.compile(r"^\W*(?:A|Answer|Antwort|Respuesta)\s*\d*\s*:", re.IGNORECASE)
_QUESTION_MARKS = ("?", "？", "؟", "¿")


def parse_questions(text: str) -> list[str]:
    r"""Read the questions out of a model's answer.

    JSON (bare or fenced; a list, or an object with a list in it) is read as such. Otherwise numbered or bulleted lines
    are the questions where there are any, lines with a question mark where there are none, and failing both every
    line that does not end in a colon. Preambles, answers and thoughts are left out, repetitions kept once.

    >>> parse_questions("Here are two questions:\n1. **What is a slice?**\n2. How are slices copied?")
    ['What is a slice?', 'How are slices copied?']
    >>> parse_questions('```json\n{"questions": ["What is a slice?"]}\n```')
    ['What is a slice?']
    """
    text = _THINKING.sub("", text).strip()
    found = _from_json(text)
    if found is None:
        found = _from_lines(text)
    return list(dict.fromkeys(question for question in map(_bare, found) if question))


def questions_in(value: Any) -> list[str]:
    """The questions in whatever a user's own chain returns: text, a message, a list, a mapping or a Pydantic model.

    Raises:
        TypeError: If no questions can be read out of a value of this type.
    """
    if isinstance(value, str):
        return parse_questions(value)
    if isinstance(value, dict):
        listed = _listed(value)
        if listed is not None:
            return list(dict.fromkeys(filter(None, map(_bare, listed))))
    elif isinstance(value, (list, tuple)):
        return list(dict.fromkeys(filter(None, (_bare(_as_text(item)) for item in value))))
    elif isinstance(getattr(value, "text", None), str):  # an AIMessage
        return parse_questions(value.text)
    elif hasattr(value, "model_dump"):
        return questions_in(value.model_dump())
    raise TypeError(
        f"expected the chain to return text, a message, a list of questions or an object with a list "
        f"`questions`, got {type(value).__name__}"
    )


class QuestionParser(BaseOutputParser[list[str]]):
    """:func:`parse_questions` as the last step of a LangChain chain.

    Example:
        >>> QuestionParser().invoke("- What is a slice?")
        ['What is a slice?']
    """

    def parse(self, text: str) -> list[str]:
        """Read the questions out of a model's answer."""
        return parse_questions(text)

    @property
    def _type(self) -> str:
        return "questions"


def _from_json(text: str) -> list[str] | None:
    """The strings of a JSON answer; ``None`` where the answer holds no JSON of a shape we know."""
    fenced = _FENCE.search(text)
    body = fenced.group(1) if fenced else text
    starts = [start for start in (body.find("["), body.find("{")) if start >= 0]
    if not starts:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(body[min(starts) :])
    except ValueError:
        return None
    return _listed(value)


def _listed(value: Any) -> list[str] | None:
    """A list of texts inside a decoded JSON value."""
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        if not lists:
            return [text for text in value.values() if isinstance(text, str)] or None
        value = value["questions"] if isinstance(value.get("questions"), list) else lists[0]
    if not isinstance(value, list):
        return None
    return [_as_text(item) for item in value] or None


def _as_text(item: Any) -> str:
    """A list's item as text: itself, or the question it holds."""
    if isinstance(item, dict):
        for key in ("question", "query", "text"):
            if isinstance(item.get(key), str):
                return str(item[key])
        return ""
    return item if isinstance(item, str) else ""


def _from_lines(text: str) -> list[str]:
    body = _FENCE.sub(lambda fence: fence.group(1), text)
    lines = [line.strip() for line in body.splitlines()]
    lines = [line for line in lines if line and not _ANSWER.match(line)]
    marked = [_MARKER.sub("", line) for line in lines if _MARKER.match(line)]
    if marked:
        return [line for line in marked if not line.endswith(":")]
    asked = [line for line in lines if any(mark in line for mark in _QUESTION_MARKS)]
    return asked or [line for line in lines if not line.rstrip("*_ ").endswith(":")]


def _bare(question: str) -> str:
    """A question without the quotes and emphasis around it."""
    question = question.strip()
    while len(question) > 1 and question[0] in "\"'*_`“«" and question[-1] in "\"'*_`”»":
        question = question[1:-1].strip()
    return question

"""From a model's answer to a list of questions.

Models number, bullet, bold, quote, introduce and apologise; some answer in JSON, some think aloud. What comes out of
here is the questions alone, or nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import BaseOutputParser

# An answer that was cut off leaves a thought open; some servers send only its end.
_THINKING = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(r".*</(?:think|thinking|reasoning)>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"```[\w-]*\n(.*?)```", re.DOTALL)
_JSON_START = re.compile(r"(?:^|[:.!]\s)\s*([\[{])", re.MULTILINE)
_BOLD = r"(?:\*\*|__)?"
_NUMBER = r"(?:[(（\[]?\d{1,3}\s*[.):\]、．）：](?!\d)|[-*•‣◦–—+](?=\s))"  # 1. (1) - *, and no 3.11
_LABEL = r"(?:Q|Question|Query|Frage|Pregunta|问题|問題|質問)\s*(?:\d+\s*[:：.)\-]|[:：]|[.)\-]\s)"  # Q1: Question:
_MARKER = re.compile(
    rf"^[#>\s]*{_BOLD}(?:{_NUMBER}\s*{_BOLD}{_LABEL}|{_NUMBER}|{_LABEL}){_BOLD}\s*",
    re.IGNORECASE,
)
_ANSWER = re.compile(r"^\W*(?:A|Answer|Antwort|Respuesta)\s*\d*\s*:", re.IGNORECASE)
_QUESTION_MARKS = ("?", "？", "؟", "¿")
_AROUND = (*((sign, sign) for sign in ("**", "__", "*", "_", "`", '"', "'")), ("“", "”"), ("«", "»"), ("「", "」"))


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
    text = _THOUGHT_END.sub("", _THINKING.sub("", text)).strip()
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
    if isinstance(value, BaseMessage):
        return parse_questions(value.text)
    if isinstance(value, dict):
        if "questions" in value:
            return questions_in(value["questions"])
        listed = _listed(value)
        if listed is not None:
            return list(dict.fromkeys(filter(None, map(_bare, listed))))
    elif isinstance(value, (list, tuple)):
        return list(dict.fromkeys(filter(None, (_bare(_as_text(item)) for item in value))))
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
    found: list[str] = []
    end = 0
    for start in _JSON_START.finditer(body):
        if start.start(1) < end:
            continue
        try:
            value, stop = json.JSONDecoder().raw_decode(body, start.start(1))
        except ValueError:
            continue
        if not body[stop:].partition("\n")[0].strip(" ,;\r"):  # else it is a part of a sentence
            found += filter(None, _listed(value) or [])
            end = stop
    return found if found or body.strip() == "[]" else None


def _listed(value: Any) -> list[str] | None:
    """A list of texts inside a decoded JSON value."""
    if isinstance(value, dict):
        if isinstance(value.get("questions"), str):
            return _from_lines(value["questions"])
        if isinstance(value.get("question"), str):
            return [value["question"]]
        lists = [item for item in value.values() if isinstance(item, list)]
        if not lists:
            return [text for text in value.values() if isinstance(text, str)] or None
        value = value["questions"] if isinstance(value.get("questions"), list) else lists[0]
    if not isinstance(value, list):
        return None
    return [_as_text(item) for item in value] or None


def _as_text(item: Any) -> str:
    """A list's item as text: itself, or the question it holds."""
    if hasattr(item, "model_dump"):
        item = item.model_dump()
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
    marked = [line for line in marked if line and not line.endswith(":")]
    if marked:
        return marked
    asked = [line for line in lines if any(mark in line for mark in _QUESTION_MARKS)]
    return asked or [line for line in lines if not line.rstrip("*_ ").endswith(":")]


def _bare(question: str) -> str:
    """A question without the quotes and emphasis around it."""
    question = question.strip()
    if question.count("**") % 2:  # opened before the marker: **1. What …?**
        question = question.removesuffix("**").strip()
    for left, right in _AROUND:
        inner = question[len(left) : -len(right)]
        if inner and question.startswith(left) and question.endswith(right) and not _closes(inner, right):
            return _bare(inner)
    return question


def _closes(inner: str, right: str) -> bool:
    """Whether a sign closes inside the text it seems to surround: `a` or `b`."""
    at = inner.find(right)
    if at < 0:
        return False
    return at == 0 or not (inner[at - 1].isspace() or inner[at + len(right) :][:1].isalnum())

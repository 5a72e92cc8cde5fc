"""From a model's answer to a list of questions.

Models number, bullet, bold, quote, introduce and apologise; some answer in JSON, some think aloud. What comes out of
here is the questions alone, or nothing.
"""

from __future__ import annotations

import ast
import html
import json
import re
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import BaseOutputParser

# An answer that was cut off leaves a thought open; some servers send only its end.
_THOUGHT = r"(think|thinking|thoughts?|reasoning|reflection|scratchpad)"
_THINKING = re.compile(rf"<{_THOUGHT}>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(rf".*</{_THOUGHT}>", re.DOTALL | re.IGNORECASE)
_TURN = re.compile(r"<\|[^|>\n]*\|>|</?s>|<(?:start|end)_of_turn>|\[/?INST\]|^\s*assistant\s*:", re.IGNORECASE)
_TAGGED = re.compile(
    r"(?:^|>)\s*<(question|query|li)(?![a-z])[^>]*>((?:(?!<\1).)*?)</\1[^>]*(?=>)", re.DOTALL | re.I | re.M
)
_ESCAPED = re.compile(r"&(?:#39|#x27|quot|apos);")
_FENCE = re.compile(r"```[\w-]*\n(.*?)(?:```|\Z)", re.DOTALL)

_JSON_START = re.compile(r"(?:^|[:.!]\s)\s*([\[{])", re.MULTILINE)
_ASSIGNED = re.compile(r"^\w*(?:question|quer)\w*\s*=\s*(?=[\[{])", re.IGNORECASE)
_STRING = re.compile(r"""(?:"(\w+)"\s*:\s*)?(?:"((?:[^"\\]|\\.)*)"|“([^”]*)”)|"\w+"\s*:""")
_QUESTION_KEY = re.compile(r"q|quer(?:y|ies)|questions?[ _-]?\d*|text", re.IGNORECASE)

_BOLD = r"(?:\*\*|__)?"
_NUMBER = (
    r"(?:[(（\[]?\d{1,3}\s*[.):\]、．）：](?!\d)|\d{1,3}\s+[-–—]\s(?!\d)|(?<=\#)\d{1,3}(?=\s)|\d\ufe0f?\u20e3|[①-⑳]|"
    r"[一二三四五六七八九十]、|[-*•‣◦–—+](?=\s)(?:\s*\[[ x]\])?|・|[\u2600-\u27bf\U0001f300-\U0001faff]\ufe0f?(?=\s))"
)  # 1. (1) 1 - #1 ① - [ ] *, and no 3.11
_LABEL = (
    r"(?:Q|Questions?|Query|Frage|Pregunta|Pergunta|Domanda|Vraag|Pytanie|Soru|Вопрос|سؤال|السؤال|प्रश्न|질문|问题|問題|質問)"
    rf"\s*(?:(?:\#|no\.|n°|№)?\s*(?:\d+|one|two|three|four|five)\s*{_BOLD}\s*[:：.)\-]|{_BOLD}[:：]|\s:|[.)\-]\s)|"
    r"(?:no\.|n°|№)\s*\d+\s*[:.)]|(?:first|second|third|fourth|fifth)(?:\ question)?:"
)  # Q1: Question: Question #1:
_MARKER = re.compile(
    rf"^[#>\s]*{_BOLD}(?:{_NUMBER}\s*{_BOLD}(?:{_LABEL})|{_NUMBER}|{_LABEL}){_BOLD}\s*",
    re.IGNORECASE,
)
_LETTER = re.compile(r"^[#>\s]*(?:\*\*)?[(\[]?([a-h]|[ivx]{1,4})[.)](?:\*\*)?\s+", re.IGNORECASE)
_ANSWER_LABEL = r"(?:Answers?|Antwort|Réponse|Respuesta|Resposta|Risposta|Antwoord|Ответ|答案|回答|उत्तर|답변?|الجواب|A)"
_ANSWER = re.compile(rf"^\W*(?:Correct )?{_ANSWER_LABEL}\s*#?\d*[*_]*\s*[:：]", re.IGNORECASE)

# What follows a question on its line: "(687 days)", "-> 687", "A: 687.", "It lasts 687 days.", an emoji.
_AFTER = re.compile(
    r"(?:(?<=\S[?؟])|(?<=？))(?P<close>[*_]*)(?:"
    rf"\s*(?:\(|->|→|=>|[-–—]\s|\W{{0,3}}{_ANSWER_LABEL}\s*\d*[:：])[^?？؟]*|"
    r"\s+[^\W\da-z_][^?？؟]*[.!]|(?<=？)[^?？]*[。！]|\s*[^\w\s\"'”’»」)\]`*?？؟]+)\s*$"
)
_QUESTION_MARKS = ("?", "？", "؟", "¿")
_INTRODUCTION = re.compile(r"^((?:sure|here|certainly|of course|okay|ok|below)\b[^?\n]*?:)\s+", re.IGNORECASE | re.M)
_NEXT_NUMBER = re.compile(r"(?<=[?？؟:])[ \t]+(?=[(\[]?\d{1,2}[.)]\s)|(?<=[?？؟])\s*[;|]\s+")
_NEXT_QUESTION = re.compile(r"(?<=[?؟])\s+(?=[^\W\da-z_]|¿)|(?<=？)\s*(?=\w)")
_AROUND = (*((sign, sign) for sign in ("**", "__", "*", "_", "`", '"', "'")), ("“", "”"), ("«", "»"), ("「", "」"))


def parse_questions(text: str) -> list[str]:
    r"""Read the questions out of a model's answer.

    JSON (bare or fenced, tidy or cut off; a list, or an object with a list in it) and tags are read as such. Otherwise
    numbered or bulleted lines are the questions where there are any, lines with a question mark where there are none,
    and failing both every line that does not end in a colon. Preambles, answers and thoughts are left out, repetitions
    kept once. What comes out are candidates: ``filters.rejection`` says which of them ask something.

    >>> parse_questions("Here are two questions:\n1. **What is a slice?**\n2. How are slices copied?")
    ['What is a slice?', 'How are slices copied?']
    >>> parse_questions('```json\n{"questions": ["What is a slice?"]}\n```')
    ['What is a slice?']
    """
    text = _TURN.sub("", _THOUGHT_END.sub("", _THINKING.sub("", text))).strip()
    found = [tagged.group(2) for tagged in _TAGGED.finditer(text)] or _from_json(text)
    if found is None:
        found = _from_lines(text)
    if _ESCAPED.search(text):
        found = [html.unescape(question) for question in found]
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
    body = "\n".join(_FENCE.findall(text)) or text
    found: list[str] = []
    end = 0
    for start in _JSON_START.finditer(body):
        if start.start(1) < end:
            continue
        try:
            value, stop = json.JSONDecoder().raw_decode(body, start.start(1))
        except (ValueError, RecursionError):
            continue
        if not body[stop:].partition("\n")[0].strip(" ,;\r"):  # else it is a part of a sentence
            found += filter(None, _listed(value) or [])
            end = stop
    return found if found or body.strip() == "[]" else _from_nearly_json(_ASSIGNED.sub("", body.strip()))


def _from_nearly_json(body: str) -> list[str] | None:
    """The strings of a list or object that is cut off, or has single quotes or a comma too many."""
    if not body.startswith(("[", "{")):
        return None
    try:
        return _listed(ast.literal_eval(body))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        between = _STRING.sub("", body).partition('"')[0]
    if re.search(r"[^\[\]{}:,;\s]", between):  # else it is a sentence that begins with a bracket
        return None
    strings = [(key, first or second) for key, first, second in _STRING.findall(body)]
    return [
        text.replace('\\"', '"') for key, text in strings if text and (not key or _QUESTION_KEY.fullmatch(key))
    ] or None


def _listed(value: Any) -> list[str] | None:
    """A list of texts inside a decoded JSON value."""
    if isinstance(value, dict):
        if isinstance(value.get("questions"), str):
            return _from_lines(value["questions"])
        for key in value:
            if str(key).lower() in ("question", "q") and isinstance(value[key], str):
                return [value[key]]
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
        texts = {str(key).lower(): text for key, text in item.items() if isinstance(text, str)}
        return next((texts[key] for key in ("question", "query", "q", "text") if key in texts), "")
    return item if isinstance(item, str) else ""


def _from_lines(text: str) -> list[str]:
    lines = _lines(text)
    marked = [_MARKER.sub("", line) for line in lines if _MARKER.match(line)]
    marked = [line for line in marked if line and not line.endswith(":")]
    lettered = [letter for line in lines if (letter := _LETTER.match(line))]
    if not marked and "".join(letter.group(1).lower() for letter in lettered[:2]) in ("ab", "iii"):
        marked = [letter.string[letter.end() :] for letter in lettered]
    asked = [line for line in lines if _has_mark(line)]
    if marked and (not asked or any(map(_has_mark, marked))):
        found = marked
    else:
        found = asked or [line for line in lines if not line.rstrip("*_ ").endswith(":")]
    if len(found) == 1:
        found = _NEXT_QUESTION.split(found[0])
    found = [_AFTER.sub(r"\g<close>", line) for line in found]
    cut_off = len(found) > 1 and lines[-1].endswith(found[-1]) and not re.search(r"[^\w\s]\W*$", found[-1])
    return found[:-1] if cut_off and all(map(_has_mark, found[:-1])) else found


def _lines(text: str) -> list[str]:
    """The lines of an answer that may hold a question: one question a line, no answers, tables as their cells."""
    if "\n" not in text:
        text = text.replace("\\n", "\n")
    text = _NEXT_NUMBER.sub("\n", _INTRODUCTION.sub(r"\1\n", _FENCE.sub(lambda fence: fence.group(1), text)))
    lines: list[str] = []
    for line in filter(None, (line.strip().removeprefix("> ") for line in text.splitlines())):
        if line.startswith("|"):
            lines += filter(_has_mark, (cell.strip() for cell in line.split("|")))
        elif lines and line[0].islower() and _MARKER.match(lines[-1]) and re.search(r"\w$", lines[-1]):
            lines[-1] += f" {line}"
        elif not _ANSWER.match(line):
            lines.append(line)
    return lines


def _has_mark(line: str) -> bool:
    return any(mark in line for mark in _QUESTION_MARKS)


def _bare(question: str) -> str:
    """A question without the quotes and emphasis around it."""
    question = question.strip()
    question = question.removesuffix(",") if question.endswith(('",', "',")) else question
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

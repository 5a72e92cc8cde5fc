"""What models really answer, and the questions in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from langchain_embedding_adapter.questions.parsing import QuestionParser, parse_questions, questions_in

A, B = "What is a slice?", "How are slices copied?"

ANSWERS: dict[str, tuple[str, list[str]]] = {
    # lists
    "numbered 1.": (f"1. {A}\n2. {B}", [A, B]),
    "numbered 1)": (f"1) {A}\n2) {B}", [A, B]),
    "numbered (1)": (f"(1) {A}\n(2) {B}", [A, B]),
    "numbered [1]": (f"[1] {A}\n[2] {B}", [A, B]),
    "numbered 1、": ("1、什么是切片？\n2、如何复制切片？", ["什么是切片？", "如何复制切片？"]),
    "numbered without a space": (f"1.{A}\n2.{B}", [A, B]),
    "bulleted -": (f"- {A}\n- {B}", [A, B]),
    "bulleted *": (f"* {A}\n* {B}", [A, B]),
    "bulleted •": (f"• {A}\n\n• {B}", [A, B]),
    "indented": (f"   1. {A}\r\n   2. {B}\r\n", [A, B]),
    "bare lines": (f"{A}\n\n{B}", [A, B]),
    "terse lines": ("slice syntax\ncopy of a slice", ["slice syntax", "copy of a slice"]),
    "terse numbered lines": ("1. slice syntax\n2. copy of a slice", ["slice syntax", "copy of a slice"]),
    # labels
    "Q1:": (f"Q1: {A}\nQ2: {B}", [A, B]),
    "Question 1:": (f"Question 1: {A}\nQuestion 2: {B}", [A, B]),
    "Question:": (f"Question: {A}", [A]),
    "bold label": (f"**Q1:** {A}\n**Question 2:** {B}", [A, B]),
    "numbered label": (f"1. **Question:** {A}\n2. Q: {B}", [A, B]),
    "label above its question": (f"### Question 1:\n{A}\n\n### Question 2:\n{B}", [A, B]),
    "full-width label": ("问题1：什么是切片？", ["什么是切片？"]),
    # emphasis
    "bold": (f"1. **{A}**\n2. **{B}**", [A, B]),
    "bold bullets": (f"- **{A}**\n- **{B}**", [A, B]),
    "bold with its number": (f"**1. {A}**\n**2. {B}**", [A, B]),
    "bold number": (f"**1.** {A}\n**2.** {B}", [A, B]),
    "bold words inside": ("- **Slices** are what?", ["**Slices** are what?"]),
    "quoted": (f'"{A}"\n“{B}”', [A, B]),
    "quoted and bold": (f'1. **"{A}"**\n2. "**{B}**"', [A, B]),
    "quotes that belong": ('"a" or "b"\n`x` vs `y`', ['"a" or "b"', "`x` vs `y`"]),
    "quoted with quotes inside": ('"What does "yield" do?"', ['What does "yield" do?']),
    "quoted with an apostrophe": ("'What's a slice?'", ["What's a slice?"]),
    # talk around the questions
    "preamble and list": (f"Sure! Here are two questions:\n\n1. {A}\n2. {B}", [A, B]),
    "preamble without a list": (f"Here are two questions:\n{A}\n{B}", [A, B]),
    "preamble and terse lines": ("Two queries:\nslice syntax\ncopy of a slice", ["slice syntax", "copy of a slice"]),
    "closing remark": (f"1. {A}\n2. {B}\n\nLet me know if you need more!", [A, B]),
    "heading": (f"## Questions\n\n1. {A}\n2. {B}", [A, B]),
    "bulleted heading": (f"- Questions:\n- {A}", [A]),
    "Q and A in turn": (f"Q: {A}\nA: A part of a list.\nQ: {B}\nA: By value.", [A, B]),
    "bold answers": (f"**Q1:** {A}\n**Answer:** A part of a list.", [A]),
    "thoughts": (f"<think>\nThe user wants:\n1. Why?\n</think>\n\n1. {A}", [A]),
    "thoughts of which only the end was sent": (f"1. Why?\n2. Hm?\n</think>\n{A}", [A]),
    "thoughts without an end": ("<think>Should I ask why?", []),
    "twice the same": (f"1. {A}\n2. {A}\n3. {B}", [A, B]),
    # JSON
    "JSON list": (f'["{A}", "{B}"]', [A, B]),
    "JSON object": (f'{{"questions": ["{A}", "{B}"]}}', [A, B]),
    "JSON object of another name": (f'{{"queries": ["{A}", "{B}"]}}', [A, B]),
    "JSON object of single questions": (f'{{"question_1": "{A}", "question_2": "{B}"}}', [A, B]),
    "JSON list of objects": (f'[{{"question": "{A}", "answer": "a"}}, {{"question": "{B}"}}]', [A, B]),
    "JSON lines": (f'{{"question": "{A}", "answer": "a"}}\n{{"question": "{B}", "answer": "b"}}', [A, B]),
    "JSON with a list as text": (f'{{"questions": "1. {A}\\n2. {B}"}}', [A, B]),
    "JSON after a preamble": (f'Here you go: ["{A}", "{B}"]\nEnjoy!', [A, B]),
    "JSON in fences after a preamble": (f'Sure:\n```json\n{{"questions": [\n"{A}",\n"{B}"\n]}}\n```\nDone.', [A, B]),
    "fences around lines": (f"```\n1. {A}\n2. {B}\n```", [A, B]),
    "JSON that is cut off": (f'[\n{{"question": "{A}"}},\n{{"question": "How ar', [A]),
    # what only looks like markers or JSON
    "brackets in a question": (
        '1. What does a[0] return?\n2. What is {"a": 1}?',
        ["What does a[0] return?", 'What is {"a": 1}?'],
    ),
    "a key in a question": ('What does d["key"] return?', ['What does d["key"] return?']),
    "a list before a question": ('["a"] + ["b"] gives what?', ['["a"] + ["b"] gives what?']),
    "code in a question": (f'1. {A}\n```python\nx = ["a"]\n```\n2. {B}', [A, B]),
    "a decimal number": ("3.11 brought what?\n2.5 million of what?", ["3.11 brought what?", "2.5 million of what?"]),
    "a year": ("2024: what happened?", ["2024: what happened?"]),
    "a word that begins with Q": (
        "Q-learning is what?\nQuestions are what?",
        ["Q-learning is what?", "Questions are what?"],
    ),
    # other languages
    "Spanish": ("¿Qué es un corte?\nEspero que sirva.", ["¿Qué es un corte?"]),
    "German label": ("Frage 1: Was ist das?\nAntwort: Ein Ausschnitt.", ["Was ist das?"]),
    "full-width question mark": ("以下は質問です。\nスライスとは何ですか？", ["スライスとは何ですか？"]),
    "Arabic question mark": ("إليك السؤال\nما هي الشريحة؟", ["ما هي الشريحة؟"]),
    # nothing
    "blank": (" \n ", []),
    "empty list": ("[]", []),
    "preamble alone": ("Here are the questions:", []),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "questions"), ANSWERS.values(), ids=ANSWERS.keys())
def test_the_questions_in_an_answer(answer: str, questions: list[str]) -> None:
    assert parse_questions(answer) == questions


def test_a_refusal_cannot_be_told_from_a_query_without_question_mark() -> None:
    # Keyword queries are wanted, so a line of plain text counts; the generation's own log shows such answers.
    assert parse_questions("I cannot help with that.") == ["I cannot help with that."]


def test_the_parser_ends_a_chain() -> None:
    chain = RunnableLambda(lambda _: AIMessage(f"1. {A}\n2. {B}")) | QuestionParser()
    assert chain.invoke("anything") == [A, B]


class Question(BaseModel):
    question: str
    answer: str = "an answer"


class Questions(BaseModel):
    text: str = "a passage, which is no question"
    questions: list[Question]


@pytest.mark.parametrize(
    "value",
    [
        f"1. {A}\n2. {B}",
        AIMessage(f"1. {A}\n2. {B}"),
        AIMessage([{"type": "reasoning", "reasoning": "Why?"}, {"type": "text", "text": f"1. {A}\n2. {B}"}]),
        [A, f" **{B}** ", A, "", None],
        (A, B),
        [{"question": A, "answer": "a"}, {"query": B}],
        [Question(question=A), Question(question=B)],
        {"questions": [A, B]},
        {"passage": "A slice is a part.", "questions": [A, B]},
        {"passage": "A slice is a part.", "questions": f"1. {A}\n2. {B}"},
        {"passage": "A slice is a part.", "questions": AIMessage(f"1. {A}\n2. {B}")},
        {"first": A, "second": B},
        Questions(questions=[Question(question=A), Question(question=B)]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_questions_in_whatever_a_chain_returns(value: Any) -> None:
    assert questions_in(value) == [A, B]


@pytest.mark.parametrize("value", [[], {"questions": []}, "", AIMessage("")])
def test_no_question_is_no_error(value: Any) -> None:
    assert questions_in(value) == []


@dataclass
class Unknown:
    ask: str = A


@pytest.mark.parametrize("value", [None, 7, Unknown(), {"count": 2}, {"questions": None}])
def test_a_value_of_another_type_is_an_error(value: Any) -> None:
    with pytest.raises(TypeError, match="expected the chain to return text, a message, a list of questions"):
        questions_in(value)

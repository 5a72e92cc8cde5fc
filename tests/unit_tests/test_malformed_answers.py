"""Answers as models give them, and the questions that are left of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from langchain_embedding_adapter.questions.filters import rejection
from langchain_embedding_adapter.questions.parsing import parse_questions

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("malformed_answers.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_usable_questions_are_read_and_the_rest_is_turned_down(case: dict[str, Any]) -> None:
    questions: list[str] = []
    for candidate in parse_questions(case["answer"]):
        if rejection(candidate, case.get("passage", ""), questions) is None:
            questions.append(candidate)
    assert questions == case["questions"]


def test_names_are_given_once() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)

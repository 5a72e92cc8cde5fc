"""From a wording to a model's answer, and from its answer to what is kept of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_embedding_adapter.generation.prompts import Wording
from langchain_embedding_adapter.generation.settings import GenerationConfig
from langchain_embedding_adapter.questions.parsing import questions_in

SCHEMA = {
    "title": "questions",
    "description": "Questions that the passage answers.",
    "type": "object",
    "properties": {"questions": {"type": "array", "items": {"type": "string"}}},
    "required": ["questions"],
    "additionalProperties": False,
}
"""What a model with structured output is asked to fill in."""


def make_chain(llm: Runnable[Any, Any] | None, settings: GenerationConfig) -> Runnable[Any, Any]:
    """From a wording to an answer."""
    model = llm
    if settings.structured or (settings.structured is None and has_structured_output(llm)):
        if not isinstance(llm, BaseChatModel):
            raise TypeError(f"structured output takes a chat model, got {type(llm).__name__}")
        model = llm.with_structured_output(SCHEMA, include_raw=True)
    return RunnableLambda(filled, _afilled) | model  # type: ignore[operator]


def has_structured_output(model: Any) -> bool:
    """Whether a model's profile says that it fills in schemas."""
    return bool((getattr(model, "profile", None) or {}).get("structured_output"))


def filled(wording: Wording) -> PromptValue:
    """The prompt of a wording."""
    return wording.prompt.format_prompt(**wording.variables)


async def _afilled(wording: Wording) -> PromptValue:
    return filled(wording)


def read_answer(output: Any) -> dict[str, Any]:
    """The questions in an answer, and the answer itself."""
    if isinstance(output, dict) and output.keys() >= {"raw", "parsed"}:  # structured output, and its source
        raw = text_of(output["raw"]) or json.dumps(output["parsed"], ensure_ascii=False)
        return {"questions": questions_in(output["parsed"] or raw), "answer": raw}
    return {"questions": questions_in(output), "answer": text_of(output)}


def text_of(output: Any) -> str:
    """An output as text, for the record."""
    text = getattr(output, "text", output)
    return text if isinstance(text, str) else repr(output)


def digest(*parts: Any) -> str:
    """A key from what an answer depends on."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

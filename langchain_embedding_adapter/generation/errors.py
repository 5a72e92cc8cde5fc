"""An answer that is empty is an error, which a model's next one may not be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class EmptyAnswerError(ValueError):
    """A model said nothing at all."""


def said(output: Any) -> Any:
    """A model's output as it is, if there is anything in it.

    Servers under load, and models that ran out of tokens, answer with no text; kept, it would never be asked for again.

    >>> said("")
    Traceback (most recent call last):
        ...
    langchain_embedding_adapter.generation.errors.EmptyAnswerError: the answer is empty
    """
    found = output
    if isinstance(found, Mapping) and found.keys() >= {"raw", "parsed"}:  # structured output, and its source
        if found["parsed"] is not None:
            return output
        found = found["raw"]
    text = getattr(found, "text", found)
    if isinstance(text, str) and not text.strip() and not getattr(found, "tool_calls", None):
        reason = getattr(found, "response_metadata", {}).get("finish_reason")
        raise EmptyAnswerError("the answer is empty" + f" (finish_reason: {reason})" * bool(reason))
    return output

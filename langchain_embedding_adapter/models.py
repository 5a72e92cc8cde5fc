"""Which embedding model is this, and which one does a ``provider:model`` string mean?

The name recorded beside every adapter is read here, and the command line's model strings are resolved here: through
LangChain's ``init_embeddings`` and ``init_chat_model``, plus ``local:wordllama``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter.local import WordLlamaEmbeddings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel  # it takes half a second, and serving needs none of it

_PREFIX_ATTRIBUTES = ("query_instruction", "query_prefix", "query_encode_kwargs", "encode_kwargs")
_PROMPTS = ("prompt", "prompt_name")
_OTHER_SERVERS = ("OPENAI_API_BASE", "OPENAI_BASE_URL")
"""Variables that name a server which speaks OpenAI's protocol in the place of OpenAI's own."""

_NAME_ATTRIBUTES = ("model", "model_name", "model_id", "deployment", "repo_id", "model_path")


def model_name(embeddings: Any) -> str:
    """The class of embeddings, or of any model, and its name where it has one.

    >>> from langchain_core.embeddings import DeterministicFakeEmbedding
    >>> model_name(DeterministicFakeEmbedding(size=8))
    'DeterministicFakeEmbedding'

    One with a name is told as ``OpenAIEmbeddings:text-embedding-3-small``.
    """
    name = type(embeddings).__name__
    for attribute in _NAME_ATTRIBUTES:
        value = getattr(embeddings, attribute, None)
        if isinstance(value, str) and value:
            return f"{name}:{value}"
    return name


def vectors_name(embeddings: Any) -> str:
    """:func:`model_name`, and whatever else decides what the vectors are: a deployment, a number of dimensions."""
    given = getattr(embeddings, "model_fields_set", ())
    told = {name: getattr(embeddings, name, None) for name in ("deployment", "dimensions") if name in given}
    return model_name(embeddings) + "".join(f", {name} {value}" for name, value in told.items() if value is not None)


def query_prefix(embeddings: Embeddings) -> str | None:
    """What the embeddings put before a question, where their class says so.

    >>> from langchain_core.embeddings import DeterministicFakeEmbedding
    >>> query_prefix(DeterministicFakeEmbedding(size=8)) is None
    True
    """
    for attribute in _PREFIX_ATTRIBUTES:
        value = getattr(embeddings, attribute, None)
        if isinstance(value, dict):
            value = next((value[key] for key in _PROMPTS if value.get(key)), None)
        if isinstance(value, str) and value:
            return value
    return None


def load_embeddings(model: str) -> Embeddings:
    """Embeddings from a ``provider:model`` string, or the embedded ``local:wordllama``.

    Raises:
        ValueError: If the string names no provider that is known.
        ImportError: If the provider's package is not installed.
    """
    _check(model, "openai:text-embedding-3-small or local:wordllama")
    if model.startswith("local:"):
        if model != "local:wordllama":
            raise ValueError(f"unknown local model {model!r}; expected local:wordllama")
        return WordLlamaEmbeddings()
    options: dict[str, Any] = {}
    if model.startswith("openai:") and any(os.environ.get(name) for name in _OTHER_SERVERS):
        options["check_embedding_ctx_length"] = False  # these take text; OpenAI's client would send its own tokens
    return cast("Embeddings", require_extra("langchain.embeddings", "cli").init_embeddings(model, **options))


def load_chat_model(model: str) -> BaseChatModel:
    """A chat model from a ``provider:model`` string.

    Raises:
        ValueError: If the string names no provider that is known.
        ImportError: If the provider's package is not installed.
    """
    _check(model, "openai:gpt-4o-mini")
    return cast("BaseChatModel", require_extra("langchain.chat_models", "cli").init_chat_model(model))


def _check(model: str, example: str) -> None:
    if ":" not in model:
        raise ValueError(f"expected a model as provider:model, {example} for instance; got {model!r}")

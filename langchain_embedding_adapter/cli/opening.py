"""What a command works on, opened when it is needed: a run, embeddings, a chat model. The result, shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from langchain_embedding_adapter.cli.options import LOCAL

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

    from langchain_embedding_adapter.runs import Run


def open_run(folder: Path) -> Run:
    """The run in a folder."""
    from langchain_embedding_adapter.runs import Run

    return Run(folder)


def embeddings_named(name: str) -> Embeddings:
    """Embeddings by ``provider:model``."""
    from langchain_embedding_adapter.models import load_embeddings

    return load_embeddings(name)


def chat_model_named(name: str) -> BaseChatModel:
    """A chat model by ``provider:model``."""
    from langchain_embedding_adapter.models import load_chat_model

    return load_chat_model(name)


def base_of(run: Run, name: str | None) -> Embeddings:
    """The base embeddings of a run, unless others are named."""
    return embeddings_named(name or run.settings.get("train", {}).get("embeddings") or LOCAL)


def show(data: Any, text: str, as_json: bool) -> None:
    """The result on standard output: as text, or as one JSON object."""
    typer.echo(json.dumps(data, ensure_ascii=False) if as_json else text)

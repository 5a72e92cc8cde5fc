"""What a command works on, opened when it is needed: a run, embeddings, a chat model. The result, shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from langchain_embedding_adapter.settings import LOCAL

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

    from langchain_embedding_adapter.runs import Run

Need = Literal["pairs", "adapter"]

opened: list[Path] = []
"""The runs that this process has opened, for whoever has to say what is kept of them."""


def open_run(folder: Path, need: Need | None = None) -> Run:
    """The run in a folder.

    Args:
        folder: The folder.
        need: What has to be there; by default nothing, not even the folder.

    Raises:
        FileNotFoundError: If it is not; the message names the command that makes it.
        ValueError: If the folder is something else.
    """
    if folder.is_file():
        raise ValueError(f"{folder} is a file; expected the folder of a run")
    if is_adapter(folder):
        raise ValueError(
            f"{folder} is a saved adapter, and no run; examine it with "
            f"`embedding-adapter evaluate --adapter {folder} --pairs FILE`"
        )
    if need is not None and not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}; make a run with `embedding-adapter run {folder} DOCUMENTS`"
        )
    if need is not None and not (folder / "pairs.json").is_file():
        hint = "" if (folder / "run.json").exists() or (folder / "answers.jsonl").exists() else " (is it a run?)"
        raise FileNotFoundError(
            f"{folder} has no pairs yet{hint}; make them with `embedding-adapter pairs {folder} DOCUMENTS`"
        )
    if need == "adapter" and not (folder / "adapter").is_dir():
        raise FileNotFoundError(f"{folder} has no adapter yet; train one with `embedding-adapter train {folder}`")
    from langchain_embedding_adapter.runs import Run

    opened.append(folder)
    return Run(folder)


def is_adapter(folder: Path) -> bool:
    """Whether a folder is a saved adapter."""
    return (folder / "config.json").is_file() and (folder / "model.safetensors").is_file()


def embeddings_named(name: str) -> Embeddings:
    """Embeddings by ``provider:model``."""
    from langchain_embedding_adapter.models import load_embeddings

    return load_embeddings(name)


def chat_model_named(name: str) -> BaseChatModel:
    """A chat model by ``provider:model``."""
    from langchain_embedding_adapter.models import load_chat_model

    return load_chat_model(name)


def name_of_base(run: Run, name: str | None) -> str:
    """The name of a run's base embeddings, unless others are named."""
    return name or run.settings.get("train", {}).get("embeddings") or LOCAL


def base_of(run: Run, name: str | None) -> Embeddings:
    """The base embeddings of a run, unless others are named."""
    return embeddings_named(name_of_base(run, name))


def show(data: Any, text: str, as_json: bool) -> None:
    """The result on standard output: as text, or as one JSON object."""
    typer.echo(json.dumps(data, ensure_ascii=False) if as_json else text)

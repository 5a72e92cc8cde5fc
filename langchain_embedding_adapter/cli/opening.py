"""What a command works on, opened when it is needed: a run, embeddings, a chat model. The result, shown."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

import typer

from langchain_embedding_adapter.runs.settings import LOCAL

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

    from langchain_embedding_adapter.runs.run import Run

Need = Literal["pairs", "adapter"]

_opened: list[Path] = []
"""The run that this process has opened last, for whoever has to say what is kept of it."""


class NobodyReadsError(Exception):
    """Whoever reads standard output has closed it, and has what it wanted."""


_KEPT = {
    "answers.jsonl": "answers",
    "pairs.json": "pairs",
    "vectors.sqlite": "vectors",
    "adapter": "the adapter",
    "report.json": "the report",
}


class WrongUsageError(ValueError):
    """What the command line says cannot be meant: something is missing, or two things exclude each other."""


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
        raise ValueError(f"{folder} is a file; expected the folder of a run, which comes first, then the documents")
    if is_adapter(folder):
        raise ValueError(
            f"{folder} is a saved adapter, and no run; examine it with "
            f"`embedding-adapter evaluate --adapter {folder} --pairs FILE`"
        )
    if need is None and folder.is_dir() and not is_run(folder) and _others(folder):
        raise ValueError(
            f"{folder} holds other files ({_others(folder)[0]} …) and is no run; name a new folder for the run first, "
            "then the documents"
        )
    if need is not None and not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}; make a run with `embedding-adapter run {folder} DOCUMENTS`"
        )
    if need is not None and not (folder / "pairs.json").is_file():
        hint = "" if is_run(folder) else " (is it a run?)"
        raise FileNotFoundError(
            f"{folder} has no pairs yet{hint}; make them with `embedding-adapter pairs {folder} DOCUMENTS`"
        )
    if need == "adapter" and not (folder / "adapter").is_dir():
        raise FileNotFoundError(f"{folder} has no adapter yet; train one with `embedding-adapter train {folder}`")
    from langchain_embedding_adapter.runs.run import Run

    _opened[:] = [folder]
    return Run(folder)


def what_is_kept() -> str:
    """What a run that is interrupted keeps, and how to go on."""
    here = [what for name, what in _KEPT.items() if _opened and (_opened[0] / name).exists()]
    if not here:
        return "nothing was made yet"
    return f"{_opened[0]} keeps {', '.join(here)}; the same command goes on from there"


def is_adapter(folder: Path) -> bool:
    """Whether a folder is a saved adapter."""
    return (folder / "config.json").is_file() and (folder / "model.safetensors").is_file()


def is_run(folder: Path) -> bool:
    """Whether a folder holds any stage of a run."""
    return any((folder / name).is_file() for name in ("run.json", "chunks.jsonl", "pairs.json"))


def _others(folder: Path) -> list[str]:
    """What is in a folder besides a file of settings."""
    return sorted(file.name for file in folder.iterdir() if file.suffix != ".toml" and not file.name.startswith("."))


def check_documents(documents: Sequence[Path]) -> None:
    """See that documents are there and are no run.

    Raises:
        FileNotFoundError: If one does not exist.
        ValueError: If one is a run.
    """
    for path in documents:
        if not path.exists():
            raise FileNotFoundError(
                f"there is no file or folder {path}; the folder of the run comes first, then the documents"
            )
        if path.is_dir() and is_run(path):
            raise ValueError(f"{path} is a run and no folder of documents; the run comes first, then the documents")


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


def fitted(text: str) -> str:
    """Sentences broken between words where a terminal is too narrow; tables, and lines in a pipe, as they are."""
    if not sys.stdout.isatty():
        return text
    width = shutil.get_terminal_size().columns
    plain = (
        line if line.startswith(("|", " ")) or len(line) <= width else fill(line, width) for line in text.split("\n")
    )
    return "\n".join(plain)


def show(data: Any, text: str, as_json: bool) -> None:
    """The result on standard output: as text, or as one JSON object.

    Raises:
        NobodyReadsError: If whoever reads the pipe has closed it.
    """
    try:
        typer.echo(json.dumps(data, ensure_ascii=False) if as_json else fitted(text))
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise NobodyReadsError from error

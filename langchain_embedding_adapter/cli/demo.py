"""``embedding-adapter demo``: the whole journey on text that everybody has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langchain_embedding_adapter.cli.opening import chat_model_named, embeddings_named, show
from langchain_embedding_adapter.cli.options import AsJson, Model
from langchain_embedding_adapter.runs.settings import LOCAL


def demo(
    folder: Annotated[Path, typer.Option(help="Where the adapter and the index go.", metavar="FOLDER")] = Path(
        "demo-run"
    ),
    llm: Annotated[
        str | None,
        typer.Option(help="Let this chat model write the training questions, as provider:model.", metavar="MODEL"),
    ] = None,
    embeddings: Model = LOCAL,
    as_json: AsJson = False,
) -> None:
    """The whole journey on Python's language reference.

    No key and no network; the questions are ours.
    """
    from langchain_embedding_adapter.demo.journey import run_demo

    result = run_demo(folder, embeddings_named(embeddings), llm=chat_model_named(llm) if llm else None)
    show(result.to_dict(), str(result), as_json)

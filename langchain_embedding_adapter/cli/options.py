"""Arguments and options that several commands take, alike in each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langchain_embedding_adapter.runs.settings import MODELS


def _models(incomplete: str) -> list[str]:
    return [name for name in MODELS if name.startswith(incomplete)]


RunFolder = Annotated[Path, typer.Argument(help="The folder of the run.", metavar="RUN", show_default=False)]
Documents = Annotated[
    list[Path],
    typer.Argument(
        help="Text, Markdown, PDF and JSONL files, or folders of them.", metavar="DOCUMENTS", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Force = Annotated[bool, typer.Option("--force", help="Make the stage anew, even if its file exists.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the prompt, calls, tokens and cost; ask nothing.")]
EmbeddingsName = Annotated[
    str | None,
    typer.Option(
        "--embeddings",
        help="provider:model, or local:wordllama; by default the run's.",
        metavar="MODEL",
        autocompletion=_models,
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option("--embeddings", help="provider:model, or local:wordllama.", metavar="MODEL", autocompletion=_models),
]

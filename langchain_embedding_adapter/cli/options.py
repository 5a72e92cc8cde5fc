"""Options that several commands take, alike in each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

LOCAL = "local:wordllama"

RunFolder = Annotated[Path, typer.Argument(help="The folder of the run.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Force = Annotated[bool, typer.Option("--force", help="Make the stage anew, even if its file exists.")]
EmbeddingsName = Annotated[
    str | None,
    typer.Option("--embeddings", help="provider:model, or local:wordllama; by default the run's.", show_default=False),
]

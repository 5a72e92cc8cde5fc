"""``embedding-adapter report``: one page to judge an adapter by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langchain_embedding_adapter.cli.opening import base_of, open_run, show
from langchain_embedding_adapter.cli.options import AsJson, EmbeddingsName, RunFolder


def report(
    run: RunFolder,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to; by default report.html in the run.", metavar="FILE")
    ] = None,
    embeddings: EmbeddingsName = None,
    as_json: AsJson = False,
) -> None:
    """Write the page that tells whether to use the adapter.

    One HTML file that asks for nothing from elsewhere: the verdict and how sure it is, where the adapter helps, every
    question with what it finds, how the adapter was chosen and what the data was.
    """
    the_run = open_run(run, "adapter")
    page = the_run.write_page(base_of(the_run, embeddings), output)
    show({"page": str(page)}, str(page), as_json)

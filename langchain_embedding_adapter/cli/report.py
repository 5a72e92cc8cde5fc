"""``embedding-adapter report``: one page to judge an adapter by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from langchain_embedding_adapter.cli.opening import WrongUsageError, base_of, embeddings_named, open_run, show
from langchain_embedding_adapter.cli.options import AsJson, EmbeddingsName
from langchain_embedding_adapter.runs.settings import LOCAL


def report(
    run: Annotated[
        Path | None, typer.Argument(help="The folder of the run.", metavar="RUN", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Where to; by default report.html, in the run if there is one.", metavar="FILE"
        ),
    ] = None,
    embeddings: EmbeddingsName = None,
    adapter: Annotated[Path | None, typer.Option(help="In place of a run: a saved adapter …")] = None,
    pairs: Annotated[Path | None, typer.Option(help="… and the questions to examine it with.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the page that tells whether to use the adapter.

    One HTML file that asks for nothing from elsewhere: the verdict and how sure it is, where the adapter helps, every
    question with what it finds, how the adapter was chosen and what the data was.
    """
    if run is not None and adapter is None and pairs is None:
        the_run = open_run(run, "adapter")
        page = the_run.write_page(base_of(the_run, embeddings), output)
    elif run is None and adapter is not None and pairs is not None:
        page = output or Path("report.html")
        _examine(adapter, pairs, embeddings or LOCAL, page)
    else:
        raise WrongUsageError("name either a run, or --adapter and --pairs")
    show({"page": str(page)}, str(page), as_json)


def _examine(adapter: Path, pairs: Path, embeddings: str, page: Path) -> None:
    """Ask a saved adapter these questions, and write the page."""
    from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
    from langchain_embedding_adapter.evaluation.evaluate import evaluate_retrieval
    from langchain_embedding_adapter.pairs.dataset import QADataset
    from langchain_embedding_adapter.report.details import Details
    from langchain_embedding_adapter.runs.story import saved_story

    adapted = AdaptedEmbeddings.from_pretrained(adapter, embeddings_named(embeddings))
    found = evaluate_retrieval(adapted, QADataset.load(pairs))
    replace(found, details=replace(found.details or Details(), story=saved_story(adapter))).save(page)

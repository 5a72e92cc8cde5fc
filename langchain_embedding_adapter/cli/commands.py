"""All commands in the order of the journey, and what goes before any of them."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from langchain_embedding_adapter._version import __version__
from langchain_embedding_adapter.cli.ask import ask
from langchain_embedding_adapter.cli.compare import compare
from langchain_embedding_adapter.cli.demo import demo
from langchain_embedding_adapter.cli.embed import embed
from langchain_embedding_adapter.cli.evaluate import evaluate
from langchain_embedding_adapter.cli.examples import epilog
from langchain_embedding_adapter.cli.info import info
from langchain_embedding_adapter.cli.pairs import pairs
from langchain_embedding_adapter.cli.report import report
from langchain_embedding_adapter.cli.run import run
from langchain_embedding_adapter.cli.train import train

app = typer.Typer(
    name="embedding-adapter",
    help="Better retrieval without touching the index: train, examine and use adapters for query vectors.",
    epilog="\b\nExamples:\n  embedding-adapter demo\n  embedding-adapter run handbook-run handbook/ --pseudo",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[  # noqa: ARG001 its callback has done what there is to do
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors on standard error.")] = False,
) -> None:
    logging.getLogger("langchain_embedding_adapter").setLevel(logging.WARNING if quiet else logging.INFO)


for command in (run, pairs, embed, train, evaluate, report, ask, compare, info, demo):
    app.command(epilog=epilog(command.__name__))(command)

"""``embedding-adapter run``: the whole journey, from documents to what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_embedding_adapter.cli.flags import takes
from langchain_embedding_adapter.cli.opening import (
    WrongUsageError,
    chat_model_named,
    check_documents,
    embeddings_named,
    open_run,
    show,
)
from langchain_embedding_adapter.cli.options import AsJson
from langchain_embedding_adapter.runs.settings import EngineSettings, PairsSettings, TrainSettings

if TYPE_CHECKING:
    from langchain_embedding_adapter.runs.file import RunFile
    from langchain_embedding_adapter.runs.journey import Journey


@takes(
    pairs=PairsSettings,
    train=TrainSettings,
    engine=EngineSettings,
    given=True,
    without={"pairs": ["test_size", "validation_size"]},
)
def run(
    folder: Annotated[
        Path | None, typer.Argument(help="The folder of the run; or `folder` in the file.", metavar="RUN")
    ] = None,
    documents: Annotated[
        list[Path] | None,
        typer.Argument(help="Text, Markdown, PDF and JSONL files, or folders of them.", metavar="DOCUMENTS"),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file that says all this; flags win over it.", metavar="FILE")
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="Print such a file to start from, and end.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the stages, calls, tokens and cost; do nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Make every stage anew; answers and vectors are kept.")
    ] = False,
    as_json: AsJson = False,
    *,
    pairs: Mapping[str, Any],
    train: Mapping[str, Any],
    engine: Mapping[str, Any],
) -> None:
    """The whole journey, from documents to what to do next.

    Pairs, training, test and report page, with the settings of `pairs` and `train` as flags or in a TOML file.
    What exists is kept: after a stop the same command goes on. A finished run needs no documents any more.
    """
    if example:
        from langchain_embedding_adapter.runs.file import example_file

        show({"example": example_file()}, example_file().rstrip(), as_json)
        return
    journey = _journey(folder, documents or [], config, pairs, train, engine)
    if journey.missing is not None:
        raise WrongUsageError(journey.missing)
    if dry_run:
        plan = journey.plan()
        show(plan.to_dict(), str(plan), as_json)
        return
    arrival = journey.go(embeddings_named, chat_model_named, force=force)
    show(arrival.to_dict(), str(arrival), as_json)


def _journey(
    folder: Path | None,
    documents: list[Path],
    config: Path | None,
    pairs: Mapping[str, Any],
    train: Mapping[str, Any],
    engine: Mapping[str, Any],
) -> Journey:
    """What the file says, and what the command line says over it."""
    said = _read(config)
    folder = folder or said.folder
    if folder is None:
        raise WrongUsageError(
            "name the folder of the run: embedding-adapter run RUN DOCUMENTS, or `folder` in --config"
        )
    from_file, trained = dict(said.pairs), dict(said.train)
    if "llm" in pairs or "pseudo" in pairs:
        from_file = {name: value for name, value in from_file.items() if name not in ("llm", "pseudo")}
    if documents:
        trained.pop("pairs", None)
    elif "pairs" not in train:
        documents = list(said.documents)
    check_documents(documents)
    opened = open_run(folder)
    from langchain_embedding_adapter.runs.journey import Journey

    return Journey(opened, documents, {**from_file, **pairs}, {**trained, **train}, {**said.engine, **engine})


def _read(config: Path | None) -> RunFile:
    from langchain_embedding_adapter.runs.file import RunFile

    return RunFile() if config is None else RunFile.read(config)

"""``embedding-adapter ask``: what questions find, base beside adapted."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_embedding_adapter.cli.opening import (
    WrongUsageError,
    base_of,
    embeddings_named,
    is_adapter,
    open_run,
    show,
)
from langchain_embedding_adapter.cli.options import AsJson, EmbeddingsName

if TYPE_CHECKING:
    from langchain_embedding_adapter.evaluation.asking import SideBySide

IN_A_PIPE = 120
"""Columns where there is no terminal to fit."""


def ask(
    run: Annotated[
        Path, typer.Argument(help="The folder of the run, or a saved adapter.", metavar="RUN", show_default=False)
    ],
    questions: Annotated[
        list[str] | None,
        typer.Argument(
            help="What to look for; without any, a question a line from standard input.",
            metavar="QUESTION",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="A file of questions, one a line; - is standard input.", metavar="FILE")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many passages to show.", metavar="N")] = 5,
    pairs: Annotated[
        Path | None, typer.Option(help="With a saved adapter: pairs whose passages are searched.", metavar="FILE")
    ] = None,
    index: Annotated[
        Path | None, typer.Option(help="Search this FAISS folder, as `save_local` wrote it.", metavar="FOLDER")
    ] = None,
    trust_index: Annotated[
        bool, typer.Option("--trust-index", help="The index's .pkl file may hold code; it is mine: load it.")
    ] = False,
    ids: Annotated[bool, typer.Option("--ids", help="Show the ids of the passages.")] = False,
    embeddings: EmbeddingsName = None,
    as_json: AsJson = False,
) -> None:
    """Show what questions find, base beside adapted.

    Arrows tell how far the adapter moved a passage, ✔ which one is known to answer. --json gives an object a line.
    """
    side_by_side = _opened(run, pairs, index, trust_index, embeddings)
    width = shutil.get_terminal_size((IN_A_PIPE, 24)).columns
    several = len(questions or ()) != 1 or file is not None
    for number, question in enumerate(_questions(questions or [], file)):
        found = side_by_side.ask(question, k)
        heading = ("\n" * (number > 0) + question + "\n") * several
        show(found.to_dict(), heading + found.shown(width, ids=ids), as_json)


def _questions(given: list[str], file: Path | None) -> Iterator[str]:
    """Those of the command line, of a file, or of standard input as they come."""
    if given and file is not None:
        raise WrongUsageError("name questions or --file, not both")
    if file is not None and str(file) != "-":
        lines: Iterator[str] = iter(file.read_text(encoding="utf-8").splitlines())
    elif given:
        lines = iter(given)
    elif file is None and sys.stdin.isatty():
        raise WrongUsageError('ask something: embedding-adapter ask RUN "a question", or give questions in a pipe')
    else:
        lines = iter(sys.stdin)
    asked = 0
    for line in lines:
        if line.strip():
            asked += 1
            yield line.strip()
    if not asked:
        raise ValueError("there is no question to ask: expected one a line, and every line is empty")


def _opened(folder: Path, pairs: Path | None, index: Path | None, trusted: bool, embeddings: str | None) -> SideBySide:
    """What is searched: a run's passages, those of a file of pairs, or a FAISS folder."""
    if not is_adapter(folder):
        if pairs is not None:
            raise WrongUsageError("--pairs goes with a saved adapter; a run has passages of its own")
        run = open_run(folder, "adapter")
        base = base_of(run, embeddings)
        if index is None:
            return run.side_by_side(base)
        folder = run.adapter_folder
    elif embeddings is None:
        raise WrongUsageError("name the adapter's base: --embeddings provider:model")
    else:
        base = embeddings_named(embeddings)
    if (pairs is None) == (index is None):
        raise WrongUsageError("say what to search with a saved adapter: --pairs FILE or --index FOLDER")
    from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
    from langchain_embedding_adapter.evaluation.asking import SideBySide, answers_by_text, faiss_folder, passages_of

    adapted = AdaptedEmbeddings.from_pretrained(folder, base)
    if index is not None:
        if not trusted:
            raise WrongUsageError(f"loading {index} runs what its .pkl file holds; if it is yours, add --trust-index")
        return SideBySide(adapted, faiss_folder(index, base))
    from langchain_embedding_adapter.pairs.dataset import QADataset

    dataset = QADataset.load(str(pairs))
    return SideBySide(adapted, passages_of(dataset.corpus, base), answers_by_text(dataset))

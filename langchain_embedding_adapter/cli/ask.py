"""``embedding-adapter ask``: what a question finds, base beside adapted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from langchain_embedding_adapter.cli.opening import base_of, open_run, show
from langchain_embedding_adapter.cli.options import AsJson, EmbeddingsName, RunFolder
from langchain_embedding_adapter.tables import side_by_side, start_of

if TYPE_CHECKING:
    from langchain_embedding_adapter.runs import Hit


def ask(
    run: RunFolder,
    question: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many passages to show.")] = 5,
    embeddings: EmbeddingsName = None,
    as_json: AsJson = False,
) -> None:
    """Show what a question finds, base beside adapted.

    embedding-adapter ask handbook-run "who approves parental leave?"
    """
    base, adapted = open_run(run).ask(base_of(open_run(run), embeddings), question, k)
    found = {"question": question, "base": [vars(hit) for hit in base], "adapted": [vars(hit) for hit in adapted]}
    show(found, side_by_side(_cells(base, adapted), _cells(adapted, base)), as_json)


def _cells(hits: list[Hit], others: list[Hit]) -> list[str]:
    """A line for each hit: where it moved to or came from, its score, the start of its text."""
    places = {hit.passage: hit.rank for hit in others}
    lines = []
    for hit in hits:
        place = places.get(hit.passage)
        mark = "new" if place is None else "=" if place == hit.rank else f"{place:>2}"
        lines.append(f"{mark:>3} {hit.score:.3f} {start_of(hit.text)}")
    return lines

"""``embedding-adapter compare``: two adapters on the same questions."""

from __future__ import annotations

import logging
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
from langchain_embedding_adapter.runs.settings import DEFAULTS, METRICS

if TYPE_CHECKING:
    from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
    from langchain_embedding_adapter.pairs.dataset import QADataset
    from langchain_embedding_adapter.runs.run import Run


logger = logging.getLogger(__name__)


def _metrics(incomplete: str) -> list[str]:
    return [name for name in METRICS if name.startswith(incomplete)]


def compare(
    first: Annotated[Path, typer.Argument(help="A run, or a saved adapter.", metavar="A", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Another one.", metavar="B", show_default=False)],
    pairs: Annotated[
        Path | None,
        typer.Option(help="The questions; by default those that neither run has trained on.", metavar="FILE"),
    ] = None,
    embeddings: EmbeddingsName = None,
    metric: Annotated[
        str, typer.Option(help="What to sort the questions by.", metavar="NAME@K", autocompletion=_metrics)
    ] = DEFAULTS.metric,
    top: Annotated[int, typer.Option(min=0, help="How many of the questions that differ most.", metavar="N")] = 10,
    as_json: AsJson = False,
) -> None:
    """Two adapters on the same questions: which is ahead?

    The base, each of them, and their difference with its significance;
    better, same and worse count the questions that A answers better than B, as well, and worse.
    """
    adapted = [_adapted(first, embeddings), _adapted(second, embeddings)]
    from langchain_embedding_adapter.evaluation.comparing import compare_adapters
    from langchain_embedding_adapter.pairs.dataset import QADataset

    runs = [open_run(folder, "adapter") for folder in (first, second) if not is_adapter(folder)]
    asked = pairs and (runs[0].questions(pairs) if runs else QADataset.load(pairs))
    dataset = asked or _unseen(runs)
    if pairs is None and len(runs) < 2:
        logger.warning("whether the saved adapter has trained on these questions is not known")
    cache = runs[0].cache if runs else None
    names = _names(first, second)
    found = compare_adapters(adapted[0], adapted[1], dataset, names=names, metric=metric, most=top, cache=cache)
    show(found.to_dict(), str(found), as_json)


def _adapted(folder: Path, embeddings: str | None) -> AdaptedEmbeddings:
    if not is_adapter(folder):
        run = open_run(folder, "adapter")
        return run.adapted(base_of(run, embeddings))
    if embeddings is None:
        raise WrongUsageError(f"{folder} is a saved adapter: name its base, --embeddings provider:model")
    from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings

    return AdaptedEmbeddings.from_pretrained(folder, embeddings_named(embeddings))


def _unseen(runs: list[Run]) -> QADataset:
    """The test questions that no run has trained on, where all are about the same passages.

    Raises:
        WrongUsageError: If there are none.
    """
    if not runs:
        raise WrongUsageError("say what to ask two saved adapters: --pairs FILE")
    if any(run.dataset.corpus != runs[0].dataset.corpus for run in runs):
        raise WrongUsageError("the runs are about different passages; say what to ask both: --pairs FILE")
    tests = [run.test for run in runs]
    texts = [{*test.queries.values()} for test in tests]
    trained = {text for run, known in zip(runs, texts, strict=True) for text in {*run.dataset.queries.values()} - known}
    kept = [query for query, text in tests[0].queries.items() if text not in trained]
    if not kept:
        raise WrongUsageError("there is no question that neither has trained on; say what to ask both: --pairs FILE")
    return tests[0].subset(kept)


def _names(first: Path, second: Path) -> tuple[str, str]:
    """The names of the two folders, or their paths where these are alike."""
    named = [folder.resolve() for folder in (first, second)]
    short = [path.parent.name if path.name == "adapter" else path.name for path in named]
    return (short[0], short[1]) if short[0] != short[1] else (str(first), str(second))

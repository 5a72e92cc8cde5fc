"""``embedding-adapter evaluate``: base against adapted on questions that training has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langchain_embedding_adapter.cli.flags import takes
from langchain_embedding_adapter.cli.opening import WrongUsageError, base_of, embeddings_named, open_run, show
from langchain_embedding_adapter.cli.options import AsJson, EmbeddingsName
from langchain_embedding_adapter.runs.settings import LOCAL, EngineSettings


@takes(engine=EngineSettings)
def evaluate(
    run: Annotated[
        Path | None, typer.Argument(help="The folder of the run.", metavar="RUN", show_default=False)
    ] = None,
    embeddings: EmbeddingsName = None,
    adapter: Annotated[
        Path | None, typer.Option(help="In place of a run: a saved adapter, with --pairs.", metavar="FOLDER")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Other questions than the test's: pairs, or of a run a table (CSV, TSV, JSONL) of question and "
            "passage_id.",
            metavar="FILE",
        ),
    ] = None,
    *,
    engine: EngineSettings,
    as_json: AsJson = False,
) -> None:
    """Base against adapted, on questions not trained on.

    With --engine ray, workers on a cluster rank the passages.
    """
    from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
    from langchain_embedding_adapter.evaluation.evaluate import evaluate_retrieval
    from langchain_embedding_adapter.pairs.dataset import QADataset

    who = engine.chosen()
    if run is not None and adapter is None and pairs is not None:
        the_run = open_run(run, "adapter")
        adapted = the_run.adapted(base_of(the_run, embeddings))
        report = evaluate_retrieval(adapted, the_run.questions(pairs), cache=the_run.cache, engine=who)
    elif run is not None and adapter is None:
        the_run = open_run(run, "adapter")
        report = the_run.evaluate(base_of(the_run, embeddings), engine=who)
    elif run is None and adapter is not None and pairs is not None:
        base = embeddings_named(embeddings or LOCAL)
        adapted = AdaptedEmbeddings.from_pretrained(adapter, base)
        report = evaluate_retrieval(adapted, QADataset.load(pairs), engine=who)
    else:
        raise WrongUsageError("name either a run, or --adapter and --pairs")
    show(report.to_dict(), str(report), as_json)

"""``embedding-adapter train``: pairs to an adapter, if one beats the base."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langchain_embedding_adapter.cli.opening import embeddings_named, open_run, show
from langchain_embedding_adapter.cli.options import LOCAL, AsJson, EmbeddingsName, Force, RunFolder
from langchain_embedding_adapter.config import Future, TrainingConfig

DEFAULTS = TrainingConfig()


def train(
    run: RunFolder,
    embeddings: EmbeddingsName = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Pairs that are at hand: our JSON, LlamaIndex's, or a BEIR folder.")
    ] = None,
    adapter: Annotated[
        str,
        typer.Option(
            help="What to choose among: default (linear maps with and without a memory), linear, memory or auto; "
            "or what to train in epochs: two-layer or low-rank."
        ),
    ] = "default",
    expect: Annotated[Future, typer.Option(help="What tomorrow's questions will be about.")] = "both",
    test_size: Annotated[
        float, typer.Option(help="Share of the questions that is kept for the test, unless `pairs` laid it down.")
    ] = 0.2,
    validation: Annotated[
        Path | None,
        typer.Option(help="Pairs that decide, in place of cross-validation; after `pairs --pseudo`, real ones."),
    ] = None,
    metric: Annotated[str, typer.Option(help="What decides between candidates.")] = DEFAULTS.metric,
    seed: Annotated[int, typer.Option(help="Of the split and of training.")] = DEFAULTS.seed,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Train an adapter on a run's pairs, and keep it only if it beats the base.

    embedding-adapter train handbook-run --embeddings openai:text-embedding-3-small
    """
    the_run = open_run(run)
    if pairs is not None:
        the_run.take_pairs(pairs, force=force)
    name = embeddings or the_run.settings.get("train", {}).get("embeddings") or LOCAL
    improved, verdict = the_run.train(
        lambda: embeddings_named(name),
        embeddings=name,
        adapter=adapter,
        expect=expect,
        test_size=test_size,
        validation=validation,
        config=TrainingConfig(metric=metric, seed=seed),
        force=force,
    )
    folder = str(the_run.adapter_folder)
    show({"improved": improved, "verdict": verdict, "adapter": folder}, f"{verdict}\n{folder}", as_json)

"""``embedding-adapter embed``: questions and passages to a folder of vectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from langchain_embedding_adapter.cli.flags import takes
from langchain_embedding_adapter.cli.opening import WrongUsageError, base_of, embeddings_named, open_run, show
from langchain_embedding_adapter.cli.options import AsJson, EmbeddingsName
from langchain_embedding_adapter.runs.settings import LOCAL, EngineSettings


@takes(engine=EngineSettings)
def embed(
    run: Annotated[
        Path | None, typer.Argument(help="The folder of the run.", metavar="RUN", show_default=False)
    ] = None,
    *,
    pairs: Annotated[
        str | None,
        typer.Option(
            help="In place of a run: pairs, or a folder with questions/ and passages/ (Parquet or JSONL: id, text) and "
            "pairs/ (Parquet: question, passage), on any file system.",
            metavar="FILE",
        ),
    ] = None,
    out: Annotated[str, typer.Option(help="Where the vectors go: a folder, also s3://… or gs://….", metavar="FOLDER")],
    engine: EngineSettings,
    embeddings: EmbeddingsName = None,
    as_json: AsJson = False,
) -> None:
    """Questions and passages to a folder of vectors, each text once.

    A rerun goes on from what is there. With --engine ray, workers on a cluster embed; all of them must reach the
    folder.
    """
    if (run is None) == (pairs is None):
        raise WrongUsageError("name either a run, or --pairs")
    from langchain_embedding_adapter.engines import RayEngine
    from langchain_embedding_adapter.pairs.dataset import QADataset
    from langchain_embedding_adapter.vectors import embed_dataset
    from langchain_embedding_adapter.vectors.to_folder import LOCAL_SHARD

    who = engine.chosen()
    if isinstance(who, RayEngine):
        who = replace(who, shard_size=LOCAL_SHARD)
    dataset: QADataset | str
    if run is not None:
        the_run = open_run(run, "pairs")
        dataset, base = the_run.dataset, base_of(the_run, embeddings)
    else:
        dataset = QADataset.load(str(pairs)) if _is_one_dataset(str(pairs)) else str(pairs)
        base = embeddings_named(embeddings or LOCAL)
    vectors = embed_dataset(base, dataset, engine=who, path=out)
    questions, passages = vectors.queries.shape, vectors.passages.shape
    counts = {"questions": questions[0], "passages": passages[0], "dimensions": [questions[1], passages[1]], "out": out}
    show(counts, f"{questions[0]:,} questions and {passages[0]:,} passages as vectors, in {out}", as_json)


def _is_one_dataset(pairs: str) -> bool:
    """Whether pairs are a file or a BEIR folder, and no folder of tables."""
    return "://" not in pairs and not (Path(pairs) / "passages").is_dir()

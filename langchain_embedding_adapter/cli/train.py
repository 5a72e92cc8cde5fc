"""``embedding-adapter train``: pairs to an adapter, if one beats the base."""

from __future__ import annotations

from langchain_embedding_adapter.cli.flags import takes
from langchain_embedding_adapter.cli.opening import embeddings_named, name_of_base, open_run, show
from langchain_embedding_adapter.cli.options import AsJson, Force, RunFolder
from langchain_embedding_adapter.runs.settings import EngineSettings, TrainSettings


@takes(settings=TrainSettings, engine=EngineSettings, without={"settings": ["price_embeddings"]})
def train(
    run: RunFolder, settings: TrainSettings, engine: EngineSettings, force: Force = False, as_json: AsJson = False
) -> None:
    """Train an adapter, and keep it only if it beats the base.

    With --engine ray, workers on a cluster fit the map that was chosen.
    """
    the_run = open_run(run, "pairs" if settings.pairs is None else None)
    if settings.pairs is not None:
        the_run.take_pairs(settings.pairs, force=force)
    name = name_of_base(the_run, settings.embeddings)
    improved, verdict = the_run.train(
        lambda: embeddings_named(name),
        embeddings=name,
        force=force,
        engine=engine.chosen(),
        **settings.stage(),
    )
    folder = str(the_run.adapter_folder)
    show({"improved": improved, "verdict": verdict, "adapter": folder}, f"{verdict}\n{folder}", as_json)

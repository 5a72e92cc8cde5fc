"""``embedding-adapter pairs``: documents to chunks to questions about them."""

from __future__ import annotations

from langchain_embedding_adapter.cli.flags import takes
from langchain_embedding_adapter.cli.opening import (
    WrongUsageError,
    chat_model_named,
    check_documents,
    embeddings_named,
    open_run,
    show,
)
from langchain_embedding_adapter.cli.options import AsJson, Documents, DryRun, Force, Model, RunFolder
from langchain_embedding_adapter.runs.settings import LOCAL, EngineSettings, PairsSettings


@takes(settings=PairsSettings, engine=EngineSettings)
def pairs(
    run: RunFolder,
    documents: Documents,
    settings: PairsSettings,
    engine: EngineSettings,
    embeddings: Model = LOCAL,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Documents to chunks to questions about them.

    A chat model writes the questions (--llm), or they are cut from the passages (--pseudo). Answers are kept as they
    come: a rerun asks only for what is missing. With --engine ray, workers on a cluster ask.
    """
    if settings.pseudo == (settings.llm is not None):
        raise WrongUsageError("name the chat model that writes questions with --llm, or ask for --pseudo ones")
    if settings.pseudo and engine.engine != "local":
        raise WrongUsageError("pseudo-questions are cut by this process: leave out --engine, or name a chat model")
    check_documents(documents)
    the_run = open_run(run)
    if dry_run:
        plan = the_run.plan_pairs(documents, settings.prices, settings.generation())
        show(plan.to_dict(), str(plan), as_json)
        return
    within, judge, llm = settings.found_within, settings.judge, settings.llm
    dataset = the_run.make_pairs(
        documents,
        None if llm is None else lambda: chat_model_named(llm),
        settings=settings.generation(),
        engine=engine.chosen(),
        force=force,
        found_within=within,
        embeddings=None if within is None else embeddings_named(embeddings),
        judge=None if judge is None else chat_model_named(judge),
    )
    counts = {
        "questions": len(dataset),
        "passages": len(dataset.corpus),
        "pairs": str(the_run.pairs_file),
        "generation": the_run.summary,
    }
    show(counts, f"{dataset}, in {counts['pairs']}", as_json)

"""Chunks to question–passage pairs through an LLM chain.

``prompt | model | parser``, each part replaceable, run over the chunks. With a ``path`` every answer is on disk the
moment it comes, and a second run asks only for what is missing. What is no question, or no good one, is turned down
afterwards: answers are kept whole, so that other rules cost no other calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.runnables import Runnable, RunnableConfig

from langchain_embedding_adapter.engines import Engine, as_ray
from langchain_embedding_adapter.generation.job import Job
from langchain_embedding_adapter.generation.on_ray import generate_on_ray
from langchain_embedding_adapter.generation.settings import GenerationConfig
from langchain_embedding_adapter.generation.summary import GenerationPlan
from langchain_embedding_adapter.pairs.dataset import QADataset


def generate_qa_pairs(
    documents: Iterable[Document] | str | Path,
    llm: Runnable[Any, Any] | None = None,
    *,
    path: str | Path | None = None,
    config: RunnableConfig | None = None,
    show_progress: bool | None = None,
    engine: Engine = "local",
    **settings: Any,
) -> QADataset:
    """Let an LLM write questions about each document.

    Args:
        documents: The chunks of a collection, as LangChain ``Document`` objects, those of a document in their order.
            ``metadata["source"]`` (or ``"document_id"``) says which document a chunk was cut from; splits keep a
            document together. Or where they lie, one a row: ``.jsonl`` or ``.parquet`` files of any file system (a
            file, a folder or a pattern), with ``text`` and, where known, ``id``, ``source`` and ``metadata``.
        llm: Any LangChain chat model or LLM, also one bound, with retries or with fallbacks.
        path: A ``.jsonl`` file for the answers, one line a chunk, written as they come. Where it exists, only chunks
            that it has no answer for (same text, same prompt) are asked about. Beside it go the questions that were
            turned down (``….rejected.jsonl``), calls that failed and why (``….failed.jsonl``) and a summary
            (``….summary.json``). On Ray it may also be a folder of any file system (``s3://…``, ``gs://…``, a shared
            disk), in which all that lies as files and shards.
        config: Passed to the chain: callbacks, tags, metadata, tracing.
        show_progress: A progress bar; by default where standard error is a terminal.
        engine: Who calls the model: ``"local"``, this process; ``"ray"`` or a :class:`RayEngine`, workers on a cluster,
            each with a client of its own and its share of ``max_concurrency`` and of the rate of ``rate_limiter``. The
            result is the same. It needs a ``path``.
        **settings: As in :class:`GenerationConfig`: ``questions_per_chunk``, ``prompt``, ``chain``, ``styles``,
            ``languages``, ``personas``, ``examples``, ``max_concurrency``, ``max_calls``, ``max_tokens``, ``rules``,
            ``found_within``, ``judge``, ``limit`` and others.

    Returns:
        The questions that were kept, with every document as a passage, those without a usable question too.

    Raises:
        ValueError: If neither or both of ``llm`` and ``chain`` are given, the prompt lacks ``{passage}``, there is no
            document, or no usable question came of it.
        TypeError: On Ray, if the model cannot be sent to the workers.
        RuntimeError: If an error ended the run that will not pass (a wrong key, an unknown model, no call succeeding);
            what was answered before is in ``path``, and a rerun goes on from there. Where some calls succeed, the
            failures are logged, and a rerun with the same ``path`` asks for them again.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> llm = FakeListChatModel(responses=["1. How long is a year on Mars?"])
        >>> dataset = generate_qa_pairs([Document("A Mars year lasts 687 days.")], llm)
        >>> list(dataset.queries.values())
        ['How long is a year on Mars?']
    """
    on_ray = as_ray(engine)
    job = Job(documents, llm, path, GenerationConfig(**settings), on_ray)
    if on_ray is not None:
        return generate_on_ray(job, on_ray, config=config, show_progress=show_progress)
    with job.asking(show_progress) as stage:
        job.calls.run(stage.chain, stage.inputs, stage.on_answer, config, stage.on_failure)
    review = job.review()
    if job.settings.judge is not None:
        with job.judging(review, show_progress) as stage:
            job.calls.run(stage.chain, stage.inputs, stage.on_answer, config, stage.on_failure)
    return job.dataset(review)


async def agenerate_qa_pairs(
    documents: Iterable[Document] | str | Path,
    llm: Runnable[Any, Any] | None = None,
    *,
    path: str | Path | None = None,
    config: RunnableConfig | None = None,
    show_progress: bool | None = None,
    engine: Engine = "local",
    **settings: Any,
) -> QADataset:
    """The asynchronous :func:`generate_qa_pairs`: same arguments, result and errors, through ``ainvoke``."""
    on_ray = as_ray(engine)
    job = Job(documents, llm, path, GenerationConfig(**settings), on_ray)
    if on_ray is not None:
        return await asyncio.to_thread(
            generate_on_ray, job, on_ray, config=config, show_progress=show_progress, asynchronous=True
        )
    with job.asking(show_progress) as stage:
        await job.calls.arun(stage.chain, stage.inputs, stage.on_answer, config, stage.on_failure)
    review = job.review()
    if job.settings.judge is not None:
        with job.judging(review, show_progress) as stage:
            await job.calls.arun(stage.chain, stage.inputs, stage.on_answer, config, stage.on_failure)
    return job.dataset(review)


def plan_qa_pairs(
    documents: Iterable[Document] | str | Path,
    llm: Runnable[Any, Any] | None = None,
    *,
    path: str | Path | None = None,
    prices: tuple[float, float] | None = None,
    engine: Engine = "local",
    **settings: Any,
) -> GenerationPlan:
    """What :func:`generate_qa_pairs` would ask for and cost; nothing is asked.

    Args:
        documents: As there, like ``llm``, ``path`` and ``settings``.
        llm: The model.
        path: The file of the answers so far.
        prices: Of a million tokens in and a million tokens out.
        engine: As there: it says what kind of place ``path`` is.
        **settings: As in :class:`GenerationConfig`.

    Raises:
        ValueError: As :func:`generate_qa_pairs`.
    """
    job = Job(documents, llm, path, GenerationConfig(**settings), as_ray(engine))
    with job.answers:
        return job.plan(prices)

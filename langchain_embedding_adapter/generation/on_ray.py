"""The calls of a generation on a Ray cluster, a shard at a time: each worker with a client of its own.

What a shard asks lies in the folder that all workers reach, and every answer is put there the moment it comes, so that
a worker that dies takes nothing with it: whoever gets its shard goes on from there. The budget, and the reasons to
stop, are one account beside the process that began the run.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig

from langchain_embedding_adapter.cluster.clients import share
from langchain_embedding_adapter.cluster.connecting import beside_this_process, connected
from langchain_embedding_adapter.cluster.shards import Rows, ShardFolder
from langchain_embedding_adapter.cluster.spreading import spread
from langchain_embedding_adapter.engines import RayEngine
from langchain_embedding_adapter.generation.account import Account, AccountElsewhere, Opener
from langchain_embedding_adapter.generation.asked import Ask, Asker
from langchain_embedding_adapter.generation.calls import CallLimits, Calls
from langchain_embedding_adapter.generation.job import Job
from langchain_embedding_adapter.generation.places import ASKED, FAILED
from langchain_embedding_adapter.generation.stages import Failure, Stage
from langchain_embedding_adapter.pairs.dataset import QADataset


def generate_on_ray(
    job: Job,
    engine: RayEngine,
    *,
    config: RunnableConfig | None = None,
    show_progress: bool | None = None,
    asynchronous: bool = False,
) -> QADataset:
    """Do a job's calls on a cluster, and the rest of it here.

    Args:
        job: What to ask, with shards as its place.
        engine: Who asks.
        config: Passed to the chains; callbacks in it travel as copies.
        show_progress: A progress bar that moves a shard at a time.
        asynchronous: Whether the workers call through ``ainvoke``.

    Raises:
        RuntimeError: As of the local engine; and if a worker failed, or wrote where this process does not see it.
        TypeError: If the model cannot be sent to the workers.
    """
    with ExitStack() as until_the_end:

        @cache
        def ways() -> _Ways:
            """The way to the cluster, which is taken only if there is something to ask."""
            until_the_end.enter_context(connected(engine))
            account = until_the_end.enter_context(_account(job.settings.call_limits))
            return _Ways(engine, account, job.settings.call_limits, config, asynchronous)

        with job.asking(show_progress) as stage:
            _ask(job, stage, ways)
        review = job.review()
        if job.settings.judge is not None:
            with job.judging(review, show_progress) as stage:
                _ask(job, stage, ways)
    return job.dataset(review)


@dataclass(frozen=True)
class _Ways:
    """Who calls, and how."""

    engine: RayEngine
    account: Opener
    limits: CallLimits
    config: RunnableConfig | None
    asynchronous: bool


class ShardCalls:
    """The calls of shards, in a worker.

    Args:
        shards: Where these are.
        asker: Makes what is asked from its rows.
        chain: What is called.
        ways: How, with this worker's share of what holds for all.
    """

    def __init__(self, shards: ShardFolder, asker: Asker, chain: Runnable[Any, Any], ways: _Ways) -> None:
        self._shards, self._asker, self._chain, self._ways = shards, asker, chain, ways
        self._calls: Calls | None = None  # made in the worker, and kept for all its shards
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, shard: str) -> dict[str, Any]:
        """Ask what a shard has no answer for, and write it; says how many rows it holds."""
        if self._shards.done(shard):  # written by a worker that died before it could say so
            return {"rows": len(self._shards.read(shard))}
        if self._ways.account.why_stopped() is not None and not self._shards.journal(shard).parts():
            return {"rows": 0}
        asks = [self._asker.from_row(row) for row in self._what_is_asked(shard)]
        journal = self._shards.journal(shard)
        answers = {row["key"]: row for row in journal.rows()}
        pending = [ask for ask in asks if ask.key not in answers]
        failures: list[Failure] = []

        def on_answer(position: int, output: Any) -> None:
            row = pending[position].answer(output)
            journal.append(row["key"], row)
            answers[row["key"]] = row

        self._call(pending, on_answer, lambda position, error: failures.append(Failure.of(pending[position], error)))
        if failures:
            self._shards.within(FAILED).write(shard, [failure.to_dict() for failure in failures])
        rows = [answers[ask.key] for ask in asks if ask.key in answers]
        if rows:
            self._shards.write(shard, rows)
            journal.clear()
        return {"rows": len(rows)}

    def close(self) -> None:
        """Leave nothing open; a worker's process ends instead."""
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
            self._loop = None

    def _call(self, pending: list[Ask], on_answer: Any, on_failure: Any) -> None:
        if self._calls is None:
            self._calls = Calls(self._ways.limits, self._ways.account)
        inputs, config = [ask.input for ask in pending], self._ways.config
        if self._ways.asynchronous:
            self._loop = self._loop or asyncio.new_event_loop()  # one for all shards: clients' connections belong to it
            self._loop.run_until_complete(self._calls.arun(self._chain, inputs, on_answer, config, on_failure))
        else:
            self._calls.run(self._chain, inputs, on_answer, config, on_failure)

    def _what_is_asked(self, shard: str) -> Rows:
        try:
            return self._shards.within(ASKED).read(shard)
        except FileNotFoundError as error:
            raise RuntimeError(
                f"a worker does not see what it is to ask in {self._shards}; expected path=… to be a place that all "
                "workers reach (s3://…, gs://…, a disk that all machines share)"
            ) from error


@contextmanager
def _account(limits: CallLimits) -> Iterator[Opener]:
    """The account of a run, in an actor beside this process."""
    import ray

    actor: Any = ray.remote(Account).options(**beside_this_process()).remote(limits.max_calls, limits.max_tokens)
    try:
        yield AccountElsewhere(actor)
    finally:
        ray.kill(actor)


def _ask(job: Job, stage: Stage, ways_to_ask: Callable[[], _Ways]) -> None:
    """Lay out shards, let the workers ask, and take over what they wrote."""
    if not stage.asks:
        return
    ways = ways_to_ask()
    shards = job.place.shards_of(stage.name)
    sizes = _lay_out(stage, shards, ways.engine)
    workers = min(ways.engine.workers, len(sizes), ways.limits.max_concurrency)
    engine = replace(ways.engine, workers=workers)
    work = ShardCalls(shards, stage.asker, stage.chain, replace(ways, engine=engine, **_shares(ways, workers)))
    for name, told in spread(engine, list(sizes), work):
        if told["rows"] and not shards.done(name):
            raise RuntimeError(
                f"a worker wrote {shards}/{name} and it is not there; expected path=… to be a place that all workers "
                "and this process reach (s3://…, gs://…, a disk that all machines share)"
            )
        for row in shards.read(name) if told["rows"] else ():
            stage.answers.append(row)
        if job.place.passing:
            shards.remove(name)
        stage.update(sizes[name])
    failed = shards.within(FAILED)
    stage.failures += [Failure(**row) for rows in failed.read_many(failed.names()) for row in rows]
    job.place.clear(stage.name)
    job.bill = ways.account.bill()


def _lay_out(stage: Stage, shards: ShardFolder, engine: RayEngine) -> dict[str, int]:
    """Write what each shard asks; their sizes by name. A run's names are its own: nothing it writes is another's."""
    size = min(engine.shard_size, math.ceil(len(stage.asks) / engine.workers))
    run = uuid.uuid4().hex[:8]
    laid_out = {
        f"part-{number:06d}-{run}": stage.asks[start : start + size]
        for number, start in enumerate(range(0, len(stage.asks), size))
    }
    shards.within(ASKED).write_many({name: [ask.as_row() for ask in asks] for name, asks in laid_out.items()})
    return {name: len(asks) for name, asks in laid_out.items()}


def _shares(ways: _Ways, workers: int) -> dict[str, Any]:
    """A worker's part of the calls at a time; the pickler sees to the rate, and the account to the budget."""
    limits = replace(ways.limits, max_concurrency=share(ways.limits.max_concurrency, workers))
    config = ways.config
    if config is not None and (at_a_time := config.get("max_concurrency")):
        config = {**config, "max_concurrency": share(at_a_time, workers)}
    return {"limits": replace(limits, max_calls=None, max_tokens=None), "config": config}

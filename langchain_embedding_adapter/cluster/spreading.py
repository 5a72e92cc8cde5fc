"""Shards of work over a cluster: Ray Data hands their names to its actors, and takes over where one dies."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from langchain_embedding_adapter.cluster.clients import packed, unpacked
from langchain_embedding_adapter.engines import RayEngine

MOST_TASKS = 10_000
"""Ray Data keeps a book of its tasks; beyond so many shards, a task takes several, one after the other."""
FAILED = "a worker failed"
"""What stands in the place of what a work said, if it raised an error."""


class ShardWork(Protocol):
    """What is done with a shard: it can be pickled, and says in plain values how it went.

    It is called again about a shard when whoever had it died: it has to go on from what that one wrote.
    """

    def __call__(self, shard: str) -> dict[str, Any]: ...


def spread(engine: RayEngine, shards: Sequence[str], work: ShardWork) -> Iterator[tuple[str, dict[str, Any]]]:
    """Let the engine's workers do the work of all shards, within :func:`connected`.

    Each worker is an actor with a copy of ``work``, its models made anew and its rate limiters a share of the
    account's. One that dies, alone or with its machine, is started again, and what it was at is given out again.

    Args:
        engine: Who works.
        shards: Their names.
        work: What is done with each.

    Yields:
        A shard's name and what its work said, as they come.

    Raises:
        TypeError: If ``work`` cannot be sent to the workers.
        RuntimeError: If it raised an error in one of them.
    """
    import ray
    import ray.data
    import ray.exceptions

    if not shards:
        return
    rows = ray.data.from_items([{"shard": name} for name in shards], override_num_blocks=min(len(shards), MOST_TASKS))
    workers = min(engine.workers, len(shards))
    told = rows.map_batches(
        Worker,
        batch_size=1,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        fn_constructor_args=(packed(work, workers),),
        num_cpus=engine.cpus,
        num_gpus=engine.gpus or None,
    )  # Ray Data's actors are restarted, and their tasks given out again, as often as it takes
    try:
        for row in told.iter_rows():
            said = json.loads(row["told"])
            if FAILED in said:
                why, where = said[FAILED]
                raise RuntimeError(f"a worker failed at {row['shard']}: {why}") from ThereError(where)
            yield str(row["shard"]), said
    except ray.exceptions.RayTaskError as error:
        raise RuntimeError(f"a worker failed: {_cause(error)!r}") from error


class Worker:
    """An actor's side.

    What goes wrong comes back in words: of an error that is raised in an actor, Ray Data tells only that there was one.

    Args:
        content: The work, packed.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._work: ShardWork | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The work of one shard."""
        (shard,) = batch["shard"]
        try:
            self._work = self._work or unpacked(self._content)
            said = self._work(str(shard))
        except Exception as error:  # whatever a model raises
            said = {FAILED: [repr(error), traceback.format_exc()]}
        return {"shard": np.asarray([shard]), "told": np.asarray([json.dumps(said)])}


class ThereError(Exception):
    """An error in a worker, with the lines that led to it there."""


def _cause(error: BaseException) -> BaseException:
    """The error at the bottom of Ray's wrappings."""
    while (inner := getattr(error, "cause", None) or error.__cause__) is not None and inner is not error:
        error = inner
    return error

"""A Ray cluster to work on: the one that is there, or one that is started on this machine and stopped again."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter.engines import RayEngine

logger = logging.getLogger(__name__)

WHERE_JOBS_RUN = "RAY_ADDRESS"
"""The variable by which a job that Ray itself started knows its cluster."""
LOGS = {"ray.data": logging.WARNING, "ray.data._internal.progress": logging.ERROR}
"""Ray Data's logs, and what they tell from while it works here: that its bars are off is no news."""


@contextmanager
def connected(engine: RayEngine) -> Iterator[None]:
    """Be connected to the engine's cluster; what was connected or started here is left in the end, nothing else.

    Without an address that is the cluster that this process is connected to, else the one that ``RAY_ADDRESS`` names,
    else one that is started on this machine, with room for all workers.

    Raises:
        ImportError: If Ray is not installed (the extra ``ray``).
        RuntimeError: If this process is connected to another cluster than the engine names.
        ValueError: If the address is that of a Ray client (``ray://``), through which Ray Data does not work.
        ConnectionError: If there is no cluster at the address.
    """
    ray = require_extra("ray", "ray")
    address = engine.address or os.environ.get(WHERE_JOBS_RUN) or "local"
    if address.startswith("ray://"):
        raise ValueError(
            f"Ray Data does not work through a Ray client, got the address {address}; run this on a machine of the "
            "cluster with address='auto', or send it there: ray job submit --address http://HEAD:8265 -- python …"
        )
    if ray.is_initialized():
        _is_that_of(engine)
        with _quiet():
            yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    if address == "local":
        options |= {"num_cpus": max(os.cpu_count() or 1, math.ceil(engine.workers * engine.cpus))}
        options |= {"include_dashboard": False}
    logger.info("connecting to Ray: %s", address)
    ray.init(address, **options)
    try:
        with _quiet():
            yield
    finally:
        ray.shutdown()


def beside_this_process() -> dict[str, Any]:
    """Options of an actor that has to outlive the other machines: it takes no core of the driver's own."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(here, soft=False)}


def _is_that_of(engine: RayEngine) -> None:
    """See that the cluster at hand is the one that is asked for.

    Raises:
        RuntimeError: If it is another.
    """
    import ray

    if engine.address in (None, "auto"):
        return
    at_hand = ray.get_runtime_context().gcs_address
    if engine.address not in (at_hand, "local"):
        raise RuntimeError(
            f"this process is connected to the Ray cluster {at_hand}, and address={engine.address!r} names another; "
            "leave it first with ray.shutdown(), or give no address"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray Data without its own bars and lines: progress is told as everywhere in the package."""
    from ray.data import DataContext

    context = DataContext.get_current()
    before = context.enable_progress_bars, context.print_on_execution_start
    context.enable_progress_bars = context.print_on_execution_start = False
    logs = {logging.getLogger(name): level for name, level in LOGS.items()}
    levels = {log: log.level for log in logs}
    for log, level in logs.items():
        log.setLevel(level)
    try:
        yield
    finally:
        context.enable_progress_bars, context.print_on_execution_start = before
        for log, level in levels.items():
            log.setLevel(level)

"""Where the work is done: in this process, or spread over a Ray cluster.

``engine=`` of generation, embedding, training and evaluation takes ``"local"``, ``"ray"`` or a :class:`RayEngine`, and
the results are the same whichever it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DEFAULT_SHARD = 256


@dataclass(frozen=True)
class RayEngine:
    """Work spread over a Ray cluster.

    Attributes:
        address: Of the cluster, from one of its machines: ``"auto"``, ``"10.0.0.1:6379"``. ``None`` takes the one that
            this process is connected to, or starts one on this machine.
        workers: How many processes work at a time: actors with a client each, or ranks of a fit.
        cpus: Cores that each of them reserves.
        gpus: GPUs that each of them reserves; a fraction shares one.
        shard_size: Chunks, texts or questions of a shard: what is written as one file, and resumed as one.
    """

    address: str | None = None
    workers: int = 2
    cpus: float = 1.0
    gpus: float = 0.0
    shard_size: int = DEFAULT_SHARD

    def __post_init__(self) -> None:
        for name in ("workers", "shard_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}")
        for name in ("cpus", "gpus"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or above, got {getattr(self, name)!r}")


Engine = Literal["local", "ray"] | RayEngine
"""Who does the work: ``"local"``, ``"ray"``, or a :class:`RayEngine` with settings of its own."""


def as_ray(engine: Engine) -> RayEngine | None:
    """The Ray cluster to use, or ``None`` where this process does the work.

    Raises:
        ValueError: If it is neither.

    >>> as_ray("local") is None, as_ray("ray").workers
    (True, 2)
    """
    if isinstance(engine, RayEngine):
        return engine
    if engine not in ("local", "ray"):
        raise ValueError(f"expected engine= 'local', 'ray' or a RayEngine, got {engine!r}")
    return RayEngine() if engine == "ray" else None

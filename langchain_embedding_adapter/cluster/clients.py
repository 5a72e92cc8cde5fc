"""Models that travel: pickled for workers on other machines, each of which opens a client of its own.

Connections, locks and the like stay behind: a LangChain model goes as its settings, and is made anew. A rate limiter of
LangChain's counts for one process alone, so each worker gets its share of the rate; together they keep the account's.
"""

from __future__ import annotations

import io
from typing import Any

from langchain_core.rate_limiters import InMemoryRateLimiter
from pydantic import BaseModel

from langchain_embedding_adapter._extras import require_extra

CLIENTS = frozenset({"client", "async_client", "root_client", "root_async_client"})
"""Fields of models that the model's own class fills with connections."""


def packed(thing: Any, workers: int = 1) -> bytes:
    """Anything made of LangChain's parts, for :func:`unpacked` in each of so many workers.

    Keys and secrets that a model holds travel with it.

    Raises:
        TypeError: If a part can be neither pickled nor made anew.
    """
    cloudpickle = require_extra("ray.cloudpickle", "ray")

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc, name-defined]
        """Makes anew what cannot be copied."""

        def reducer_override(self, part: Any) -> Any:
            """How a part is made in a worker."""
            if isinstance(part, InMemoryRateLimiter):
                return _limiter, _share_of(part, workers)
            if isinstance(part, BaseModel) and any(getattr(part, name, None) is not None for name in CLIENTS):
                return _made_anew, (type(part), _settings_of(part))
            return super().reducer_override(part)

    content = io.BytesIO()
    try:
        Pickler(content).dump(thing)
    except Exception as error:  # each class refuses in a way of its own
        raise TypeError(
            f"a part of what the workers need cannot be sent to them: {error}; give models and functions that can be "
            "pickled, without clients or callbacks that hold connections or locks of this process"
        ) from error
    return content.getvalue()


def unpacked(content: bytes) -> Any:
    """What :func:`packed` packed, with clients of its own."""
    return require_extra("ray.cloudpickle", "ray").loads(content)


def share(total: int, workers: int) -> int:
    """Each worker's part of a number that holds for all, rounded down, and at least 1.

    >>> share(16, 3)
    5
    """
    return max(1, total // workers)


def _share_of(limiter: InMemoryRateLimiter, workers: int) -> tuple[float, float, float]:
    """A worker's rate, pause and bucket. A bucket of less than one call would never let one through."""
    bucket = max(1.0, limiter.max_bucket_size / workers)
    return limiter.requests_per_second / workers, limiter.check_every_n_seconds, bucket


def _limiter(rate: float, pause: float, bucket: float) -> InMemoryRateLimiter:
    return InMemoryRateLimiter(requests_per_second=rate, check_every_n_seconds=pause, max_bucket_size=bucket)


def _settings_of(model: BaseModel) -> dict[str, Any]:
    """What a model was made with, by the names that its class takes.

    Also what its class found by itself when it was made, such as a key in the environment: a worker has another one.
    """
    return {
        field.alias or name: getattr(model, name)
        for name, field in type(model).model_fields.items()
        if name not in CLIENTS and (name in model.model_fields_set or field.default_factory is not None)
    }


def _made_anew(kind: type[Any], settings: dict[str, Any]) -> Any:
    return kind(**settings)

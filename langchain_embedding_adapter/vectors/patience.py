"""An embedding model's calls: repeated where an error may pass, the texts found that it will not take, or an end.

A batch that is refused is halved until the texts are alone that are to blame; the others get their vectors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.rate_limiters import BaseRateLimiter

from langchain_embedding_adapter.vectors.pair_vectors import Floats
from langchain_embedding_adapter.verdicts import (
    ATTEMPTS_OF_UNKNOWN,
    HOPELESS,
    LONGEST_ASKED,
    own_wait,
    retry_after,
    verdict_on,
)

ATTEMPTS = 8
QUERY_CONCURRENCY = 8

Found = list[Floats | str | None]
"""For each text its vector; or why it has none, and ``None`` if the end came before its turn."""


class RefusedError(Exception):
    """What was asked will not be answered, whoever asks how often."""


class StoppedError(Exception):
    """There is no use in any further call now."""


class PatientModel:
    """A model and its calls.

    Args:
        model: The embeddings.
        role: ``"query"`` (each text by ``embed_query``) or ``"document"`` (all by ``embed_documents``).
        limiter: Asked before each call.

    Attributes:
        calls: Calls that were made.
        stopped: Why there is no use in any further call, or ``None``.
    """

    def __init__(self, model: Embeddings, role: str, limiter: BaseRateLimiter | None = None) -> None:
        self.model, self.role, self.limiter = model, role, limiter
        self.calls = 0
        self.stopped: str | None = None
        self._in_a_row = 0

    def embed(self, texts: Sequence[str]) -> Found:
        """Each text's vector, or why there is none."""
        if self.role == "document":
            return self._asked(self.model.embed_documents, list(texts))

        def one(text: str) -> Floats | str | None:
            return self._asked(lambda some: [self.model.embed_query(each) for each in some], [text])[0]

        if len(texts) > 1 and type(self.model).aembed_query is not Embeddings.aembed_query:  # a client of a service
            with ThreadPoolExecutor(max_workers=min(QUERY_CONCURRENCY, len(texts))) as pool:
                return list(pool.map(one, texts))
        return [one(text) for text in texts]

    def _asked(self, ask: Callable[[list[str]], list[list[float]]], texts: list[str]) -> Found:
        try:
            vectors = self._called(lambda: ask(texts), len(texts))
        except StoppedError as error:
            self.stopped = self.stopped or str(error)
            return [None] * len(texts)
        except RefusedError as error:
            if len(texts) == 1:
                return [self._refused(str(error))]
            half = len(texts) // 2
            return self._asked(ask, texts[:half]) + self._asked(ask, texts[half:])
        self._in_a_row = 0
        finite: list[bool] = [bool(np.isfinite(vector).all()) for vector in vectors]
        return [
            vector if fine else self._refused("the model gave a vector with values that are not finite")
            for vector, fine in zip(vectors, finite, strict=True)
        ]

    def _refused(self, reason: str) -> str:
        self._in_a_row += 1
        if self._in_a_row >= HOPELESS and self.stopped is None:
            self.stopped = f"{self._in_a_row} texts were refused one after the other: {reason}"
        return reason

    def _called(self, call: Callable[[], list[list[float]]], expected: int) -> Floats:
        unknown = 0
        for number in range(ATTEMPTS):
            if self.stopped is not None:
                raise StoppedError(self.stopped)
            if self.limiter is not None:
                self.limiter.acquire(blocking=True)
            self.calls += 1
            try:
                return _array(call(), expected)
            except Exception as error:
                verdict, asked = verdict_on(error), retry_after(error) or 0.0
                unknown += verdict == "unknown"
                if verdict == "never":
                    raise StoppedError(f"an error that will not pass: {error!r}") from error
                if asked > LONGEST_ASKED:
                    raise StoppedError(f"the server asks for {asked:.0f} seconds of patience") from error
                if verdict == "not this one" or unknown >= ATTEMPTS_OF_UNKNOWN:
                    raise RefusedError(repr(error)) from error
                if number + 1 == ATTEMPTS:
                    raise StoppedError(f"{ATTEMPTS} attempts failed: {error!r}") from error
            time.sleep(max(asked, own_wait(number + 1)))
        raise AssertionError("the last attempt returns or raises")


def _array(vectors: Any, expected: int) -> Floats:
    if len(vectors) != expected:
        raise ValueError(f"the model gave {len(vectors)} vectors for {expected} texts")
    if len({len(vector) for vector in vectors}) > 1:
        lengths = sorted({len(vector) for vector in vectors})
        raise ValueError(f"the model gave vectors of different lengths: {lengths}")
    return np.asarray(vectors, dtype=np.float32)

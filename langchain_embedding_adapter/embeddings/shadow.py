"""Shadow mode: what another adapter would have answered, told beside what was, and never in its way.

The other answer is computed, and if a store is at hand searched with, on a thread of its own; when that cannot keep up,
questions are left out and counted.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

from langchain_embedding_adapter.embeddings.serving import AdapterVersion

logger = logging.getLogger(__name__)

WAITING = 1024
"""So many questions wait at most."""


@dataclass(frozen=True)
class ShadowAnswer:
    """One question, as it was answered and as it would have been.

    Attributes:
        question: The question.
        served: Name and version of the adapter that answered.
        shadow: Name and version of the one that would have.
        vector: ``out_features`` floats, the answer.
        shadow_vector: Likewise, the other one.
        cosine: Of both.
        documents: What a search finds, with the store that was given; else empty.
        shadow_documents: What it would have found.
    """

    question: str
    served: tuple[str, str]
    shadow: tuple[str, str]
    vector: list[float] = field(repr=False)
    shadow_vector: list[float] = field(repr=False)
    cosine: float
    documents: tuple[Document, ...] = ()
    shadow_documents: tuple[Document, ...] = ()

    @property
    def shared(self) -> float | None:
        """The share of documents that both find; ``None`` where there is no store."""
        if not self.documents:
            return None
        keys = [{_key(document) for document in found} for found in (self.documents, self.shadow_documents)]
        return len(keys[0] & keys[1]) / len(keys[0])

    def __str__(self) -> str:
        told = f"{self.question!r}: {' '.join(self.served)} answered, {' '.join(self.shadow)} is at a cosine of "
        told += f"{self.cosine:.4f}"
        if self.shared is None:
            return told
        before, after = (
            ", ".join(document.id or document.page_content[:40] for document in found)
            for found in (self.documents, self.shadow_documents)
        )
        return f"{told}; it would have found {after} in place of {before}"


class Shadow:
    """An adapter that answers nothing, and tells what it would have answered.

    Args:
        serving: Gives the version that would have answered.
        log: What each :class:`ShadowAnswer` is given to, on a thread of its own; by default it is logged.
        store: Any vector store of the collection, to find documents in by vector.
        k: How many.

    Attributes:
        left_out: Questions that were left out because too many were waiting.
        failed: Questions at which the shadow, the search or ``log`` failed.
    """

    def __init__(
        self,
        serving: Callable[[], AdapterVersion],
        log: Callable[[ShadowAnswer], object] | None = None,
        *,
        store: VectorStore | None = None,
        k: int = 4,
    ) -> None:
        self.left_out = 0
        self.failed = 0
        self._serving, self._store, self._k = serving, store, k
        self._log = log or (lambda answer: logger.info("%s", answer))
        self._waiting: queue.Queue[tuple[str, Sequence[float], list[float], tuple[str, str]]] = queue.Queue(WAITING)
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=_work, args=(weakref.ref(self), self._waiting, self._stopped), daemon=True
        )
        self._thread.start()

    def tell(self, question: str, base: Sequence[float], vector: list[float], served: tuple[str, str]) -> None:
        """Take a question that was answered; comes back at once."""
        try:
            self._waiting.put_nowait((question, base, vector, served))
        except queue.Full:
            self.left_out += 1

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until every question that was taken is told; whether that came about in so many seconds."""
        deadline = time.monotonic() + timeout
        while self._waiting.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.005)
        return not self._waiting.unfinished_tasks

    def stop(self) -> None:
        """End the thread; what waits is left out."""
        self._stopped.set()

    def _answer(self, question: str, base: Sequence[float], vector: list[float], served: tuple[str, str]) -> None:
        try:
            version = self._serving()
            other = version.one(base)
            one, two = np.asarray(vector), np.asarray(other)
            lengths = float(np.linalg.norm(one) * np.linalg.norm(two))
            found: list[tuple[Document, ...]] = [(), ()]
            if self._store is not None:
                found = [tuple(self._store.similarity_search_by_vector(asked, k=self._k)) for asked in (vector, other)]
            cosine = float(one @ two) / lengths if lengths else 0.0
            shadow = version.name, version.version
            self._log(ShadowAnswer(question, served, shadow, vector, other, cosine, found[0], found[1]))
        except Exception:  # a shadow's failure is nobody's but its own
            self.failed += 1
            logger.exception("the shadow failed at %r", question)


def _work(
    owner: weakref.ref[Shadow], waiting: queue.Queue[Any], stopped: threading.Event, patience: float = 0.2
) -> None:
    while not stopped.is_set():
        try:
            taken = waiting.get(timeout=patience)
        except queue.Empty:
            if owner() is None:
                return
            continue
        shadow = owner()
        if shadow is not None:
            shadow._answer(*taken)
        waiting.task_done()


def _key(document: Document) -> str:
    return document.id or document.page_content

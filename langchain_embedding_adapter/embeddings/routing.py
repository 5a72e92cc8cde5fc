"""Several adapters behind one object: by tenant, by language, for a share of the questions, or in the shadow.

One model embeds the question, once; what adapts it is chosen for each question. Every route is ``AdaptedEmbeddings`` of
its own, to be swapped, reloaded, watched and rolled back like any other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.vectorstores import VectorStore

from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.calibration import ScoreCalibration
from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
from langchain_embedding_adapter.embeddings.routes import Route
from langchain_embedding_adapter.embeddings.serving import AdapterVersion
from langchain_embedding_adapter.embeddings.shadow import Shadow, ShadowAnswer
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.vectors import embed_each_query

BASE = "base"
"""The route that adapts nothing; it is always there."""

Adapter = BaseAdapter | AdaptedEmbeddings | str | Path


class AdapterRouter(Embeddings):
    """Embeddings whose questions are adapted by one of several adapters.

    For each question the adapter is, in this order: the one of :meth:`using`; the one that the LangChain configuration
    of the running chain names, ``{"configurable": {"adapter": "de"}}``; the one that ``choose`` names; the default.
    Documents are embedded as ever.

    Args:
        embeddings: The base embeddings, of all of them.
        adapters: By name: adapters, adapted embeddings on the same base, or folders and hub ids of saved ones.
        default: Which one adapts where none is named; by default none does, and the base's own vector is the answer
            (the route ``"base"``).
        key: The name of the configurable field.
        choose: Names the adapter for a question, from its language for instance, or ``None``.
        strict: Whether a name that is not known is an error; else the default serves it.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> from langchain_embedding_adapter import LinearAdapter
        >>> base = DeterministicFakeEmbedding(size=8)
        >>> router = AdapterRouter(base, {"de": LinearAdapter(8, 8)})
        >>> with router.using("de"):
        ...     vector = router.embed_query("Wie lang ist ein Jahr auf dem Mars?")
        >>> router["de"].statistics.queries
        1
    """

    def __init__(
        self,
        embeddings: Embeddings,
        adapters: Mapping[str, Adapter],
        *,
        default: str = BASE,
        key: str = "adapter",
        choose: Callable[[str], str | None] | None = None,
        strict: bool = True,
    ) -> None:
        if not isinstance(embeddings, Embeddings):
            raise TypeError(f"expected LangChain Embeddings, got {type(embeddings).__name__}")
        self.embeddings = embeddings
        self.key = key
        self._choose, self._strict = choose, strict
        self._lock = threading.Lock()
        self._named: ContextVar[str | None] = ContextVar("embedding_adapter", default=None)
        self._routes: Mapping[str, Route] = {BASE: Route(None)}
        for name, adapter in adapters.items():
            self.add(name, adapter)
        self.default = self._known(default)

    def __repr__(self) -> str:
        return f"AdapterRouter({model_name(self.embeddings)}, {', '.join(self.names)}; default {self.default})"

    def embed_query(self, text: str) -> list[float]:
        """Embed a question with the base and adapt it by the adapter that is chosen for it."""
        name = self.chosen(text)
        return self._answer(name, text, self.embeddings.embed_query(text))

    async def aembed_query(self, text: str) -> list[float]:
        """The asynchronous :meth:`embed_query`, through the base's own."""
        name = self.chosen(text)
        return self._answer(name, text, await self.embeddings.aembed_query(text))

    def embed_queries(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed many questions, each adapted by the adapter that is chosen for it."""
        names = [self.chosen(text) for text in texts]
        vectors = embed_each_query(self.embeddings, texts) if texts else []
        return [self._answer(*answered) for answered in zip(names, texts, vectors, strict=True)]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The index's own ``embed_documents``: documents are never adapted."""
        return self._documents.embed_documents(texts)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """The index's own ``aembed_documents``: documents are never adapted."""
        return await self._documents.aembed_documents(texts)

    @property
    def names(self) -> tuple[str, ...]:
        """The routes that there are."""
        return tuple(self._routes)

    def __getitem__(self, name: str) -> AdaptedEmbeddings:
        """The adapted embeddings of this name, to be swapped, reloaded, watched or rolled back."""
        found = self._route(name).adapted
        if found is None:
            raise ValueError(f"{BASE!r} is the base itself: nothing adapts there")
        return found

    def add(self, name: str, adapter: Adapter) -> AdaptedEmbeddings:
        """Add an adapter, or put another in the place of the one of that name.

        Raises:
            ValueError: If it is on another base, or its vectors would not fit the index of the others.
        """
        if name == BASE:
            raise ValueError(f"{BASE!r} names the base itself; call the adapter something else")
        adapted = self._adapted(adapter, name)
        others = [route.adapted.adapter.out_features for route in self._routes.values() if route.adapted is not None]
        if others and adapted.adapter.out_features != others[0]:
            raise ValueError(
                f"expected an adapter to {others[0]} dimensions, as the others, got {adapted.adapter.out_features}"
            )
        with self._lock:
            self._routes = {**self._routes, name: Route(adapted)}
        return adapted

    def remove(self, name: str) -> None:
        """Take an adapter away; questions that name it are then as ``strict`` says."""
        if name in (BASE, self.default):
            raise ValueError(f"{name!r} serves where no other is named, and stays")
        route = self._route(name)
        if route.shadow is not None:
            route.shadow.stop()
        with self._lock:
            self._routes = {known: held for known, held in self._routes.items() if known != name}

    @contextmanager
    def using(self, name: str) -> Iterator[None]:
        """Within this ``with``, in this thread or task, questions are adapted by the adapter of this name."""
        token = self._named.set(self._known(name))
        try:
            yield
        finally:
            self._named.reset(token)

    @contextmanager
    def choosing(self, text: str, config: RunnableConfig) -> Iterator[None]:
        """Within this ``with``, the adapter is the one that is chosen for this question under this configuration."""
        with self.using(self.chosen(text, config)):
            yield

    def chosen(self, text: str, config: RunnableConfig | None = None) -> str:
        """Which adapter is for this question, here and now.

        Args:
            text: The question.
            config: The LangChain configuration; by default that of the running chain.

        Raises:
            ValueError: If one is named that is not known.
        """
        name = self._named.get()
        if name is None:
            name = (ensure_config(config).get("configurable") or {}).get(self.key)
        if name is None and self._choose is not None:
            name = self._choose(text)
        return self.default if name is None else self._known(str(name))

    def roll_out(self, name: str, candidate: Adapter, share: float = 0.1) -> None:
        """Let another adapter answer a share of the questions of this name; the same question always gets the same one.

        Args:
            name: The route.
            candidate: What is being rolled out.
            share: Of the questions, from 0 to 1. Call it again with the same candidate to change it.

        Raises:
            ValueError: If the share is none, or the candidate does not fit.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"expected a share from 0 to 1, got {share!r}")
        adapted = self._adapted(candidate, name)
        current = self[name].adapter
        if adapted.adapter.out_features != current.out_features:
            raise ValueError(
                f"expected a candidate to {current.out_features} dimensions, got {adapted.adapter.out_features}"
            )
        self._change(name, candidate=adapted, share=float(share))

    def promote(self, name: str) -> AdapterVersion:
        """Let the candidate answer all questions of this name; ``router[name].roll_back()`` undoes it at once."""
        candidate = self._candidate(name)
        version = self[name].swap(candidate)
        self._change(name, candidate=None, share=0.0)
        return version

    def withdraw(self, name: str) -> None:
        """Take the candidate away, at once."""
        self._candidate(name)
        self._change(name, candidate=None, share=0.0)

    def shadow(
        self,
        name: str,
        other: Adapter | None,
        log: Callable[[ShadowAnswer], object] | None = None,
        *,
        store: VectorStore | None = None,
        k: int = 4,
    ) -> Shadow | None:
        """Tell, for each question of this name, what another adapter would have answered.

        Args:
            name: The route, or ``"base"``.
            other: The other adapter; ``None`` ends it.
            log: What each :class:`ShadowAnswer` is given to, on a thread of its own; by default it is logged.
            store: Any vector store of the collection, to tell the documents too.
            k: How many of them.
        """
        route = self._route(name)
        if route.shadow is not None:
            route.shadow.stop()
        found = None
        if other is not None:
            adapted = self._adapted(other, name)
            found = Shadow(lambda: adapted.serving, log, store=store, k=k)
        self._change(name, shadow=found)
        return found

    @property
    def versions(self) -> dict[str, tuple[AdapterVersion, ...]]:
        """The versions that are held, by name; those that are being rolled out under ``name (candidate)``."""
        routes = self._routes.items()
        held = {name: route.adapted.versions for name, route in routes if route.adapted is not None}
        return held | {
            f"{name} (candidate)": route.candidate.versions for name, route in routes if route.candidate is not None
        }

    def metadata_for(self, text: str) -> dict[str, str]:
        """What a trace of this question should carry: the adapter that is chosen for it, and its version."""
        name = self.chosen(text)
        adapted = self._route(name).serving(text)
        if adapted is None:
            return {"embedding_adapter": BASE, "embedding_adapter_base": model_name(self.embeddings)}
        return adapted.metadata | {"embedding_adapter": name}

    @property
    def calibration(self) -> ScoreCalibration | None:
        """That of the adapter that is chosen here and now, if it has one; ``choose`` is asked by retrievers only."""
        found = self._route(self.chosen("")).adapted
        return None if found is None else found.calibration

    def _answer(self, name: str, text: str, vector: list[float]) -> list[float]:
        route = self._route(name)
        adapted = route.serving(text)
        if adapted is None:
            answer, served = vector, (BASE, "")
        else:
            answer, version = adapted.answer(vector)
            served = name, version.version
        if route.shadow is not None:
            route.shadow.tell(text, vector, answer, served)
        return answer

    @property
    def _documents(self) -> Embeddings:
        adapted = next((route.adapted for route in self._routes.values() if route.adapted is not None), None)
        return self.embeddings if adapted is None else adapted.document_embeddings

    def _adapted(self, adapter: Adapter, name: str) -> AdaptedEmbeddings:
        if isinstance(adapter, AdaptedEmbeddings):
            if adapter.embeddings is not self.embeddings:
                raise ValueError(
                    f"{name!r} is on {model_name(adapter.embeddings)} of its own; expected this router's base"
                )
            return adapter
        if isinstance(adapter, BaseAdapter):
            return AdaptedEmbeddings(self.embeddings, adapter, name=name)
        return AdaptedEmbeddings.from_pretrained(adapter, self.embeddings)

    def _candidate(self, name: str) -> AdaptedEmbeddings:
        found = self._route(name).candidate
        if found is None:
            raise ValueError(f"nothing is being rolled out as {name!r}")
        return found

    def _route(self, name: str) -> Route:
        return self._routes[self._known(name)]

    def _known(self, name: str) -> str:
        if name in self._routes:
            return name
        if self._strict or not hasattr(self, "default"):
            raise ValueError(f"there is no adapter {name!r}; those that there are: {', '.join(self._routes)}")
        return self.default

    def _change(self, name: str, **changes: Any) -> None:
        name = self._known(name)
        with self._lock:  # a new mapping: whoever reads the old one goes on with it
            self._routes = {**self._routes, name: replace(self._routes[name], **changes)}

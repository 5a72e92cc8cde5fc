"""A store's retriever that tells, in every trace, which adapter served, and lets the call's configuration choose it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.vectorstores import VectorStoreRetriever


class AdaptedRetriever(VectorStoreRetriever):
    """A :class:`VectorStoreRetriever` of an adapted store; ``store.as_retriever`` makes it, with the same arguments.

    Its runs carry ``embedding_adapter`` and ``embedding_adapter_version`` in their metadata, as they are when the
    question is asked. Where several adapters share a store (``AdapterRouter``), ``configurable`` chooses one:
    ``retriever.invoke(question, {"configurable": {"adapter": "de"}})``.
    """

    adapted: Embeddings

    def invoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:
        """Find the documents for a question."""
        with self._choosing(input, config):
            return super().invoke(input, self._traced(input, config), **kwargs)

    async def ainvoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:
        """The asynchronous :meth:`invoke`."""
        with self._choosing(input, config):
            return await super().ainvoke(input, self._traced(input, config), **kwargs)

    def _choosing(self, question: str, config: RunnableConfig | None) -> AbstractContextManager[Any]:
        choosing = getattr(self.adapted, "choosing", None)
        if choosing is None:
            return nullcontext()
        return cast("AbstractContextManager[Any]", choosing(question, ensure_config(config)))

    def _traced(self, question: str, config: RunnableConfig | None) -> RunnableConfig:
        merged = ensure_config(config)
        of_question = getattr(self.adapted, "metadata_for", None)
        found = getattr(self.adapted, "metadata", {}) if of_question is None else of_question(question)
        merged["metadata"] = {**(merged.get("metadata") or {}), **found}
        return merged

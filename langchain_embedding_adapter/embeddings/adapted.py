"""``AdaptedEmbeddings``: any LangChain embeddings with the query vectors adapted and the documents left alone.

What a retriever holds at query time. It is light: the built-in adapters load and serve with NumPy, without torch. The
adapter may be exchanged while traffic runs: every answer comes whole from one version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.embeddings.coverage import Coverage
from langchain_embedding_adapter.embeddings.fingerprint import record_base
from langchain_embedding_adapter.embeddings.pretrained import (
    Precision,
    Pretrained,
    read_version,
    write_version,
    wrong_dimensions,
)
from langchain_embedding_adapter.embeddings.served import Served
from langchain_embedding_adapter.embeddings.serving import UNNAMED, AdaptedQuery, AdapterVersion
from langchain_embedding_adapter.embeddings.versions import VersionHistory
from langchain_embedding_adapter.embeddings.watching import FolderWatch
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.storage.hub import push_folder
from langchain_embedding_adapter.vectors import QUERY_CONCURRENCY, Floats, embed_each_query


class AdaptedEmbeddings(Served, Embeddings):
    """Any embeddings with their query vectors passed through an adapter.

    ``embed_query`` and ``aembed_query`` adapt; ``embed_documents`` and ``aembed_documents`` are the base's own, so
    every index built with the base stays as it is. An adapted vector has the length (norm) of the base's query vector,
    so that scores keep their scale under cosine, dot product and L2 alike.

    It may be shared by threads and tasks, and its adapter exchanged meanwhile (:meth:`swap`, :meth:`reload`,
    :meth:`watch`, :meth:`roll_back`): each answer comes from one version.

    Args:
        embeddings: The base embeddings: what questions are embedded by.
        adapter: The adapter, trained on the base's query vectors.
        document_embeddings: The embeddings that the index was built with, where these are others than the base: the
            adapter then maps from the one's space to the other's.
        document_model: The name of that model, where it is not at hand: documents are then refused.
        provenance: What a saved adapter's folder and card tell beside it: how it was trained, its report. A value that
            takes work may be a function, which is called when the adapter is saved.
        name: What to call the adapter, in traces; by default what the folder is called that it is saved to.
        version: What to call this version; by default a hash of its content.
        coverage: The directions that training covered, for :meth:`inspect_query`, or a function that finds them.

    Attributes:
        embeddings: The base.
        adapter: The adapter that serves.
        document_embeddings: What documents are embedded by: the base, unless another model was given.

    Example:
        Load, and query an index as it was:

        .. code-block:: python

            adapted = AdaptedEmbeddings.from_pretrained("handbook-adapter", OpenAIEmbeddings())
            retriever = FAISS.load_local("index", adapted, ...).as_retriever()

        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> from langchain_embedding_adapter.adapters import LinearAdapter
        >>> adapted = AdaptedEmbeddings(DeterministicFakeEmbedding(size=8), LinearAdapter(8, 8))
        >>> len(adapted.embed_query("How long is a year on Mars?"))
        8
        >>> import asyncio
        >>> len(asyncio.run(adapted.aembed_query("How long is a year on Mars?")))
        8
    """

    def __init__(
        self,
        embeddings: Embeddings,
        adapter: BaseAdapter,
        *,
        document_embeddings: Embeddings | None = None,
        document_model: str | None = None,
        provenance: Mapping[str, Any] | None = None,
        name: str | None = None,
        version: str | None = None,
        coverage: Coverage | Callable[[], Coverage | None] | None = None,
    ) -> None:
        for given in (embeddings, embeddings if document_embeddings is None else document_embeddings):
            if not isinstance(given, Embeddings):
                raise TypeError(f"expected LangChain Embeddings, got {type(given).__name__}")
        if not isinstance(adapter, BaseAdapter):
            raise TypeError(f"expected an adapter (a BaseAdapter), got {type(adapter).__name__}")
        super().__init__(AdapterVersion(adapter, name or UNNAMED, dict(provenance or {}), coverage, label=version))
        self.embeddings = embeddings
        self._documents, self._document_model = document_embeddings, document_model
        self._base: Mapping[str, Any] | None = None
        self._adapter_class: type[BaseAdapter] | None = None
        self._revision: str | None = None  # of the hub

    def __repr__(self) -> str:
        return f"AdaptedEmbeddings({model_name(self.embeddings)}, {describe_adapter(self.adapter)})"

    def embed_query(self, text: str) -> list[float]:
        """Embed a question with the base and adapt it: ``out_features`` floats."""
        return self._one(self.embeddings.embed_query(text))

    async def aembed_query(self, text: str) -> list[float]:
        """The asynchronous :meth:`embed_query`, through the base's own."""
        return self._one(await self.embeddings.aembed_query(text))

    def embed_queries(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed many questions with the base's ``embed_query`` and adapt them in one product.

        Clients of a service are asked for several at a time.
        """
        return self._many(embed_each_query(self.embeddings, texts)) if texts else []

    async def aembed_queries(self, texts: Sequence[str]) -> list[list[float]]:
        """The asynchronous :meth:`embed_queries`, through the base's ``aembed_query``, a few at a time."""
        turns = asyncio.Semaphore(QUERY_CONCURRENCY)

        async def embed(text: str) -> list[float]:
            async with turns:
                return await self.embeddings.aembed_query(text)

        return self._many(await asyncio.gather(*map(embed, texts))) if texts else []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The index's own ``embed_documents``: documents are never adapted."""
        return self.document_embeddings.embed_documents(texts)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """The index's own ``aembed_documents``: documents are never adapted."""
        return await self.document_embeddings.aembed_documents(texts)

    def inspect_query(self, text: str) -> AdaptedQuery:
        """Embed and adapt a question, and tell what happened to it: how far it moved, how usual it is."""
        return self._history.current.explained(self.embeddings.embed_query(text))

    async def ainspect_query(self, text: str) -> AdaptedQuery:
        """The asynchronous :meth:`inspect_query`."""
        return self._history.current.explained(await self.embeddings.aembed_query(text))

    @property
    def document_embeddings(self) -> Embeddings:
        """What documents are embedded by: the base, unless the index was built with another model.

        Raises:
            ValueError: If that is another model, and it was not given.
        """
        if self._documents is not None:
            return self._documents
        if self._document_model is not None or self.adapter.in_features != self.adapter.out_features:
            built = (
                f"{self._document_model or 'another model'} built the index, of {self.adapter.out_features} dimensions"
            )
            raise ValueError(
                f"{built}, and not {model_name(self.embeddings)}; to add documents, or to compare with that model's "
                "own queries, pass it: document_embeddings=…"
            )
        return self.embeddings

    def answer(self, vector: Sequence[float]) -> tuple[list[float], AdapterVersion]:
        """Adapt a query vector of the base that is at hand, count it, and say which version did it."""
        self._check(len(vector))
        version = self._history.current
        return version.one(vector), version

    @property
    def metadata(self) -> dict[str, str]:
        """What a trace should carry: ``as_retriever(metadata=…)``; retrievers of an :func:`adapt_store` have it."""
        serving = self._history.current
        return {
            "embedding_adapter": serving.name,
            "embedding_adapter_version": serving.version,
            "embedding_adapter_base": model_name(self.embeddings),
        }

    def adapt(self, queries: Floats) -> Floats:
        """Adapt query vectors of the base; they are not counted.

        Args:
            queries: ``(n, in_features)``.

        Returns:
            ``(n, out_features)``, each of the length (norm) that the base's vector has.

        Raises:
            ValueError: If the vectors have another number of dimensions than the adapter takes.
        """
        self._check(queries.shape[-1])
        return self.adapter.adapt(queries)

    def reload(self, folder_or_hub_id: str | Path | None = None, *, verify: bool = True) -> bool:
        """Load what the folder holds by now, and swap to it; where it cannot be loaded, what serves serves on.

        Args:
            folder_or_hub_id: Where from; by default from where it was loaded.
            verify: As in :meth:`from_pretrained`.

        Returns:
            Whether it is another adapter.

        Raises:
            FileNotFoundError: If there is no saved adapter.
            ValueError: As :meth:`from_pretrained`, and if the adapter is of other dimensions.
        """
        source, revision = folder_or_hub_id, None
        if source is None:
            source, revision = self._source(), self._revision
        loaded = read_version(
            source, self.embeddings, adapter_class=self._adapter_class, revision=revision, verify=verify
        )
        return self._take(loaded)

    def watch(self, seconds: float = 5.0) -> FolderWatch:
        """Look at the folder it was loaded from now and then, and reload when that has changed.

        Args:
            seconds: How often to look.

        Returns:
            The watch: ``stop()`` it, or use it in a ``with`` statement. It ends with this object.

        Raises:
            ValueError: If it was not loaded from a folder.
        """
        folder = Path(self._source())
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder here, and only folders are watched; call reload() now and then")
        return FolderWatch(self.reload, folder, seconds)

    def save_pretrained(
        self, folder: str | Path, *, dtype: Precision = "float32", extra: Mapping[str, Any] | None = None
    ) -> None:
        """Write ``config.json``, ``model.safetensors`` and a card (``README.md``) to a folder.

        The base embeddings are named, not saved; so that they are known again, four short questions are embedded.

        Args:
            folder: Where; made if need be. A saved adapter that is there is replaced whole.
            dtype: ``"float16"`` for half the size; what is loaded computes in float32 all the same.
            extra: Further JSON files to keep in the folder, by name: ``{"history.json": …}``.

        Raises:
            FileExistsError: If the folder holds something else than a saved adapter.
            TypeError: If the adapter was made with arguments that JSON cannot hold.
            ValueError: If a weight is beyond what the ``dtype`` can hold.
        """
        if self._base is None:
            self._base = record_base(self.embeddings)
        base = self._base
        built = self._document_model if self._documents is None else model_name(self._documents)
        if built is not None:
            base = {**base, "document_model": built}
        write_version(folder, self._history.current, base, precision=dtype, extra=extra)

    @classmethod
    def from_pretrained(
        cls,
        folder_or_hub_id: str | Path,
        embeddings: Embeddings,
        *,
        adapter_class: type[BaseAdapter] | None = None,
        document_embeddings: Embeddings | None = None,
        revision: str | None = None,
        verify: bool = True,
    ) -> AdaptedEmbeddings:
        """Load a saved adapter and put it on top of ``embeddings``.

        One question is embedded to see that these are the embeddings it was trained on.

        Args:
            folder_or_hub_id: What :meth:`save_pretrained` wrote, or its id on the Hugging Face hub.
            embeddings: The base embeddings it was trained on.
            adapter_class: Your own ``BaseAdapter`` subclass, if the adapter is one that is not registered.
            document_embeddings: The embeddings that the index was built with, where these are others.
            revision: A branch, tag or commit on the hub.
            verify: Whether to ask; without, nothing is embedded and any model is taken.

        Raises:
            FileNotFoundError: If there is no saved adapter.
            ValueError: If it is damaged, of a kind that is not known, or was trained on another model than
                ``embeddings``.
        """
        loaded = read_version(
            folder_or_hub_id, embeddings, adapter_class=adapter_class, revision=revision, verify=verify
        )
        adapted = cls(embeddings, loaded.version.adapter, document_embeddings=document_embeddings)
        adapted._history = VersionHistory(loaded.version)
        adapted._base, adapted._document_model = loaded.base, loaded.document_model
        adapted._adapter_class, adapted._revision = adapter_class, revision
        return adapted

    def push_to_hub(self, hub_id: str, *, private: bool = False) -> str:
        """Upload the saved adapter to the Hugging Face hub (the extra ``hub``; log in first).

        Returns:
            The address of the commit.
        """
        with TemporaryDirectory() as workplace:
            folder = Path(workplace) / hub_id.rpartition("/")[2]
            self.save_pretrained(folder)
            return push_folder(folder, hub_id, private=private)

    def _one(self, vector: Sequence[float]) -> list[float]:
        return self.answer(vector)[0]

    def _many(self, vectors: Sequence[Sequence[float]]) -> list[list[float]]:
        self._check(len(vectors[0]))
        return self._history.current.many(vectors)

    def _check(self, dimensions: int) -> None:
        if dimensions != self.adapter.in_features:
            raise ValueError(wrong_dimensions(self.adapter, model_name(self.embeddings), dimensions))

    def _source(self) -> str | Path:
        source = self._history.current.source
        if source is None:
            raise ValueError("this adapter was not loaded from anywhere; say which folder to load")
        return source

    def _take(self, loaded: Pretrained) -> bool:
        """Swap to what was loaded if it is another one than serves."""
        if loaded.version.same_as(self._history.current):
            return False
        self._history.put(loaded.version)
        if loaded.base is not None:
            self._base = loaded.base
        return True


def describe_adapter(adapter: BaseAdapter) -> str:
    """An adapter in a few characters.

    >>> from langchain_embedding_adapter.adapters import LinearAdapter
    >>> describe_adapter(LinearAdapter(384, 384))
    'linear 384 → 384'
    """
    return f"{adapter.kind} {adapter.in_features} → {adapter.out_features}"

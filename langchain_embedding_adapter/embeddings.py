"""``AdaptedEmbeddings``: any LangChain embeddings with the query vectors adapted and the documents left alone.

What a retriever holds at query time. It is light: the built-in adapters load and serve with NumPy, without torch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter._version import __version__
from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.calibration import ScoreCalibration
from langchain_embedding_adapter.card import write_card
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.restoring import restore_adapter
from langchain_embedding_adapter.storage import load_folder, push_folder, save_folder
from langchain_embedding_adapter.vectors import QUERY_CONCURRENCY, Floats, embed_each_query

PROBE = "How many dimensions has this vector?"


class AdaptedEmbeddings(Embeddings):
    """Any embeddings with their query vectors passed through an adapter.

    ``embed_query`` and ``aembed_query`` adapt; ``embed_documents`` and ``aembed_documents`` are the base's own, so
    every index built with the base stays as it is. An adapted vector has the length (norm) of the base's query vector,
    so that scores keep their scale under cosine, dot product and L2 alike.

    Args:
        embeddings: The base embeddings, those that the index was built with.
        adapter: The adapter, trained on the base's query vectors.
        provenance: What a saved adapter's folder and card tell beside it: how it was trained, its report. A value that
            takes work may be a function, which is called when the adapter is saved.

    Attributes:
        embeddings: The base.
        adapter: The adapter.

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
        self, embeddings: Embeddings, adapter: BaseAdapter, *, provenance: Mapping[str, Any] | None = None
    ) -> None:
        if not isinstance(embeddings, Embeddings):
            raise TypeError(f"expected LangChain Embeddings, got {type(embeddings).__name__}")
        if not isinstance(adapter, BaseAdapter):
            raise TypeError(f"expected an adapter (a BaseAdapter), got {type(adapter).__name__}")
        self.embeddings = embeddings
        self.adapter = adapter
        self.provenance = dict(provenance or {})

    def __repr__(self) -> str:
        return f"AdaptedEmbeddings({model_name(self.embeddings)}, {describe_adapter(self.adapter)})"

    def embed_query(self, text: str) -> list[float]:
        """Embed a question with the base and adapt it: ``out_features`` floats."""
        return self._adapted_one(self.embeddings.embed_query(text))

    async def aembed_query(self, text: str) -> list[float]:
        """The asynchronous :meth:`embed_query`, through the base's own."""
        return self._adapted_one(await self.embeddings.aembed_query(text))

    def embed_queries(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed many questions with the base's ``embed_query`` and adapt them in one product.

        Clients of a service are asked for several at a time.
        """
        return self._adapted(embed_each_query(self.embeddings, texts)) if texts else []

    async def aembed_queries(self, texts: Sequence[str]) -> list[list[float]]:
        """The asynchronous :meth:`embed_queries`, through the base's ``aembed_query``, a few at a time."""
        turns = asyncio.Semaphore(QUERY_CONCURRENCY)

        async def embed(text: str) -> list[float]:
            async with turns:
                return await self.embeddings.aembed_query(text)

        return self._adapted(await asyncio.gather(*map(embed, texts))) if texts else []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The base's own ``embed_documents``: documents are never adapted."""
        return self.embeddings.embed_documents(texts)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """The base's own ``aembed_documents``: documents are never adapted."""
        return await self.embeddings.aembed_documents(texts)

    @property
    def calibration(self) -> ScoreCalibration | None:
        """What maps adapted scores to the base's, if training has fitted it (``train(…, calibrate=True)``)."""
        found = self.provenance.get("calibration")
        return None if found is None else ScoreCalibration.from_dict(found)

    def adapt(self, queries: Floats) -> Floats:
        """Adapt query vectors of the base.

        Args:
            queries: ``(n, in_features)``.

        Returns:
            ``(n, out_features)``, each of the length (norm) that the base's vector has.

        Raises:
            ValueError: If the vectors have another number of dimensions than the adapter takes.
        """
        if queries.shape[-1] != self.adapter.in_features:
            raise ValueError(_wrong_dimensions(self.adapter, self.embeddings, queries.shape[-1]))
        return self.adapter.adapt(queries)

    def save_pretrained(self, folder: str | Path, *, extra: Mapping[str, Any] | None = None) -> None:
        """Write ``config.json``, ``model.safetensors`` and a card (``README.md``) to a folder.

        The base embeddings are named, not saved.

        Args:
            folder: Where; made if need be. A saved adapter that is there is replaced whole.
            extra: Further JSON files to keep in the folder, by name: ``{"history.json": …}``.

        Raises:
            FileExistsError: If the folder holds something else than a saved adapter.
            TypeError: If the adapter was made with arguments that JSON cannot hold.
        """
        config = {
            "package_version": __version__,
            "adapter": {
                "kind": self.adapter.kind,
                "in_features": self.adapter.in_features,
                "out_features": self.adapter.out_features,
                "arguments": self.adapter.arguments,
            },
            "base_model": model_name(self.embeddings),
            **{name: value() if callable(value) else value for name, value in self.provenance.items()},
        }
        save_folder(folder, config, self.adapter.to_arrays(), write_card(config, Path(folder).name), extra)

    @classmethod
    def from_pretrained(
        cls,
        folder_or_hub_id: str | Path,
        embeddings: Embeddings,
        *,
        adapter_class: type[BaseAdapter] | None = None,
    ) -> AdaptedEmbeddings:
        """Load a saved adapter and put it on top of ``embeddings``.

        One question is embedded to see that the dimensions fit.

        Args:
            folder_or_hub_id: What :meth:`save_pretrained` wrote, or its id on the Hugging Face hub.
            embeddings: The base embeddings it was trained on.
            adapter_class: Your own ``BaseAdapter`` subclass, if the adapter is one.

        Raises:
            FileNotFoundError: If there is no saved adapter.
            ValueError: If it is damaged, of a kind that is not known, or takes another number of dimensions than
                ``embeddings`` give.
        """
        config, arrays = load_folder(folder_or_hub_id)
        adapter = restore_adapter(config, arrays, adapter_class=adapter_class, source=str(folder_or_hub_id))
        found = len(embeddings.embed_query(PROBE))
        if found != adapter.in_features:
            raise ValueError(_wrong_dimensions(adapter, embeddings, found, config.get("base_model")))
        known = ("format", "format_version", "package_version", "adapter", "base_model")
        return cls(embeddings, adapter, provenance={key: config[key] for key in config.keys() - set(known)})

    def push_to_hub(self, hub_id: str, *, private: bool = False) -> str:
        """Upload the saved adapter to the Hugging Face hub (the extra ``hub``; log in first).

        Returns:
            The address of the commit.
        """
        with TemporaryDirectory() as workplace:
            folder = Path(workplace) / hub_id.rpartition("/")[2]
            self.save_pretrained(folder)
            return push_folder(folder, hub_id, private=private)

    def _adapted_one(self, vector: Sequence[float]) -> list[float]:
        adapted: list[float] = self.adapt(np.array(vector, dtype=np.float32)[None])[0].tolist()
        return adapted

    def _adapted(self, vectors: Sequence[Sequence[float]]) -> list[list[float]]:
        adapted: list[list[float]] = self.adapt(np.asarray(vectors, dtype=np.float32)).tolist()
        return adapted


def describe_adapter(adapter: BaseAdapter) -> str:
    """An adapter in a few characters.

    >>> from langchain_embedding_adapter.adapters import LinearAdapter
    >>> describe_adapter(LinearAdapter(384, 384))
    'linear 384 → 384'
    """
    return f"{adapter.kind} {adapter.in_features} → {adapter.out_features}"


def _wrong_dimensions(adapter: BaseAdapter, embeddings: Embeddings, found: int, trained_on: str | None = None) -> str:
    trained = f" (it was trained on {trained_on})" if trained_on else ""
    return (
        f"the adapter takes query vectors of {adapter.in_features} dimensions{trained} and {model_name(embeddings)} "
        f"gives {found}; use the embeddings it was trained on, or train one with AdapterTrainer(embeddings)"
    )

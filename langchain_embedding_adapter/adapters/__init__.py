"""The adapters: one file a kind, and the list by which a saved adapter finds its class."""

from __future__ import annotations

from collections.abc import Mapping

from langchain_embedding_adapter.adapters.base import ArrayAdapter, BaseAdapter
from langchain_embedding_adapter.adapters.linear import LinearAdapter
from langchain_embedding_adapter.adapters.low_rank import LowRankAdapter
from langchain_embedding_adapter.adapters.memory import MemoryAdapter
from langchain_embedding_adapter.adapters.two_layer import TwoLayerAdapter

ADAPTERS: Mapping[str, type[BaseAdapter]] = {
    adapter.kind: adapter for adapter in (LinearAdapter, LowRankAdapter, MemoryAdapter, TwoLayerAdapter)
}
"""The built-in kinds, by the name that a saved adapter records."""

__all__ = [
    "ADAPTERS",
    "ArrayAdapter",
    "BaseAdapter",
    "LinearAdapter",
    "LowRankAdapter",
    "MemoryAdapter",
    "TwoLayerAdapter",
]

"""The adapters: one file a kind, and the list by which a saved adapter finds its class."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TypeVar

from langchain_embedding_adapter.adapters.base import ArrayAdapter, BaseAdapter
from langchain_embedding_adapter.adapters.bounded import BoundedTwoLayerAdapter
from langchain_embedding_adapter.adapters.layered import LayeredMemoryAdapter
from langchain_embedding_adapter.adapters.linear import LinearAdapter
from langchain_embedding_adapter.adapters.low_rank import LowRankAdapter
from langchain_embedding_adapter.adapters.memory import MemoryAdapter
from langchain_embedding_adapter.adapters.quantised import QuantisedMemoryAdapter
from langchain_embedding_adapter.adapters.shapes import expected_shapes
from langchain_embedding_adapter.adapters.two_layer import TwoLayerAdapter

ADAPTERS: Mapping[str, type[BaseAdapter]] = {
    adapter.kind: adapter
    for adapter in (
        LinearAdapter,
        LowRankAdapter,
        MemoryAdapter,
        LayeredMemoryAdapter,
        QuantisedMemoryAdapter,
        TwoLayerAdapter,
        BoundedTwoLayerAdapter,
    )
}
"""The built-in kinds, by the name that a saved adapter records."""

_REGISTERED: dict[str, type[BaseAdapter]] = {}
AdapterClass = TypeVar("AdapterClass", bound=type[BaseAdapter])


def register_adapter(adapter_class: AdapterClass) -> AdapterClass:
    """Have saved adapters of your own class load by their kind, without ``adapter_class=``.

    A saved adapter names its kind and never a class to import: it loads only what is built in, registered or passed.

    Args:
        adapter_class: A subclass of ``BaseAdapter``. One that is defined anew, as in a notebook, takes its own place.

    Returns:
        The class, so that this serves as a decorator.

    Raises:
        TypeError: If it is no subclass of ``BaseAdapter``, or has no ``forward``.
        ValueError: If its kind is a built-in one's, or another class has registered it.

    Example:
        >>> @register_adapter
        ... class Halving(LinearAdapter):
        ...     kind = "halving"
        ...     def forward(self, queries):
        ...         return super().forward(queries) / 2
        >>> adapter_of_kind("halving") is Halving
        True
    """
    if not (isinstance(adapter_class, type) and issubclass(adapter_class, BaseAdapter)):
        raise TypeError(f"expected a subclass of BaseAdapter, got {adapter_class!r}")
    if inspect.isabstract(adapter_class):
        raise TypeError(f"{adapter_class.__name__} is abstract: write its `forward` before it is registered")
    kind = adapter_class.kind
    if kind in ADAPTERS:
        raise ValueError(f"the kind {kind!r} is built in; set another `kind` on {adapter_class.__name__}")
    before = _REGISTERED.get(kind, adapter_class)
    if (before.__module__, before.__qualname__) != (adapter_class.__module__, adapter_class.__qualname__):
        raise ValueError(
            f"the kind {kind!r} is registered for {before.__module__}.{before.__qualname__}; set another `kind` on "
            f"{adapter_class.__name__}"
        )
    _REGISTERED[kind] = adapter_class
    return adapter_class


def adapter_of_kind(kind: str) -> type[BaseAdapter] | None:
    """The class of a kind that is built in or registered; ``None`` where there is none."""
    return ADAPTERS.get(kind) or _REGISTERED.get(kind)


__all__ = [
    "ADAPTERS",
    "ArrayAdapter",
    "BaseAdapter",
    "BoundedTwoLayerAdapter",
    "LayeredMemoryAdapter",
    "LinearAdapter",
    "LowRankAdapter",
    "MemoryAdapter",
    "QuantisedMemoryAdapter",
    "TwoLayerAdapter",
    "adapter_of_kind",
    "expected_shapes",
    "register_adapter",
]

"""Which arrays an adapter of one of the package's kinds has, told from its arguments alone.

A saved adapter's arguments are numbers that anyone can write, and its constructor makes arrays of their size. So the
shapes that they ask for are first compared with those that the weights file really holds.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from langchain_embedding_adapter.adapters.base import BaseAdapter
from langchain_embedding_adapter.adapters.bounded import BoundedTwoLayerAdapter
from langchain_embedding_adapter.adapters.codes import BOOK
from langchain_embedding_adapter.adapters.layered import LayeredMemoryAdapter
from langchain_embedding_adapter.adapters.linear import LinearAdapter
from langchain_embedding_adapter.adapters.low_rank import LowRankAdapter
from langchain_embedding_adapter.adapters.memory import MemoryAdapter
from langchain_embedding_adapter.adapters.quantised import QuantisedMemoryAdapter
from langchain_embedding_adapter.adapters.two_layer import TwoLayerAdapter

Shapes = dict[str, tuple[int, ...]]


def expected_shapes(adapter_class: type[BaseAdapter], arguments: Mapping[str, Any]) -> Shapes | None:
    """The shapes of the arrays that an adapter made with these arguments has, by name; nothing is allocated.

    Args:
        adapter_class: The class.
        arguments: What its constructor would be given.

    Returns:
        ``None`` for a class of one's own: nothing is known of it.

    Raises:
        ValueError: If an argument is missing, too many, or not of the type that the constructor declares.
    """
    rule = _RULES.get(adapter_class)
    if rule is None:
        return None
    signature = inspect.signature(adapter_class)
    try:
        bound = signature.bind(**arguments)
    except TypeError as error:
        raise ValueError(str(error)) from error
    bound.apply_defaults()
    for name, value in bound.arguments.items():
        declared = str(signature.parameters[name].annotation)
        if declared in _TYPES and not _TYPES[declared](value):
            raise ValueError(f"expected {name} to be of type {declared}, got {value!r:.80}")
    shapes = rule(bound.arguments)
    if min(size for shape in shapes.values() for size in shape) < 1:
        raise ValueError(f"expected positive sizes, got {dict(bound.arguments)!s:.200}")
    return shapes


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "int": lambda value: type(value) is int,
    "float": lambda value: type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value),
    "bool": lambda value: type(value) is bool,
    "str": lambda value: type(value) is str,
}


def _linear(given: Mapping[str, Any]) -> Shapes:
    shapes: Shapes = {"weight": (given["out_features"], given["in_features"])}
    return shapes | {"bias": (given["out_features"],)} if given["bias"] else shapes


def _low_rank(given: Mapping[str, Any]) -> Shapes:
    return {"down": (given["rank"], given["in_features"]), "up": (given["out_features"], given["rank"])}


def _memory(given: Mapping[str, Any]) -> Shapes:
    shapes: Shapes = {
        "weight": (given["out_features"], given["in_features"]),
        "keys": (given["size"], given["in_features"]),
        "values": (given["size"], given["out_features"]),
    }
    return shapes | {"cell": (given["size"],)} if given["cells"] else shapes


def _layered_memory(given: Mapping[str, Any]) -> Shapes:
    below = _memory({**given, "size": given["below_size"], "cells": given["below_cells"]})
    del below["weight"]
    return _memory(given) | {f"below_{name}": shape for name, shape in below.items()}


def _quantised_memory(given: Mapping[str, Any]) -> Shapes:
    cells, size, width = given["cells"], given["size"], given["width"]
    shapes: Shapes = {}
    for name, features in (("key", given["in_features"]), ("value", given["out_features"])):
        parts = -(-features // width) if width > 0 else 0
        shapes |= {f"{name}_book": (parts, BOOK, width), f"{name}_codes": (size, parts)}
    return shapes | {
        "weight": (given["out_features"], given["in_features"]),
        "counts": (cells,),
        "means": (cells, given["in_features"]),
        "ways": (cells, given["out_features"]),
        "gains": (size,),
    }


def _two_layer(given: Mapping[str, Any]) -> Shapes:
    return {
        "hidden_weight": (given["hidden_features"], given["in_features"]),
        "hidden_bias": (given["hidden_features"],),
        "weight": (given["out_features"], given["hidden_features"]),
        "bias": (given["out_features"],),
    }


_RULES: Mapping[type[BaseAdapter], Callable[[Mapping[str, Any]], Shapes]] = {
    LinearAdapter: _linear,
    LowRankAdapter: _low_rank,
    MemoryAdapter: _memory,
    LayeredMemoryAdapter: _layered_memory,
    QuantisedMemoryAdapter: _quantised_memory,
    TwoLayerAdapter: _two_layer,
    BoundedTwoLayerAdapter: _two_layer,
}

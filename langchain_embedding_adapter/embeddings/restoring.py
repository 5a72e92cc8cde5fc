"""From a saved adapter's configuration and arrays to the adapter itself, and never to half of one.

Only a class that is built in, registered or given by the caller is constructed: a saved adapter names none to import.
What the configuration asks for is compared with what the weights file holds before anything is made of that size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.adapters import ADAPTERS, ArrayAdapter, BaseAdapter, adapter_of_kind, expected_shapes
from langchain_embedding_adapter.calibration import ScoreCalibration
from langchain_embedding_adapter.storage.folder import load_folder
from langchain_embedding_adapter.tables import comparison

MAX_FEATURES = 2**20
"""Dimensions of a vector; no embeddings have as many."""
BESIDE = 1024
"""Arrays beside the adapter's own may hold so many vectors in all."""

Arrays = dict[str, NDArray[Any]]


def load_arrays_and_config(
    folder_or_hub_id: str | Path, *, revision: str | None = None, adapter_class: type[BaseAdapter] | None = None
) -> tuple[dict[str, Any], Arrays]:
    """:func:`load_folder`, with what the configuration says checked before the arrays are read.

    Arrays whose names have a dot may lie beside the adapter's own, if they are small.

    Raises:
        FileNotFoundError: If there is no saved adapter.
        ValueError: If it is damaged, of a kind that is not known, or contradicts itself.
    """
    source = str(folder_or_hub_id)

    def expect(config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
        plan = _plan(config, adapter_class, source)
        check_provenance(config, source)
        if plan.shapes is not None:
            own = {name: shape for name, shape in shapes.items() if name in plan.shapes or "." not in name}
            _compare(own, plan, source)
            beside = sum(math.prod(shape) for name, shape in shapes.items() if name not in own)
            if beside > BESIDE * (plan.in_features + plan.out_features):
                raise ValueError(f"{source}: the weights file holds {beside:,} values beside the adapter's own")

    return load_folder(folder_or_hub_id, revision=revision, expect=expect)


def restore_adapter(
    config: dict[str, Any],
    arrays: Arrays,
    *,
    adapter_class: type[BaseAdapter] | None = None,
    source: str,
) -> BaseAdapter:
    """Make the adapter that a configuration's ``adapter`` entry describes, and load its arrays.

    Args:
        config: The content of ``config.json``.
        arrays: The content of ``model.safetensors``; half precision is loaded as single.
        adapter_class: The caller's own ``BaseAdapter`` subclass, if the adapter is one.
        source: Where both come from, for messages.

    Raises:
        ValueError: If the entry is malformed, of a kind that is not known, or does not fit the arrays.
        ImportError: If the class needs torch and it is not installed.
    """
    plan = _plan(config, adapter_class, source)
    check_provenance(config, source)
    if plan.shapes is not None:
        _compare({name: array.shape for name, array in arrays.items()}, plan, source)
        dtypes = plan.adapter_class.dtypes if issubclass(plan.adapter_class, ArrayAdapter) else {}
        arrays = {
            name: _as_single(name, array, source) if name not in dtypes else _of_type(dtypes[name], name, array, source)
            for name, array in arrays.items()
        }
    name = plan.adapter_class.__name__
    try:
        adapter = plan.adapter_class(**plan.arguments)
    except ImportError:
        raise
    except Exception as error:  # a user's class may raise anything about arguments that it does not know
        raise ValueError(f"{source}: config.json does not fit {name}: {error}") from error
    _agree((plan.in_features, plan.out_features), (adapter.in_features, adapter.out_features), source)
    try:
        adapter.load_arrays(arrays)
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(f"{source}: {error}") from error
    return adapter


def check_provenance(config: Mapping[str, Any], source: str) -> None:
    """See that what a configuration tells beside the adapter can be used: base model, training, report, calibration.

    Raises:
        ValueError: If it cannot.
    """
    entries = (("base_model", str), ("package_version", str), ("training", dict), ("report", dict))
    for name, expected in entries:
        if not isinstance(config.get(name), expected | None):
            raise ValueError(
                f"{source}: expected `{name}` in config.json to be of type {expected.__name__}, "
                f"got {config[name]!r:.80}"
            )
    report = config.get("report") or {}
    try:
        if report:
            counts = [report["questions"], report["passages"]]
            if not all(type(count) is int for count in counts):
                raise ValueError(f"expected numbers of questions and passages, got {counts!r:.80}")
            comparison(report["metrics"])
        if config.get("calibration") is not None:
            ScoreCalibration.from_dict(config["calibration"])
    except (ValueError, KeyError, TypeError, AttributeError, LookupError) as error:
        raise ValueError(f"{source}: config.json holds a report or calibration that cannot be read: {error}") from error


@dataclass(frozen=True)
class _Plan:
    """What an ``adapter`` entry asks for; ``shapes`` are known of built-in kinds."""

    adapter_class: type[BaseAdapter]
    arguments: dict[str, Any]
    in_features: int
    out_features: int
    shapes: dict[str, tuple[int, ...]] | None


def _plan(config: Mapping[str, Any], adapter_class: type[BaseAdapter] | None, source: str) -> _Plan:
    entry = config.get("adapter")
    if not isinstance(entry, dict) or not isinstance(entry.get("arguments"), dict):
        raise ValueError(f"{source}: config.json does not describe an adapter; expected an object `adapter` in it")
    known = _class_of(entry.get("kind"), adapter_class, source)
    in_features: Any = entry.get("in_features")
    out_features: Any = entry.get("out_features")
    features = in_features, out_features
    if not (_is_dimension(in_features) and _is_dimension(out_features)):
        raise ValueError(
            f"{source}: config.json does not fit {known.__name__}: expected in_features and out_features from 1 to "
            f"{MAX_FEATURES:,}, got {features!r:.80}"
        )
    arguments = entry["arguments"]
    try:
        shapes = expected_shapes(known, arguments)
    except ValueError as error:
        raise ValueError(f"{source}: config.json does not fit {known.__name__}: {error}") from error
    if shapes is not None:
        _agree(features, (arguments["in_features"], arguments["out_features"]), source)
    return _Plan(known, arguments, in_features, out_features, shapes)


def _is_dimension(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_FEATURES


def _agree(recorded: tuple[Any, Any], given: tuple[int, int], source: str) -> None:
    if recorded != given:
        raise ValueError(
            f"{source}: config.json contradicts itself: in_features and out_features are {recorded}, "
            f"the arguments give {given}"
        )


def _class_of(kind: Any, adapter_class: type[BaseAdapter] | None, source: str) -> type[BaseAdapter]:
    known = adapter_class or (adapter_of_kind(kind) if isinstance(kind, str) else None)
    if known is None:
        raise ValueError(
            f"{source} holds an adapter of kind {kind!r:.80}, which is none of {', '.join(ADAPTERS)}; if the class is "
            "your own, pass it: from_pretrained(…, adapter_class=YourAdapter), or register it with register_adapter"
        )
    if known.kind != kind:
        raise ValueError(
            f"{source} holds an adapter of kind {kind!r:.80}, and {known.__name__} is of kind {known.kind!r}"
        )
    return known


def _compare(found: Mapping[str, tuple[int, ...]], plan: _Plan, source: str) -> None:
    if found != plan.shapes:
        raise ValueError(
            f"{source}: the arrays do not fit {plan.adapter_class.__name__}: expected {plan.shapes!s:.400}, "
            f"got {found!s:.400}"
        )


def _of_type(dtype: str, name: str, array: NDArray[Any], source: str) -> NDArray[Any]:
    if array.dtype != dtype:
        raise ValueError(f"{source}: expected {name} to be of type {dtype}, got {array.dtype}")
    return array


def _as_single(name: str, array: NDArray[Any], source: str) -> NDArray[np.float32]:
    if array.dtype.kind != "f":
        raise ValueError(f"{source}: expected floating-point numbers in {name}, got {array.dtype}")
    with np.errstate(over="ignore"):
        single = array.astype(np.float32, copy=False)
    if not np.isfinite(single).all():
        raise ValueError(f"{source}: {name} holds values that are not finite")
    return single

"""A version as a saved adapter, and back: what ``config.json`` says of the adapter, its base and where it came from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from langchain_embedding_adapter._version import __version__
from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.embeddings.card import write_card
from langchain_embedding_adapter.embeddings.coverage import Coverage
from langchain_embedding_adapter.embeddings.fingerprint import BaseCheck, check_base
from langchain_embedding_adapter.embeddings.restoring import check_provenance, load_arrays_and_config, restore_adapter
from langchain_embedding_adapter.embeddings.serving import UNNAMED, AdapterVersion
from langchain_embedding_adapter.storage.folder import load_folder, save_folder

logger = logging.getLogger(__name__)

Precision = Literal["float32", "float16"]

COVERAGE = "coverage."
_OWN = {
    *("format", "format_version", "package_version"),
    *("adapter", "base_model", "fingerprint", "name", "version"),
}
"""What ``config.json`` holds besides provenance."""


@dataclass(frozen=True)
class Pretrained:
    """What was loaded.

    Attributes:
        version: The adapter, ready to serve.
        base: What was recorded of the base model, if it is known to be the one given.
        document_model: The model that the index was built with, where that is another one.
    """

    version: AdapterVersion
    base: Mapping[str, Any] | None
    document_model: str | None


def write_version(
    folder: str | Path,
    version: AdapterVersion,
    base: Mapping[str, Any],
    *,
    precision: Precision = "float32",
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Save a version.

    Args:
        folder: Where; a saved adapter that is there is replaced whole.
        version: What to save.
        base: What identifies its base model.
        precision: Of the arrays.
        extra: Further JSON files, by name.

    Raises:
        ValueError: If the precision is none of those that can be saved, or too small for a value.
    """
    if precision not in ("float32", "float16"):
        raise ValueError(f"expected dtype='float32' or 'float16', got {precision!r}")
    adapter = version.adapter
    arrays = {name: _rounded(name, array, precision) for name, array in adapter.to_arrays().items()}
    if version.covered is not None:
        arrays |= version.covered.to_arrays()
    config = {
        "package_version": __version__,
        "name": Path(folder).name if version.name == UNNAMED else version.name,
        **({} if version.label is None else {"version": version.label}),
        "adapter": {
            "kind": adapter.kind,
            "in_features": adapter.in_features,
            "out_features": adapter.out_features,
            "arguments": adapter.arguments,
        },
        "base_model": base["model"],
        "fingerprint": dict(base),
        **{name: value() if callable(value) else value for name, value in version.provenance.items()},
    }
    save_folder(folder, config, arrays, write_card(config, Path(folder).name), extra)


def read_version(
    folder_or_hub_id: str | Path,
    embeddings: Embeddings,
    *,
    adapter_class: type[BaseAdapter] | None = None,
    revision: str | None = None,
    verify: bool = True,
) -> Pretrained:
    """Load a version, and see that ``embeddings`` are what it was trained on.

    Raises:
        FileNotFoundError: If there is no saved adapter.
        ValueError: If it is damaged, of a kind that is not known, or was trained on another model.
    """
    config, arrays = load_arrays_and_config(folder_or_hub_id, revision=revision, adapter_class=adapter_class)
    source = str(folder_or_hub_id)
    of_coverage = {name: array for name, array in arrays.items() if name.startswith(COVERAGE)}
    own = {name: array for name, array in arrays.items() if name not in of_coverage}
    adapter = restore_adapter(config, own, adapter_class=adapter_class, source=source)
    provenance = {key: value for key, value in config.items() if key not in _OWN}
    try:
        coverage = Coverage.from_arrays(of_coverage, adapter.in_features)
        base = recorded_base(config)
        document_model = _text(base, "document_model")
        name, label = _text(config, "name") or Path(source).name, _text(config, "version")
        check = check_base(base, embeddings, most=1) if verify else None
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    if check is not None:
        _verify(check, adapter, source)
    version = AdapterVersion(
        adapter, name=name, provenance=provenance, coverage=coverage, source=folder_or_hub_id, label=label
    )
    return Pretrained(version, base if check is not None and check.same else None, document_model)


def describe_saved(folder_or_hub_id: str | Path) -> tuple[dict[str, Any], str]:
    """The configuration of a saved adapter of any kind, and what it says of itself in a few lines.

    Raises:
        FileNotFoundError: If there is no saved adapter.
        ValueError: If it is damaged.
    """
    config, arrays = load_folder(folder_or_hub_id)
    entry, base = config.get("adapter"), recorded_base(config)
    if not isinstance(entry, dict):
        raise ValueError(f"{folder_or_hub_id}: config.json does not describe an adapter")
    check_provenance(config, str(folder_or_hub_id))
    parameters = sum(array.size for name, array in arrays.items() if not name.startswith(COVERAGE))
    name = " ".join(str(config[key]) for key in ("name", "version") if config.get(key) is not None)
    return config, "\n".join(
        [
            *([name] if name else []),
            f"{entry.get('kind')} adapter, {entry.get('in_features')} → {entry.get('out_features')} dimensions, "
            f"{parameters:,} parameters",
            f"base model: {base.get('model')}, {len(base.get('probes') or ())} of its answers recorded",
        ]
    )


def recorded_base(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a ``config.json`` says of the base model; format 1 has its name alone.

    Raises:
        ValueError: If it says nothing that can be read.
    """
    recorded = config.get("fingerprint", {"model": config.get("base_model")})
    if not isinstance(recorded, dict):
        raise ValueError(f"expected an object `fingerprint` in config.json, got {recorded!r:.80}")
    return recorded


def wrong_dimensions(adapter: BaseAdapter, model: str, found: int, trained_on: str | None = None) -> str:
    """What to say, and to do, when vectors do not fit an adapter."""
    trained = f" (it was trained on {trained_on})" if trained_on else ""
    return (
        f"the adapter takes query vectors of {adapter.in_features} dimensions{trained} and {model} "
        f"gives {found}; use the embeddings it was trained on, or train one with AdapterTrainer(embeddings)"
    )


def _verify(check: BaseCheck, adapter: BaseAdapter, source: str) -> None:
    if check.dimensions != adapter.in_features:
        raise ValueError(f"{source}: {wrong_dimensions(adapter, check.found, check.dimensions, check.expected)}")
    if check.same is False:
        raise ValueError(
            f"{source} does not belong to these embeddings: {check}. Use the model it was trained on, train again, or, "
            "if you know better, pass verify=False"
        )
    if check.same is None and check.expected != check.found:
        logger.warning("%s: %s", source, check)


def _rounded(name: str, array: NDArray[Any], precision: Precision) -> NDArray[Any]:
    if precision == "float32" or array.dtype != np.float32:
        return array
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float16)
    if not np.isfinite(rounded).all():
        raise ValueError(f"{name} holds values beyond ±65504, which float16 cannot; save with dtype='float32'")
    return rounded


def _text(config: Mapping[str, Any], name: str) -> str | None:
    value = config.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"expected a text as `{name}` in config.json, got {value!r:.80}")
    return value

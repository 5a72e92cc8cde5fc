"""From a saved adapter's configuration and arrays to the adapter itself.

Only a class that is known by its kind, or given by the caller, is constructed: a saved adapter names none to import.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from langchain_embedding_adapter.adapters import ADAPTERS, BaseAdapter


def restore_adapter(
    config: dict[str, Any],
    arrays: dict[str, NDArray[Any]],
    *,
    adapter_class: type[BaseAdapter] | None = None,
    source: str,
) -> BaseAdapter:
    """Make the adapter that a configuration's ``adapter`` entry describes, and load its arrays.

    Args:
        config: The content of ``config.json``.
        arrays: The content of ``model.safetensors``.
        adapter_class: The caller's own ``BaseAdapter`` subclass, if the adapter is one.
        source: Where both come from, for messages.

    Raises:
        ValueError: If the entry is malformed, of a kind that is not known, or does not fit the arrays.
    """
    entry = config.get("adapter")
    if not isinstance(entry, dict) or not isinstance(entry.get("arguments"), dict):
        raise ValueError(f"{source}: config.json does not describe an adapter; expected an object `adapter` in it")
    kind = entry.get("kind")
    known = adapter_class or ADAPTERS.get(str(kind))
    if known is None:
        raise ValueError(
            f"{source} holds an adapter of kind {kind!r}, which is none of {', '.join(ADAPTERS)}; "
            "if the class is your own, pass it: from_pretrained(…, adapter_class=YourAdapter)"
        )
    if known.kind != kind:
        raise ValueError(f"{source} holds an adapter of kind {kind!r}, and {known.__name__} is of kind {known.kind!r}")
    try:
        adapter = known(**entry["arguments"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source}: config.json does not fit {known.__name__}: {error}") from error
    recorded = (entry.get("in_features"), entry.get("out_features"))
    if recorded != (adapter.in_features, adapter.out_features):
        raise ValueError(
            f"{source}: config.json contradicts itself: in_features and out_features are {recorded}, "
            f"the arguments give {(adapter.in_features, adapter.out_features)}"
        )
    adapter.load_arrays(arrays)
    return adapter

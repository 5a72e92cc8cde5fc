"""Where training starts: the adapter that was asked for, by name or as it is, checked against what it will see."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter.adapters import (
    BaseAdapter,
    LayeredMemoryAdapter,
    LinearAdapter,
    LowRankAdapter,
    MemoryAdapter,
    QuantisedMemoryAdapter,
    TwoLayerAdapter,
)
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.selection.candidates import Family
from langchain_embedding_adapter.vectors import PairVectors

NAMED = ("auto", LinearAdapter.kind, LowRankAdapter.kind, MemoryAdapter.kind, TwoLayerAdapter.kind)
"""What may be asked for by name."""


def starting_adapter(
    adapter: BaseAdapter | str | None, vectors: PairVectors, embeddings: Embeddings, *, bridged: bool
) -> BaseAdapter:
    """The adapter to start from.

    Args:
        adapter: What was asked for, as in :meth:`AdapterTrainer.train`.
        vectors: What it will see.
        embeddings: What has embedded the questions.
        bridged: Whether another model has embedded the passages.

    Raises:
        ValueError: If it does not fit the vectors, nothing has that name, or another model has embedded the passages
            and none that leads from the one to the other is given.
    """
    in_features, out_features = vectors.queries.shape[1], vectors.passages.shape[1]
    if (bridged or in_features != out_features) and not isinstance(adapter, (LinearAdapter, MemoryAdapter)):
        raise ValueError(
            f"another model than {model_name(embeddings)} has embedded the passages, and no identity leads "
            f"from its {in_features} dimensions to their {out_features}: bridge the models first (bridge_models) "
            f"and train that adapter again, train(…, adapter=bridge.adapter); got adapter={adapter!r}"
        )
    if isinstance(adapter, LayeredMemoryAdapter):
        raise ValueError(
            "this adapter is a bridge with a memory of questions over it, which is not trained again; train the bridge "
            "on the questions of before and those of today together: train(…, adapter=adapter.below)"
        )
    if isinstance(adapter, QuantisedMemoryAdapter):
        raise ValueError(
            "this adapter holds questions as codes, to which none are added; train anew on the questions of before and "
            "those of today together: train(…) without adapter="
        )
    if adapter is None or adapter in ("auto", LinearAdapter.kind, MemoryAdapter.kind):
        return LinearAdapter(in_features, out_features)
    if adapter == TwoLayerAdapter.kind:
        return TwoLayerAdapter(in_features, in_features, out_features)
    if adapter == LowRankAdapter.kind:
        return LowRankAdapter(in_features, out_features)
    if not isinstance(adapter, BaseAdapter):
        raise ValueError(f"expected an adapter or one of {', '.join(NAMED)}, got {adapter!r}")
    if (adapter.in_features, adapter.out_features) != (in_features, out_features):
        raise ValueError(
            f"the adapter maps {adapter.in_features} to {adapter.out_features} dimensions, and "
            f"{model_name(embeddings)} gives queries of {in_features} and passages of {out_features}"
        )
    return adapter


def family_of(adapter: BaseAdapter | str | None, *, bridged: bool) -> Family:
    """What to choose among where linear maps and memories are cross-validated.

    Args:
        adapter: What was asked for.
        bridged: Whether another model has embedded the passages.
    """
    if isinstance(adapter, MemoryAdapter):
        return "bridge" if bridged or adapter.in_features != adapter.out_features else "default"
    if isinstance(adapter, LinearAdapter) or adapter == LinearAdapter.kind:
        return "linear"
    return "memory" if adapter == MemoryAdapter.kind else "default"

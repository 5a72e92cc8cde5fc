"""The linear fit as a program for torchrun, on one machine or several.

.. code-block:: shell

    torchrun --nproc-per-node 2 -m langchain_embedding_adapter.fitting.torchrun --vectors FOLDER --out FOLDER

``FOLDER`` is what ``save_pair_vectors`` writes, here or in a bucket; what is saved is an adapter that
``AdaptedEmbeddings.from_pretrained`` loads.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from langchain_embedding_adapter._version import __version__
from langchain_embedding_adapter.adapters import LinearAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting.convex import History
from langchain_embedding_adapter.fitting.on_ranks import fit_on_ranks, open_on_ranks
from langchain_embedding_adapter.fitting.ranks import TIMEOUT, joined
from langchain_embedding_adapter.storage import load_folder, save_folder
from langchain_embedding_adapter.vectors.shards import file_system, read_about

logger = logging.getLogger(__name__)

SETTINGS = (
    *("scale", "ridge", "negatives", "duplicates_above", "false_negatives_above", "teacher_share", "tolerance"),
    *("max_steps", "block_entries", "exact_entries", "negatives_drawn", "memory", "device", "seed"),
)
"""Fields of :class:`~langchain_embedding_adapter.TrainingConfig` that a linear fit goes by, each a flag."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit with the other processes; the first of them saves the adapter."""
    given = vars(_parser().parse_args(arguments))
    config = TrainingConfig(**{name: given[name] for name in SETTINGS})
    first = os.environ.get("RANK", "0") == "0"
    logging.basicConfig(level=logging.INFO if first else logging.WARNING, format="%(asctime)s %(message)s")
    with joined(config.device, timeout=given["timeout"]) as ranks:
        vectors = open_on_ranks(given["vectors"], ranks, scratch=given["scratch"])
        dimensions = vectors.queries.shape[1], vectors.passages.shape[1]
        start, model = _start(given["from"], dimensions, bias=given["bias"])
        adapter, history = fit_on_ranks(vectors, start, config, ranks)
        if ranks.rank == 0:
            models = read_about(*file_system(given["vectors"]))
            models["query_model"] = models.get("query_model") or model
            training = {"settings": {name: given[name] for name in SETTINGS}, "ranks": ranks.count}
            _save(given["out"], adapter, history, models, training)
            logger.info("saved to %s, loss %.4f → %.4f", given["out"], history[0]["loss"], history[-1]["loss"])


def _start(folder: str | None, dimensions: tuple[int, int], *, bias: bool) -> tuple[LinearAdapter, str | None]:
    """The map to hold to, the identity or a saved one, and what is known of the base model of that.

    Raises:
        ValueError: If what is saved is no linear map of these dimensions.
    """
    if folder is None:
        return LinearAdapter(*dimensions, bias=bias), None
    config, arrays = load_folder(folder)
    entry = config["adapter"]
    if entry["kind"] != LinearAdapter.kind or (entry["in_features"], entry["out_features"]) != dimensions:
        raise ValueError(
            f"expected in {folder} a linear adapter {dimensions[0]} → {dimensions[1]}, got a {entry['kind']} one "
            f"{entry['in_features']} → {entry['out_features']}"
        )
    adapter = LinearAdapter(**entry["arguments"])
    adapter.load_arrays(arrays)
    return adapter, config.get("base_model")


def _save(
    folder: str, adapter: LinearAdapter, history: History, models: dict[str, Any], training: dict[str, Any]
) -> None:
    base = {"model": models["query_model"], "dimensions": adapter.in_features}
    if models.get("passage_model") not in (None, models["query_model"]):
        base["document_model"] = models["passage_model"]
    kind = {name: getattr(adapter, name) for name in ("kind", "in_features", "out_features", "arguments")}
    config = {"package_version": __version__, "adapter": kind, "base_model": base["model"], "fingerprint": base}
    card = (
        f"A linear adapter ({adapter.in_features} → {adapter.out_features} dimensions) for the query vectors of "
        f"`{base['model'] or 'a model without a name'}`, fitted on {training['ranks']} processes.\n"
    )
    save_folder(folder, config | {"training": training}, adapter.to_arrays(), card, {"history.json": history})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"torchrun … -m {__spec__.name}", description=__doc__.partition("\n")[0])
    parser.add_argument("--vectors", required=True, help="folder of vectors and pairs")
    parser.add_argument("--out", required=True, help="folder for the adapter")
    parser.add_argument("--from", help="saved linear adapter to hold to; by default the identity")
    parser.add_argument("--bias", action="store_true", help="learn a bias too, if there is no --from")
    parser.add_argument("--scratch", help="folder on a fast disk of each machine, for the vectors as flat files")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds to wait for a rank (%(default)s)")
    defaults = {field.name: field.default for field in fields(TrainingConfig)}
    for name in SETTINGS:
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=_type_of(name, defaults[name]), default=defaults[name], help="(%(default)s)")
    return parser


def _type_of(name: str, default: Any) -> Any:
    """What a flag's text is made into; ``none`` where a setting may be left out."""
    if name in ("duplicates_above", "false_negatives_above"):
        return lambda text: None if text == "none" else float(text)
    return str if default is None else type(default)


if __name__ == "__main__":
    main()

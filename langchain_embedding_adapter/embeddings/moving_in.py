"""Adapters trained elsewhere, carried over: LlamaIndex's folders, and the matrix of OpenAI's "customizing embeddings".

Both are read as numbers and nothing else: a file that would run code is refused. What comes out is an adapter like any
other, to be put on embeddings, saved and pushed: ``AdaptedEmbeddings(embeddings, load_llama_index_adapter("model"))``.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal

import numpy as np

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter._files import read_json
from langchain_embedding_adapter.adapters import BaseAdapter, LinearAdapter, TwoLayerAdapter
from langchain_embedding_adapter.adapters.base import Floats, identity_matrix
from langchain_embedding_adapter.adapters.bounded import BoundedTwoLayerAdapter

LINEAR = {"in_features": int, "out_features": int, "bias": bool}
TWO_LAYERS = LINEAR | {"hidden_features": int, "activation_fn_str": str, "add_residual": bool}
DEFAULTS = {"bias": False, "activation_fn_str": "relu", "add_residual": False}
LEAK = 0.01  # of torch's leaky_relu


def load_llama_index_adapter(folder: str | Path, *, query_length: float = 1.0) -> BaseAdapter:
    """Read an adapter that LlamaIndex trained: ``config.json`` and ``pytorch_model.bin`` (the extra ``train``).

    The folder is what ``EmbeddingAdapterFinetuneEngine`` wrote to ``model_output_path``, or a ``step_…`` folder of its
    checkpoints. The direction of every adapted vector is LlamaIndex's, so a search by cosine ranks alike; its length
    is that of the query vector, as with every adapter here (LlamaIndex's keeps whatever length comes out).

    - ``LinearLayer`` becomes a ``LinearAdapter``.
    - ``TwoLayerNN`` with ``relu`` and the residual becomes a ``TwoLayerAdapter`` of the same width; without the
      residual one that is wider by ``2 · in_features``, whose ``relu(-q) - relu(q)`` takes the residual away; with
      ``leaky_relu`` one of twice the width, ``relu(x) - 0.01 relu(-x)``.
    - ``TwoLayerNN`` with ``sigmoid`` or ``tanh`` becomes a ``BoundedTwoLayerAdapter``.

    Args:
        folder: Where the two files are.
        query_length: The length (norm) of the base's query vectors. LlamaIndex feeds its adapter the vectors as they
            are, an adapter here is fed unit vectors: for a map with a bias or an activation that is another
            input unless the vectors have length one. One length for all can be allowed for; where it changes from
            query to query, such a map cannot be carried over exactly. A linear map without a bias does not care.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the adapter is of a class of its own, a file is damaged or holds anything but numbers, or they
            contradict each other.
        ImportError: If torch, which reads the file, is not installed.

    Example:
        .. code-block:: python

            adapted = AdaptedEmbeddings(embeddings, load_llama_index_adapter("model_output"))
    """
    if not (query_length > 0 and math.isfinite(query_length)):
        raise ValueError(f"query_length must be a positive number, got {query_length!r}")
    folder = Path(folder)
    for name in ("config.json", "pytorch_model.bin"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder} is no adapter of LlamaIndex: it holds no {name}; name the folder that it was trained to "
                "(`model_output_path`). One that this package saved is loaded by AdaptedEmbeddings.from_pretrained"
            )
    config = _llama_index_config(folder / "config.json")
    dim, out = config["in_features"], config["out_features"]
    if "hidden_features" not in config:
        shapes = {"linear.weight": (out, dim)} | ({"linear.bias": (out,)} if config["bias"] else {})
        arrays = _read_state(folder / "pytorch_model.bin", shapes)
        linear = LinearAdapter(dim, out, bias=config["bias"])
        own = {"weight": arrays["linear.weight"] * query_length}
        linear.load_arrays(own | ({"bias": arrays["linear.bias"]} if config["bias"] else {}))
        return linear
    hidden = config["hidden_features"]
    shapes = {"linear1.weight": (hidden, dim), "linear1.bias": (hidden,)}
    shapes |= {"linear2.weight": (out, hidden), "linear2.bias": (out,)}
    arrays = _read_state(folder / "pytorch_model.bin", shapes, optional={"residual_weight": (1,)})
    return _two_layers(config, arrays, query_length)


def load_openai_matrix(path: str | Path, *, documents: Literal["multiplied", "untouched"]) -> LinearAdapter:
    """Read the matrix ``M`` of OpenAI's recipe "customizing embeddings", saved as ``.npy``.

    The recipe multiplies the vectors on both sides, ``embedding @ matrix``, and compares the products. What a query
    needs therefore depends on what the index holds, and is asked for:

    - ``"multiplied"``: the index was built from ``embedding @ matrix``. The adapter is ``W = Mᵀ``, the recipe's own.
      ``embed_documents`` stays the base's: documents that are added later are still yours to multiply.
    - ``"untouched"``: the index was built from the embeddings as they are. The adapter is ``W = M Mᵀ``, which scores
      a document ``d`` by ``(q M) · (d M)``: the recipe's score but for the length of ``d M``, which only multiplying
      the documents could bring in.

    Args:
        path: The ``.npy`` file; ``numpy.save(path, matrix)`` writes it.
        documents: What the index holds.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything but a matrix of finite numbers.
    """
    if documents not in ("multiplied", "untouched"):
        raise ValueError(f"documents must be 'multiplied' or 'untouched' (what the index holds), got {documents!r}")
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; write the matrix with numpy.save(path, matrix)")
    try:
        matrix = np.array(np.lib.format.open_memmap(path, mode="r"))  # never unpickles; no larger than the file
    except (ValueError, TypeError, SyntaxError, TokenError, EOFError, OSError) as error:  # as the header may have it
        raise ValueError(f"{path} could not be read as a matrix in .npy format (numpy.save): {error}") from error
    if matrix.ndim != 2 or 0 in matrix.shape or matrix.dtype.kind not in "fiu":
        raise ValueError(
            f"{path} must hold a matrix of real numbers, (embedding dimensions, dimensions after the product), "
            f"and holds {matrix.dtype} of shape {matrix.shape}"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is said below
        wide = matrix.astype(np.float64)
        weight = np.ascontiguousarray(wide.T if documents == "multiplied" else wide @ wide.T, dtype=np.float32)
    adapter = LinearAdapter(weight.shape[1], weight.shape[0])
    adapter.weight = weight
    if not np.isfinite(weight).all():
        raise ValueError(f"{path} holds numbers that are not finite, or beyond what float32 holds")
    return adapter


def _llama_index_config(path: Path) -> dict[str, Any]:
    """Its ``config.json``, checked: the arguments of ``LinearLayer`` or ``TwoLayerNN``, completed with the defaults."""
    found = read_json(path)
    known = TWO_LAYERS if isinstance(found, dict) and "hidden_features" in found else LINEAR
    if not isinstance(found, dict) or not {"in_features", "out_features"} <= found.keys() <= known.keys():
        told = ", ".join(map(str, found)) if isinstance(found, dict) else type(found).__name__
        raise ValueError(
            f"{path} describes neither LlamaIndex's LinearLayer nor its TwoLayerNN (it holds: {told}); a class of your "
            "own is carried over by hand: subclass BaseAdapter with its modules, and `load_state_dict` them"
        )
    config: dict[str, Any] = {key: DEFAULTS[key] for key in known.keys() & DEFAULTS.keys()} | found
    for key, expected in known.items():
        if type(config[key]) is not expected or (expected is int and config[key] < 1):
            wanted = "a positive whole number" if expected is int else f"a {expected.__name__}"
            raise ValueError(f"{path}: {key} must be {wanted}, got {config[key]!r}")
    if config.get("add_residual") and config["in_features"] != config["out_features"]:
        raise ValueError(
            f"{path}: a residual needs as many dimensions out as in, got {config['in_features']} in and "
            f"{config['out_features']} out; LlamaIndex could not run it either"
        )
    return config


def _read_state(
    path: Path, shapes: Mapping[str, tuple[int, ...]], optional: Mapping[str, tuple[int, ...]] | None = None
) -> dict[str, Floats]:
    """The tensors of a ``state_dict`` as arrays, if they are those that are expected; no code of the file is run."""
    require_extra("torch", "train")
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} was not loaded: it holds more than tensors, and what else a pickle holds could be code. Only a "
            "`state_dict`, as torch.save(model.state_dict(), …) writes it, is read"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path} is damaged, or no file of torch.save: {error or type(error).__name__}") from error
    if not isinstance(state, dict) or not all(_is_plain(value) for value in state.values()):
        raise ValueError(
            f"{path} must hold a state_dict (dense tensors of numbers, by name), got {type(state).__name__}"
        )
    found = {name: tuple(value.shape) for name, value in state.items()}
    needless = {name: shape for name, shape in (optional or {}).items() if name in found}
    if found != {**shapes, **needless}:
        raise ValueError(f"{path} does not fit its config.json: expected {dict(shapes)}, got {found}")
    if sum(value.numel() * value.element_size() for value in state.values()) > path.stat().st_size:
        raise ValueError(f"{path} is damaged: it tells of more numbers than it holds")
    arrays: dict[str, Floats] = {name: value.detach().to(torch.float32).numpy() for name, value in state.items()}
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if bad:
        raise ValueError(f"{path} holds numbers that are not finite, in {', '.join(bad)}")
    return arrays


def _is_plain(value: Any) -> bool:
    """Whether a value is a tensor of real numbers that lie in memory (not sparse, not a mere shape)."""
    import torch

    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        return False
    return value.is_floating_point() and value.device.type == "cpu"


def _two_layers(config: dict[str, Any], arrays: dict[str, Floats], length: float) -> BaseAdapter:
    """LlamaIndex's ``TwoLayerNN`` for queries that are ``length`` times those that the adapter will see."""
    first, bias = arrays["linear1.weight"] * length, arrays["linear1.bias"]  # (hidden, in), (hidden,)
    second, shift = arrays["linear2.weight"], arrays["linear2.bias"]  # (out, hidden), (out,)
    activation, residual = config["activation_fn_str"], config["add_residual"]
    if residual:  # weight · output + length · q, and then only the direction counts
        if "residual_weight" not in arrays:
            raise ValueError("the adapter has a residual and pytorch_model.bin no residual_weight; it is damaged")
        scale = arrays["residual_weight"][0] / np.float32(length)
        second, shift = scale * second, scale * shift
    if activation not in ("relu", "leaky_relu"):
        if activation not in ("sigmoid", "tanh"):
            raise ValueError(f"LlamaIndex knows relu, leaky_relu, sigmoid and tanh; config.json names {activation!r}")
        bounded = BoundedTwoLayerAdapter(first.shape[1], len(first), len(second), activation, residual)
        bounded.load_arrays({"hidden_weight": first, "hidden_bias": bias, "weight": second, "bias": shift})
        return bounded
    if activation == "leaky_relu":
        first, bias = np.concatenate([first, -first]), np.concatenate([bias, -bias])
        second = np.concatenate([second, -LEAK * second], axis=1)
    if not residual:
        identity, cut = identity_matrix(first.shape[1], first.shape[1]), identity_matrix(len(second), first.shape[1])
        bias = np.concatenate([bias, np.zeros(2 * first.shape[1], dtype=np.float32)])
        first = np.concatenate([first, identity, -identity])
        second = np.concatenate([second, -cut, cut], axis=1)
    adapter = TwoLayerAdapter(first.shape[1], len(first), len(second))
    adapter.load_arrays({"hidden_weight": first, "hidden_bias": bias, "weight": second, "bias": shift})
    return adapter

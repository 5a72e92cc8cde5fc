"""Adapters trained elsewhere are carried over exactly, or refused with what could not be."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from langchain_embedding_adapter import (
    AdaptedEmbeddings,
    BaseAdapter,
    LinearAdapter,
    TwoLayerAdapter,
    load_llama_index_adapter,
    load_openai_matrix,
)
from langchain_embedding_adapter.adapters.bounded import BoundedTwoLayerAdapter
from tests.small_world import DIMENSIONS, AngleEmbeddings

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}
LINEAR = {"in_features": 6, "out_features": 4, "bias": True}
TWO_LAYERS = {
    "in_features": 6,
    "hidden_features": 5,
    "out_features": 6,
    "bias": False,
    "activation_fn_str": "relu",
    "add_residual": True,
}
CONFIGS = [
    LINEAR,
    LINEAR | {"bias": False},
    LINEAR | {"out_features": 9},
    *(TWO_LAYERS | {"activation_fn_str": name, "add_residual": True} for name in ACTIVATIONS),
    *(TWO_LAYERS | {"activation_fn_str": name, "add_residual": False} for name in ACTIVATIONS),
    TWO_LAYERS | {"out_features": 3, "add_residual": False},
    TWO_LAYERS | {"out_features": 8, "add_residual": False, "activation_fn_str": "leaky_relu"},
]


def told(config: dict[str, Any]) -> str:
    return "-".join(str(value) for value in config.values())


def state_of(config: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Random parameters under LlamaIndex's names."""
    torch.manual_seed(0)
    dim, out = config["in_features"], config["out_features"]
    if "hidden_features" not in config:
        layers = {"linear": torch.nn.Linear(dim, out, bias=config["bias"])}
        rest = {}
    else:
        hidden = config["hidden_features"]
        layers = {"linear1": torch.nn.Linear(dim, hidden), "linear2": torch.nn.Linear(hidden, out)}
        rest = {"residual_weight": torch.tensor([-1.7])}
    return rest | {
        f"{layer}.{name}": value for layer, made in layers.items() for name, value in made.state_dict().items()
    }


def forward(config: dict[str, Any], state: dict[str, torch.Tensor], queries: np.ndarray) -> np.ndarray:
    """What LlamaIndex's two classes do, stated again."""
    embed = torch.from_numpy(queries)
    if "hidden_features" not in config:
        output = embed @ state["linear.weight"].T
        return (output + state["linear.bias"] if config["bias"] else output).numpy()
    hidden = ACTIVATIONS[config["activation_fn_str"]](embed @ state["linear1.weight"].T + state["linear1.bias"])
    output = hidden @ state["linear2.weight"].T + state["linear2.bias"]
    return (state["residual_weight"] * output + embed if config["add_residual"] else output).numpy()


def write(folder: Path, config: Any, state: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(state, folder / "pytorch_model.bin")
    return folder


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def queries_of(length: float = 1.0) -> np.ndarray:
    return (length * unit(np.random.default_rng(1).normal(size=(50, 6)))).astype(np.float32)


@pytest.mark.parametrize("config", CONFIGS, ids=told)
@pytest.mark.parametrize("length", [1.0, 3.0])
def test_directions_are_those_of_llama_index(config: dict[str, Any], length: float, tmp_path: Path) -> None:
    state = state_of(config)
    adapter = load_llama_index_adapter(write(tmp_path / "model", config, state), query_length=length)
    queries = queries_of(length)
    theirs, ours = forward(config, state, queries), adapter.adapt(queries)
    assert np.abs(unit(theirs) - unit(queries)[:, :1]).max() > 0.1
    np.testing.assert_allclose(unit(ours), unit(theirs), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), length, rtol=1e-5)


def test_each_becomes_the_smallest_kind_that_holds_it(tmp_path: Path) -> None:
    def loaded(config: dict[str, Any]) -> BaseAdapter:
        return load_llama_index_adapter(write(tmp_path / "model", config, state_of(config)))

    linear = loaded(LINEAR | {"bias": False})
    assert isinstance(linear, LinearAdapter)
    assert linear.bias is None
    network = loaded(TWO_LAYERS)
    assert isinstance(network, TwoLayerAdapter)
    assert network.hidden_features == 5
    without = loaded(TWO_LAYERS | {"add_residual": False, "activation_fn_str": "leaky_relu"})
    assert isinstance(without, TwoLayerAdapter)
    assert without.hidden_features == 2 * 5 + 2 * 6
    assert isinstance(loaded(TWO_LAYERS | {"activation_fn_str": "tanh"}), BoundedTwoLayerAdapter)


def test_only_a_linear_map_without_bias_takes_any_length(tmp_path: Path) -> None:
    for config, agrees in ((LINEAR | {"bias": False}, True), (LINEAR, False), (TWO_LAYERS, False)):
        state = state_of(config)
        adapter = load_llama_index_adapter(write(tmp_path / "model", config, state))
        queries = queries_of(length=3)
        gap = np.abs(unit(adapter.adapt(queries)) - unit(forward(config, state, queries))).max()
        assert (gap < 1e-5) == agrees
        assert agrees or gap > 0.01


def test_older_folders_lack_what_came_later(tmp_path: Path) -> None:
    state = state_of(TWO_LAYERS)
    del state["residual_weight"]
    old = {key: TWO_LAYERS[key] for key in ("in_features", "hidden_features", "out_features")}
    adapter = load_llama_index_adapter(write(tmp_path / "model", old, state))
    queries = queries_of()
    theirs = forward(TWO_LAYERS | {"add_residual": False}, state, queries)
    np.testing.assert_allclose(unit(adapter.adapt(queries)), unit(theirs), atol=2e-6)
    with pytest.raises(ValueError, match=r"has a residual and pytorch_model.bin no residual_weight"):
        load_llama_index_adapter(write(tmp_path / "model", TWO_LAYERS, state))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_it_is_put_on_embeddings_saved_and_loaded(activation: str, tmp_path: Path) -> None:
    config = TWO_LAYERS | {"in_features": DIMENSIONS, "out_features": DIMENSIONS, "activation_fn_str": activation}
    adapted = AdaptedEmbeddings(
        AngleEmbeddings(), load_llama_index_adapter(write(tmp_path / "model", config, state_of(config)))
    )
    adapted.save_pretrained(tmp_path / "adapter")
    kind = type(adapted.adapter) if activation == "tanh" else None
    again = AdaptedEmbeddings.from_pretrained(tmp_path / "adapter", AngleEmbeddings(), adapter_class=kind)
    assert again.embed_query("q 10 0") == adapted.embed_query("q 10 0")
    assert again.embed_query("q 10 0") != AngleEmbeddings().embed_query("q 10 0")


class Trap:
    """What a malicious file holds: reading it as a pickle runs a command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("form", ["torch.save", "bare pickle"])
def test_a_malicious_pickle_is_refused_and_not_run(form: str, tmp_path: Path) -> None:
    caught = tmp_path / "caught"
    folder = write(tmp_path / "model", LINEAR, state_of(LINEAR) | {"linear.bias": Trap(caught)})
    weights = folder / "pytorch_model.bin"
    if form == "bare pickle":
        weights.write_bytes(pickle.dumps(Trap(caught), protocol=2))
    with pytest.raises(ValueError, match=r"pytorch_model.bin was not loaded: it holds more than tensors"):
        load_llama_index_adapter(folder)
    assert not caught.exists()
    if form == "bare pickle":  # the trap is a real one
        pickle.loads(weights.read_bytes())  # noqa: S301
    else:
        torch.load(weights, weights_only=False)
    assert caught.exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([], "describes neither LlamaIndex's LinearLayer nor its TwoLayerNN .it holds: list"),
        ({"format": "langchain-embedding-adapter"}, "describes neither .*it holds: format"),
        (LINEAR | {"gate": 3}, r"it holds: .*gate.*subclass BaseAdapter"),
        (LINEAR | {"in_features": "6"}, "in_features must be a positive whole number, got '6'"),
        (LINEAR | {"in_features": True}, "in_features must be a positive whole number, got True"),
        (LINEAR | {"out_features": 0}, "out_features must be a positive whole number, got 0"),
        (LINEAR | {"bias": 1}, "bias must be a bool, got 1"),
        (LINEAR | {"in_features": 10**12}, r"does not fit its config.json: expected .*1000000000000"),
        (LINEAR | {"bias": False}, "does not fit its config.json"),
        (TWO_LAYERS, "does not fit its config.json"),
        (TWO_LAYERS | {"out_features": 5}, "a residual needs as many dimensions out as in, got 6 in and 5 out"),
    ],
)
def test_configurations_that_cannot_be(config: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        load_llama_index_adapter(write(tmp_path / "model", config, state_of(LINEAR)))


def test_an_activation_that_is_not_known(tmp_path: Path) -> None:
    config = TWO_LAYERS | {"activation_fn_str": "gelu"}
    with pytest.raises(ValueError, match=r"knows relu, .*names 'gelu'"):
        load_llama_index_adapter(write(tmp_path / "model", config, state_of(config)))


def test_weights_that_cannot_be(tmp_path: Path) -> None:
    state = state_of(LINEAR)
    weight = state["linear.weight"]
    for bad, message in [
        ([weight], "must hold a state_dict"),
        (state | {"linear.weight": weight.to_sparse()}, "must hold a state_dict .dense"),
        (state | {"linear.weight": weight.to(torch.int8)}, "must hold a state_dict"),
        (state | {"linear.weight": torch.empty(4, 6, device="meta")}, "must hold a state_dict"),
        (state | {"linear.weight": weight * torch.nan}, "numbers that are not finite, in linear.weight"),
        (state | {"more": weight}, "does not fit its config.json"),
    ]:
        with pytest.raises(ValueError, match=message):
            load_llama_index_adapter(write(tmp_path / "model", LINEAR, bad))
    huge = LINEAR | {"in_features": 10**6, "out_features": 10**6}
    vast = {"linear.weight": torch.zeros(1).expand(10**6, 10**6), "linear.bias": torch.zeros(1).expand(10**6)}
    with pytest.raises(ValueError, match="tells of more numbers than it holds"):
        load_llama_index_adapter(write(tmp_path / "model", huge, vast))


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-30], lambda data: data[: len(data) // 2], lambda _: b"", lambda _: b"x" * 99]
)
def test_a_damaged_file(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    weights = write(tmp_path / "model", LINEAR, state_of(LINEAR)) / "pytorch_model.bin"
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(ValueError, match=r"pytorch_model.bin (is damaged|was not loaded)"):
        load_llama_index_adapter(tmp_path / "model")


@pytest.mark.parametrize("name", ["config.json", "pytorch_model.bin"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    (write(tmp_path / "model", LINEAR, state_of(LINEAR)) / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"it holds no {name}.*AdaptedEmbeddings.from_pretrained"):
        load_llama_index_adapter(tmp_path / "model")


@pytest.mark.parametrize("length", [0, -1, np.inf, np.nan])
def test_a_length_that_cannot_be(length: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="query_length must be a positive number"):
        load_llama_index_adapter(tmp_path, query_length=length)


THEIRS = """
import json, sys
import numpy as np, torch
from llama_index.embeddings.adapter import AdapterEmbeddingModel
from llama_index.embeddings.adapter.utils import LinearLayer, TwoLayerNN
from llama_index.core.embeddings import BaseEmbedding

class LookUp(BaseEmbedding):
    vectors: list
    def _get_query_embedding(self, query): return self.vectors[int(query)]
    def _get_text_embedding(self, text): return self.vectors[int(text)]
    async def _aget_query_embedding(self, query): return self.vectors[int(query)]

folder, configs = sys.argv[1], json.loads(sys.argv[2])
vectors = np.load(folder + "/queries.npy").tolist()
torch.manual_seed(0)
for number, config in enumerate(configs):
    kind = TwoLayerNN if "hidden_features" in config else LinearLayer
    model = kind(**config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    model.save(f"{folder}/{number}")
    embedding = AdapterEmbeddingModel(LookUp(vectors=vectors), f"{folder}/{number}", kind, device="cpu")
    np.save(f"{folder}/{number}.npy", [embedding.get_query_embedding(str(row)) for row in range(len(vectors))])
"""


@pytest.mark.skipif("LLAMA_INDEX_PYTHON" not in os.environ, reason="LLAMA_INDEX_PYTHON names no interpreter with it")
def test_directions_are_those_of_the_real_llama_index(tmp_path: Path) -> None:
    queries = queries_of()
    np.save(tmp_path / "queries.npy", queries)
    square = {"out_features": 6}  # its LinearLayer cannot be made otherwise
    configs = [config if "hidden_features" in config else config | square for config in CONFIGS]
    command = [os.environ["LLAMA_INDEX_PYTHON"], "-W", "ignore", "-c", THEIRS, str(tmp_path), json.dumps(configs)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for number in range(len(configs)):
        theirs = np.load(tmp_path / f"{number}.npy")
        ours = load_llama_index_adapter(tmp_path / str(number)).adapt(queries)
        np.testing.assert_allclose(unit(ours), unit(theirs), atol=1e-5)


def test_the_matrix_of_openai_over_multiplied_documents(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).normal(size=(6, 9))
    np.save(tmp_path / "matrix.npy", matrix)
    adapter = load_openai_matrix(tmp_path / "matrix.npy", documents="multiplied")
    assert isinstance(adapter, LinearAdapter)
    assert (adapter.in_features, adapter.out_features) == (6, 9)
    queries = queries_of()
    np.testing.assert_allclose(unit(adapter.adapt(queries)), unit(queries @ matrix), atol=1e-6)


def test_the_matrix_of_openai_over_documents_as_they_are(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    np.save(tmp_path / "matrix.npy", matrix)
    adapter = load_openai_matrix(tmp_path / "matrix.npy", documents="untouched")
    assert (adapter.in_features, adapter.out_features) == (6, 6)
    queries, documents = queries_of(), unit(np.random.default_rng(2).normal(size=(20, 6)))
    scores = adapter.forward(queries) @ documents.T
    recipe = unit(queries @ matrix) @ unit(documents @ matrix).T
    lengths = np.linalg.norm(queries @ matrix, axis=1)[:, None] * np.linalg.norm(documents @ matrix, axis=1)
    np.testing.assert_allclose(scores, recipe * lengths, atol=1e-4)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones(6), r"must hold a matrix .*holds float64 of shape \(6,\)"),
        (np.ones((0, 6)), r"of shape \(0, 6\)"),
        (np.ones((2, 2), dtype=complex), "holds complex128"),
        (np.array([["a"]]), "holds <U1"),
        (np.array([[np.nan, 1.0]]), "not finite"),
        (np.array([[1e300, 1.0]]), "beyond what float32 holds"),
        (np.array([[{}]], dtype=object), "could not be read as a matrix"),
    ],
)
@pytest.mark.parametrize("documents", ["multiplied", "untouched"])
def test_matrices_that_cannot_be(matrix: np.ndarray, documents: Any, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "matrix.npy", matrix, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        load_openai_matrix(tmp_path / "matrix.npy", documents=documents)


def test_files_that_hold_no_matrix(tmp_path: Path) -> None:
    path = tmp_path / "matrix.npy"
    with pytest.raises(FileNotFoundError, match=r"there is no file .*numpy.save"):
        load_openai_matrix(path, documents="multiplied")
    np.save(path, np.ones((50, 50)))
    whole = path.read_bytes()
    for content in (
        b"",
        whole[:-8],
        b"1,2\n3,4\n",
        whole.replace(b"(50, 50)", b"(50, 50("),
        pickle.dumps(Trap(tmp_path / "caught")),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"could not be read as a matrix in .npy format"):
            load_openai_matrix(path, documents="multiplied")
    assert not (tmp_path / "caught").exists()
    np.savez(tmp_path / "matrix.npz", matrix=np.eye(2))
    with pytest.raises(ValueError, match="could not be read"):
        load_openai_matrix(tmp_path / "matrix.npz", documents="multiplied")


def test_what_the_index_holds_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="documents must be 'multiplied' or 'untouched'"):
        load_openai_matrix(tmp_path / "matrix.npy", documents="both")  # type: ignore[arg-type]


def test_the_bounded_network_is_trained_as_it_serves() -> None:
    for residual in (True, False):
        adapter = BoundedTwoLayerAdapter(6, 5, 6, "sigmoid", residual)
        np.testing.assert_allclose(adapter.adapt(queries_of()), queries_of() if residual else 0, atol=1e-6)
    random = np.random.default_rng(0)
    adapter.load_arrays({name: 50 * random.normal(size=array.shape) for name, array in adapter.to_arrays().items()})
    twin, _ = adapter.trainable()
    served, trained = adapter.forward(queries_of()), twin.forward(torch.from_numpy(queries_of())).detach().numpy()
    np.testing.assert_allclose(served, trained, rtol=1e-4, atol=1e-3)
    with pytest.raises(ValueError, match="expected the activation"):
        BoundedTwoLayerAdapter(6, 5, 6, "relu")
    with pytest.raises(ValueError, match="hidden_features must be"):
        BoundedTwoLayerAdapter(6, 0, 6)

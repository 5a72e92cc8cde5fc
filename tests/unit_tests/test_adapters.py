"""All adapters through one set of claims: identity at the start, shapes, serving as trained, save and load."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_embedding_adapter import (
    AdaptedEmbeddings,
    BaseAdapter,
    LinearAdapter,
    LowRankAdapter,
    MemoryAdapter,
    TwoLayerAdapter,
)
from langchain_embedding_adapter.adapters import LayeredMemoryAdapter, QuantisedMemoryAdapter


class HoldingAdapter(BaseAdapter):
    """A user's own: modules held as attributes, dropout among them."""

    def __init__(self, in_features: int, out_features: int, hidden_features: int = 5) -> None:
        super().__init__(in_features, out_features)
        self.shift = torch.nn.Sequential(
            torch.nn.Linear(in_features, hidden_features),
            torch.nn.Dropout(0.5),
            torch.nn.Linear(hidden_features, out_features),
        )
        torch.nn.init.zeros_(self.shift[-1].weight)
        torch.nn.init.zeros_(self.shift[-1].bias)

    def forward(self, queries: torch.Tensor) -> torch.Tensor:
        kept = queries if self.in_features == self.out_features else queries[:, :1].expand(-1, self.out_features)
        return kept + self.shift(queries)


class InheritingAdapter(BaseAdapter, torch.nn.Module):
    """A user's own: a module itself."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.linear = torch.nn.Linear(in_features, out_features, bias=False)
        torch.nn.init.eye_(self.linear.weight)

    def forward(self, queries: torch.Tensor) -> torch.Tensor:
        return self.linear(queries)


MAKERS = {
    "linear": lambda i, o: LinearAdapter(i, o),
    "linear with bias": lambda i, o: LinearAdapter(i, o, bias=True),
    "low-rank": lambda i, o: LowRankAdapter(i, o, rank=3),
    "two-layer": lambda i, o: TwoLayerAdapter(i, 7, o),
    "memory": lambda i, o: MemoryAdapter(i, o, size=4),
    "quantised memory": lambda i, o: QuantisedMemoryAdapter(i, o, size=7, cells=3),
    "layered memory": lambda i, o: LayeredMemoryAdapter(i, o, size=4, below_size=3),
    "own, holding": lambda i, o: HoldingAdapter(i, o),
    "own, inheriting": lambda i, o: InheritingAdapter(i, o),
}
SHAPES = [(6, 6), (4, 6), (6, 4)]

adapters = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
shapes = pytest.mark.parametrize(("in_features", "out_features"), SHAPES)


def vectors(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


def shaken(adapter: BaseAdapter) -> BaseAdapter:
    """The adapter with every parameter moved."""
    random = np.random.default_rng(1)
    arrays = adapter.to_arrays()
    moved = {name: (array + 0.3 * random.normal(size=array.shape)).astype(np.float32) for name, array in arrays.items()}
    for name in ("key_codes", "value_codes"):
        if name in arrays:
            moved[name] = random.integers(256, size=arrays[name].shape, dtype=np.uint8)
            moved["counts"] = np.array([4, 0, 3], dtype=np.uint32)
    adapter.load_arrays(moved)
    return adapter


@adapters
def test_it_starts_as_the_identity(make) -> None:
    queries = 3 * vectors(5, 6)
    assert make(6, 6).adapt(queries) == pytest.approx(queries, abs=1e-5)


@adapters
@shapes
def test_it_maps_to_the_passages_dimensions_and_keeps_the_length(make, in_features: int, out_features: int) -> None:
    queries = vectors(5, in_features)
    adapted = shaken(make(in_features, out_features)).adapt(queries)
    assert adapted.shape == (5, out_features)
    assert adapted.dtype == np.float32
    assert np.linalg.norm(adapted, axis=1) == pytest.approx(np.linalg.norm(queries, axis=1), rel=1e-5)


@adapters
def test_the_length_of_a_query_does_not_change_its_direction(make) -> None:
    adapter, queries = shaken(make(6, 6)), vectors(3, 6)
    assert adapter.adapt(10 * queries) == pytest.approx(10 * adapter.adapt(queries), rel=1e-4, abs=1e-4)


@adapters
def test_a_query_of_zeros_stays_finite(make) -> None:
    assert np.isfinite(shaken(make(6, 6)).adapt(np.zeros((1, 6), np.float32))).all()


@adapters
@shapes
def test_serving_equals_the_forward_that_is_trained(make, in_features: int, out_features: int) -> None:
    adapter = shaken(make(in_features, out_features))
    twin, module = adapter.trainable()
    module.eval()
    queries = vectors(5, in_features)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    trained = torch.nn.functional.normalize(twin.forward(torch.from_numpy(queries)), dim=1).detach().numpy()
    assert adapter.adapt(queries) == pytest.approx(trained, abs=1e-5)


@adapters
def test_training_a_twin_leaves_the_original_alone(make) -> None:
    adapter = shaken(make(6, 6))
    before = copy.deepcopy(adapter.to_arrays())
    twin, module = adapter.trainable()
    assert list(module.parameters())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 1
    after = adapter.to_arrays()
    assert all((after[name] == before[name]).all() for name in before)
    learned = adapter.trained(twin)
    assert all((learned.to_arrays()[name] == twin.to_arrays()[name]).all() for name in before)
    assert not np.allclose(learned.adapt(vectors(3, 6)), adapter.adapt(vectors(3, 6)))


@adapters
@shapes
def test_it_comes_back_from_a_folder_as_it_was(make, in_features: int, out_features: int, tmp_path: Path) -> None:
    adapter, base = shaken(make(in_features, out_features)), DeterministicFakeEmbedding(size=in_features)
    AdaptedEmbeddings(base, adapter).save_pretrained(tmp_path / "saved")
    own = type(adapter) if type(adapter).__module__ == __name__ else None
    loaded = AdaptedEmbeddings.from_pretrained(tmp_path / "saved", base, adapter_class=own).adapter
    assert type(loaded) is type(adapter)
    assert loaded.arguments == adapter.arguments
    assert (loaded.adapt(vectors(4, in_features)) == adapter.adapt(vectors(4, in_features))).all()


@adapters
def test_it_can_be_copied_and_pickled(make) -> None:
    adapter, queries = shaken(make(6, 6)), vectors(3, 6)
    for again in (copy.deepcopy(adapter), copy.copy(adapter), pickle.loads(pickle.dumps(adapter))):  # noqa: S301 our own
        assert (again.adapt(queries) == adapter.adapt(queries)).all()
        assert again.arguments == adapter.arguments


@adapters
@pytest.mark.parametrize("wrong", [(6,), (2, 5), (2, 3, 6)])
def test_vectors_of_another_shape_are_refused(make, wrong: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"takes query vectors of 6 dimensions, \(n, 6\), and got an array of shape"):
        make(6, 6).adapt(np.zeros(wrong, np.float32))


@adapters
def test_arrays_that_do_not_fit_are_refused(make) -> None:
    adapter = make(6, 6)
    arrays = adapter.to_arrays()
    name = next(iter(arrays))
    with pytest.raises(ValueError, match="do not fit"):
        adapter.load_arrays({key: value for key, value in arrays.items() if key != name})
    with pytest.raises(ValueError, match="do not fit"):
        adapter.load_arrays({**arrays, name: arrays[name][:1]})
    with pytest.raises(ValueError, match=f"not finite: {name}"):
        adapter.load_arrays({**arrays, name: np.full_like(arrays[name], np.nan)})


@pytest.mark.parametrize(
    "make",
    [
        lambda: LinearAdapter(0, 4),
        lambda: LinearAdapter(4, 4.0),
        lambda: LowRankAdapter(4, 4, rank=0),
        lambda: TwoLayerAdapter(4, -1, 4),
        lambda: MemoryAdapter(4, 4, size=0),
        lambda: MemoryAdapter(4, 4, size=2, temperature=0),
        lambda: QuantisedMemoryAdapter(4, 4, size=2, cells=0),
        lambda: QuantisedMemoryAdapter(4, 4, size=2, cells=1, width=0),
        lambda: QuantisedMemoryAdapter(4, 4, size=2, cells=1, temperature=-1),
    ],
)
def test_impossible_sizes_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"must be a positive whole number|expected temperature"):
        make()


def test_an_adapter_without_a_module_has_nothing_to_train() -> None:
    class Empty(BaseAdapter):
        def forward(self, queries):
            return queries

    with pytest.raises(TypeError, match=r"Empty has nothing to train: set a torch.nn.Module on it"):
        Empty(4, 4).trainable()


def test_dropout_is_off_when_serving() -> None:
    adapter = shaken(HoldingAdapter(6, 6))
    assert (adapter.adapt(vectors(3, 6)) == adapter.adapt(vectors(3, 6))).all()


def test_the_memory_answers_near_what_it_remembers_and_is_silent_elsewhere() -> None:
    adapter = MemoryAdapter(4, 4, size=1, temperature=0.05, strength=1.0)
    here, there, answer = np.eye(4, dtype=np.float32)[:3]
    adapter.keys[0], adapter.values[0] = here, answer - here
    assert adapter.adapt(here[None])[0] == pytest.approx(answer, abs=1e-5)
    assert adapter.adapt(there[None])[0] == pytest.approx(there, abs=1e-5)


def test_a_memory_over_a_memory_corrects_what_that_one_says() -> None:
    here, there, wrong, right = np.eye(4, dtype=np.float32)
    below = MemoryAdapter(4, 4, size=2, temperature=0.02, strength=1e13)
    below.keys[:], below.values[:] = [here, there], [wrong, there]
    above = MemoryAdapter(4, 4, size=1, temperature=0.05, strength=1.0)
    above.keys[0], above.values[0] = here, right - wrong
    adapter = LayeredMemoryAdapter.over(below, above)
    assert below.adapt(here[None])[0] == pytest.approx(wrong, abs=1e-5)
    assert adapter.adapt(here[None])[0] == pytest.approx(right, abs=1e-5)
    assert adapter.adapt(there[None])[0] == pytest.approx(there, abs=1e-5)
    above.values[:] = 0
    unchanged = LayeredMemoryAdapter.over(below, above)
    assert unchanged.adapt(vectors(5, 4)) == pytest.approx(below.adapt(vectors(5, 4)), abs=1e-5)

"""From a saved adapter back to the adapter: built-in kinds, one's own classes, what earlier formats saved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langchain_embedding_adapter import BaseAdapter, LinearAdapter, MemoryAdapter, adapters, register_adapter
from langchain_embedding_adapter.adapters import adapter_of_kind
from langchain_embedding_adapter.embeddings.restoring import load_arrays_and_config, restore_adapter
from langchain_embedding_adapter.storage.folder import load_folder, save_folder

FORMAT_1 = Path(__file__).parent / "format_1"
ADAPTED_BY_FORMAT_1 = {
    "linear": [0.909798264503479, 0.41505080461502075],
    "two-layer": [-0.010195105336606503, 0.9999480247497559],
    "low-rank": [0.454825758934021, 0.8905804753303528],
    "memory": [-0.035430070012807846, 0.9993721842765808],
}
"""What version 0.1.0, which saved these folders, answered to ``QUERY``."""
QUERY = np.array([[0.6, 0.8, 0.0]], dtype=np.float32)


class Halved(LinearAdapter):
    kind = "halved"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(adapters, "_REGISTERED", {})
    return


def entry(adapter: BaseAdapter, **change: Any) -> dict[str, Any]:
    features = {"in_features": adapter.in_features, "out_features": adapter.out_features}
    return {"adapter": {"kind": adapter.kind, **features, "arguments": adapter.arguments, **change}}


@pytest.mark.parametrize("kind", ADAPTED_BY_FORMAT_1)
def test_format_1_is_read_and_saved_as_format_2(kind: str, tmp_path: Path) -> None:
    config, arrays = load_arrays_and_config(FORMAT_1 / kind)
    assert (config["format_version"], config["base_model"]) == (1, "Base:a-model")
    adapter = restore_adapter(config, arrays, source=kind)
    assert adapter.adapt(QUERY)[0] == pytest.approx(ADAPTED_BY_FORMAT_1[kind], abs=1e-6)
    save_folder(tmp_path, config, arrays, "")
    config, arrays = load_arrays_and_config(tmp_path)
    assert config["format_version"] == 2
    assert np.array_equal(restore_adapter(config, arrays, source=kind).adapt(QUERY), adapter.adapt(QUERY))


def test_half_precision_is_loaded_as_single() -> None:
    adapter = LinearAdapter(3, 2)
    weight = np.arange(6, dtype=np.float16).reshape(2, 3) / 7
    loaded = restore_adapter(entry(adapter), {"weight": weight}, source="it")
    assert isinstance(loaded, LinearAdapter)
    assert loaded.weight.dtype == np.float32
    assert np.array_equal(loaded.weight, weight.astype(np.float32))


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.full((2, 3), np.nan, np.float32), "weight holds values that are not finite"),
        (np.full((2, 3), 1e300), "weight holds values that are not finite"),
        (np.ones((2, 3), np.int64), "expected floating-point numbers in weight, got int64"),
        (np.ones((3, 2), np.float32), r"do not fit LinearAdapter: expected \{'weight': \(2, 3\)\}"),
    ],
)
def test_arrays_that_are_no_adapters(weight: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"it: .*{message}"):
        restore_adapter(entry(LinearAdapter(3, 2)), {"weight": weight}, source="it")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": "0.1"}, "expected temperature to be of type float, got '0.1'"),
        ({"temperature": None}, "expected temperature to be of type float, got None"),
        ({"temperature": float("nan")}, "expected temperature to be of type float, got nan"),
        ({"strength": 10**400}, "expected strength to be of type float"),
        ({"temperature": True}, "expected temperature to be of type float, got True"),
        ({"temperature": -1.0}, "expected temperature > 0"),
        ({"size": 4.0}, "expected size to be of type int, got 4.0"),
        ({"size": True}, "expected size to be of type int, got True"),
        ({"size": [4]}, "expected size to be of type int"),
        ({"size": 0}, "expected positive sizes"),
        ({"size": 10**12}, "the arrays do not fit MemoryAdapter"),
        ({"in_features": 10**9}, "contradicts itself"),
        ({"other": 1}, "unexpected keyword argument 'other'"),
        ({"self": 1}, "'self'"),
    ],
)
def test_arguments_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    adapter = MemoryAdapter(3, 2, 4)
    with pytest.raises(ValueError, match=message):
        restore_adapter(entry(adapter, arguments=adapter.arguments | change), adapter.to_arrays(), source="it")


@pytest.mark.parametrize("features", [0, -1, True, 2.0, "3", None, 10**9])
def test_dimensions_that_no_vectors_have(features: Any) -> None:
    adapter = Halved(3, 2)
    with pytest.raises(ValueError, match=r"expected in_features and out_features from 1 to 1,048,576"):
        restore_adapter(entry(adapter, in_features=features), adapter.to_arrays(), adapter_class=Halved, source="it")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_model": 3}, "expected `base_model` in config.json to be of type str, got 3"),
        ({"training": []}, "expected `training` in config.json to be of type dict"),
        ({"report": "good"}, "expected `report` in config.json to be of type dict"),
        ({"report": {"metrics": []}}, "cannot be read: 'questions'"),
        ({"report": {"questions": 1, "passages": 1, "metrics": 7}}, "cannot be read"),
        ({"report": {"questions": 1, "passages": 1, "metrics": [{"metric": 1, "base": "x"}]}}, "cannot be read"),
        ({"calibration": [1, 2]}, "expected a calibration with 'adapted' and 'base' scores"),
        ({"calibration": {"adapted": "12", "base": [1, 2]}}, "expected a calibration"),
        ({"calibration": {"adapted": [1, True], "base": [1, 2]}}, "expected a calibration"),
        ({"calibration": {"adapted": [1, 10**400], "base": [1, 2]}}, "expected a calibration"),
        ({"calibration": {"adapted": [1, float("nan")], "base": [1, 2]}}, "expected a calibration"),
        ({"calibration": {"adapted": [], "base": []}}, "as many scores"),
    ],
)
def test_what_is_told_beside_the_adapter_can_be_used(change: dict[str, Any], message: str) -> None:
    adapter = LinearAdapter(3, 2)
    with pytest.raises(ValueError, match=message):
        restore_adapter(entry(adapter) | change, adapter.to_arrays(), source="it")


def test_a_file_with_much_beside_the_adapter_is_refused_before_it_is_read(tmp_path: Path) -> None:
    adapter = LinearAdapter(3, 2)
    save_folder(tmp_path, entry(adapter), adapter.to_arrays() | {"coverage.mean": np.ones(3)}, "")
    assert load_arrays_and_config(tmp_path)[1].keys() == {"weight", "coverage.mean"}
    save_folder(tmp_path, entry(adapter), adapter.to_arrays() | {"coverage.mean": np.ones(10**4)}, "")
    with pytest.raises(ValueError, match="holds 10,000 values beside the adapter's own"):
        load_arrays_and_config(tmp_path)
    save_folder(tmp_path, entry(adapter), adapter.to_arrays() | {"other": np.ones(3)}, "")
    with pytest.raises(ValueError, match="the arrays do not fit LinearAdapter"):
        load_arrays_and_config(tmp_path)
    assert "other" in load_folder(tmp_path)[1]  # a folder is read without knowing what its arrays mean


@pytest.mark.usefixtures("registry")
def test_a_class_is_never_named_by_the_folder() -> None:
    for kind in ("os.system", "langchain_embedding_adapter.LinearAdapter", "LinearAdapter", "halved", None, ["linear"]):
        with pytest.raises(ValueError, match=r"which is none of linear, .*register_adapter"):
            restore_adapter(entry(Halved(3, 2), kind=kind), {}, source="it")


@pytest.mark.usefixtures("registry")
def test_a_registered_class_is_loaded_by_its_kind() -> None:
    assert register_adapter(Halved) is Halved
    assert register_adapter(Halved) is Halved
    adapter = Halved(3, 2)
    assert isinstance(restore_adapter(entry(adapter), adapter.to_arrays(), source="it"), Halved)


@pytest.mark.usefixtures("registry")
def test_a_class_that_is_defined_anew_takes_its_own_place() -> None:
    def defined() -> type[BaseAdapter]:
        class Mine(LinearAdapter):
            pass

        return Mine

    first, second = register_adapter(defined()), register_adapter(defined())
    assert first is not second
    assert adapter_of_kind("Mine") is second


@pytest.mark.usefixtures("registry")
def test_what_cannot_be_registered() -> None:
    class Linear(LinearAdapter):
        kind = "linear"

    class Other(LinearAdapter):
        kind = "halved"

    class Unfinished(BaseAdapter):
        pass

    with pytest.raises(ValueError, match="the kind 'linear' is built in; set another `kind` on Linear"):
        register_adapter(Linear)
    register_adapter(Halved)
    with pytest.raises(ValueError, match=r"the kind 'halved' is registered for .*Halved; set another `kind` on Other"):
        register_adapter(Other)
    with pytest.raises(TypeError, match="Unfinished is abstract"):
        register_adapter(Unfinished)
    for value in (int, Halved(3, 2), None):
        with pytest.raises(TypeError, match="expected a subclass of BaseAdapter"):
            register_adapter(value)  # type: ignore[type-var]
    assert adapter_of_kind("halved") is Halved


def test_whatever_a_users_class_raises_is_told_as_a_value_error() -> None:
    class Picky(LinearAdapter):
        def __init__(self, in_features: int, out_features: int, key: str = "a") -> None:
            super().__init__(in_features, out_features)
            {"a": 1}[key]

        def load_arrays(self, arrays: dict[str, Any]) -> None:
            raise RuntimeError("size mismatch")

    adapter = Picky(3, 2)
    arguments = {"in_features": 3, "out_features": 2, "key": "b"}
    with pytest.raises(ValueError, match=r"it: config.json does not fit Picky: 'b'"):
        restore_adapter(entry(adapter, arguments=arguments), {}, adapter_class=Picky, source="it")
    with pytest.raises(ValueError, match="it: size mismatch"):
        restore_adapter(entry(adapter), {}, adapter_class=Picky, source="it")


def test_format_1_folders_are_as_they_were_saved() -> None:
    for kind in ADAPTED_BY_FORMAT_1:
        config = json.loads((FORMAT_1 / kind / "config.json").read_text(encoding="utf-8"))
        assert config["format_version"] == 1
        assert not {"sha256", "weights"} & config.keys()

"""A saved adapter is written whole, read strictly, and shared on the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langchain_embedding_adapter import storage
from langchain_embedding_adapter.storage import load_folder, push_folder, save_folder

CONFIG = {"adapter": "linear", "options": {"bias": True}}
ARRAYS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.zeros(2, dtype=np.float64)}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    save_folder(folder, CONFIG, ARRAYS, "# A card\n", extra={"report.json": {"ndcg": 1}})
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_loaded(saved: Path) -> None:
    config, arrays = load_folder(saved)
    assert {name: config[name] for name in CONFIG} == CONFIG
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert np.array_equal(arrays[name], array)


def test_the_folder_holds_the_card_and_the_further_files(saved: Path) -> None:
    assert names(saved) == ["README.md", "config.json", "model.safetensors", "report.json"]
    assert (saved / "README.md").read_text(encoding="utf-8") == "# A card\n"
    assert json.loads((saved / "report.json").read_text()) == {"ndcg": 1}
    assert names(saved.parent) == ["adapter"]


def test_an_array_that_is_a_view_keeps_its_values(tmp_path: Path) -> None:
    view = np.arange(12.0).reshape(3, 4).T[::2]
    save_folder(tmp_path / "deep" / "adapter", {}, {"view": view}, "")
    assert np.array_equal(load_folder(str(tmp_path / "deep" / "adapter"))[1]["view"], view)


def test_a_saved_adapter_is_replaced_whole(saved: Path) -> None:
    save_folder(saved, {"adapter": "memory"}, {"keys": np.eye(2)}, "# Another\n")
    config, arrays = load_folder(saved)
    assert config["adapter"] == "memory"
    assert list(arrays) == ["keys"]
    assert names(saved) == ["README.md", "config.json", "model.safetensors"]
    assert names(saved.parent) == ["adapter"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    save_folder(tmp_path, CONFIG, ARRAYS, "")
    assert load_folder(tmp_path)[0]["adapter"] == "linear"


@pytest.mark.parametrize("moment", ["weights", "move"])
def test_a_failure_in_the_middle_leaves_the_old_adapter(
    moment: str, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def fail(*_: object) -> None:
        raise OSError("disk full")

    def fail_to_move_the_new(path: Path, target: Path) -> Path:
        return fail() if path.name == "new" else rename(path, target)  # type: ignore[return-value]

    if moment == "weights":
        monkeypatch.setattr(storage, "save_file", fail)
    else:
        monkeypatch.setattr(Path, "rename", fail_to_move_the_new)
    with pytest.raises(OSError, match="disk full"):
        save_folder(saved, {"adapter": "memory"}, {"keys": np.eye(2)}, "")
    assert load_folder(saved)[0]["adapter"] == "linear"
    assert names(saved) == ["README.md", "config.json", "model.safetensors", "report.json"]
    assert names(saved.parent) == ["adapter"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("notes.txt", "mine"), ("config.json", '{"model_type": "bert"}'), ("config.json", "{"), ("config.json", "[]")],
)
def test_a_folder_of_something_else_is_not_replaced(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(FileExistsError, match="holds other files and no saved adapter"):
        save_folder(tmp_path, CONFIG, ARRAYS, "")
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_text() == content


def test_a_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "adapter").write_text("mine")
    with pytest.raises(FileExistsError, match="is a file; name a folder"):
        save_folder(tmp_path / "adapter", CONFIG, ARRAYS, "")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(name: str, saved: Path) -> None:
    (saved / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"it holds no {name}"):
        load_folder(saved)


@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda _: b"", lambda data: b"x" * len(data)])
def test_damaged_weights(damage: Any, saved: Path) -> None:
    weights = saved / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(ValueError, match=r"model.safetensors is damaged"):
        load_folder(saved)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "config.json is not valid JSON"),
        ("[]", "does not describe an adapter of this package"),
        ('{"model_type": "bert"}', "does not describe an adapter of this package"),
        ('{"format": "langchain-embedding-adapter"}', "is in format None"),
        ('{"format": "langchain-embedding-adapter", "format_version": "1"}', "is in format '1'"),
        ('{"format": "langchain-embedding-adapter", "format_version": 2}', "is in format 2 .* upgrade the package"),
    ],
)
def test_a_damaged_foreign_or_newer_configuration(content: str, message: str, saved: Path) -> None:
    (saved / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        load_folder(saved)


@pytest.mark.parametrize("name", ["none", "./none/there", "/none/there", "~/none", "a/b/c", Path("none/there")])
def test_what_can_be_no_hub_id_is_a_missing_folder(name: str | Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_folder(name)


def test_loading_from_the_hub(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, set[str], str | None]] = []

    def download_folder(hub_id: str, files: list[str], *, revision: str | None = None) -> Path:
        asked.append((hub_id, set(files), revision))
        return saved

    monkeypatch.setattr(storage, "download_folder", download_folder)
    config, arrays = load_folder("someone/handbook-adapter", revision="v1")
    assert (config["adapter"], set(arrays)) == ("linear", set(ARRAYS))
    # nothing that could be executed is fetched
    assert asked == [("someone/handbook-adapter", {"config.json", "model.safetensors", "README.md"}, "v1")]


def test_a_folder_goes_before_the_hub(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(saved.parent.parent)
    monkeypatch.setattr(storage, "download_folder", lambda *_, **__: pytest.fail("asked the hub"))
    assert load_folder(f"{saved.parent.name}/adapter")[0]["adapter"] == "linear"
    with pytest.raises(ValueError, match="is a folder here; a revision"):
        load_folder(f"{saved.parent.name}/adapter", revision="v1")


def test_without_the_hub_package_the_install_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(FileNotFoundError, match=r"there is no folder someone/adapter.*adapter\[hub\]"):
        load_folder("someone/adapter")
    with pytest.raises(ImportError, match=r"adapter\[hub\]"):
        push_folder("folder", "someone/adapter")

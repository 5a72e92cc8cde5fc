"""A saved adapter is written whole, read strictly, and shared on the hub."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langchain_embedding_adapter.storage import folder as storage
from langchain_embedding_adapter.storage import replacing as _replacing
from langchain_embedding_adapter.storage.folder import load_folder, save_folder
from langchain_embedding_adapter.storage.hub import push_folder

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


class Stopped(BaseException):
    """As if the process ended here: no clean-up may run after it."""


def saved_until(step: int, folder: Path, monkeypatch: pytest.MonkeyPatch, *, killed: bool) -> bool:
    """Save another adapter, and fail at one step on the disk; whether the save came through before that step."""
    steps = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == step or (killed and steps > step):
                raise Stopped if killed else OSError("disk full")
            return function(*args, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("replace", "fsync", "unlink"):
            patch.setattr(os, name, counted(getattr(os, name)))
        patch.setattr(Path, "open", counted(Path.open))
        try:
            save_folder(folder, {"adapter": "memory"}, {"keys": np.eye(2)}, "# Another\n", {"history.json": []})
        except (OSError, Stopped):
            return False
    return steps < step


OLD = ["README.md", "config.json", "model.safetensors", "report.json"]
NEW = ["README.md", "config.json", "history.json", "model.safetensors"]


@pytest.mark.parametrize("killed", [False, True])
def test_whatever_step_fails_there_is_the_old_adapter_or_the_new_one(
    killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for step in range(1, 100):
        folder = tmp_path / str(step)
        save_folder(folder, CONFIG, ARRAYS, "# A card\n", extra={"report.json": {"ndcg": 1}})
        done = saved_until(step, folder, monkeypatch, killed=killed)
        config, arrays = load_folder(folder)
        found.append(config["adapter"])
        assert sorted(arrays) == (["keys"] if found[-1] == "memory" else ["bias", "weight"])
        if found[-1] == "linear":
            assert names(folder)[-4:] == OLD
        save_folder(folder, {"adapter": "memory"}, {"keys": np.eye(2)}, "# Another\n", {"history.json": []})
        assert names(folder) == NEW  # what the stopped save left lying about is gone
        assert load_folder(folder)[0]["adapter"] == "memory"
        if done:
            break
    assert done
    assert len(found) > 15
    assert found == sorted(found)  # one step decides: linear before it, memory after
    assert set(found) == {"linear", "memory"}


@pytest.mark.parametrize("killed", [False, True])
def test_a_first_save_that_fails_leaves_no_adapter_or_the_whole(
    killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = False
    for step in range(1, 100):
        folder = tmp_path / str(step)
        done = saved_until(step, folder, monkeypatch, killed=killed)
        try:
            assert load_folder(folder)[0]["adapter"] == "memory"
        except FileNotFoundError:
            assert not folder.exists() or not (folder / "config.json").exists()
        save_folder(folder, CONFIG, ARRAYS, "")
        assert names(folder) == ["README.md", "config.json", "model.safetensors"]
        if done:
            break
    assert done


def test_readers_find_whole_adapters_while_savers_replace_them(tmp_path: Path) -> None:
    folder, saves, seen = tmp_path / "adapter", 60, set()

    def save(number: int) -> None:
        save_folder(folder, {"adapter": number % 3}, {"keys": np.full((2, 2), number % 3)}, "")

    save(0)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(save, number) for number in range(saves)]
        while not all(save.done() for save in waiting):
            config, arrays = load_folder(folder)
            assert (arrays["keys"] == config["adapter"]).all()
            seen.add(config["adapter"])
        for save_done in waiting:
            save_done.result()
    assert seen == {0, 1, 2}
    assert names(folder) == ["README.md", "config.json", "model.safetensors"]


@pytest.mark.parametrize("format_version", [1, 2])
def test_a_load_that_a_save_overtakes_begins_again(format_version: int, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(Path(__file__).parent / "format_1" / "linear", folder)
    if format_version == 2:
        save_folder(folder, CONFIG, ARRAYS, "")
    found = []

    def save_once(config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
        found.append((config["format_version"], sorted(shapes)))
        if len(found) == 1:  # the old weights are open, and about to be read
            save_folder(folder, {"adapter": "memory"}, {"keys": np.eye(2)}, "")

    config, arrays = load_folder(folder, expect=save_once)
    assert (config["adapter"], list(arrays)) == ("memory", ["keys"])
    assert found == [(format_version, ["bias", "weight"]), (2, ["keys"])]


def test_a_load_that_never_comes_through_says_so(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "ATTEMPTS", 3)
    with pytest.raises(ValueError, match="is being saved over and over, so that no load comes through"):
        load_folder(saved, expect=lambda config, shapes: save_folder(saved, CONFIG, ARRAYS, ""))


def test_who_waits_too_long_for_another_saver_is_told(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_replacing, "WAIT", 0.03)
    with (
        _replacing.only_saver(saved),
        pytest.raises(TimeoutError, match=r"another process has been saving to .* is it stuck"),
    ):
        save_folder(saved, CONFIG, ARRAYS, "")
    save_folder(saved, CONFIG, ARRAYS, "")


def test_a_disk_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(_: object) -> bool:
        raise OSError("Function not implemented")

    monkeypatch.setattr(_replacing, "lock_file", no_locks)
    save_folder(tmp_path / "adapter", CONFIG, ARRAYS, "")
    assert "is on a disk without locks (Function not implemented)" in caplog.text
    assert load_folder(tmp_path / "adapter")[0]["adapter"] == "linear"


def test_other_files_in_the_folder_are_left_alone(saved: Path) -> None:
    (saved / "notes.txt").write_text("mine")
    save_folder(saved, CONFIG, ARRAYS, "")
    assert names(saved) == ["README.md", "config.json", "model.safetensors", "notes.txt"]


def test_weights_of_another_save_are_noticed(saved: Path, tmp_path: Path) -> None:
    save_folder(tmp_path / "other", CONFIG, {"weight": np.ones((2, 3)), "bias": np.zeros(2)}, "")
    for name in ("weight", "bias"):  # of the same size, then of another
        save_folder(tmp_path / "other", CONFIG, {**ARRAYS, name: ARRAYS[name] + 1}, "")
        shutil.copy(tmp_path / "other" / "model.safetensors", saved)
        with pytest.raises(ValueError, match=r"model.safetensors is damaged, or of another adapter: it is not as it"):
            load_folder(saved)
    save_folder(tmp_path / "other", CONFIG, {"weight": np.zeros(1)}, "")
    shutil.copy(tmp_path / "other" / "model.safetensors", saved)
    with pytest.raises(ValueError, match=r"model.safetensors has .* bytes and config.json tells of .* not as it was"):
        load_folder(saved)


def test_a_configuration_that_was_edited_is_noticed_unless_that_was_meant(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config))  # laid out otherwise
    assert load_folder(saved)[0]["adapter"] == "linear"
    config["adapter"] = "other"
    (saved / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"damaged or was edited.*remove its entry `sha256`"):
        load_folder(saved)
    del config["sha256"]
    (saved / "config.json").write_text(json.dumps(config))
    assert load_folder(saved)[0]["adapter"] == "other"


def test_what_a_load_gives_can_be_saved_again(saved: Path, tmp_path: Path) -> None:
    config, arrays = load_folder(saved)
    assert config == {"format": storage.FORMAT, "format_version": 2, **CONFIG}
    save_folder(tmp_path / "again", config, {**arrays, "weight": arrays["weight"] + 1}, "")
    assert np.array_equal(load_folder(tmp_path / "again")[1]["weight"], ARRAYS["weight"] + 1)


@pytest.mark.parametrize("dtype", ["?", "<i8", ">i4", "<u2", "<f2", ">f4", "<f8"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_types_and_shapes_that_are_kept(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.ones(shape, dtype)
    save_folder(tmp_path, {}, {"only": array}, "")
    loaded = load_folder(tmp_path)[1]["only"]
    assert (loaded.shape, loaded.dtype.kind, loaded.dtype.itemsize) == (shape, array.dtype.kind, array.dtype.itemsize)
    assert (loaded == array).all()
    assert loaded.flags.writeable


@pytest.mark.parametrize(
    ("config", "arrays", "extra", "error", "message"),
    [
        ({}, {"a": np.array([np.nan])}, {}, ValueError, "a holds values that are not finite; the adapter is not saved"),
        ({}, {"a": np.array([1j])}, {}, TypeError, "a is of type complex128, which a weights file cannot hold"),
        ({"adapter": {"arguments": {"x": np.inf}}}, {}, {}, ValueError, "arguments that JSON cannot hold"),
        ({"x": object()}, {}, {}, TypeError, "not JSON serializable"),
        ({}, {}, {"../x.json": 1}, ValueError, "plain name, such as 'history.json', got '../x.json'"),
        ({}, {}, {"config.json": 1}, ValueError, "plain name"),
        ({}, {}, {".saving-x": 1}, ValueError, "plain name"),
    ],
)
def test_what_cannot_be_saved_leaves_no_trace(
    config: Any, arrays: Any, extra: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        save_folder(tmp_path / "adapter", config, arrays, "", extra)
    assert names(tmp_path) == []


def test_a_figure_that_json_cannot_hold_becomes_null(tmp_path: Path) -> None:
    save_folder(tmp_path, {"report": {"gain": float("nan"), "rows": (1.0, float("inf"))}}, {}, "")
    assert load_folder(tmp_path)[0]["report"] == {"gain": None, "rows": [1.0, None]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ('{"a": 1e999}', "1e999 is beyond the numbers"),
        ('{"a": 1, "a": 2}', "repeats a key"),
        ('{"a": ' + "9" * 50 + "}", "a whole number has 50 digits"),
        ("[" * 70 + "]" * 70, "nested more than 64 deep"),
        ("[" * 100_000 + "]" * 100_000, "nested more than 64 deep"),
        ('{"a": "\\ud800"}', "surrogates not allowed"),
        (b"\xff\xfe{\x00}\x00", "can't decode byte"),
        ("", "Expecting value"),
    ],
)
def test_json_that_is_refused(text: str | bytes, message: str, saved: Path) -> None:
    (saved / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=rf"config\.json is not valid JSON.*{message}"):
        load_folder(saved)


def test_a_configuration_that_is_too_large_is_not_read(saved: Path) -> None:
    with (saved / "config.json").open("r+b") as file:
        file.truncate(2**40)  # sparse: nothing is written
    with pytest.raises(ValueError, match=r"config.json has 1,099,511,627,776 bytes, and no more than 16,777,216"):
        load_folder(saved)


def test_weights_are_not_read_before_their_shapes_are_accepted(saved: Path) -> None:
    count = 2**39
    header = {"weight": {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}
    text = json.dumps(header).encode()
    with (saved / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + 4 * count)
        size = file.tell() and 8 + len(text) + 4 * count
    config = json.loads((saved / "config.json").read_text())
    config["weights"]["bytes"] = size
    del config["sha256"]
    (saved / "config.json").write_text(json.dumps(config))

    def refuse(config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
        raise ValueError(f"{config['adapter']} is not of {shapes['weight'][0]}")

    with pytest.raises(ValueError, match=f"linear is not of {count}"):
        load_folder(saved, expect=refuse)


def test_a_header_that_would_take_more_than_there_is(saved: Path) -> None:
    weights = saved / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes((2**63 - 1).to_bytes(8, "little") + content[8:])
    with pytest.raises(ValueError, match=r"its header would have 9,223,372,036,854,775,807 bytes"):
        load_folder(saved)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_what_is_no_ordinary_file_of_the_folder_is_refused(name: str, saved: Path, tmp_path: Path) -> None:
    path, elsewhere = saved / name, tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(ValueError, match=f"{name} is a link that leads out of the folder"):
        load_folder(saved)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(ValueError, match=f"{name} cannot be read as a file"):
        load_folder(saved)
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match=f"{name} cannot be read as a file|{name} is no ordinary file"):
        load_folder(saved)
    path.rmdir()
    (saved / "beside").write_bytes(elsewhere.read_bytes())
    path.symlink_to("beside")
    assert load_folder(saved)[0]["adapter"] == "linear"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pipe_is_refused_and_not_waited_for(name: str, saved: Path) -> None:
    (saved / name).unlink()
    os.mkfifo(saved / name)
    with pytest.raises(ValueError, match=f"{name} is no ordinary file"):
        load_folder(saved)
    if name == "config.json":
        with pytest.raises(FileExistsError, match="no saved adapter"):
            save_folder(saved, CONFIG, ARRAYS, "")


def test_a_snapshot_in_the_hubs_cache_is_made_of_links(saved: Path, tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "models--me--it" / "snapshots" / "abc", tmp_path / "models--me--it" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for name in ("config.json", "model.safetensors"):
        (saved / name).rename(blobs / name)
        (snapshot / name).symlink_to(f"../../blobs/{name}")
    assert load_folder(snapshot)[0]["adapter"] == "linear"


def test_a_pickle_in_the_folder_is_not_opened(saved: Path, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "harm",))

    for name in ("pytorch_model.bin", "adapter.pkl"):
        (saved / name).write_bytes(pickle.dumps(Harm()))
    load_folder(saved)
    (saved / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"it holds no model\.safetensors"):
        load_folder(saved)
    (saved / "model.safetensors").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(ValueError, match="not as it was saved"):
        load_folder(saved)
    assert not (tmp_path / "harm").exists()


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
    with pytest.raises(ValueError, match=r"model.safetensors (is damaged|has .* bytes and config.json tells of)"):
        load_folder(saved)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "config.json is not valid JSON"),
        ("[]", "does not describe an adapter of this package"),
        ('{"model_type": "bert"}', "does not describe an adapter of this package"),
        ('{"format": "langchain-embedding-adapter"}', "is in format None"),
        ('{"format": "langchain-embedding-adapter", "format_version": "1"}', "is in format '1'"),
        ('{"format": "langchain-embedding-adapter", "format_version": 3}', "is in format 3 .* upgrade the package"),
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

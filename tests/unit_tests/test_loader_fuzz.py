"""Thousands of damaged, edited and swapped saved adapters: each loads whole and unchanged, or is refused in words.

    python -c "from tests.unit_tests.test_loader_fuzz import measure; print(measure(100_000))"

mutates as often and tells what came of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from langchain_embedding_adapter import BaseAdapter, LinearAdapter, LowRankAdapter, MemoryAdapter, TwoLayerAdapter
from langchain_embedding_adapter.adapters import LayeredMemoryAdapter, QuantisedMemoryAdapter, expected_shapes
from langchain_embedding_adapter.adapters.bounded import BoundedTwoLayerAdapter
from langchain_embedding_adapter.embeddings.restoring import load_arrays_and_config, restore_adapter
from langchain_embedding_adapter.storage.folder import save_folder
from langchain_embedding_adapter.storage.saved_config import hash_of_config

MUTATIONS = int(os.environ.get("LOADER_MUTATIONS", "2000"))
MOST_MEMORY = 4 * 2**20
KINDS = (
    *(LinearAdapter(6, 5, bias=True), LowRankAdapter(6, 5, 2), MemoryAdapter(6, 5, 3), TwoLayerAdapter(6, 4, 5)),
    LayeredMemoryAdapter(6, 5, 3, below_size=2),
    QuantisedMemoryAdapter(6, 5, size=4, cells=2),
)
PROBES = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
ODD = (
    *(None, True, False, 0, 1, 2, 3, 5, 6, -1, 2**31, 2**63, 10**9, 10**30, 10**60, 0.5, -0.0, 1e-300, 1e308, 1e-9),
    *(float("nan"), float("inf"), "", "6", "linear", "memory", "../x", "F16", "F64", "I8", "\x00", "ab" * 5000),
    *([], {}, [6], [6, 5], [5, 6], [0, 0], [2**40, 2**40], [None], [[[]]], {"a": 1}, {"": {"": [{}]}}),
)
METRICS = {"metric": "ndcg@10", "base": 0.4, "adapted": 0.6, "gain": 0.2, "p_value": 0.01}
PROVENANCE = {
    "package_version": "0.1.0",
    "base_model": "Base:a-model",
    "training": {"questions": 9, "improved": True, "settings": {"metric": "ndcg@10"}},
    "calibration": {"adapted": [0.5, 0.7], "base": [0.25, 0.75]},
    "report": {"questions": 9, "passages": 9, "metrics": [{**METRICS, "better": 3, "same": 5, "worse": 1}]},
}


class Saved:
    """The two files of a saved adapter in memory, to be taken apart."""

    def __init__(self, config: bytes, weights: bytes) -> None:
        self.files: dict[str, bytes] = {"config.json": config, "model.safetensors": weights}

    def copy(self) -> Saved:
        return Saved(*self.files.values())

    @property
    def config(self) -> Any:
        return json.loads(self.files["config.json"])

    @config.setter
    def config(self, value: Any) -> None:
        self.files["config.json"] = json.dumps(value).encode()

    @property
    def header(self) -> Any:
        weights = self.files["model.safetensors"]
        return json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])

    @property
    def data(self) -> bytes:
        weights = self.files["model.safetensors"]
        return weights[8 + int.from_bytes(weights[:8], "little") :]

    def put(self, header: Any, data: bytes) -> None:
        text = json.dumps(header).encode()
        self.files["model.safetensors"] = len(text).to_bytes(8, "little") + text + data

    def seal(self) -> None:
        """Make the hashes right, as who tampers on purpose would."""
        config, weights = self.config, self.files["model.safetensors"]
        if isinstance(config, dict):
            config["weights"] = {"sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)}
            config["sha256"] = hash_of_config(config)
            self.config = config


def edited(value: Any, draw: random.Random) -> Any:
    """A JSON value with one place in it changed, removed, doubled or renamed."""
    if not isinstance(value, dict | list) or not value or draw.random() < 0.15:
        return draw.choice(ODD)
    value = value.copy()
    place = draw.choice(list(value)) if isinstance(value, dict) else draw.randrange(len(value))
    way = draw.random()
    if way < 0.8:
        value[place] = edited(value[place], draw)
    elif way < 0.9:
        del value[place]
    elif isinstance(value, dict):
        value[draw.choice(["weights", "kind", "x", f"{place} "])] = draw.choice([value[place], draw.choice(ODD)])
    else:
        value.append(draw.choice([value[place], draw.choice(ODD)]))
    return value


def flip(saved: Saved, draw: random.Random) -> None:
    name = draw.choice(list(saved.files))
    content = bytearray(saved.files[name])
    for _ in range(draw.choice([1, 1, 1, 2, 8, 64])):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    saved.files[name] = bytes(content)


def cut_and_paste(saved: Saved, draw: random.Random) -> None:
    name = draw.choice(list(saved.files))
    content = saved.files[name]
    start, end = sorted(draw.choices(range(len(content) + 1), k=2))
    other = draw.choice(list(saved.files.values()))
    saved.files[name] = draw.choice(
        [
            content[:start],
            content[start:],
            content[:start] + content[end:],
            content[:end] + content[start:],
            content[:start] + draw.randbytes(end - start) + content[end:],
            content + draw.choice([b"\0", b" ", b"\n", bytes(64), draw.randbytes(9)]),
            content[:start] + other + content[end:],
            other,
            b"",
        ]
    )


def edit_config(saved: Saved, draw: random.Random) -> None:
    saved.config = edited(saved.config, draw)


def edit_adapter(saved: Saved, draw: random.Random) -> None:
    config = saved.config
    config["adapter"] = edited(config["adapter"], draw)
    saved.config = config


def edit_text(saved: Saved, draw: random.Random) -> None:
    text = saved.files["config.json"].decode()
    colon = draw.choice([place for place, sign in enumerate(text) if sign == ":"])
    odd = ["NaN", "-Infinity", "1e999", "9" * 5000, "[" * 99 + "]" * 99, "[" * 9999, '"\\ud800"', '{"a":1,"a":2}', "]"]
    saved.files["config.json"] = (
        text[: colon + 1] + draw.choice(odd) + text[colon + draw.choice([1, 3, 9]) :]
    ).encode()


def edit_header(saved: Saved, draw: random.Random) -> None:
    saved.put(edited(saved.header, draw), saved.data)


def edit_header_length(saved: Saved, draw: random.Random) -> None:
    length = draw.choice([0, 1, 7, 2**16, 2**31, 2**32, 2**63, 2**64 - 1, draw.randrange(2000)])
    saved.files["model.safetensors"] = length.to_bytes(8, "little") + saved.files["model.safetensors"][8:]


def put_odd_numbers(saved: Saved, draw: random.Random) -> None:
    values = np.frombuffer(saved.data, np.float32).copy()
    values[draw.randrange(len(values))] = draw.choice([np.nan, np.inf, -np.inf])
    saved.put(saved.header, values.tobytes())
    saved.seal()


def make_huge(saved: Saved, draw: random.Random) -> None:
    """Sizes that agree with each other everywhere but with what is there."""
    config, header = saved.config, saved.header
    huge = draw.choice([10**4, 10**6, 2**20, 10**9, 2**40, 2**62])
    names = [name for name, value in config["adapter"]["arguments"].items() if type(value) is int]
    for name in draw.sample(names, draw.randint(1, len(names))):
        config["adapter"]["arguments"][name] = huge
        if name in config["adapter"]:
            config["adapter"][name] = huge
    if draw.random() < 0.5:
        for entry in header.values():
            entry["shape"] = [draw.choice([huge, 1, 0]) for _ in entry["shape"]]
    saved.config = config
    saved.put(header, saved.data)


def swap(saved: Saved, draw: random.Random) -> None:
    other = draw.choice(ORIGINALS)[1]
    name = draw.choice(list(saved.files))
    saved.files[name] = other.files[name]


def change_version(saved: Saved, draw: random.Random) -> None:
    config = saved.config
    config["format_version"] = draw.choice([1, 3, 0, -1, True, 2.0, 10**30, "2", None])
    for name in draw.sample(["weights", "sha256", "further_files"], draw.randint(0, 3)):
        del config[name]
    saved.config = config


def originals() -> list[tuple[BaseAdapter, Saved]]:
    found, values = [], np.random.default_rng(1)
    with TemporaryDirectory() as folder:
        for adapter in KINDS:
            arrays = {name: values.normal(size=array.shape) for name, array in adapter.to_arrays().items()}
            if isinstance(adapter, QuantisedMemoryAdapter):
                arrays["counts"] = np.array([3, 1], dtype=np.uint32)
                codes = ("key_codes", "value_codes")
                arrays |= {name: values.integers(256, size=arrays[name].shape, dtype=np.uint8) for name in codes}
            adapter.load_arrays(arrays)
            entry = {"kind": adapter.kind, "in_features": 6, "out_features": 5, "arguments": adapter.arguments}
            beside = {"coverage.mean": np.zeros(6, np.float32)}
            save_folder(folder, {"adapter": entry, **PROVENANCE}, adapter.to_arrays() | beside, "")
            files = [(Path(folder) / name).read_bytes() for name in ("config.json", "model.safetensors")]
            found.append((adapter, Saved(*files)))
    return found


ORIGINALS = originals()
EXPECTED = {adapter.kind: adapter.adapt(PROBES) for adapter, _ in ORIGINALS}
BLIND: tuple[Callable[[Saved, random.Random], None], ...] = (flip, cut_and_paste, edit_text, edit_header_length, swap)
SEALABLE = (edit_config, edit_adapter, edit_header, make_huge, swap)


def mutate(saved: Saved, draw: random.Random) -> tuple[str, bool]:
    """Change it in place; what was done, and whether the hashes were made right again, or were never there."""
    ways = [*BLIND, *BLIND, *SEALABLE, *SEALABLE, put_odd_numbers, change_version]
    way = draw.choice(ways)
    # what one change broke cannot always be changed in this way again
    with suppress(ValueError, AttributeError, TypeError, KeyError, IndexError, OverflowError):
        for _ in range(draw.choice([1, 1, 1, 2])):
            way(saved, draw)
    seal = way in SEALABLE and draw.random() < 0.6
    if seal:
        try:
            saved.seal()
        except ValueError:
            seal = False
    return way.__name__ + ", hashes right" * seal, seal or way in (put_odd_numbers, change_version, edit_config)


def write(saved: Saved, folder: Path, draw: random.Random) -> str:
    """Write the files; now and then something else than a file, or none."""
    for name, content in saved.files.items():
        (folder / name).write_bytes(content)
    if draw.random() > 0.03:
        return ""
    path = folder / draw.choice(list(saved.files))
    way = draw.choice(["missing", "folder", "link", "pipe", "sparse"])
    if way == "sparse":
        os.truncate(path, 2**40)
        return way
    path.unlink()
    if way == "folder":
        path.mkdir()
    elif way == "link":
        path.symlink_to(draw.choice(["/dev/zero", "/dev/stdin", path, "nowhere", "../elsewhere", "/etc"]))
    elif way == "pipe" and hasattr(os, "mkfifo"):
        os.mkfifo(path)
    return way


def load(folder: Path) -> BaseAdapter:
    config, arrays = load_arrays_and_config(folder)
    return restore_adapter(config, {name: array for name, array in arrays.items() if "." not in name}, source="it")


def outcome(folder: Path, original: BaseAdapter, *, sealed: bool) -> str:
    try:
        adapter = load(folder)
    except FileNotFoundError:
        return "FileNotFoundError"
    except ValueError:
        return "ValueError"
    shapes = {name: array.shape for name, array in adapter.to_arrays().items()}
    assert shapes == expected_shapes(type(adapter), adapter.arguments)
    assert all(np.isfinite(array).all() for array in adapter.to_arrays().values())
    same = adapter.kind == original.kind and np.array_equal(adapter.adapt(PROBES), EXPECTED[original.kind])
    assert same or sealed or adapter.kind != original.kind  # both files swapped: another adapter, whole
    if not same and not sealed:
        assert np.array_equal(adapter.adapt(PROBES), EXPECTED[adapter.kind])
    return "whole, unchanged" if same else "whole, another (hashes right or none)"


def fuzz(count: int, seed: int = 0) -> tuple[Counter[tuple[str, str]], int]:
    """Outcomes by mutation, and the most memory that a load took."""
    draw, outcomes, most = random.Random(seed), Counter[tuple[str, str]](), 0
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - thousands of small files are written
    with TemporaryDirectory(dir=memory) as workplace, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numbers of a size that overflows are somebody's right
        folder = Path(workplace) / "adapter"
        folder.mkdir()
        for number in range(count):
            original, saved = draw.choice(ORIGINALS)
            saved = saved.copy()
            way, sealed = mutate(saved, draw)
            if oddity := write(saved, folder, draw):
                way = oddity
            tracemalloc.start(1)
            try:
                found = outcome(folder, original, sealed=sealed)
            except BaseException as error:
                raise AssertionError(f"mutation {number} of seed {seed} ({way}): {error!r}") from error
            finally:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                if oddity:
                    shutil.rmtree(folder)
                    folder.mkdir()
            assert peak < MOST_MEMORY, (number, way, peak)
            outcomes[way, found], most = outcomes[way, found] + 1, max(most, peak)
    return outcomes, most


def measure(count: int, seed: int = 1) -> str:
    """The figures for so many mutations."""
    outcomes, most = fuzz(count, seed)
    totals = Counter[str]()
    for (_, found), times in outcomes.items():
        totals[found] += times
    rows = [f"{way}: {found}: {times}" for (way, found), times in sorted(outcomes.items())]
    return "\n".join([*rows, str(dict(totals)), f"at most {most / 2**20:.2f} MiB a load"])


def test_every_mutation_loads_whole_or_is_refused() -> None:
    outcomes, _ = fuzz(MUTATIONS)
    kinds = Counter(found for _, found in outcomes)
    assert {
        "ValueError",
        "FileNotFoundError",
        "whole, unchanged",
    } <= kinds.keys()  # the mutations do reach all of these
    ways = {way for way, _ in outcomes}
    assert len(ways) >= 20


@pytest.mark.parametrize("original", [*KINDS, BoundedTwoLayerAdapter(6, 4, 5)], ids=lambda adapter: adapter.kind)
def test_the_arguments_tell_the_shapes_of_every_kind(original: BaseAdapter) -> None:
    found = {name: array.shape for name, array in original.to_arrays().items()}
    assert expected_shapes(type(original), original.arguments) == found

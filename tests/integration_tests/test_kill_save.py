"""Saves that are killed at any moment, and loads while saves go on: always the old adapter whole, or the new one.

    python -c "from tests.integration_tests.test_kill_save import measure; print(measure(1000))"

kills as often and tells what was found.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from langchain_embedding_adapter import MemoryAdapter
from langchain_embedding_adapter.embeddings.restoring import load_arrays_and_config, restore_adapter
from langchain_embedding_adapter.storage.folder import save_folder

KILLS = 120
SAVES = 300
DIMENSIONS = 64
LONGEST = 0.05
"""Seconds after its first save that a child lives at most: dozens of saves."""

PROCESSES = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
if sys.platform != "win32":
    PROCESSES.set_forkserver_preload(["tests.integration_tests.test_kill_save"])


def save(folder: Path, number: int) -> None:
    """An adapter whose every part says which one it is; its size changes too."""
    adapter = MemoryAdapter(DIMENSIONS, DIMENSIONS, 1 + number % 5, strength=float(number))
    arrays = {name: np.full_like(array, number) for name, array in adapter.to_arrays().items()}
    entry = {
        "kind": adapter.kind,
        "in_features": DIMENSIONS,
        "out_features": DIMENSIONS,
        "arguments": adapter.arguments,
    }
    extra = {f"{'history' if number % 2 else 'report'}.json": {"number": number}}
    save_folder(folder, {"adapter": entry, "number": number}, arrays, f"# {number}\n", extra)


def load(folder: Path) -> int:
    """Which adapter is there; all of it is."""
    config, arrays = load_arrays_and_config(folder)
    number: int = config["number"]
    adapter = restore_adapter(config, arrays, source=str(folder))
    assert isinstance(adapter, MemoryAdapter)
    assert (adapter.strength, adapter.size) == (number, 1 + number % 5)
    assert all((array == number).all() for array in adapter.to_arrays().values())
    return number


def save_on(folder: Path, first: int, last: int | None, tell: Path) -> None:
    """What a child does; it tells of each save once that is done."""
    number = first
    with tell.open("w") as told:
        while number != last:
            save(folder, number)
            told.write(f"{number}\n")
            told.flush()
            number += 1


def start(folder: Path, first: int, last: int | None, tell: Path) -> BaseProcess:
    tell.write_text("")
    child = PROCESSES.Process(target=save_on, args=(folder, first, last, tell), daemon=True)
    child.start()
    return child


def numbers_in(tell: Path) -> list[int]:
    return [int(line) for line in tell.read_text().split("\n")[:-1]]


def kill_and_load(workplace: Path, kills: int, seed: int = 0) -> Counter[str]:
    """Kill a saving child at a random moment, load, and let the next one save on top of what is left."""
    draw, found, number = random.Random(seed), Counter[str](), 0
    folder, tell = workplace / "adapter", workplace / "told"
    for _ in range(kills):
        child = start(folder, number, None, tell)
        while child.is_alive() and not numbers_in(tell):
            time.sleep(0.001)
        time.sleep(draw.uniform(0, LONGEST))
        child.kill()
        child.join()
        assert child.exitcode == -9 or sys.platform == "win32"
        last, there = numbers_in(tell)[-1], load(folder)
        assert there in (last, last + 1)
        lying_about = any(path.name.startswith(".saving-") for path in folder.iterdir())
        found["the new one" if there > last else "the one before"] += 1
        found["in the middle of a save"] += lying_about
        found["weights not yet in their place"] += lying_about and any(folder.glob(".saving-" + "?" * 64 + ".*"))
        number = there + 1
    save(folder, number)
    further = "history.json" if number % 2 else "report.json"
    expected = sorted(["README.md", "config.json", "model.safetensors", further])
    assert sorted(path.name for path in folder.iterdir()) == expected  # nothing is left of all of them
    assert [path.name for path in workplace.iterdir() if path != tell] == ["adapter"]
    return found


def load_while_saving(workplace: Path, saves: int, savers: int = 1) -> Counter[int]:
    """Load in a loop until the children have saved as often; how often each adapter was found."""
    folder, found = workplace / "adapter", Counter[int]()
    save(folder, 0)
    tells = [workplace / f"told-{number}" for number in range(savers)]
    children = [start(folder, 0, saves, tell) for tell in tells]
    while any(child.is_alive() for child in children):
        found[load(folder)] += 1
    for child, tell in zip(children, tells, strict=True):
        child.join()
        assert child.exitcode == 0
        assert numbers_in(tell) == list(range(saves))
    assert load(folder) == saves - 1 or savers > 1
    return found


def measure(kills: int) -> str:
    """The figures for so many kills, and for so many saves while another process loads."""
    with TemporaryDirectory() as folder:
        found = dict(kill_and_load(Path(folder), kills))
    with TemporaryDirectory() as folder:
        loads = load_while_saving(Path(folder), kills)
    return f"{kills} kills: {found}\n{kills} saves, {loads.total()} loads meanwhile, of {len(loads)} adapters"


def test_a_save_that_is_killed_leaves_the_old_adapter_or_the_new_one(tmp_path: Path) -> None:
    found = kill_and_load(tmp_path, KILLS)
    assert found["in the middle of a save"] > KILLS // 4


def test_loads_find_whole_adapters_while_another_process_saves(tmp_path: Path) -> None:
    assert len(load_while_saving(tmp_path, SAVES)) > 10


def test_two_processes_that_save_and_one_that_loads(tmp_path: Path) -> None:
    assert len(load_while_saving(tmp_path, SAVES // 3, savers=2)) > 5

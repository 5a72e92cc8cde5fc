"""The fit on processes that are real: with torchrun, with Ray Train, and with some that fail."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langchain_embedding_adapter import AdaptedEmbeddings, AdapterTrainer, LinearAdapter, RayEngine, TrainingConfig
from langchain_embedding_adapter.fitting.convex import fit_linear_exactly
from langchain_embedding_adapter.fitting.on_ray import fit_linear_on_ray
from langchain_embedding_adapter.vectors import PairVectors, embed_dataset
from langchain_embedding_adapter.vectors.shards import save_pair_vectors
from tests.small_world import DIMENSIONS, AngleEmbeddings, world

pytestmark = pytest.mark.filterwarnings(
    "ignore:.use_.*is deprecated:DeprecationWarning"
)  # Ray Data, of its own default

SETTINGS = {"tolerance": 1e-10, "negatives": "all", "block_entries": 2048}
CONFIG = TrainingConfig(**SETTINGS)
FLAGS = [text for name, value in SETTINGS.items() for text in (f"--{name.replace('_', '-')}", str(value))]


@pytest.fixture(scope="module")
def turned() -> PairVectors:
    return embed_dataset(AngleEmbeddings(), world())


@pytest.fixture(scope="module")
def folder(turned: PairVectors, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("vectors") / "turned"
    save_pair_vectors(turned, place, rows_per_part=50, query_model="angles")
    return place


def distance(first: LinearAdapter, second: LinearAdapter) -> float:
    """How far apart two maps are, as a share of their length."""
    return float(np.linalg.norm(first.weight - second.weight) / np.linalg.norm(second.weight))


def torchrun(count: int, *arguments: str, scratch: Path) -> subprocess.CompletedProcess[str]:
    program = ["-m", "langchain_embedding_adapter.fitting.torchrun", *arguments, "--scratch", str(scratch), *FLAGS]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    return subprocess.run([*launcher, *program], capture_output=True, text=True, timeout=240)


def test_torchrun_finds_and_saves_the_optimum_of_one_process(turned, folder: Path, tmp_path: Path) -> None:
    start = LinearAdapter(DIMENSIONS, DIMENSIONS)
    start.weight = np.roll(start.weight, 1, axis=0)
    AdaptedEmbeddings(AngleEmbeddings(), start).save_pretrained(tmp_path / "start")
    one, history = fit_linear_exactly(turned, start, CONFIG)
    places = "--vectors", str(folder), "--from", str(tmp_path / "start"), "--out", str(tmp_path / "adapter")
    done = torchrun(3, *places, scratch=tmp_path)
    assert done.returncode == 0, done.stderr
    adapted = AdaptedEmbeddings.from_pretrained(tmp_path / "adapter", AngleEmbeddings())
    assert isinstance(adapted.adapter, LinearAdapter)
    assert distance(adapted.adapter, one) < 1e-5
    assert distance(adapted.adapter, start) > 0.1
    unmoved, _ = fit_linear_exactly(turned, LinearAdapter(DIMENSIONS, DIMENSIONS), CONFIG)
    assert distance(adapted.adapter, unmoved) > 1e-3  # where it started from counts
    assert f"→ {history[-1]['loss']:.4f}" in done.stderr
    assert done.stderr.count("saved to") == 1


FAILING = """
import time
from datetime import timedelta
import torch
import torch.distributed as dist
from langchain_embedding_adapter.fitting.ranks import Ranks, joined
with joined("cpu", timeout=60) as everyone:
    everyone.total(0.0)  # here all have started, and from here on they wait for three seconds
    ranks = Ranks.here(group=dist.new_group(timeout=timedelta(seconds=3)))
    for step in range(5):
        if ranks.rank == 1 and step == 2:
            {what}
        ranks.add(torch.ones(1))
"""


@pytest.mark.parametrize(
    ("what", "codes"),
    [("raise ValueError('out of order')", [1, 1]), ("time.sleep(60)", [1, None])],
    ids=["raises", "is silent"],
)
def test_a_rank_that_fails_leaves_none_waiting(what: str, codes: list[int | None]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = []
    for rank in range(2):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = os.environ | {name: str(value) for name, value in place.items()}
        command = [sys.executable, "-c", FAILING.format(what=what)]
        ranks.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    try:
        _, told = ranks[0].communicate(timeout=60)
        assert "rank 0 of 2 waited for the others in vain" in told
        assert ranks[0].returncode == codes[0]
        if codes[1] is not None:
            _, reason = ranks[1].communicate(timeout=60)
            assert ranks[1].returncode == codes[1]
            assert "out of order" in reason
    finally:
        for process in ranks:
            process.kill()
            process.wait()
            process.stderr.close()


class Deadly:
    """Questions whose second rank is killed in the middle of its fit, the first time."""

    def __init__(self, array: np.ndarray, marker: Path) -> None:
        self.array, self.marker, self.shape, self.reads = array, marker, array.shape, 0

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: slice) -> np.ndarray:
        self.reads += 1
        if self.reads > 6 and os.environ["RANK"] == "1" and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.array[rows]


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2"
        )  # it looks that often whether workers are done, or dead
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield RayEngine(workers=2)
        ray.shutdown()


def test_ray_train_finds_it_too_though_a_worker_was_killed(turned, engine: RayEngine, tmp_path: Path) -> None:
    weights = {query: 1.0 + row % 3 for row, query in enumerate(turned.query_ids)}
    start = LinearAdapter(DIMENSIONS, DIMENSIONS, bias=True)
    one, history = fit_linear_exactly(turned, start, CONFIG, question_weights=weights)
    deadly = replace(turned, queries=Deadly(turned.queries, tmp_path / "killed"))
    found, losses = fit_linear_on_ray(deadly, start, CONFIG, engine, question_weights=weights)
    assert (tmp_path / "killed").exists()
    assert distance(found, one) < 1e-5
    assert losses[-1]["loss"] == pytest.approx(history[-1]["loss"], rel=1e-6)


def test_a_training_on_ray_ends_where_one_here_does(turned: PairVectors, engine: RayEngine) -> None:
    stretched = replace(turned, queries=turned.queries * np.linspace(0.2, 3, DIMENSIONS, dtype=np.float32))
    trainer = AdapterTrainer(AngleEmbeddings(), config=CONFIG)
    here, there = (trainer.train(stretched, adapter="linear", engine=who) for who in ("local", engine))
    assert there.improved
    assert there.selection.chosen == here.selection.chosen
    assert str(there.selection.chosen).startswith("linear")  # and no rotation, which is found without a fit
    assert distance(there.adapter, here.adapter) < 1e-5

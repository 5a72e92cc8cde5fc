"""The benchmarks run, on collections made for it in their format."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from langchain_embedding_adapter import QADataset
from langchain_embedding_adapter.vectors import embed_dataset
from tests.small_world import AngleEmbeddings, world

BENCHMARKS = Path(__file__).parents[2] / "cookbook" / "benchmarks"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small world under the names of the real collections, with the vectors of its own model as the stored ones."""
    folder = tmp_path_factory.mktemp("data")
    dataset = world()
    vectors = embed_dataset(AngleEmbeddings(), dataset)
    queries = list(dataset.queries)
    for name in ("lyft_10k_2021", "uber_10k_2021", "scifact", "apple_environment_2024"):
        content = {"queries": dataset.queries, "corpus": dataset.corpus, "relevant_docs": dataset.relevant_docs}
        content["split"] = {query: "test" if row % 3 == 0 else "train" for row, query in enumerate(queries)}
        (folder / f"{name}.json").write_text(json.dumps(content))
        np.savez(
            folder / f"{name}.all-MiniLM-L6-v2.npz", query_vectors=vectors.queries, document_vectors=vectors.passages
        )
    return folder


def run(script: str, *arguments: str) -> list[dict]:
    command = [sys.executable, str(BENCHMARKS / script), *arguments, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


@pytest.mark.slow
def test_the_table_of_lyft_and_uber(data: Path) -> None:
    rows = run("lyft_uber.py", "--data", str(data))
    stored = {row["adapter"]: row for row in rows if row["model"] == "all-MiniLM-L6-v2"}
    assert stored.keys() == {"base", "default", "linear", "two-layer", "custom module"}
    assert stored["linear"]["gain"] > 0.3


@pytest.mark.slow
def test_the_table_of_every_way_to_train(data: Path) -> None:
    rows = run("quality.py", "--data", str(data), "--sizes", "40", "--subsets", "1")
    stored = [row for row in rows if row["model"] == "all-MiniLM-L6-v2"]
    gains = {(row["collection"], row["pairs"], row["method"]): row["gain"] for row in stored}
    assert gains["scifact", 40, "default"] > 0.3
    assert gains["scifact", 40, "LlamaIndex's recipe, 1 epoch"] < 0.05
    assert all(row["better"] + row["same"] + row["worse"] in (40, 120) for row in stored)


def test_without_the_collections_they_say_where_these_come_from(tmp_path: Path) -> None:
    for script in ("lyft_uber.py", "quality.py"):
        command = [sys.executable, str(BENCHMARKS / script), "--data", str(tmp_path)]
        answer = subprocess.run(command, check=False, capture_output=True, text=True)
        assert answer.returncode == 1
        assert f"{tmp_path} holds no lyft_10k_2021.json" in answer.stderr


def test_collections_are_datasets(data: Path) -> None:
    assert len(QADataset.load(data / "scifact.json")) == 120

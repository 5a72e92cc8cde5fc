"""The benchmarks run, on collections made for it in their format."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def answer(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}  # so small a world gains nothing from threads
    return subprocess.run(command, check=False, capture_output=True, text=True, env=alone)


def run(script: str, *arguments: str) -> list[dict]:
    done = answer(script, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_the_table_of_lyft_and_uber(data: Path) -> None:
    rows = run("lyft_uber.py", "--data", str(data))
    stored = {row["adapter"]: row for row in rows if row["model"] == "all-MiniLM-L6-v2"}
    assert stored.keys() == {"base", "default", "linear", "two-layer", "custom module"}
    assert stored["linear"]["gain"] > 0.3


@pytest.mark.slow
def test_the_table_of_every_way_to_train(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--sizes", "40", "all", "--subsets", "1", "--models", "all-MiniLM-L6-v2")
    table = run("quality.py", "--data", str(data), *options)
    rows = {(row["pairs"], row["method"]): row for row in table if row["collection"] == "scifact"}
    default, recipe = rows[40, "default"], rows[40, "LlamaIndex's recipe, 4 epochs"]
    assert default["gain"] > 0.3
    assert recipe["gain"] < 0.05
    assert default["texts"] == 40 + 120
    assert recipe["texts"] == 40 + 40
    assert {row["better"] + row["same"] + row["worse"] for row in table} == {40, 120}
    assert not any("engine" in method or "auto" in method for _, method in rows)

    monkeypatch.syspath_prepend(BENCHMARKS)
    import results

    header, _, *lines = results.summary(table).splitlines()
    assert "LlamaIndex's recipe, 4 epochs | default" in header
    assert len(lines) == 6
    assert len(results.choices(table).splitlines()) == 2 + 6


@pytest.mark.slow
def test_seconds_side_by_side(data: Path) -> None:
    rows = run("speed.py", "--data", str(data), "--repeat", "1")
    assert [row["pairs"] for row in rows] == [80, 80, 80]
    for row in rows:
        assert list(row["seconds"]) == ["recipe", "fit", "select and fit", "train"]
        assert row["seconds"]["fit"] < row["seconds"]["train"]


@pytest.mark.slow
def test_what_is_learned_without_labels(tmp_path: Path) -> None:
    (row,) = run("no_labels.py", "--data", str(tmp_path), "--draws", "1")  # the demo's questions alone
    assert row["collection"] == "Python's language reference"
    assert row["base"] > 20
    assert row["20 checked"] == row["worst draw"]


def test_how_busy_the_server_is_kept() -> None:
    rows = run("busy.py", "--concurrency", "4", "--latency", "0.05", "--chunks", "40")
    assert [(row["way"], row["calls"]) for row in rows] == [("threads", 40), ("asynchronous", 40)]
    assert all(0.2 < row["busy"] <= 1 for row in rows)


SERVING = ("serving.py", "--dimensions", "16", "--entries", "50", "--calls", "50", "--repeat", "1")


@pytest.mark.slow
def test_what_serving_costs() -> None:
    rows = run(*SERVING)
    tables = {name: [row for row in rows if row["table"] == name] for name in ("question", "memory", "first answer")}
    (question,) = tables["question"]
    assert list(question["seconds"]) == ["bare NumPy", "ours", "torch"]
    assert [(row["entries"], row["dimensions"]) for row in tables["memory"]] == [(50, 384), (50, 1536)]
    for row in [question, *tables["memory"]]:
        assert all(0 < way["p50"] <= way["p99"] < 1 for way in row["seconds"].values())
    started = {row["way"]: row for row in tables["first answer"]}
    assert list(started) == ["langchain-core", "bare NumPy", "ours", "torch"]
    assert started["ours"]["MiB"] < started["torch"]["MiB"]  # no torch is imported to serve


@pytest.mark.slow
@pytest.mark.skipif("LLAMA_INDEX_PYTHON" not in os.environ, reason="LLAMA_INDEX_PYTHON names no interpreter with it")
def test_what_serving_costs_beside_llama_index() -> None:
    rows = run(*SERVING, "--llama-index", os.environ["LLAMA_INDEX_PYTHON"])
    assert list(rows[0]["seconds"])[-1] == "LlamaIndex"
    assert rows[-1]["way"] == "LlamaIndex"


def test_ways_to_serve_that_differ_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import serving

    with pytest.raises(RuntimeError, match="torch gives another direction"):
        serving.check({"ours": [1.0, 0.0], "NumPy": [2.0, 0.0], "torch": [1.0, 0.1]})


@pytest.mark.skipif("LLAMA_INDEX_PYTHON" not in os.environ, reason="LLAMA_INDEX_PYTHON names no interpreter with it")
def test_the_recipe_is_what_the_engine_of_llama_index_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import incumbents

    dataset = world()
    vectors = embed_dataset(AngleEmbeddings(), dataset)
    run = incumbents.engine_of_llama_index(os.environ["LLAMA_INDEX_PYTHON"], dataset, vectors, epochs=4)
    moved = np.abs(run.weight - np.eye(len(run.weight))).max()
    restated = incumbents.recipe_of_llama_index(vectors, epochs=4)(np.eye(len(run.weight), dtype=np.float32)).T
    assert moved > 1e-4
    np.testing.assert_allclose(run.weight, restated, atol=1e-3 * moved)
    assert run.texts == 4 * 2 * len(dataset)


@pytest.mark.parametrize("script", ["lyft_uber.py", "quality.py", "speed.py"])
def test_without_the_collections_they_say_where_these_come_from(script: str, tmp_path: Path) -> None:
    done = answer(script, "--data", str(tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path} holds no lyft_10k_2021.json" in done.stderr


def test_the_command_shown_names_no_path_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import command

    typed = (
        "/here/quality.py --data=/here/data --engine /here/python --sizes 100 all --teacher some:/here/model --write"
    )
    monkeypatch.setattr(sys, "argv", typed.split())
    assert command.command_line().split(" \\\n    ") == [
        "python cookbook/benchmarks/quality.py",
        "--data FOLDER",
        "--engine PYTHON",
        "--sizes 100 all",
        "--teacher some:model",
        "--write",
    ]


def test_collections_are_datasets(data: Path) -> None:
    assert len(QADataset.load(data / "scifact.json")) == 120


@pytest.mark.slow
def test_the_table_of_stores(data: Path) -> None:
    rows = run("stores.py", "--data", str(data), "--stores", "InMemoryVectorStore", "FAISS, flat", "Chroma")
    assert [row["documents_embedded"] for row in rows] == [0, 0, 0]
    assert all(row["adapted_hit_rate@10"] == row["exact_adapted_hit_rate@10"] for row in rows)
    assert all(row["adapted_hit_rate@10"] >= row["base_hit_rate@10"] for row in rows)
    assert {row["vectors"] for row in rows} == {120}


@pytest.mark.slow
def test_the_table_of_thresholds(data: Path) -> None:
    rows = run("thresholds.py", "--data", str(data))
    assert {row["collection"] for row in rows} == {"scifact", "apple_environment_2024", "lyft → uber"}
    base = {row["collection"]: row for row in rows if row["scores"] == "base"}
    assert all(row["right"] > 0 and row["hits"] > 0 for row in base.values())
    adapted = [row for row in rows if row["scores"] == "adapted"]
    assert all(row["best"] > base[row["collection"]]["best"] for row in adapted)


@pytest.mark.slow
def test_the_table_of_other_models(tmp_path: Path) -> None:
    """WordLlama asks an index of a model that adds up random vectors of words."""
    random = np.random.default_rng(0)
    words = ["river", "stone", "garden", "winter", "paper", "copper", "market", "engine", "harbour", "forest", "letter"]
    of_word = {word: random.normal(size=24) for word in words}
    corpus = {f"p{row}": " ".join(random.choice(words, 6, replace=False)) + "." for row in range(60)}
    queries = {f"q{key}": " ".join(random.choice(text[:-1].split(), 4, False)) for key, text in corpus.items()}

    def vectors(texts: dict[str, str]) -> np.ndarray:
        found = np.stack([sum(of_word[word] for word in text.rstrip(".").split()) for text in texts.values()])
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)

    content = {"queries": queries, "corpus": corpus, "relevant_docs": {query: [query[1:]] for query in queries}}
    (tmp_path / "lyft_10k_2021.json").write_text(json.dumps(content))
    stored = tmp_path / "lyft_10k_2021.all-MiniLM-L6-v2.npz"
    np.savez(stored, query_vectors=vectors(queries), document_vectors=vectors(corpus))

    chosen = ("--collections", "lyft_10k_2021", "--most-texts", "40")
    (row,) = run("model_change.py", "--data", str(tmp_path), *chosen)
    assert (row["asks"], row["index of"], row["texts"], row["of"]) == ("WordLlama", "MiniLM", 40, 60)
    assert 20 < row["questions"] < 40
    assert row["linear"] > row["ridge"]
    assert row["bridge"] > 0.5 * row["native"]


@pytest.mark.slow
def test_memories_of_many_questions(tmp_path: Path) -> None:
    sizes = ("--questions", "3000", "--dim", "32", "--condensed", "300", "--probes", "40", "--calls", "40")
    rows = {row["form"]: row for row in run("memory_scale.py", "--data", str(tmp_path), *sizes)}
    assert list(rows) == ["exact", "cells", "condensed", "quantised"]
    assert rows["exact"]["exact"] > rows["exact"]["base"] + 0.2
    assert rows["exact"]["gain_kept"] == pytest.approx(1, abs=1e-3)
    assert rows["quantised"]["gain_kept"] > 0.8
    assert rows["quantised"]["MB"] < rows["condensed"]["MB"] * 3 < rows["exact"]["MB"]
    assert all(0 < row["p50_us"] <= row["p99_us"] < 1e6 for row in rows.values())


@pytest.mark.slow
def test_what_forms_of_memory_keep(data: Path) -> None:
    rows = run("memory_quality.py", "--data", str(data), "--entries", "400")
    found = {row["form"]: row["ndcg@10"] for row in rows}
    assert list(found) == ["no memory", "exact", "cells", "condensed", "quantised"]
    assert found["quantised"] == pytest.approx(found["exact"], abs=2)


@pytest.mark.slow
def test_growth() -> None:
    """Streamed from files: little is held, and the gain is that of the exact fit."""
    sizes = ("--documents", "40000", "--pairs", "3000", "--dim", "96", "--memory", "2MB")
    row: Any = run("scale.py", *sizes, "--exact")
    assert row["gain"] > 0.8 * row["gain_of_the_known_map"] > 0.1
    assert row["gain_sampled"] == pytest.approx(row["gain_exact"], abs=0.01)
    assert 0.99 < row["share_of_the_exact_descent"] < 1.0001
    assert row["pairs_per_second"] > 0
    assert row["peak_rss_gb_before"] < row["peak_rss_gb"] < row["peak_rss_gb_before"] + 0.5

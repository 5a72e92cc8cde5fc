"""``embedding-adapter run``: the whole journey, stopped and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langchain_embedding_adapter import models
from langchain_embedding_adapter.runs.run import Run
from tests.small_world import AngleEmbeddings, AngleWriter, world


@pytest.fixture
def base(named_embeddings: AngleEmbeddings) -> AngleEmbeddings:
    return named_embeddings


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A small one: each run is trained."""
    (tmp_path / "shelf").mkdir()
    for key, text in world(step=30, per_document=2).corpus.items():
        (tmp_path / "shelf" / f"{key}.txt").write_text(text)
    return tmp_path / "shelf"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    world(step=30, per_document=2).save(tmp_path / "given.json")
    return tmp_path / "given.json"


def test_from_documents_to_what_to_do_next(command, llm: AngleWriter, base: AngleEmbeddings, shelf: Path) -> None:
    planned = command("run", "r", shelf, "--llm", "a:b", "--price-in", 1000, "--price-out", 0, "--dry-run")
    assert planned.code == 0, planned.err
    assert "| pairs       | to do | 48 calls to a:b for 48 chunks (0 answered already)" in planned.out
    assert "about " in planned.out.splitlines()[-1]
    assert (llm.calls, base.documents) == (0, [])
    assert not Path("r").exists()
    gone = command("run", "r", shelf, "--llm", "a:b", "--embeddings", "c:d")
    assert gone.code == 0, gone.err
    assert "| nDCG@10 " in gone.out
    assert 'embedding-adapter ask r "…"' in gone.out
    assert "r/report.html" in gone.out
    assert [line for line in gone.err.splitlines() if line[1:4] == "/4 "] == [
        "1/4 pairs",
        "2/4 train",
        "3/4 evaluate",
        "4/4 report page",
    ]
    assert gone.out.count("Chosen: ") == 1
    assert "Chosen: " not in gone.err


def test_a_finished_run_is_shown_again_and_nothing_asked(command, llm, base, shelf: Path) -> None:
    first = command("run", "r", shelf, "--llm", "a:b", "--embeddings", "c:d", "--metric", "mrr@10")
    base.queries.clear()
    again = command("run", "r")
    assert (again.code, again.out) == (0, first.out)
    assert command("run", "r", shelf, "--llm", "a:b").out == first.out
    assert command("run", "r", shelf).out == first.out
    assert (llm.calls, base.queries) == (48, [])
    planned = json.loads(command("run", "r", "--dry-run", "--json").out)
    assert {stage["stage"]: stage["kept"] for stage in planned["stages"]} == {
        "pairs": True,
        "train": True,
        "evaluate": True,
        "report page": True,
    }
    told = json.loads(command("run", "r", "--json").out)
    assert (told["questions"], told["improved"], told["page"]) == (48, True, "r/report.html")
    refused = command("run", "r", "--seed", 7)
    assert "seed 0 → 7" in refused.err


def test_pairs_that_have_grown_are_trained_on_anew(command, llm, base, shelf: Path) -> None:
    first = command("run", "r", shelf, "--llm", "a:b", "--max-calls", 30)
    assert first.code == 0, first.err
    second = command("run", "r", shelf, "--llm", "a:b")
    assert "the pairs have changed since the training: it is done anew" in second.err
    assert (llm.calls, len(Run("r").dataset)) == (48, 48)
    assert json.loads(Path("r/report.json").read_text())["questions"] == len(Run("r").test)


def test_a_file_says_it_and_flags_win(command, llm, base, shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        f'folder = "made"\ndocuments = ["{shelf.name}"]\n[pairs]\npseudo = true\n[train]\nseed = 3\nmetric = "map@5"\n'
    )
    gone = command("run", "--config", "run.toml", "--llm", "a:b", "--metric", "mrr@10")
    assert gone.code == 0, gone.err
    made_with = Run("made").settings
    assert made_with["pairs"]["llm"] == "a:b"
    assert (made_with["train"]["seed"], made_with["train"]["metric"]) == (3, "mrr@10")
    assert command("run", "--config", "run.toml", "--llm", "a:b", "--metric", "mrr@10").out == gone.out


def test_pairs_at_hand_take_the_place_of_documents(command, base, pairs: Path, shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('[pairs]\npseudo = true\n[train]\npairs = "given.json"\n')
    gone = command("run", "r", "--config", "run.toml")
    assert gone.code == 0, gone.err
    assert Run("r").settings["pairs"] == {"from": "given.json"}
    planned = command("run", "other", "--pairs", "given.json", "--dry-run")
    assert "48 questions about 48 passages, at hand" in planned.out


def test_an_example_to_start_from(command) -> None:
    told = command("run", "--example")
    assert told.out.startswith("# A run of embedding-adapter")
    Path("run.toml").write_text(told.out)
    assert "there is no file or folder handbook" in command("run", "--config", "run.toml").err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run"], 2, "error: name the folder of the run: embedding-adapter run RUN DOCUMENTS"),
        (["run", "r"], 2, "error: name the documents (files, or folders of them): embedding-adapter run r DOCUMENTS"),
        (["run", "r", "shelf"], 2, "error: say who asks the questions: --llm provider:model"),
        (["run", "r", "shelf", "--llm", "a:b", "--pseudo"], 1, "error: expected either a chat model (llm) or pseudo"),
        (["run", "shelf", "r"], 1, "error: there is no file or folder r; the folder of the run comes first"),
        (["run", "shelf", "shelf", "--pseudo"], 1, "error: shelf holds other files ("),
        (["run", "shelf/p0-0.txt", "shelf"], 1, "error: shelf/p0-0.txt is a file; expected the folder of a run"),
        (["run", "r", "--config", "no.toml"], 1, "`embedding-adapter run --example > no.toml` writes one"),
        (["run", "r", "shelf", "--pseudo", "--pairs", "given.json"], 1, "error: expected either documents or pairs"),
        (["run", "r", "shelf", "--psuedo"], 2, "error: no such option: --psuedo; did you mean --pseudo?"),
        (["run", "r", "shelf", "--expect", "more"], 2, "expected one of new-passages, same-passages, both"),
    ],
)
def test_stumbles_are_told_in_one_line(command, pairs, shelf, arguments: list[str], code: int, message: str) -> None:
    outcome = command(*arguments)
    assert outcome.code == code, outcome.err
    assert message in outcome.err
    assert (outcome.out, len(outcome.err.splitlines())) == ("", 1)


def test_a_run_among_the_documents_is_passed_over(command, llm, base, shelf: Path) -> None:
    command("pairs", shelf / "run", shelf, "--llm", "a:b")
    assert len(Run(shelf / "run").cut([shelf], {"llm": None, "chunk_size": 800, "chunk_overlap": 0})) == 48
    refused = command("run", "new", shelf / "run", "--pseudo")
    assert "is a run and no folder of documents; the run comes first" in refused.err


def test_a_broken_training_is_gone_on_from(command, llm, base, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "load_embeddings", fail)
    stopped = command("run", "r", shelf, "--llm", "a:b")
    assert stopped.code == 130
    assert stopped.err.endswith("\ninterrupted: r keeps answers, pairs; the same command goes on from there\n")
    monkeypatch.setattr(models, "load_embeddings", lambda name: base)
    assert command("run", "r", shelf, "--llm", "a:b").code == 0
    assert llm.calls == 48


def test_without_jinja_there_is_no_page_and_that_is_said(
    command, base, pairs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in ("journey", "run"):
        monkeypatch.setattr(f"langchain_embedding_adapter.runs.{module}.find_spec", lambda name: None)
    gone = command("run", "r", "--pairs", pairs)
    assert "pip install 'langchain-embedding-adapter[report]'" in gone.err
    assert "report.html" not in gone.out


def test_a_training_that_fails_leaves_the_test_of_the_one_before(command, base, pairs: Path) -> None:
    command("train", "r", "--pairs", pairs, "--embeddings", "c:d")
    before = Path("r/split.json").read_text()
    failed = command("train", "r", "--embeddings", "c:d", "--seed", 5, "--force", "--validation", "nofile.json")
    assert failed.code == 1
    assert Path("r/split.json").read_text() == before
    assert command("train", "r", "--embeddings", "c:d", "--seed", 5, "--force").code == 0
    assert Path("r/split.json").read_text() != before


def test_pairs_from_elsewhere_forget_what_a_generation_came_to(command, llm, base, shelf: Path, pairs: Path) -> None:
    command("pairs", "r", shelf, "--llm", "a:b")
    assert Path("r/answers.summary.json").is_file()
    assert command("train", "r", "--pairs", pairs, "--embeddings", "c:d", "--force").code == 0
    assert not Path("r/answers.summary.json").exists()
    assert Path("r/answers.jsonl").is_file()

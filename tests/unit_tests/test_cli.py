"""The command: stages that are kept, data apart from talk, errors in one line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import FakeListChatModel

from langchain_embedding_adapter import QADataset, RayEngine, __version__, models, open_pair_vectors
from langchain_embedding_adapter.demo import journey as demo
from langchain_embedding_adapter.runs.run import Run
from tests.small_world import AngleEmbeddings, AngleWriter, world

PLANETS = ["Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"]


@pytest.fixture
def base(named_embeddings: AngleEmbeddings) -> AngleEmbeddings:
    return named_embeddings


def test_the_whole_journey(command, llm: AngleWriter, base: AngleEmbeddings, shelf: Path) -> None:
    made = command("pairs", "run", shelf, "--llm", "some:model")
    assert (made.code, made.out) == (0, "120 questions about 120 of 120 passages, in run/pairs.json\n")
    assert "| questions kept            | 120        |" in made.err
    trained = command("train", "run", "--embeddings", "some:embeddings")
    assert trained.code == 0
    assert "Chosen: " in trained.out
    report = command("evaluate", "run")
    assert "| nDCG@10 " in report.out
    hits = command("ask", "run", "q 24 2", "-k", 3)
    assert hits.out.splitlines()[0].split() == ["|", "rank", "|", "base", "|", "adapted", "|"]
    assert len(hits.out.splitlines()) == 5
    told = command("info", "run")
    assert "linear adapter, 8 → 8 dimensions, 72 parameters" in told.out
    assert "base model: AngleEmbeddings" in told.out
    assert sorted(file.name for file in Path("run").iterdir()) == [
        "adapter",
        "answers.jsonl",
        "answers.rejected.jsonl",
        "answers.summary.json",
        "chunks.jsonl",
        "pairs.json",
        "report.html",
        "report.json",
        "report.md",
        "run.json",
        "split.json",
        "vectors.sqlite",
        "verdict.json",
    ]
    assert base.documents.count("p 24 2") == 1


def test_the_adapter_finds_what_the_base_did_not(command, base: AngleEmbeddings, pairs: Path) -> None:
    command("train", "run", "--pairs", pairs)
    found = json.loads(command("ask", "run", "q 24 2", "--json").out)
    assert found["question"] == "q 24 2"
    assert found["base"][0]["text"] != "p 24 2"
    assert found["adapted"][0]["text"] == "p 24 2"
    assert [hit["rank"] for hit in found["adapted"]] == [1, 2, 3, 4, 5]


def test_pseudo_questions_need_no_llm_and_are_no_test(command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(models, "load_embeddings", lambda name: DeterministicFakeEmbedding(size=8))
    corpus = {
        key: f"The planet {key} takes {10 * row} days to turn around its star." for row, key in enumerate(PLANETS)
    }
    (tmp_path / "planets").mkdir()
    for key, text in corpus.items():
        (tmp_path / "planets" / f"{key}.txt").write_text(text)
    queries = {key: f"how long is a year on {key}" for key in corpus}
    QADataset(queries, corpus, {key: [key] for key in corpus}).save("real.json")
    made = command("pairs", "run", "planets", "--pseudo")
    assert made.out.endswith(" questions about 8 of 8 passages, in run/pairs.json\n")
    verdict = command("train", "run").out
    assert "unverified" in verdict or "the base is kept" in verdict
    refused = command("evaluate", "run")
    assert refused.code == 1
    assert "a gain on them is no gain" in refused.err
    assert "8 real questions" in command("train", "run", "--validation", "real.json", "--force").out
    assert command("evaluate", "--adapter", "run/adapter", "--pairs", "real.json").code == 0


def test_stages_that_are_there_are_kept(command, llm: AngleWriter, base: AngleEmbeddings, shelf: Path) -> None:
    first = command("pairs", "run", shelf, "--llm", "some:model")
    again = command("pairs", "run", shelf, "--llm", "some:model", "--max-concurrency", 2)
    assert again.out == first.out
    assert again.err == "kept: run/pairs.json\n"
    assert llm.calls == 120
    verdict = command("train", "run").out
    base.queries.clear()
    assert command("train", "run").out == verdict
    assert base.queries == []


def test_stages_made_with_other_settings_are_refused_or_forced(command, llm, base, shelf: Path) -> None:
    command("pairs", "run", shelf, "--llm", "some:model")
    refused = command("pairs", "run", shelf, "--llm", "some:model", "--chunk-size", 99)
    assert refused.code == 1
    assert refused.err.startswith("error: the stage `pairs` of run was made with other settings (chunk_size 800 → 99)")
    assert command("pairs", "run", shelf, "--llm", "some:model", "--chunk-size", 99, "--force").code == 0
    assert llm.calls == 120  # the answers still fit
    command("train", "run")
    assert "seed 0 → 1" in command("train", "run", "--seed", 1).err
    assert command("train", "run", "--seed", 1, "--force").code == 0


def test_new_pairs_ask_for_new_training(command, base, pairs: Path) -> None:
    command("train", "run", "--pairs", pairs)
    world(step=30).save(pairs)
    command("train", "run", "--pairs", pairs, "--force")
    assert "about 48 of" in str(Run("run").dataset)


def test_one_object_and_nothing_else_with_json(command, base, pairs: Path) -> None:
    trained = json.loads(command("train", "run", "--pairs", pairs, "--json").out)
    assert trained["improved"] is True
    assert json.loads(command("evaluate", "run", "--json").out)["questions"] == 25
    assert json.loads(command("info", "run", "--json").out)["adapter"]["kind"] == "linear"


def test_an_adapter_can_be_examined_without_a_run(command, base, pairs: Path) -> None:
    command("train", "run", "--pairs", pairs)
    alone = command("evaluate", "--adapter", "run/adapter", "--pairs", pairs)
    assert alone.out.startswith("120 questions, 120 passages")


def test_vectors_of_a_run_or_of_pairs_go_to_a_folder(
    command, base: AngleEmbeddings, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command("train", "run", "--pairs", pairs)
    told = command("embed", "run", "--out", "vectors")
    assert told.out == "120 questions and 120 passages as vectors, in vectors\n"
    found = json.loads(command("embed", "--pairs", pairs, "--out", "again", "--json").out)
    assert found == {"questions": 120, "passages": 120, "dimensions": [8, 8], "out": "again"}
    one, other = open_pair_vectors("vectors"), open_pair_vectors("again")
    assert (one.passages == other.passages).all()
    for name in ("questions", "passages", "pairs"):
        (tmp_path / "texts" / name).mkdir(parents=True)
    for name, texts in (("questions", world().queries), ("passages", world().corpus)):
        rows = [json.dumps({"id": key, "text": text}) for key, text in texts.items()]
        (tmp_path / "texts" / name / "all.jsonl").write_text("\n".join(rows))
    shutil.copy(next((tmp_path / "again" / "pairs").iterdir()), tmp_path / "texts" / "pairs")
    assert command("embed", "--pairs", "texts", "--out", "of-texts").code == 0
    assert (open_pair_vectors("of-texts").queries == one.queries).all()


def test_the_engine_is_handed_on(command, base, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command("train", "run", "--pairs", pairs)
    taken = []

    def take(*_: object, engine: object, **__: object) -> None:
        taken.append(engine)
        raise RuntimeError("that is all")

    monkeypatch.setattr("langchain_embedding_adapter.vectors.embed_dataset", take)
    monkeypatch.setattr("langchain_embedding_adapter.evaluation.evaluate.evaluate_retrieval", take)
    monkeypatch.setattr("langchain_embedding_adapter.runs.run.evaluate_retrieval", take)
    on = ["--engine", "ray", "--address", "head:6379", "--workers", 3]
    for arguments in (
        ["embed", "run", "--out", "vectors"],
        ["evaluate", "run"],
        ["evaluate", "run", "--pairs", pairs],
        ["evaluate", "--adapter", "run/adapter", "--pairs", pairs],
    ):
        assert "that is all" in command(*arguments, *on).err
    assert taken == [RayEngine("head:6379", 3, shard_size=4096), *[RayEngine("head:6379", 3)] * 3]


def test_an_own_prompt_is_read_from_a_file(command, llm: AngleWriter, shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Frage zu:\n{passage}")
    assert command("pairs", "run", shelf, "--llm", "some:model", "--prompt", "prompt.txt").code == 0
    assert Run("run").settings["pairs"]["prompt"] == ["Frage zu:\n{passage}"]


def test_a_dry_run_asks_nothing(command, llm: AngleWriter, shelf: Path) -> None:
    told = command("pairs", "run", shelf, "--llm", "some:model", "--dry-run", "--price-in", 1000, "--price-out", 0)
    assert told.code == 0
    assert "Write 2 different questions" in told.out
    assert "120 calls for 120 chunks (0 are answered already)" in told.out
    plan = json.loads(command("pairs", "run", shelf, "--llm", "some:model", "--dry-run", "--json").out)
    assert plan["cost"] is None
    assert f"about {plan['input_tokens'] / 1000:.2f} at these prices" in told.out
    assert not Path("run").exists()


def test_a_preview_is_paid_once(command, llm: AngleWriter, shelf: Path) -> None:
    made = json.loads(command("pairs", "run", shelf, "--llm", "some:model", "--limit", 10, "--json").out)
    assert made["generation"]["calls"] == made["generation"]["chunks"] == 10
    refused = command("pairs", "run", shelf, "--llm", "some:model")
    assert "limit 10 → None" in refused.err
    whole = json.loads(command("pairs", "run", shelf, "--llm", "some:model", "--force", "--json").out)
    assert whole["generation"]["calls"] == 110
    assert whole["questions"] == 120


def test_a_spent_budget_is_gone_on_from(command, llm: AngleWriter, shelf: Path) -> None:
    first = command("pairs", "run", shelf, "--llm", "some:model", "--max-calls", 50)
    assert first.code == 0
    assert "the budget of 50 calls is spent" in first.err
    second = json.loads(command("pairs", "run", shelf, "--llm", "some:model", "--json").out)
    assert second["generation"]["calls"] == 70
    third = command("pairs", "run", shelf, "--llm", "some:model")
    assert "kept: run/pairs.json" in third.err


def test_styles_are_mixed_by_weight(command, llm: AngleWriter, shelf: Path) -> None:
    arguments = ["--style", "natural=3", "--style", "keywords", "--language", "German", "--persona", "a nurse"]
    made = json.loads(command("pairs", "run", shelf, "--llm", "some:model", *arguments, "--json").out)
    styles = made["generation"]["styles"]
    assert sum(styles.values()) == 120
    assert styles["natural"] > 2 * styles["keywords"] > 0
    assert "expected --style NAME or NAME=WEIGHT" in command("pairs", "r", shelf, "--llm", "a:b", "--style", "a=b").err
    assert "unknown style 'odd'" in command("pairs", "r", shelf, "--llm", "a:b", "--style", "odd").err


def test_parts_laid_down_by_pairs_are_those_of_training(command, llm: AngleWriter, base, shelf: Path) -> None:
    made = command("pairs", "run", shelf, "--llm", "a:b", "--test-size", 0.25, "--validation-size", 0.25)
    assert made.code == 0, made.err
    trained = command("train", "run")
    assert "the pairs say which of them are for the test" in trained.err
    pairs, split = QADataset.load("run/pairs.json"), json.loads(Path("run/split.json").read_text())
    assert {name: len(pairs.part(name)) for name in ("train", "validation", "test")} == {
        "train": 60,
        "validation": 30,
        "test": 30,
    }
    assert set(split["test"]) == pairs.part("test").queries.keys()
    assert set(split["train"]) == pairs.part("train").queries.keys()
    assert "validation questions" in trained.out
    assert command("evaluate", "run", "--json").code == 0


def test_a_judge_has_a_second_look(command, base, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = FakeListChatModel(responses=["yes", "yes", "no"])
    monkeypatch.setattr(models, "load_chat_model", lambda name: judge if name == "a:judge" else AngleWriter())
    made = json.loads(command("pairs", "run", shelf, "--llm", "a:b", "--judge", "a:judge", "--json").out)
    assert made["generation"]["rejected"] == {"unanswerable": 40}
    assert made["questions"] == 80


def test_one_document_is_split_by_passage(command, base, tmp_path: Path) -> None:
    dataset = world()
    dataset.documents.update(dict.fromkeys(dataset.corpus, "book"))
    dataset.save(tmp_path / "book.json")
    trained = command("train", "run", "--pairs", "book.json")
    assert trained.code == 0
    assert "the test asks about other passages of it" in trained.err


def test_a_model_that_drifts_behind_its_name_is_told(command, base: AngleEmbeddings, pairs: Path) -> None:
    command("train", "run", "--pairs", pairs, "--embeddings", "some:embeddings")
    told = command("info", "run", "--check")
    assert told.code == 0
    assert "base model: AngleEmbeddings, 3 of its answers recorded" in told.out
    assert "check: AngleEmbeddings answers 3 of 3 probes as AngleEmbeddings did" in told.out
    assert command("info", "run/adapter", "--check").err.endswith(
        "name the model to check: --embeddings provider:model\n"
    )
    vector = base._vector
    base._vector = lambda text: [-value for value in vector(text)]  # type: ignore[method-assign]
    for folder in ("run", "run/adapter"):
        told = command("info", folder, "--check", "--embeddings", "some:embeddings")
        assert told.code == 1
        assert "answers 3 of 3 probes with other vectors: the model behind the name, or a setting, has" in told.out
    found = json.loads(command("info", "run", "--check", "--json").out)["check"]
    assert (found["same"], found["matches"]) == (False, [False, False, False])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "run"], 1, "error: there is no folder run; make a run with `embedding-adapter run run DOCUMENTS`"),
        (["evaluate", "run"], 1, "error: there is no folder run; make a run with"),
        (["ask", "run", "why?"], 1, "error: there is no folder run"),
        (["info", "run"], 1, "error: there is no folder run"),
        (["train", "run", "--pairs", "nothing.json"], 1, "error: there is no file or folder nothing.json"),
        (["embed", "run", "--out", "x"], 1, "error: there is no folder run"),
        (["embed", "--out", "x"], 2, "name either a run, or --pairs"),
        (["embed", "run"], 2, "--out"),
        (["embed", "--pairs", "nothing.json", "--out", "x"], 1, "error: there is no file or folder nothing.json"),
        (["embed", "--pairs", "given.json", "--out", "x", "--address", "a"], 1, "an address goes with engine 'ray'"),
        (["embed", "--pairs", "given.json", "--out", "x", "--workers", "9"], 1, "workers go with engine 'ray'"),
        (["pairs", "run", "docs", "--pseudo", "--engine", "ray"], 2, "are cut by this process"),
        (["evaluate"], 2, "name either a run, or --adapter and --pairs"),
        (["evaluate", "run", "--adapter", "x"], 2, "name either a run"),
        (["trains"], 2, "No such command 'trains'"),
        (["ask", "run"], 1, "error: there is no folder run"),
        (["train", "run", "--seed", "x"], 2, "--seed"),
        (["pairs", "run", "nothing/", "--llm", "some:model"], 1, "error: there is no file or folder nothing"),
        (["pairs", "run", "x.txt"], 2, "with --llm, or ask for --pseudo ones"),
        (["pairs", "run", "x.txt", "--llm", "some:model", "--pseudo"], 2, "with --llm, or ask for --pseudo ones"),
    ],
)
def test_errors_are_one_line(command, llm, base, arguments: list[str], code: int, message: str) -> None:
    outcome = command(*arguments)
    assert outcome.code == code
    assert message in outcome.err
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1


def test_an_unexpected_error_is_one_line_too(command, base, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class StrangeError(Exception):
        pass

    def fail(name: str) -> None:
        raise StrangeError("quota\nexceeded")

    monkeypatch.setattr(models, "load_embeddings", fail)
    assert command("train", "run", "--pairs", pairs) == (1, "", "error: StrangeError: quota exceeded\n")


def test_ctrl_c_is_130(command, base, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(run: Run, *_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "train", interrupt)
    assert command("train", "run", "--pairs", pairs).code == 130


def test_quiet_keeps_talk_away(command, base, pairs: Path) -> None:
    command("train", "run", "--pairs", pairs)
    assert command("--quiet", "train", "run").err == ""


def test_demo(command, base, llm, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple] = []

    class Result:
        def to_dict(self) -> dict[str, int]:
            return {"passages": 3}

        def __str__(self) -> str:
            return "a table"

    monkeypatch.setattr(demo, "run_demo", lambda folder, embeddings, llm: (seen.append((folder, llm)), Result())[1])
    assert command("demo").out == "a table\n"
    assert json.loads(command("demo", "--json", "--llm", "some:model", "--folder", "there").out) == {"passages": 3}
    assert seen == [(Path("demo-run"), None), (Path("there"), llm)]


@pytest.mark.parametrize("name", ["pairs", "train", "evaluate", "ask", "info", "demo"])
def test_every_command_has_help_with_an_example(command, name: str) -> None:
    told = command(name, "--help")
    assert told.code == 0
    assert f"embedding-adapter {name}" in told.out


def test_real_questions_in_a_table_examine_a_run_and_decide(command, base, pairs: Path, tmp_path: Path) -> None:
    command("train", "run", "--pairs", pairs)
    shown = command("ask", "run", "q 24 2", "-k", 1, "--ids")
    assert "p2-24 p 24 2" in shown.out
    (tmp_path / "real.csv").write_text("question,passage_id\nq 25 2,p2-24\nq 61 1,p1-60\n")
    found = json.loads(command("evaluate", "run", "--pairs", "real.csv", "--json").out)
    assert (found["questions"], found["passages"]) == (2, 120)
    assert json.loads(command("evaluate", "run", "--json").out)["questions"] == 25
    assert "2 questions" in command("compare", "run", "run/adapter", "--pairs", "real.csv", "--embeddings", "a:b").out
    decided = command("train", "run", "--validation", "real.csv", "--force")
    assert decided.code == 0, decided.err
    assert "on validation questions (nDCG@10 × 100, 2 questions" in decided.out


def test_without_a_word_there_is_help(command) -> None:
    told = command()
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("Usage: embedding-adapter")
    assert len(told.err.splitlines()) > 20


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "langchain_embedding_adapter.cli", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == __version__

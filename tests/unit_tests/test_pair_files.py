"""A dataset on disk: our JSON, LlamaIndex's JSON, a BEIR folder, the answers of a generation."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from langchain_embedding_adapter import QADataset

DATASET = QADataset(
    queries={"q1": "Wie lang ist ein Jahr?", "q2": "Which way does\tVenus turn?\n"},
    corpus={"p1": "Ein Marsjahr: 687 Tage – süß", "p2": "Venus\u2028turns\r\nbackwards.", "p3": "Pluto is small."},
    relevant_docs={"q1": ["p1"], "q2": ["p2", "p3"]},
    documents={"p1": "mars.md", "p2": "venus.md"},
    grades={"q2": {"p2": 3.0, "p3": 0.123456789}},
)


def lines(path: Path, rows: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_our_json_keeps_everything(tmp_path: Path) -> None:
    DATASET.save(tmp_path / "deep" / "pairs.json")
    assert QADataset.load(tmp_path / "deep" / "pairs.json") == DATASET


def test_llama_index_json_has_its_keys_and_no_others(tmp_path: Path) -> None:
    DATASET.save(tmp_path / "pairs.json", format="llama_index")
    content = json.loads((tmp_path / "pairs.json").read_text(encoding="utf-8"))
    assert content == {
        "queries": DATASET.queries,
        "corpus": DATASET.corpus,
        "relevant_docs": DATASET.relevant_docs,
        "mode": "text",
    }
    loaded = QADataset.load(tmp_path / "pairs.json")
    assert loaded == QADataset(DATASET.queries, DATASET.corpus, DATASET.relevant_docs)


def test_json_with_a_byte_order_mark(tmp_path: Path) -> None:
    DATASET.save(tmp_path / "pairs.json")
    content = (tmp_path / "pairs.json").read_bytes()
    (tmp_path / "windows.json").write_bytes(b"\xef\xbb\xbf" + content)
    assert QADataset.load(tmp_path / "windows.json") == DATASET


def test_a_beir_folder_keeps_all_but_the_documents(tmp_path: Path) -> None:
    plain = QADataset(
        {key: text.strip() for key, text in DATASET.queries.items()},
        DATASET.corpus,
        DATASET.relevant_docs,
        grades=DATASET.grades,
    )
    plain.save(tmp_path / "beir")
    assert QADataset.load(tmp_path / "beir") == plain
    assert (tmp_path / "beir/qrels/test.tsv").read_text().splitlines() == [
        "query-id\tcorpus-id\tscore",
        "q1\tp1\t1",
        "q2\tp2\t3",
        "q2\tp3\t0.123456789",
    ]


def test_ids_with_quotes_and_tabs_survive_a_beir_folder(tmp_path: Path) -> None:
    odd = QADataset({'"q"': "?"}, {'"a" b\tc': "text"}, {'"q"': ['"a" b\tc']})
    odd.save(tmp_path / "beir")
    assert QADataset.load(tmp_path / "beir") == odd


def test_the_splits_of_one_dataset_share_a_beir_folder(tmp_path: Path) -> None:
    train, test = DATASET.subset(["q1"]), DATASET.subset(["q2"])
    train.save(tmp_path / "beir", split="train")
    test.save(tmp_path / "beir", split="test")
    assert QADataset.load(tmp_path / "beir", split="train").relevant_docs == train.relevant_docs
    assert QADataset.load(tmp_path / "beir", split="test").relevant_docs == test.relevant_docs
    with pytest.raises(ValueError, match="holds the splits test, train; say which one"):
        QADataset.load(tmp_path / "beir")
    with pytest.raises(ValueError, match="no split 'dev'; it holds test, train"):
        QADataset.load(tmp_path / "beir", split="dev")


def test_a_beir_folder_is_written_anew_where_it_holds_no_other_split(tmp_path: Path) -> None:
    DATASET.save(tmp_path / "beir")
    other = QADataset({"x": "?"}, {"y": "text"}, {"x": ["y"]})
    other.save(tmp_path / "beir")
    assert QADataset.load(tmp_path / "beir") == other


def beir(folder: Path, qrels: str = "query-id\tcorpus-id\tscore\nq1\tp1\t1\n", **rows: list[dict[str, Any]]) -> Path:
    lines(folder / "corpus.jsonl", rows.get("corpus", [{"_id": "p1", "title": "Mars", "text": "Its year."}]))
    lines(folder / "queries.jsonl", rows.get("queries", [{"_id": "q1", "text": "How long?"}]))
    (folder / "qrels").mkdir(exist_ok=True)
    (folder / "qrels" / "test.tsv").write_text(qrels, encoding="utf-8")
    return folder


def test_beir_as_others_write_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = beir(
        tmp_path,
        qrels="query-id\tcorpus-id\tscore\nq1\tp1\t2\nq1\tp2\t0\nq2\tp1\t0\nq1\t3\t1\n\nq4\tp1\t1\n",
        corpus=[
            {"_id": "p1", "title": "Mars", "text": "Its year.", "metadata": {}},
            {"_id": "p2", "title": "", "text": "Venus."},
            {"_id": 3, "text": "No title."},
            {"_id": "blank", "title": " ", "text": None},
        ],
        queries=[{"_id": f"q{n}", "text": f"Question {n}?"} for n in (1, 2, 3, 4)],
    )
    with caplog.at_level(logging.INFO):
        dataset = QADataset.load(folder)
    assert dataset.corpus == {"p1": "Mars Its year.", "p2": "Venus.", "3": "No title."}
    assert "left out 1 blank passages" in caplog.text
    assert dataset.relevant_docs == {"q1": ["p1", "3"], "q4": ["p1"]}  # a zero is no answer
    assert dataset.queries == {"q1": "Question 1?", "q4": "Question 4?"}
    assert dataset.grades == {"q1": {"p1": 2.0, "3": 1.0}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qrels": "q1\tp1\n"}, r"test.tsv, line 1: expected question, passage and score, got \['q1', 'p1'\]"),
        ({"qrels": "q1\tp1\t1\nq1\tp1\tgood\n"}, r"test.tsv, line 2: expected"),
        ({"qrels": "q1\tp9\t1\n"}, r"not in `corpus`: 'p9'"),
        ({"corpus": [{"id": "p1", "text": "Mars"}]}, r"corpus.jsonl, record 1, has no '_id'"),
        ({"queries": [{"text": "How long?"}]}, r"queries.jsonl, record 1, has no '_id'"),
        ({"corpus": ["p1"]}, r"corpus.jsonl, line 1: expected a JSON object, got str"),
    ],
)
def test_a_damaged_beir_folder_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        QADataset.load(beir(tmp_path, **change))


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is not a BEIR folder: expected corpus\.jsonl"):
        QADataset.load(tmp_path)


def answer(chunk: str, *questions: str, document: str | None = None) -> dict[str, Any]:
    return {"key": chunk, "chunk": chunk, "document": document, "text": f"text {chunk}", "questions": [*questions]}


def test_the_answers_of_a_generation(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    lines(path, [answer("a", "One?", "Two?", document="book"), answer("b"), answer("c", "Three?")])
    dataset = QADataset.load(path)
    assert dataset.corpus == {"a": "text a", "b": "text b", "c": "text c"}
    assert list(dataset.queries.values()) == ["One?", "Two?", "Three?"]
    assert list(dataset.relevant_docs.values()) == [["a"], ["a"], ["c"]]
    assert dataset.documents == {"a": "book"}


def test_the_last_answer_about_a_chunk_counts(tmp_path: Path) -> None:
    lines(tmp_path / "pairs.jsonl", [answer("a", "Old one?", "Old two?"), answer("a", "New?")])
    assert list(QADataset.load(tmp_path / "pairs.jsonl").queries.values()) == ["New?"]


def test_saving_never_overwrites_the_answers_of_a_generation(tmp_path: Path) -> None:
    lines(tmp_path / "pairs.jsonl", [answer("a", "One?")])
    with pytest.raises(ValueError, match=r"\.jsonl is for the answers of a generation"):
        DATASET.save(tmp_path / "pairs.jsonl")
    assert len(QADataset.load(tmp_path / "pairs.jsonl")) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("pairs.json", "{", "pairs.json is not valid JSON"),
        ("pairs.json", "", "pairs.json is not valid JSON"),
        ("pairs.json", b"\xff\xfe\xfa", "pairs.json is not valid JSON"),
        ("pairs.json", "[1, 2]", "pairs.json holds no question–passage pairs"),
        ("pairs.json", '{"queries": {}, "corpus": {}}', "and relevant_docs is missing"),
        ("pairs.json", '{"queries": [], "corpus": {}, "relevant_docs": {}}', "pairs.json: "),
        (
            "pairs.json",
            '{"queries": {"q": "?"}, "corpus": {"p": "x"}, "relevant_docs": {"q": [["p"]]}}',
            "pairs.json: ",
        ),
        (
            "pairs.json",
            '{"queries": {"q": "?"}, "corpus": {"r": "so"}, "relevant_docs": {"q": ["p"]}}',
            "pairs.json: .*'p'",
        ),
        ("pairs.jsonl", '{"key": 1}\n', "pairs.jsonl is not a file of generated answers: a line has no 'chunk'"),
        ("pairs.jsonl", '{"_id": "p1", "text": "x"}\n', "pass the folder that holds them"),
        ("pairs.jsonl", json.dumps(answer("a", "One?")) + '\n{"key": "b', "pairs.jsonl, line 2, is not valid JSON"),
        ("pairs.jsonl", b"\xff\n", "pairs.jsonl, line 1, is not valid JSON"),
    ],
)
def test_a_damaged_or_foreign_file_is_named(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        QADataset.load(tmp_path / name)


@pytest.mark.parametrize("version", [2, "2"])
def test_a_newer_version(version: object, tmp_path: Path) -> None:
    DATASET.save(tmp_path / "pairs.json")
    content = json.loads((tmp_path / "pairs.json").read_text(encoding="utf-8"))
    (tmp_path / "pairs.json").write_text(json.dumps({**content, "version": version}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"pairs.json was written by a newer version.*upgrade"):
        QADataset.load(tmp_path / "pairs.json")


@pytest.mark.parametrize("name", ["none.json", "none.jsonl", "none"])
def test_nothing_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=name):
        QADataset.load(tmp_path / name)


def test_a_split_belongs_to_a_folder(tmp_path: Path) -> None:
    DATASET.save(tmp_path / "pairs.json")
    with pytest.raises(ValueError, match="is not a folder"):
        QADataset.load(tmp_path / "pairs.json", split="test")


def test_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown format 'parquet'; expected"):
        DATASET.save(tmp_path / "pairs.parquet", format="parquet")  # type: ignore[arg-type]


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DATASET.save(tmp_path / "pairs.json")

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        DATASET.subset(["q1"]).save(tmp_path / "pairs.json")
    assert QADataset.load(tmp_path / "pairs.json") == DATASET
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.json"]

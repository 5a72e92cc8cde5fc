"""``QADataset``: what it refuses, how it splits, what it reads and writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langchain_embedding_adapter import QADataset

QUERIES = {"q1": "how long", "q2": "which way"}
CORPUS = {"p1": "687 days", "p2": "backwards", "p3": "unasked"}
RELEVANT = {"q1": ["p1"], "q2": ["p2", "p1"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": {**QUERIES, "q2": "  "}}, "blank or missing text in `queries`: 'q2'"),
        ({"corpus": {**CORPUS, "p3": None}}, "blank or missing text in `corpus`: 'p3'"),
        ({"relevant_docs": {"q1": ["p1"]}}, "questions without a passage in `relevant_docs`: 'q2'"),
        ({"relevant_docs": {**RELEVANT, "q2": []}}, "questions without a passage in `relevant_docs`: 'q2'"),
        ({"relevant_docs": {**RELEVANT, "q2": "p1"}}, "takes a list of passage ids, got one string for 'q2'"),
        ({"relevant_docs": {**RELEVANT, "q9": ["p1"]}}, "names questions that are not in `queries`: 'q9'"),
        ({"relevant_docs": {**RELEVANT, "q2": ["p7"]}}, "names passages that are not in `corpus`: 'p7'"),
        ({"grades": {"q1": {"p1": 0}}}, "`grades` must be above 0 and belong to pairs"),
        ({"grades": {"q1": {"p2": 1}}}, "`grades` must be above 0 and belong to pairs"),
    ],
)
def test_what_does_not_fit_together_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QADataset(**{"queries": QUERIES, "corpus": CORPUS, "relevant_docs": RELEVANT, **change})


def test_of_many_faults_a_few_are_named() -> None:
    with pytest.raises(ValueError, match="'q0', 'q1', 'q2' and 7 more"):
        QADataset({f"q{n}": "" for n in range(10)}, CORPUS, {f"q{n}": ["p1"] for n in range(10)})


def test_grades_default_to_one() -> None:
    dataset = QADataset(QUERIES, CORPUS, RELEVANT, grades={"q2": {"p1": 3.0}})
    assert [dataset.grade("q2", passage) for passage in CORPUS] == [3.0, 1.0, 0.0]


def library(documents: int = 10, passages: int = 4, questions: int = 3) -> QADataset:
    queries, corpus, relevant, sources = {}, {}, {}, {}
    for document in range(documents):
        for passage in range(passages):
            key = f"{document}.{passage}"
            corpus[key], sources[key] = f"text {key}", f"book {document}"
            for question in range(questions):
                queries[f"{key}?{question}"] = f"question {key} {question}"
                relevant[f"{key}?{question}"] = [key]
    return QADataset(queries, corpus, relevant, sources)


def books(dataset: QADataset) -> set[str]:
    return {dataset.document(passage) for passage in dataset.passages_asked_about()}


@pytest.mark.parametrize("sizes", [(0.2,), (0.3, 0.2), (0.5, 0.4)])
@pytest.mark.parametrize("seed", [0, 7])
def test_no_document_is_in_two_parts(sizes: tuple[float, ...], seed: int) -> None:
    dataset = library()
    parts = dataset.split(*sizes, seed=seed)
    assert len(parts) == len(sizes) + 1
    assert sorted(query for part in parts for query in part.queries) == sorted(dataset.queries)
    assert sum(len(books(part)) for part in parts) == len(books(dataset))
    assert all(part.corpus == dataset.corpus for part in parts)
    assert len(parts[-1]) / len(dataset) == pytest.approx(sizes[0], abs=0.06)
    if len(sizes) == 2:
        assert len(parts[1]) / len(dataset) == pytest.approx(sizes[1], abs=0.06)


def test_a_seed_says_which_and_another_says_otherwise() -> None:
    assert library().split(seed=3) == library().split(seed=3)
    assert library().split(seed=3) != library().split(seed=4)


def test_documents_that_share_a_question_or_a_text_stay_together() -> None:
    dataset = library()
    joined = QADataset(
        {**dataset.queries, "both": "about two books"},
        {**dataset.corpus, "0.0": "the same words", "5.0": "the same words"},
        {**dataset.relevant_docs, "both": ["1.0", "2.0"]},
        dataset.documents,
    )
    for seed in range(10):
        for part in joined.split(0.4, 0.2, seed=seed):
            assert ("book 0" in books(part)) == ("book 5" in books(part))
            assert ("book 1" in books(part)) == ("book 2" in books(part))


def test_one_document_can_be_split_by_passage() -> None:
    single = library(documents=1, passages=10)
    with pytest.raises(ValueError, match=r"about 1 document that shares no question .* split with by='passage'"):
        single.split()
    train, test = single.split(by="passage")
    assert not train.passages_asked_about() & test.passages_asked_about()
    assert len(test) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test_size": 0}, "expected test_size above 0"),
        ({"test_size": 1.0}, "their sum below 1"),
        ({"test_size": 0.6, "validation_size": 0.4}, "their sum below 1"),
        ({"test_size": 0.2, "validation_size": -0.1}, "validation_size 0 or above"),
        ({"by": "chapter"}, "expected by='document' or by='passage', got 'chapter'"),
    ],
)
def test_impossible_splits_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        library().split(**arguments)


def test_every_part_gets_something_however_uneven_the_documents() -> None:
    uneven = library(documents=3)
    sources = {passage: ("big" if passage[0] != "2" else "small") for passage in uneven.corpus}
    parts = QADataset(uneven.queries, uneven.corpus, uneven.relevant_docs, sources).split(0.01)
    assert [len(part) > 0 for part in parts] == [True, True]


def test_a_subset_of_strangers_is_refused() -> None:
    with pytest.raises(KeyError, match="not questions of this dataset: 'nobody'"):
        library().subset(["nobody"])


RICH = QADataset(QUERIES, CORPUS, RELEVANT, {"p1": "book"}, {"q2": {"p1": 2.0}})


def test_our_json_keeps_everything(tmp_path: Path) -> None:
    RICH.save(tmp_path / "pairs.json")
    assert QADataset.load(tmp_path / "pairs.json") == RICH


def test_llamaindex_json_is_written_and_read(tmp_path: Path) -> None:
    RICH.save(tmp_path / "pairs.json", format="llama_index")
    content = json.loads((tmp_path / "pairs.json").read_text())
    assert content == {"queries": QUERIES, "corpus": CORPUS, "relevant_docs": RELEVANT, "mode": "text"}
    assert QADataset.load(tmp_path / "pairs.json") == QADataset(QUERIES, CORPUS, RELEVANT)


def test_a_beir_folder_is_written_and_read(tmp_path: Path) -> None:
    RICH.save(tmp_path / "beir")
    assert (tmp_path / "beir" / "qrels" / "test.tsv").read_text().splitlines() == [
        "query-id\tcorpus-id\tscore",
        "q1\tp1\t1",
        "q2\tp2\t1",
        "q2\tp1\t2",
    ]
    loaded = QADataset.load(tmp_path / "beir")
    assert (loaded.queries, loaded.corpus, loaded.relevant_docs) == (QUERIES, CORPUS, RELEVANT)
    assert loaded.grade("q2", "p1") == 2


def test_a_real_beir_folder_has_titles_zero_grades_blanks_and_splits(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    documents = [{"_id": "d1", "title": "Mars", "text": "687 days"}, {"_id": "d2", "title": "", "text": " "}]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    (tmp_path / "queries.jsonl").write_text('{"_id": "a", "text": "long?"}\n\n{"_id": "b", "text": "other?"}\n')
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\na\td1\t1\nb\td1\t0\n")
    loaded = QADataset.load(tmp_path)
    assert (loaded.queries, loaded.corpus) == ({"a": "long?"}, {"d1": "Mars 687 days"})
    (tmp_path / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nb\td1\t1\n")
    with pytest.raises(ValueError, match="holds the splits dev, test; say which one"):
        QADataset.load(tmp_path)
    assert list(QADataset.load(tmp_path, split="dev").queries) == ["b"]
    with pytest.raises(ValueError, match="has no split 'train'; it holds dev, test"):
        QADataset.load(tmp_path, split="train")
    (tmp_path / "qrels" / "dev.tsv").write_text("b d1 1\n")
    with pytest.raises(ValueError, match=r"dev.tsv, line 1: expected question, passage and score"):
        QADataset.load(tmp_path, split="dev")


def test_generated_answers_are_read(tmp_path: Path) -> None:
    row = {
        "key": "k",
        "chunk": "c1",
        "text": "687 days",
        "document": "book",
        "questions": ["long?", "days?"],
        "answer": "",
    }
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    loaded = QADataset.load(tmp_path / "pairs.jsonl")
    assert loaded.relevant_docs == {"c1-q1": ["c1"], "c1-q2": ["c1"]}
    assert loaded.document("c1") == "book"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("broken.json", "{", "broken.json is not valid JSON"),
        ("list.json", "[1]", "holds no question–passage pairs: .* queries, corpus, relevant_docs is missing"),
        ("part.json", '{"queries": {}, "corpus": {}}', "relevant_docs is missing"),
        ("new.json", '{"queries": {}, "corpus": {}, "relevant_docs": {}, "version": 99}', "newer version"),
        (
            "bad.json",
            '{"queries": {"q": ""}, "corpus": {}, "relevant_docs": {"q": ["p"]}}',
            "bad.json: blank or missing",
        ),
        ("odd.json", '{"queries": [], "corpus": {}, "relevant_docs": {}}', "odd.json: "),
        ("rows.jsonl", '{"_id": "d1", "text": "x"}\n', "pass the folder that holds them"),
        ("rows.jsonl", "[1]\n", "line 1: expected a JSON object, got list"),
        ("rows.jsonl", "{\n", "line 1, is not valid JSON"),
    ],
)
def test_files_of_another_kind_are_refused(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        QADataset.load(tmp_path / name)


def test_other_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        QADataset.load(tmp_path / "nothing.json")
    with pytest.raises(ValueError, match="is not a BEIR folder: expected"):
        QADataset.load(tmp_path)
    RICH.save(tmp_path / "pairs.json")
    with pytest.raises(ValueError, match="`split` names a file of a BEIR folder"):
        QADataset.load(tmp_path / "pairs.json", split="test")
    with pytest.raises(ValueError, match="unknown format 'csv'"):
        RICH.save(tmp_path / "pairs.csv", format="csv")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    RICH.save(tmp_path / "pairs.json")

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        library().save(tmp_path / "pairs.json")
    assert QADataset.load(tmp_path / "pairs.json") == RICH
    assert [file.name for file in tmp_path.iterdir()] == ["pairs.json"]

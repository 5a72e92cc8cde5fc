"""Pairs from logs, feedback and datasets kept elsewhere: rows in, a graded dataset out."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_embedding_adapter.chunks import text_id
from langchain_embedding_adapter.pairs.elsewhere import (
    pairs_from_beir,
    pairs_from_huggingface,
    pairs_from_langsmith,
)
from langchain_embedding_adapter.pairs.logs import pairs_from_logs

CORPUS = {"p1": "A Mars year lasts 687 days.", "p2": "Venus turns backwards.", "7": "Pluto is small."}
ROWS = [
    {"question": "How long is a Mars year?", "passage_id": "p1", "weight": 2, "time": "2025-01-01T10:00:00Z"},
    {"question": "how  long is a mars year? ", "passage_id": "p1", "weight": 1, "time": "2025-03-01T10:00:00Z"},
    {"question": "Is Pluto, the 9th, small; or not?", "passage_id": "7", "weight": 1, "time": "2025-02-01T10:00:00Z"},
]
MARS, PLUTO = text_id("how long is a mars year?"), text_id("is pluto, the 9th, small; or not?")


def clicks(*rows: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Rows from (question, passage, weight, time), the last ones optional."""
    return [dict(zip(("question", "passage_id", "weight", "time"), row, strict=False)) for row in rows]


def table(path: Path, delimiter: str, encoding: str = "utf-8") -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, ROWS[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def jsonl(path: Path) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n", encoding="utf-8-sig")
    return path


def pandas(folder: Path) -> Any:
    frame = pytest.importorskip("pandas").DataFrame(ROWS)
    frame["time"] = frame["time"].astype("datetime64[ns, UTC]")
    return frame


class FrameLikePandas:
    columns = list(ROWS[0])

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return ROWS


class FrameLikePolars(FrameLikePandas):
    def iter_rows(self, *, named: bool) -> Iterator[dict[str, Any]]:
        assert named
        return iter(ROWS)


SOURCES: dict[str, Callable[[Path], Any]] = {
    "csv": lambda folder: table(folder / "log.csv", ","),
    "csv of Excel": lambda folder: table(folder / "log.csv", ";", "utf-8-sig"),
    "csv by tabs": lambda folder: table(folder / "log.CSV", "\t"),
    "csv path as text": lambda folder: str(table(folder / "log.csv", "|")),
    "tsv": lambda folder: table(folder / "log.tsv", "\t", "utf-8-sig"),
    "jsonl": lambda folder: jsonl(folder / "log.jsonl"),
    "list": lambda folder: ROWS,
    "generator": lambda folder: (row for row in ROWS),
    "like pandas": lambda folder: FrameLikePandas(),
    "like polars": lambda folder: FrameLikePolars(),
    "pandas": pandas,
    "polars": lambda folder: pytest.importorskip("polars").DataFrame(ROWS),
    "datasets": lambda folder: pytest.importorskip("datasets").Dataset.from_list(ROWS),
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_kind_of_rows_gives_the_same_pairs(source: str, tmp_path: Path) -> None:
    logged = pairs_from_logs(SOURCES[source](tmp_path), CORPUS)
    assert logged.dataset.queries == {MARS: "How long is a Mars year?", PLUTO: "Is Pluto, the 9th, small; or not?"}
    assert logged.dataset.corpus == CORPUS
    assert logged.dataset.relevant_docs == {MARS: ["p1"], PLUTO: ["7"]}
    assert logged.dataset.grades == {MARS: {"p1": 2.0}}  # log2(1 + 3)
    assert logged.question_weights == {MARS: pytest.approx(4 / 3), PLUTO: pytest.approx(2 / 3)}
    assert logged.first_times[MARS] == datetime(2025, 1, 1, 10, tzinfo=timezone.utc)
    assert logged.times[MARS] == datetime(2025, 3, 1, 10, tzinfo=timezone.utc)
    assert type(logged.times[MARS]) is datetime
    assert logged.skipped == {}
    assert str(logged) == "2 questions about 2 of 3 passages, asked 2025-01-01 to 2025-03-01"


def test_other_column_names() -> None:
    rows = [{"q": "Mars?", "doc": "p1", "votes": 3, "day": date(2025, 1, 2)}]
    logged = pairs_from_logs(rows, CORPUS, question="q", passage="doc", weight="votes", time="day")
    assert list(logged.dataset.grades.values()) == [{"p1": 2.0}]
    assert list(logged.times.values()) == [datetime(2025, 1, 2, tzinfo=timezone.utc)]


def test_rows_without_weight_and_time_count_one_each() -> None:
    logged = pairs_from_logs(clicks(("Mars?", "p1"), ("Venus?", "p2")), CORPUS)
    assert set(logged.question_weights.values()) == {1.0}
    assert (logged.dataset.grades, logged.times) == ({}, {})


def test_documents_are_a_corpus_and_keep_what_they_were_cut_from() -> None:
    documents = [Document("A Mars year.", id="p1", metadata={"source": "mars.md"}), Document("Venus.", id="p2")]
    dataset = pairs_from_logs(clicks(("Mars?", "p1")), documents).dataset
    assert dataset.corpus == {"p1": "A Mars year.", "p2": "Venus."}
    assert dataset.documents == {"p1": "mars.md"}


@pytest.mark.parametrize(
    ("passages", "expected"),
    [
        (["p1", "p2", "p1"], ["p1", "p2"]),
        (("p1", None), ["p1"]),
        (np.array(["p1", "p2"]), ["p1", "p2"]),
        ('["p1", "p2"]', ["p1", "p2"]),
        (" p1 ", ["p1"]),
        (7, ["7"]),
        (7.0, ["7"]),
        (np.int64(7), ["7"]),
        ([7.0], ["7"]),
    ],
)
def test_a_passage_is_an_id_or_a_list_of_ids(passages: Any, expected: list[str]) -> None:
    dataset = pairs_from_logs([{"question": "?", "passage_id": passages}], CORPUS).dataset
    assert list(dataset.relevant_docs.values()) == [expected]


def test_an_id_may_begin_with_a_bracket() -> None:
    dataset = pairs_from_logs(clicks(("?", "[draft")), {"[draft": "text"}).dataset
    assert list(dataset.relevant_docs.values()) == [["[draft"]]


def test_weights_add_up_and_are_damped() -> None:
    rows = clicks(*[("Head?", "p1", 100)] * 100, ("Head?", "p2", 10), ("Rare?", "7", 1))
    logged = pairs_from_logs(rows, CORPUS)
    head, rare = logged.dataset.queries
    assert logged.dataset.relevant_docs[head] == ["p1", "p2"]
    assert logged.dataset.grade(head, "p1") == pytest.approx(math.log2(10_001))
    assert logged.dataset.grade(head, "p2") == pytest.approx(math.log2(11))
    assert logged.question_weights[head] / logged.question_weights[rare] == pytest.approx(math.log2(10_011))
    assert sum(logged.question_weights.values()) == pytest.approx(2)


def test_a_row_that_names_many_passages_counts_once() -> None:
    rows = clicks(("Many?", ["p1", "p2", "gone"], 3), ("One?", "p1", 3), ("One?", "gone", 50))
    logged = pairs_from_logs(rows, CORPUS)
    assert set(logged.question_weights.values()) == {1.0}
    assert logged.dataset.grades[text_id("many?")] == {"p1": 2.0, "p2": 2.0}


def test_the_heaviest_answer_stands_first_and_the_heaviest_wording_stays() -> None:
    rows = clicks(("MARS?", "p2", 1), ("mars?", "p1", 5), ("Mars?", "p1", 4))
    dataset = pairs_from_logs(rows, CORPUS).dataset
    assert dataset.relevant_docs == {text_id("mars?"): ["p1", "p2"]}
    assert list(dataset.queries.values()) == ["mars?"]
    ligature = pairs_from_logs(clicks(("ﬁnd Ａ", "p1"), ("find a", "p1")), CORPUS)
    assert len(ligature.dataset) == 1


def test_votes_against_are_subtracted(caplog: pytest.LogCaptureFixture) -> None:
    rows = clicks(("Up?", "p1", 3), ("Up?", "p1", -2), ("Down?", "p1", 1), ("Down?", "p1", -1), ("Shown?", "p2", 0))
    logged = pairs_from_logs(rows, CORPUS)
    assert list(logged.dataset.queries.values()) == ["Up?"]
    assert logged.dataset.grade(text_id("up?"), "p1") == 1
    assert logged.skipped == {"pairs of weight 0 or less": 2}
    assert "left out of the logs: 2 pairs of weight 0 or less" in caplog.text


def test_light_pairs_are_left_out() -> None:
    rows = clicks(("Mars?", "p1", 3), ("Mars?", "p2", 1), ("Mars?", "p2", 1), ("Pluto?", "7", 1))
    logged = pairs_from_logs(rows, CORPUS, min_weight=3)
    assert logged.dataset.relevant_docs == {text_id("mars?"): ["p1"]}
    assert logged.skipped == {"pairs below min_weight": 2}


def test_a_popular_passage_keeps_its_heaviest_then_latest_questions() -> None:
    rows = clicks(
        ("early", "p1", 2, "2025-01-01"),
        ("b late", "p1", 2, "2025-02-01"),
        ("a late", "p1", 2, "2025-02-01"),
        ("heavy", "p1", 3, "2024-01-01"),
        ("no time", "p1", 2),
        ("other", "p2", 1),
    )
    for most, expected in [
        (1, {"heavy"}),
        (2, {"heavy", "a late"}),
        (4, {"heavy", "a late", "b late", "early"}),
        (5, {"heavy", "a late", "b late", "early", "no time"}),
    ]:
        for order in (rows, rows[::-1]):
            logged = pairs_from_logs(order, CORPUS, most_per_passage=most)
            assert set(logged.dataset.queries.values()) == expected | {"other"}
            assert sum(logged.skipped.values()) == 5 - len(expected)


def test_the_cap_counts_what_a_question_is_mostly_about_and_takes_it_whole() -> None:
    rows = clicks(
        ("popular", "p1", 20),
        ("also", "p1", 8),
        ("also", "p2", 7),
        ("by chance", "p1", 1),
        ("by chance", "p2", 2),
        ("either", ["p1", "7"], 1),
    )
    logged = pairs_from_logs(rows, CORPUS, most_per_passage=1)
    assert logged.dataset.relevant_docs == {
        text_id("popular"): ["p1"],
        text_id("by chance"): ["p2", "p1"],
        text_id("either"): ["p1", "7"],
    }
    assert logged.skipped == {"questions over most_per_passage": 1}


def test_what_says_nothing_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    rows = clicks(
        (" ", "p1"),
        (None, "p1"),
        (float("nan"), "p1"),
        ("Mars?", ""),
        ("Mars?", []),
        ("Mars?", ["p1", "gone"]),
        *[(f"Question {n}?", f"lost{n}") for n in range(4)],
    )
    logged = pairs_from_logs(rows, CORPUS)
    assert logged.dataset.relevant_docs == {text_id("mars?"): ["p1"]}
    assert logged.skipped == {
        "rows without a question": 3,
        "rows without a passage": 2,
        "mentions of passages that are not in the corpus": 5,
    }
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "(such as 'gone', 'lost0', 'lost1' and 2 more)" in record.message
    assert "3 rows without a question" in str(logged)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-05-01", datetime(2025, 5, 1)),
        ("2025-05-01T12:00:00Z", datetime(2025, 5, 1, 12)),
        ("2025-05-01 12:00:00.5z", datetime(2025, 5, 1, 12, microsecond=500_000)),
        ("2025-05-01T12:00:00.123456789+02:00", datetime(2025, 5, 1, 10, microsecond=123_456)),
        (datetime(2025, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))), datetime(2025, 5, 1, 10)),
        (datetime(2025, 5, 1, 12), datetime(2025, 5, 1, 12)),
        (date(2025, 5, 1), datetime(2025, 5, 1)),
        (1_746_100_800, datetime(2025, 5, 1, 12)),
        ("1746100800.25", datetime(2025, 5, 1, 12, microsecond=250_000)),
        (np.int64(1_746_100_800), datetime(2025, 5, 1, 12)),
    ],
)
def test_times_of_all_kinds(value: Any, expected: datetime) -> None:
    logged = pairs_from_logs(clicks(("?", "p1", 1, value)), CORPUS)
    assert list(logged.times.values()) == [expected.replace(tzinfo=timezone.utc)]


@pytest.mark.parametrize("value", ["yesterday", "01.05.2025", 1_746_100_800_000, "20250501", -1, [1], float("inf")])
def test_a_time_that_is_none_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError, match=r"row 2: expected a time as 'time' \(ISO 8601, a datetime, or Unix seconds\)"):
        pairs_from_logs(clicks(("Mars?", "p1"), ("?", "p1", 1, value)), CORPUS)


@pytest.mark.parametrize("value", ["many", "1,5", float("inf"), "nan", [1]])
def test_a_weight_that_is_no_number_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError, match="row 2: expected a number as 'weight', got"):
        pairs_from_logs(clicks(("Mars?", "p1"), ("?", "p1", value)), CORPUS)


@pytest.mark.parametrize("value", [None, "", " ", float("nan")])
def test_a_missing_weight_is_one_and_a_missing_time_none(value: Any) -> None:
    logged = pairs_from_logs(clicks(("?", "p1", value, value)), CORPUS)
    assert (logged.dataset.grades, logged.times) == ({}, {})


def test_what_pandas_lacks_is_missing() -> None:
    frame = pytest.importorskip("pandas")
    rows = clicks(("?", frame.NA, frame.NA, frame.NaT), ("?", "p1", frame.NA, frame.NaT))
    assert pairs_from_logs(rows, CORPUS).skipped == {"rows without a passage": 1}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("log.csv", 'question,passage_id,weight\n"a\nb",p1,1\nMars?,p1,x\n', "log.csv, line 4: expected a number"),
        ("log.tsv", "question\tpassage_id\tweight\nMars?\tp1\tx\n", "log.tsv, line 2: expected a number"),
        ("log.jsonl", '{"question": "?", "passage_id": "p1", "weight": "x"}\n', "log.jsonl, record 1: expected a num"),
        (
            "log.csv",
            "question,passage_id\nMars, or Venus?,p1\n",
            "line 2: more cells than the header's 2 columns; a text",
        ),
        ("log.csv", 'question,passage_id\n"Mars?,p1\n', "log.csv, line 2: .*; a text that holds the separator"),
        ("log.csv", 'question,passage_id\n"Mars" year?,p1\n', "log.csv, line 2: .*quotes"),
        (
            "log.csv",
            "query,doc\nMars?,p1\n",
            r"the question in a column 'question', and the rows have 'query', 'doc'; ",
        ),
        ("log.csv", "question,doc\nMars?,p1\n", "the passage in a column 'passage_id', .* name it with passage=…"),
        ("log.csv", "question,passage_id\n", "there are no rows"),
        ("log.csv", "", "there are no rows"),
        ("log.csv", "question,passage_id\nMars?,x\n", "the rows name 'x', the corpus has 'p1', 'p2', '7'; give the"),
        ("log.csv", "question,passage_id\n,p1\n", "no question is left; left out: 1 rows without a question"),
        ("log.csv", "question,passage_id,weight\nMars?,p1,0\n", "no question is left; left out: 1 pairs of weight"),
        ("log.xlsx", "", "expected a .csv, .tsv or .jsonl file, got .xlsx"),
        ("log", "", "got no suffix"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_why(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        pairs_from_logs(tmp_path / name, CORPUS)


def test_a_file_in_another_encoding_or_none_at_all(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes("question,passage_id\nWie lang währt ein Jahr?,p1\n".encode("cp1252"))
    with pytest.raises(ValueError, match="is not UTF-8"):
        pairs_from_logs(tmp_path / "log.csv", CORPUS)
    with pytest.raises(FileNotFoundError):
        pairs_from_logs(tmp_path / "none.csv", CORPUS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": "clics"}, "expected the weight in a column 'clics', and the rows have 'question', 'passage_id'"),
        ({"time": "when"}, "expected the time in a column 'when'"),
        ({"most_per_passage": 0}, "expected most_per_passage of 1 or more"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pairs_from_logs(clicks(("Mars?", "p1")), CORPUS, **options)


def test_rows_and_corpora_of_the_wrong_kind() -> None:
    with pytest.raises(TypeError, match="row 1: expected a mapping of column to value, got tuple"):
        pairs_from_logs([("Mars?", "p1")], CORPUS)  # type: ignore[list-item]
    with pytest.raises(TypeError, match="row 1: expected a mapping"):
        pairs_from_logs({"question": ["Mars?"]}, CORPUS)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="row 1: expected a question's text as 'question', got 3"):
        pairs_from_logs(clicks((3, "p1")), CORPUS)
    with pytest.raises(TypeError, match="expected LangChain Documents"):
        pairs_from_logs(ROWS, ["A Mars year."])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="the corpus is empty"):
        pairs_from_logs(ROWS, {})


def over_time(questions: int = 10) -> list[dict[str, Any]]:
    return clicks(*[(f"Question {day}?", "p1", 1, f"2025-01-{day:02}") for day in range(1, questions + 1)])


def texts(dataset: Any) -> set[str]:
    return set(dataset.queries.values())


def test_the_test_is_what_came_up_last() -> None:
    logged = pairs_from_logs(over_time(), CORPUS)
    train, test = logged.split_by_time()
    assert texts(test) == {"Question 9?", "Question 10?"}
    assert texts(train) | texts(test) == texts(logged.dataset)
    assert train.corpus == test.corpus == CORPUS
    assert logged.weights_for(train) == dict.fromkeys(train.queries, 1.0)
    assert logged.split_by_time(cut=datetime(2025, 1, 10)) == logged.split_by_time(0.1)
    berlin = datetime(2025, 1, 10, 1, tzinfo=timezone(timedelta(hours=1)))
    assert logged.split_by_time(cut=berlin) == logged.split_by_time(0.1)


def test_what_was_asked_before_the_cut_is_not_in_the_test() -> None:
    again = clicks(("QUESTION  1?", "p2", 5, "2025-02-01"), ("Undated?", "p2"))
    train, test = pairs_from_logs(over_time() + again, CORPUS).split_by_time()
    assert texts(test) == {"Question 9?", "Question 10?"}
    assert {"QUESTION 1?", "Undated?"} < texts(train)
    assert {text.casefold() for text in texts(train)}.isdisjoint(text.casefold() for text in texts(test))


def test_a_question_about_a_passage_that_is_gone_was_asked_all_the_same() -> None:
    logged = pairs_from_logs(
        [*over_time(), *clicks(("New?", "gone", 1, "2025-01-02"), ("New?", "p1", 1, "2025-03-01"))], CORPUS
    )
    assert "New?" in texts(logged.split_by_time()[0])


def test_equal_times_stay_together() -> None:
    rows = clicks(*[(f"Question {n}?", "p1", 1, f"2025-01-0{1 + (n > 3)}") for n in range(10)])
    train, test = pairs_from_logs(rows, CORPUS).split_by_time(0.2)
    assert (len(train), len(test)) == (4, 6)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (clicks(("Mars?", "p1")), {}, "the rows hold no times to split by"),
        (
            clicks(("Mars?", "p1", 1, "2025-01-01"), ("Venus?", "p2", 1, "2025-01-01")),
            {},
            "nothing would be left to train",
        ),
        (over_time(), {"cut": datetime(2024, 1, 1)}, "nothing would be left to train on"),
        (over_time(), {"cut": datetime(2026, 1, 1)}, "nothing would be left to test with: .* the cut is at 2026-01-01"),
        (over_time(), {"test_size": 1.0}, "expected test_size between 0 and 1, got 1.0"),
    ],
)
def test_times_that_cannot_be_split(rows: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pairs_from_logs(rows, CORPUS).split_by_time(**options)


class Client:
    """Stands in for ``langsmith.Client``."""

    def __init__(self, *examples: tuple[dict[str, Any] | None, dict[str, Any] | None]) -> None:
        from langsmith.schemas import Example

        self.examples = [
            Example(id=uuid4(), dataset_id=uuid4(), inputs=inputs, outputs=outputs) for inputs, outputs in examples
        ]

    def list_examples(self, *, dataset_name: str, **options: Any) -> Iterator[Any]:
        self.asked = dataset_name, options
        return iter(self.examples)


def from_langsmith(client: Client, corpus: Any = CORPUS, **options: Any) -> Any:
    return pairs_from_langsmith("feedback", corpus, client=client, **options)  # type: ignore[arg-type]


def test_langsmith_examples_with_ids(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(
        ({"question": "Mars?"}, {"passage_ids": ["p1", "gone"], "contexts": ["unused"]}),
        ({"question": "mars? "}, {"passage_ids": "p2"}),
        ({"question": "Pluto?"}, {"passage_ids": [7], "answer": "Yes."}),
        ({"question": "Pluto?"}, None),
        (None, {"passage_ids": ["p1"]}),
    )
    dataset = from_langsmith(client, splits=["train"])
    assert client.asked == ("feedback", {"splits": ["train"]})
    assert dataset.queries == {text_id("mars?"): "Mars?", text_id("pluto?"): "Pluto?"}
    assert dataset.relevant_docs == {text_id("mars?"): ["p1", "p2"], text_id("pluto?"): ["7"]}
    assert dataset.corpus == CORPUS
    (record,) = caplog.records
    assert "1 mentions of passages that are not in the corpus" in record.message
    assert "1 rows without a passage, 1 rows without a question (such as 'gone')" in record.message


def test_langsmith_examples_with_texts() -> None:
    client = Client(
        ({"input": "Mars?"}, {"reference_contexts": [CORPUS["p1"] + "\n", "Mars has two moons."]}),
        ({"input": "Moons?"}, {"documents": [{"page_content": "Mars has two moons.", "metadata": {}}]}),
        ({"input": "Venus?"}, {"context": CORPUS["p2"]}),
    )
    moons = text_id("Mars has two moons.")
    dataset = from_langsmith(client)
    assert dataset.relevant_docs == {
        text_id("mars?"): ["p1", moons],
        text_id("moons?"): [moons],
        text_id("venus?"): ["p2"],
    }
    assert dataset.corpus == {**CORPUS, moons: "Mars has two moons."}
    assert len(from_langsmith(client, corpus=None).corpus) == 3


def test_langsmith_keys_can_be_named() -> None:
    client = Client(({"question": "no", "ask": "Mars?"}, {"gold": ["p1"], "texts": ["Venus."]}))
    assert texts(from_langsmith(client, question="ask", passage_ids="gold")) == {"Mars?"}
    assert from_langsmith(client, None, question="ask", passages="texts").corpus == {text_id("Venus."): "Venus."}


def test_langsmith_makes_its_own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(({"question": "Mars?"}, {"passage_ids": ["p1"]}))
    monkeypatch.setattr("langsmith.Client", lambda: client)
    assert len(pairs_from_langsmith("feedback", CORPUS)) == 1


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "the LangSmith dataset 'feedback' gave no pair; left out: nothing, it is empty. It has no columns"),
        (
            [({"messages": ["?"]}, {"passage_ids": ["p1"]})],
            "It has 'inputs.messages', 'outputs.passage_ids': say which",
        ),
        (
            [({"question": "?"}, {"passage_ids": ["x"]})],
            "not in the corpus, 1 rows without a passage \\(such as 'x'\\)",
        ),
        ([({"question": ["?"]}, {"passage_ids": ["p1"]})], "example .*: expected the question as text, got list"),
        ([({"question": "?"}, {"contexts": [3]})], "example .*: expected a passage as text, got int"),
    ],
)
def test_langsmith_examples_without_a_pair(examples: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_langsmith(Client(*examples))


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("question", "passage"),
        ("query", "positive"),
        ("anchor", "positive"),
        ("question", "context"),
        ("query", "answer"),
    ],
)
def test_the_usual_columns_are_found(question: str, passage: str) -> None:
    rows = [{"id": 1, question: "Mars?", passage: "687 days."}, {"id": 2, question: "Venus?", passage: "Backwards."}]
    dataset = pairs_from_huggingface(rows)
    assert dataset.queries == {text_id("mars?"): "Mars?", text_id("venus?"): "Venus?"}
    assert dataset.relevant_docs[text_id("venus?")] == [text_id("Backwards.")]
    named = [{"a": row[question], "b": row[passage]} for row in rows]
    assert pairs_from_huggingface(named, question="a", passage="b") == dataset


def test_negatives_are_passages_without_a_question(caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        {"anchor": "Mars?", "positive": "687 days.", "negative_1": "Venus.", "negative_2": "Pluto."},
        {
            "anchor": "mars?",
            "positive": ["A long year.", "687 days."],
            "negative_1": ["Venus.", "Io."],
            "negative_2": None,
        },
        {"anchor": "", "positive": "Nobody asked.", "negative_1": "", "negative_2": ""},
    ]
    dataset = pairs_from_huggingface(rows)
    assert str(dataset) == "1 question about 2 of 6 passages"
    assert dataset.relevant_docs == {text_id("mars?"): [text_id("687 days."), text_id("A long year.")]}
    assert "1 rows without a question" in caplog.text
    assert len(pairs_from_huggingface(rows, negatives="negative_2").corpus) == 4
    assert len(pairs_from_huggingface(rows, negatives=[]).corpus) == 3


def test_real_hugging_face_datasets() -> None:
    datasets = pytest.importorskip("datasets")
    split = datasets.Dataset.from_list([{"query": "Mars?", "answer": "687 days."}])
    for dataset in (split, split.to_iterable_dataset()):
        assert texts(pairs_from_huggingface(dataset)) == {"Mars?"}
    with pytest.raises(TypeError, match=r"a dict of 'train'; pass dataset\['train'\]"):
        pairs_from_huggingface(datasets.DatasetDict(train=split))


@pytest.mark.parametrize(
    ("rows", "options", "error", "message"),
    [
        ([], {}, ValueError, "the dataset is empty"),
        (
            [{"s1": "?", "s2": "!"}],
            {},
            ValueError,
            "expected one of the columns 'question', .* as question, got 's1', 's2'",
        ),
        ([{"query": "?", "s2": "!"}], {}, ValueError, "as passage, got 'query', 's2'; name it with passage=…"),
        ([{"query": "?", "s2": "!"}], {"passage": "s3"}, ValueError, "expected a column 's3' as passage"),
        ([{"query": "?", "answer": "!"}], {"negatives": "n"}, ValueError, "expected a column 'n' as negatives"),
        ([{"query": "?", "answer": {"start": 3}}], {}, ValueError, "the dataset gave no pair"),
        ([{"query": 3, "answer": "!"}], {}, ValueError, "row 1: expected the question as text, got int"),
        ({"train": [], "test": []}, {}, TypeError, r"a dict of 'train', 'test'; pass dataset\['train'\]"),
    ],
)
def test_columns_that_are_not_there(rows: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pairs_from_huggingface(rows, **options)


def test_beir_tables_are_read_as_a_beir_folder_is(tmp_path: Path) -> None:
    from langchain_embedding_adapter import QADataset

    corpus = [
        {"_id": "p1", "title": "Mars", "text": "Its year."},
        {"_id": 2, "text": "No title."},
        {"_id": "blank", "title": None, "text": " "},
    ]
    queries = [{"_id": f"q{n}", "text": f"Question {n}?"} for n in (1, 2, 3)]
    qrels = [("q1", "p1", 2), ("q1", 2, 1), ("q2", "p1", 0), ("q3", "p1", 1)]
    rows = [dict(zip(("query-id", "corpus-id", "score"), row, strict=True)) for row in qrels]
    dataset = pairs_from_beir(corpus, queries, rows)
    (tmp_path / "qrels").mkdir()
    for name, content in (("corpus", corpus), ("queries", queries)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    lines = ["\t".join(map(str, row)) for row in [("query-id", "corpus-id", "score"), *qrels]]
    (tmp_path / "qrels" / "test.tsv").write_text("\n".join(lines))
    assert dataset == QADataset.load(tmp_path)
    files = [tmp_path / name for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")]
    assert pairs_from_beir(*files) == dataset


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corpus": [{"text": "Mars"}]}, "row 1: expected an id as '_id', got the columns 'text'"),
        ({"qrels": [{"query-id": "q", "score": 1}]}, "row 1: expected an id as 'corpus-id'"),
        ({"qrels": [{"query_id": "q", "corpus_id": "p", "score": "good"}]}, "row 1: expected a number as 'score'"),
        ({"qrels": [{"query_id": "q", "corpus_id": "x"}]}, "not in `corpus`: 'x'"),
    ],
)
def test_beir_tables_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    tables: dict[str, Any] = {
        "corpus": [{"id": "p", "text": "Mars."}],
        "queries": [{"id": "q", "text": "Mars?"}],
        "qrels": [{"query_id": "q", "corpus_id": "p"}],
    }
    assert len(pairs_from_beir(**tables)) == 1
    with pytest.raises(ValueError, match=message):
        pairs_from_beir(**{**tables, **change})

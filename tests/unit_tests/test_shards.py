"""Vectors and pairs as a folder of parts: written and opened, mapped, checked, laid down once."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from langchain_embedding_adapter import open_pair_vectors, save_pair_vectors
from langchain_embedding_adapter.vectors import PairVectors, Ragged, embed_dataset
from langchain_embedding_adapter.vectors.arrow_ids import ArrowIds
from tests.small_world import AngleEmbeddings, world


@pytest.fixture
def vectors() -> PairVectors:
    return embed_dataset(AngleEmbeddings(), world())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def assert_same(one: PairVectors, other: PairVectors) -> None:
    assert tuple(one.query_ids) == tuple(other.query_ids)
    assert tuple(one.passage_ids) == tuple(other.passage_ids)
    for name in ("queries", "passages"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("relevant", "grades", "listed", "opinions"):
        assert [row.tolist() for row in getattr(one, name)] == [row.tolist() for row in getattr(other, name)]
    assert one.metric == other.metric


@pytest.mark.parametrize("rows_per_part", [7, 1000])
def test_what_is_written_is_opened(vectors: PairVectors, tmp_path: Path, rows_per_part: int) -> None:
    graded = replace(vectors, grades=vectors.grades.like(np.linspace(0.5, 2, len(vectors.grades.flat))), metric="dot")
    save_pair_vectors(graded, tmp_path / "kept", rows_per_part=rows_per_part, query_model="angles")
    opened = open_pair_vectors(tmp_path / "kept")
    assert_same(opened, graded)
    assert isinstance(opened.passages, np.memmap)
    assert isinstance(opened.relevant.flat, np.memmap)
    about = json.loads((tmp_path / "kept" / "about.json").read_text())
    assert about == {
        "format": 1, "metric": "dot", "query_model": "angles", "passage_model": None, "dimensions": [8, 8]
    }  # fmt: skip
    assert len(list((tmp_path / "kept" / "passages").iterdir())) == -(-120 // rows_per_part)


def test_a_teachers_opinions_are_kept(vectors: PairVectors, tmp_path: Path) -> None:
    listed = Ragged.of([np.arange(row % 3) for row in range(len(vectors.queries))], np.intp)
    taught = replace(vectors, listed=listed, opinions=listed.like(np.linspace(-1, 1, len(listed.flat))))
    save_pair_vectors(taught, tmp_path / "kept")
    assert_same(open_pair_vectors(tmp_path / "kept"), taught)


def test_any_file_system(vectors: PairVectors, tmp_path: Path) -> None:
    save_pair_vectors(vectors, "memory://bucket/kept", rows_per_part=50)
    assert_same(open_pair_vectors("memory://bucket/kept", scratch=tmp_path / "scratch"), vectors)


def test_fewer_parts_replace_more(vectors: PairVectors, tmp_path: Path) -> None:
    save_pair_vectors(vectors, tmp_path / "kept", rows_per_part=10)
    fewer = vectors.rows(np.array([3, 1]))
    save_pair_vectors(fewer, tmp_path / "kept")
    assert_same(open_pair_vectors(tmp_path / "kept"), fewer)


def test_flat_files_are_made_once_for_each_state(vectors: PairVectors, tmp_path: Path) -> None:
    save_pair_vectors(vectors, tmp_path / "kept")

    def flat() -> dict[str, int]:
        return {str(file): file.stat().st_ino for file in (tmp_path / "scratch").rglob("*") if file.is_file()}

    open_pair_vectors(tmp_path / "kept", scratch=tmp_path / "scratch")
    first = flat()
    open_pair_vectors(tmp_path / "kept", scratch=tmp_path / "scratch")
    assert flat() == first
    changed = replace(vectors, passages=-vectors.passages)
    save_pair_vectors(changed, tmp_path / "kept")
    assert_same(open_pair_vectors(tmp_path / "kept", scratch=tmp_path / "scratch"), changed)
    assert len(flat()) == len(first)
    assert not first.keys() & flat().keys()


def test_mapped_vectors_are_taken_and_cut_like_others(vectors: PairVectors, tmp_path: Path) -> None:
    save_pair_vectors(vectors, tmp_path / "kept")
    opened = open_pair_vectors(tmp_path / "kept")
    some = np.array([5, 2, 9])
    assert_same(opened.rows(some), vectors.rows(some))
    assert_same(opened.take(list(vectors.query_ids)[4:6]), vectors.take(list(vectors.query_ids)[4:6]))
    assert_same(opened.rows(some).asked_about(), vectors.rows(some).asked_about())


def tables(folder: Path, **changed: Any) -> Path:
    """A folder as another program writes it, with some tables changed."""
    kept = {
        "questions": {"id": ["q0", "q1"], "vector": [[1.0, 0.0], [0.0, 1.0]]},
        "passages": {"id": ["a", "b", "c"], "vector": [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]},
        "pairs": {"question": ["q1", "q0", "q1"], "passage": ["c", "a", "b"]},
    } | changed
    for name, columns in kept.items():
        (folder / name).mkdir(parents=True)
        pq.write_table(pa.table(columns), folder / name / "part-0.parquet")
    (folder / "about.json").write_text('{"format": 1}')
    return folder


def test_tables_of_others_are_taken(tmp_path: Path) -> None:
    opened = open_pair_vectors(tables(tmp_path / "theirs"))
    assert opened.queries.dtype == np.float32
    assert [rows.tolist() for rows in opened.relevant] == [[0], [2, 1]]
    assert [grades.tolist() for grades in opened.grades] == [[1], [1, 1]]
    assert opened.metric == "cosine"


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_arrow_files_are_taken(tmp_path: Path, kind: str) -> None:
    folder = tables(tmp_path / "theirs")
    part = pa.table({"id": [7, 8], "vector": pa.array([[1, 2], [3, 4]], pa.list_(pa.float16(), 2))})
    write = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with write(str(folder / "passages" / "part-1.arrow"), part.schema) as out:
        out.write(part.to_batches()[0].slice(0, 1))
        out.write(part.to_batches()[0].slice(1, 1))
    opened = open_pair_vectors(folder)
    assert list(opened.passage_ids) == ["a", "b", "c", "7", "8"]
    assert opened.passages[3:].tolist() == [[1, 2], [3, 4]]


def test_a_pair_that_stands_twice_counts_once(tmp_path: Path) -> None:
    pairs = {"question": ["q1", "q0", "q1"], "passage": ["c", "a", "c"], "grade": [3, 1, 2]}
    opened = open_pair_vectors(tables(tmp_path / "theirs", pairs=pairs))
    assert [rows.tolist() for rows in opened.relevant] == [[0], [2]]
    assert opened.grades[1].tolist() == [3]


TWO = [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("table", "columns", "told"),
    [
        ("questions", {"id": ["q0", "q1"], "text": ["?", "??"]}, "expected the columns id, vector, got id, text"),
        ("questions", {"id": ["q0", "q1"], "vector": [[1, 0], [0, 1]]}, "expected lists of floats, got list"),
        ("questions", {"id": ["q0", "q1"], "vector": [1.0, 0.0]}, "expected lists of floats, got double"),
        ("questions", {"id": ["q0", "q1"], "vector": [[1.0], [0.0, 1.0]]}, r"vectors of one length, got \[1, 2\]"),
        ("questions", {"id": ["q0", "q1"], "vector": [[1.0, 0.0], [float("nan"), 1.0]]}, "the vector of 'q1' holds"),
        ("questions", {"id": ["q0", "q1"], "vector": [[1.0, 0.0], None]}, "is missing"),
        ("questions", {"id": ["q0", None], "vector": TWO}, "an id is missing"),
        ("questions", {"id": [0.5, 1.5], "vector": TWO}, "expected strings, got double"),
        ("questions", {"id": ["q0", "q0"], "vector": TWO}, "the id 'q0' stands there twice"),
        ("questions", {"id": pa.array([], pa.string()), "vector": pa.array([], pa.list_(pa.float32()))}, "no row in"),
        ("pairs", {"question": ["q0", "q1"], "passage": ["a", "z"]}, "1 passages that are not in passages/: 'z'"),
        ("pairs", {"question": ["q0", "who"], "passage": ["a", "a"]}, "1 questions that are not in questions/: 'who'"),
        ("pairs", {"question": ["q0"], "passage": ["a"]}, "1 of 2 questions have no passage in pairs, 'q1'"),
        ("pairs", {"question": ["q0"], "passage": ["a"], "grade": [0.0]}, "grade to be a number above 0, got 0.0"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, table: str, columns: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        open_pair_vectors(tables(tmp_path / "theirs", **{table: columns}))
    assert not list((tmp_path / "cache").rglob("building-*"))


def test_dimensions_are_those_that_are_said(tmp_path: Path) -> None:
    folder = tables(tmp_path / "theirs")
    (folder / "about.json").write_text('{"format": 1, "dimensions": [2, 3]}')
    with pytest.raises(ValueError, match=r"says .* have \[2, 3\] dimensions, and they have \[2, 2\]"):
        open_pair_vectors(folder)
    part = pa.table({"id": ["d"], "vector": [[1.0, 2.0, 3.0]]})
    pq.write_table(part, folder / "passages" / "part-1.parquet")
    with pytest.raises(ValueError, match="expected vectors of 2 dimensions, as in the rows before; got 3"):
        open_pair_vectors(folder)


def test_what_is_no_folder_of_vectors(vectors: PairVectors, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no about\.json"):
        open_pair_vectors(tmp_path / "nothing")
    folder = tables(tmp_path / "theirs")
    for content, told in [
        ("{", "is not valid JSON"),
        ('{"format": 2}', 'expected {"format": 1'),
        ('{"format": 1, "metric": "angle"}', "expected a metric of cosine, dot, l2, got 'angle'"),
    ]:
        (folder / "about.json").write_text(content)
        with pytest.raises(ValueError, match=told):
            open_pair_vectors(folder)
    (folder / "about.json").write_text('{"format": 1}')
    (folder / "pairs" / "part-0.parquet").unlink()
    with pytest.raises(FileNotFoundError, match="there are no parts in"):
        open_pair_vectors(folder)
    with pytest.raises(ValueError, match="rows_per_part must be at least 1"):
        save_pair_vectors(vectors, tmp_path / "kept", rows_per_part=0)


def test_ids_are_a_sequence_of_strings() -> None:
    names = tuple(f"é{number}" for number in range(10))
    ids = ArrowIds.of(names)
    assert tuple(ids) == names
    assert ids == names
    assert hash(ids) == hash(names)
    assert ids != names[:-1]
    assert ids[-1] == "é9"
    assert ids[2:4] == names[2:4]
    assert ids[::-3] == names[::-3]
    assert ids[4:2] == ()
    assert "é3" in ids
    assert "e3" not in ids
    assert ids[3:].rows_of(pa.array(["é4", "é0", "é9"], pa.large_string())).tolist() == [1, -1, 6]
    assert repr(ids[:4]) == "ArrowIds('é0', 'é1', 'é2', … 4 in all)"
    with pytest.raises(IndexError, match="expected a row below 10"):
        ids[10]


PEAK = """
import re, sys
import numpy, pyarrow.parquet, pyarrow.compute, fsspec
from pathlib import Path
from langchain_embedding_adapter import open_pair_vectors

def peak():  # of this program alone: getrusage also knows what its parent took
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

before = peak()
vectors = open_pair_vectors(sys.argv[1], scratch=sys.argv[2])
assert vectors.passages.shape == (200_000, 256)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of a process from /proc")
def test_opening_holds_a_batch_in_memory_and_not_the_whole(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    passages = draw.standard_normal((200_000, 256), dtype=np.float32)
    rows = Ragged.in_rows(np.arange(1000), [1] * 1000)
    ids = tuple(f"passage-{number}" for number in range(len(passages)))
    vectors = PairVectors(ids[:1000], ids, passages[:1000], passages, rows, rows.like(np.ones(1000)))
    save_pair_vectors(vectors, tmp_path / "kept")
    told = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path / "kept", tmp_path / "scratch"], check=True, capture_output=True
    )
    assert passages.nbytes > 200e6
    assert int(told.stdout) < 120e6
    again = open_pair_vectors(tmp_path / "kept", scratch=tmp_path / "scratch")
    np.testing.assert_array_equal(again.passages[::997], passages[::997])

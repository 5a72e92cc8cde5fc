"""What all that is spread over Ray shares, without Ray: shards and their journals on two file systems."""

from __future__ import annotations

import contextlib
import pickle
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from langchain_embedding_adapter.cluster.clients import share
from langchain_embedding_adapter.cluster.shards import JOURNALS, ShardFolder

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed (the extra `arrow`)")

ROWS = [{"text": "Zoë's \u2028 page", "number": 1}, {"text": "half a sign: \udc80", "number": 2}]


@pytest.fixture(params=["here", "in memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "here":
        yield str(tmp_path / "shards")
        return
    name = f"memory://{uuid.uuid4().hex}"
    yield name
    with contextlib.suppress(FileNotFoundError):
        fsspec.filesystem("memory").rm(name, recursive=True)


def test_a_shard_is_there_or_not(place: str) -> None:
    folder = ShardFolder(place)
    assert (folder.names(), folder.unfinished(), folder.done("b")) == ([], [], False)
    with pytest.raises(FileNotFoundError):
        folder.read("b")
    folder.write("b", ROWS)
    folder.write("a", [])
    assert (folder.names(), folder.done("b"), folder.read("b"), folder.read("a")) == (["a", "b"], True, ROWS, [])
    folder.write("b", ROWS[:1])
    assert folder.read("b") == ROWS[:1]
    folder.remove("b")
    folder.remove("never there")
    assert folder.names() == ["a"]


def test_what_a_journal_holds_survives_who_wrote_it(place: str) -> None:
    first = ShardFolder(place).journal("part-1")
    first.append("k2", ROWS[1])
    first.append("k1", ROWS[0])
    first.append("k1", ROWS[0])
    folder = ShardFolder(place)
    assert (folder.names(), folder.unfinished()) == ([], ["part-1"])
    other = folder.journal("part-1")
    assert other.rows() == ROWS
    other.clear()
    assert (folder.unfinished(), folder.journal("part-1").rows()) == ([], [])


def test_bytes_are_shards_too(place: str) -> None:
    folder = ShardFolder(place, suffix=".parquet")
    folder.put("x.parquet", b"\x00\x01")
    folder.journal("y").put("0", b"\xff")
    folder.within("other", ".jsonl").write("z", ROWS)
    assert (folder.names(), folder.get("x.parquet")) == (["x"], b"\x00\x01")
    assert folder.journal("y").parts() == {"0": b"\xff"}
    assert folder.within("other", ".jsonl").names() == ["z"]
    folder.drop(JOURNALS)
    assert folder.unfinished() == []


def test_a_folder_is_the_same_in_another_process(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ShardFolder(place).write("a", ROWS)
    assert pickle.loads(pickle.dumps(ShardFolder(place))).read("a") == ROWS  # noqa: S301 our own
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    packed = pickle.dumps(ShardFolder("shards"))  # a relative path
    monkeypatch.chdir(tmp_path / "there")
    assert pickle.loads(packed).path == str(tmp_path / "shards")  # noqa: S301


def test_nothing_half_written_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ShardFolder(tmp_path)
    folder.write("a", ROWS[:1])

    def broken(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="full"):
        folder.write("a", ROWS)
    monkeypatch.undo()
    assert (folder.names(), folder.read("a")) == (["a"], ROWS[:1])


def test_shares_do_not_exceed_what_they_are_of() -> None:
    assert [share(16, workers) for workers in (1, 2, 3, 16)] == [16, 8, 5, 1]

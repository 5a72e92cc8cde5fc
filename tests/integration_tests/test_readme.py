"""Every snippet of the README runs, as it stands there: with OpenAI's classes replaced, in an empty folder."""

from __future__ import annotations

import re
import shlex
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
from langchain_community.vectorstores import FAISS

from langchain_embedding_adapter import cli
from tests.snippets import CHUNKS, ROOT, StandIn, blocks_of, check_command, commands_in, run_python, stand_in

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks_of(README)


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    stand_in(monkeypatch)
    return tmp_path


def test_python_snippets_run_one_after_the_other(at_home: Path) -> None:
    store = FAISS.from_documents(CHUNKS, StandIn("text-embedding-3-small"))
    store.save_local("index")
    namespace: dict[str, Any] = {"documents": CHUNKS, "store": store}
    assert sum(block.language == "python" for block in BLOCKS) == 5
    printed = run_python(BLOCKS, namespace, "README.md", compare=False)
    assert "| nDCG@10 " in printed
    assert "candidates examined" in printed
    assert (at_home / "pairs.jsonl").is_file()
    assert (at_home / "handbook-adapter" / "model.safetensors").is_file()
    assert len(namespace["retriever"].invoke("how do I make a class callable")) == 4


def test_the_quick_start_is_under_ten_lines() -> None:
    assert len([line for line in BLOCKS[0].code.splitlines() if line.strip()]) < 10


def test_commands_run_one_after_the_other(at_home: Path) -> None:
    (at_home / "handbook").mkdir()
    for number, chunk in enumerate(CHUNKS):
        (at_home / "handbook" / f"{number}.txt").write_text(chunk.page_content, encoding="utf-8")
    own = 0
    for command in commands_in(BLOCKS):
        if not command.startswith("embedding-adapter "):
            check_command(command)
            continue
        own += 1
        with pytest.raises(SystemExit) as stop:
            cli.main(shlex.split(command, comments=True)[1:])
        assert not stop.value.code, command
    assert own == 4


def test_it_names_the_two_commands_that_set_everything_up() -> None:
    assert "`make demo`" in README
    assert "`make test`" in README


def test_install_lines_name_extras_that_exist() -> None:
    known = set(metadata("langchain-embedding-adapter").get_all("Provides-Extra", []))
    lines = re.findall(r"langchain-embedding-adapter\[([\w,]+)\]", README)
    named = {extra for extras in lines for extra in extras.split(",")}
    listed = re.search(r"Further extras: (.*?)\. On", README, re.DOTALL)
    assert listed is not None
    named |= set(re.findall(r"`([\w-]+)`", listed.group(1)))
    assert named == known

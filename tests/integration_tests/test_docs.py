"""Every page of the documentation: its snippets run, and what is written anywhere links to what is there."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from langchain_community.vectorstores import FAISS

from langchain_embedding_adapter import AdapterTrainer, cli
from tests.llama_index import old_library
from tests.snippets import (
    CHUNKS,
    CORPUS,
    FENCE,
    PAGES,
    ROOT,
    SHOWN_CORPUS,
    QuestionWriter,
    StandIn,
    anchors_of,
    blocks_of,
    check_command,
    check_data,
    commands_in,
    links_in,
    real_pairs,
    run_python,
    stand_in,
    without_a_cluster,
)

COUNTED = {  # Python blocks, shell lines
    "benchmarks.md": (0, 3),
    "faq.md": (0, 0),
    "guides/billion.md": (1, 0),
    "guides/choose.md": (2, 0),
    "guides/large.md": (7, 4),
    "guides/llama-index.md": (11, 0),
    "guides/logs.md": (4, 0),
    "guides/model-change.md": (2, 0),
    "guides/no-labels.md": (3, 2),
    "guides/pairs.md": (5, 0),
    "guides/plots.md": (3, 0),
    "guides/production.md": (6, 1),
    "guides/questions.md": (5, 0),
    "guides/report.md": (2, 0),
    "guides/stores.md": (6, 0),
    "guides/teacher.md": (1, 0),
    "guides/train.md": (6, 0),
    "idea.md": (0, 0),
    "index.md": (1, 0),
    "limits.md": (0, 0),
    "selection.md": (4, 0),
    "start.md": (4, 5),
}
ELSEWHERE = {"command.md"}
"""Pages whose snippets tests of their own run."""
OF_REFERENCE = {"start.md", "selection.md"}
"""Pages that print figures of Python's language reference; they are compared where it is the same text."""


def namespace(page: str) -> dict[str, Any]:
    """What a page says is at hand, by name, and nothing else."""
    text = PAGES[page].partition("\n## ")[0] if page != "index.md" else PAGES[page]
    named = set(re.findall(r"`(\w+)`", text))
    named |= {"rows"} if page == "guides/logs.md" else set()
    embeddings = StandIn("text-embedding-3-small")
    pairs = real_pairs(CHUNKS)
    train, test = pairs.split(test_size=0.4, seed=0)
    log = [
        {
            "question": pairs.queries[query],
            "passage_id": passages[0],
            "weight": 1 + row % 9,
            "time": 1.75e9 + 86400 * row,
        }
        for row, (query, passages) in enumerate(pairs.relevant_docs.items())
    ]
    made: dict[str, Any] = {
        "embeddings": lambda: embeddings,
        "documents": lambda: CHUNKS,
        "llm": lambda: QuestionWriter(model="gpt-4o-mini"),
        "store": lambda: FAISS.from_documents(CHUNKS, embeddings),
        "train": lambda: train,
        "test": lambda: test,
        "real": lambda: test.subset(list(test.queries)[:20]),
        "corpus": lambda: pairs.corpus,
        "rows": lambda: log,
        "result": lambda: AdapterTrainer(embeddings).train(train),
        "nodes": lambda: CHUNKS,
    }
    found = {name: make() for name, make in made.items() if name in named}
    if "nodes" in found:
        found |= {"llama_llm": object(), "llama_embeddings": embeddings, "store": made["store"]()}
    return found


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    stand_in(monkeypatch)
    for name, module in old_library().items():
        monkeypatch.setitem(sys.modules, name, module)
    np.save(tmp_path / "matrix.npy", np.eye(256))
    without_a_cluster(monkeypatch, tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", sorted(PAGES.keys() - ELSEWHERE - {p for p in PAGES if p.startswith("reference/")}))
def test_snippets_of_a_page_run_one_after_the_other(page: str, at_home: Path) -> None:
    blocks = blocks_of(PAGES[page])
    commands = commands_in(blocks)
    assert (sum(block.language == "python" for block in blocks), len(commands)) == COUNTED[page]
    compare = page not in OF_REFERENCE or CORPUS == SHOWN_CORPUS
    run_python(blocks, namespace(page) if COUNTED[page][0] else {}, page, compare=compare)
    for block in blocks:
        check_data(block)
    (at_home / "handbook").mkdir()
    for number, chunk in enumerate(CHUNKS):
        (at_home / "handbook" / f"{number}.txt").write_text(chunk.page_content, encoding="utf-8")
    for command in commands:
        if not command.startswith("embedding-adapter "):
            check_command(command)
            continue
        with pytest.raises(SystemExit) as stop:
            cli.main(shlex.split(command, comments=True)[1:])
        assert not stop.value.code, command


@pytest.mark.skipif("LLAMA_INDEX_PYTHON" not in os.environ, reason="LLAMA_INDEX_PYTHON names no interpreter")
def test_the_old_library_takes_what_its_stand_in_takes() -> None:
    script = (
        "import inspect, json, sys; sys.path.insert(0, sys.argv[1]); import llama_index_engine as e;"
        "from llama_index.embeddings.adapter import AdapterEmbeddingModel as m;"
        "from llama_index.finetuning.embeddings.common import generate_qa_embedding_pairs as g;"
        "print(json.dumps([list(inspect.signature(f).parameters) for f in (g, e.EmbeddingAdapterFinetuneEngine, m)]))"
    )
    python = os.environ["LLAMA_INDEX_PYTHON"]
    found = subprocess.run([python, "-c", script, str(ROOT / "cookbook/benchmarks")], capture_output=True, check=True)
    stand_ins = old_library()
    ours = [
        stand_ins["llama_index.finetuning"].generate_qa_embedding_pairs,
        stand_ins["llama_index.finetuning"].EmbeddingAdapterFinetuneEngine,
        stand_ins["llama_index.embeddings.adapter"].AdapterEmbeddingModel,
    ]
    for real, own in zip(json.loads(found.stdout), map(inspect.signature, ours), strict=True):
        assert list(own.parameters) == real[: len(own.parameters)]


COOKBOOK = [
    file.relative_to(ROOT).as_posix() for kind in ("*.md", "*.ipynb") for file in ROOT.glob(f"cookbook/**/{kind}")
]
WRITTEN = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{page}" for page in PAGES), *sorted(COOKBOOK)]
"""Everything that is written, by path."""


def prose(name: str) -> str:
    """A file's Markdown, also that of a notebook."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if not name.endswith(".ipynb"):
        return text
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")


@pytest.mark.parametrize("name", WRITTEN)
def test_links_lead_somewhere_in_the_repository(name: str) -> None:
    """As they are read where the files lie, on GitHub for instance."""
    for link in links_in(prose(name)):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme in ("https", "mailto"), link
            assert re.fullmatch(r"[\w.-]+\.[a-z]{2,}", parts.netloc), link
            continue
        target = (ROOT / name).parent / parts.path if parts.path else ROOT / name
        assert target.resolve().exists(), link
        if parts.fragment and target.suffix == ".md":
            assert parts.fragment in anchors_of(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", WRITTEN)
def test_commands_in_the_prose_exist(name: str) -> None:
    for command in re.findall(r"`((?:python|make|pip) [^`\n]+)`", FENCE.sub("", prose(name))):
        check_command(command)

"""Every page of the documentation: its snippets run, its links lead somewhere, and the site is built whole."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import torch
from langchain_community.vectorstores import FAISS

import langchain_embedding_adapter
from langchain_embedding_adapter import AdapterTrainer, WordLlamaEmbeddings, cli
from langchain_embedding_adapter.demo import run_demo
from tests.snippets import (
    CHUNKS,
    CORPUS,
    FENCE,
    ROOT,
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
)

DOCS = ROOT / "docs"
PAGES = {file.relative_to(DOCS).as_posix(): file.read_text(encoding="utf-8") for file in sorted(DOCS.rglob("*.md"))}
COUNTED = {  # Python blocks, shell lines
    "benchmarks.md": (0, 3),
    "faq.md": (0, 0),
    "guides/choose.md": (2, 0),
    "guides/llama-index.md": (11, 0),
    "guides/logs.md": (4, 0),
    "guides/model-change.md": (2, 0),
    "guides/no-labels.md": (3, 2),
    "guides/pairs.md": (5, 0),
    "guides/plots.md": (3, 0),
    "guides/production.md": (6, 1),
    "guides/questions.md": (4, 0),
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
"""Pages that print figures of Python's language reference, as it is where ``CORPUS`` is this."""
SHOWN_CORPUS = "19d6691a9fdb"


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


def old_library() -> dict[str, ModuleType]:
    """Stands in for LlamaIndex (finetuning 0.4.2): takes what its functions take, writes the files that they write."""

    class EmbeddingQAFinetuneDataset:
        @classmethod
        def from_json(cls, path: str) -> EmbeddingQAFinetuneDataset:
            json.loads(Path(path).read_text())
            return cls()

    def generate_qa_embedding_pairs(
        nodes,
        llm,
        qa_generate_prompt_tmpl="{context_str} {num_questions_per_chunk}",
        num_questions_per_chunk=2,
        retry_limit=3,
        on_failure="continue",
        save_every=500,
        output_path="qa_finetune_dataset.json",
        verbose=True,
    ):
        content = {
            "queries": {f"q{row}": f"what is number {row}?" for row in range(len(nodes))},
            "corpus": {node.id: node.page_content for node in nodes},
            "relevant_docs": {f"q{row}": [node.id] for row, node in enumerate(nodes)},
            "mode": "text",
        }
        Path(output_path).write_text(json.dumps(content))
        return EmbeddingQAFinetuneDataset()

    class EmbeddingAdapterFinetuneEngine:
        def __init__(
            self,
            dataset,
            embed_model,
            batch_size=10,
            epochs=1,
            adapter_model=None,
            dim=None,
            device=None,
            model_output_path="model_output",
            model_checkpoint_path=None,
            checkpoint_save_steps=100,
            verbose=False,
            bias=False,
            **train_kwargs,
        ):
            self.embed_model, self.folder, self.bias = embed_model, Path(model_output_path), bias

        def finetune(self, **train_kwargs):
            self.folder.mkdir()
            size = len(self.embed_model.embed_query("hello world"))
            options = {"in_features": size, "out_features": size, "bias": self.bias}
            (self.folder / "config.json").write_text(json.dumps(options))
            torch.save({"linear.weight": torch.eye(size)}, self.folder / "pytorch_model.bin")

        def get_finetuned_model(self, **model_kwargs):
            return AdapterEmbeddingModel(self.embed_model, str(self.folder))

    class AdapterEmbeddingModel:
        def __init__(self, base_embed_model, adapter_path, adapter_cls=None, transform_query=True, device=None):
            assert (Path(adapter_path) / "pytorch_model.bin").is_file()
            self.base = base_embed_model

        def get_query_embedding(self, query):
            return self.base.embed_query(query)

    made = {
        "llama_index.finetuning": [
            EmbeddingQAFinetuneDataset,
            generate_qa_embedding_pairs,
            EmbeddingAdapterFinetuneEngine,
        ],
        "llama_index.embeddings.adapter": [AdapterEmbeddingModel],
    }
    modules = {name: ModuleType(name) for name in ("llama_index", "llama_index.embeddings", *made)}
    for name, content in made.items():
        vars(modules[name]).update({each.__name__: each for each in content})
    return modules


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


class Html(HTMLParser):
    """What a page links to, what it fetches, and the places in it that may be linked to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.fetched: set[str] = set()
        self.places: set[str] = set()
        self.unnamed = 0
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.places |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        elif "src" in found or (tag == "link" and found.get("rel") not in ("prev", "next", "canonical")):
            self.fetched.add(found.get("src") or found.get("href", ""))
        self.unnamed += tag == "img" and not found.get("alt")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    return {file: Html(file) for file in site.rglob("*.html")}


def test_every_link_of_the_site_leads_somewhere(site: Path, pages: dict[Path, Html]) -> None:
    inside = 0
    for file, page in pages.items():
        for link in page.links | page.fetched:
            parts = urlsplit(link)
            if parts.scheme in ("https", "mailto", "data") or not (parts.path or parts.fragment):
                continue
            assert not parts.scheme, link
            start = site if parts.path.startswith("/") else file.parent
            target = (start / unquote(parts.path).lstrip("/")).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{file.relative_to(site)} links to {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].places, f"{file.relative_to(site)} links to {link}"
            inside += 1
    assert inside > 1000


def test_the_site_fetches_nothing_from_elsewhere_and_names_its_pictures(site: Path, pages: dict[Path, Html]) -> None:
    for file, page in pages.items():
        assert not [address for address in page.fetched if urlsplit(address).netloc], file
        assert not page.unnamed, file
    for file in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", file.read_text(encoding="utf-8")), file


def test_every_public_name_is_in_the_reference(pages: dict[Path, Html]) -> None:
    places = set().union(*(page.places for file, page in pages.items() if file.parent.name == "reference"))
    public = set(langchain_embedding_adapter.__all__) - {"__version__"}
    assert {f"langchain_embedding_adapter.{name}" for name in public} <= places
    assert {f"langchain_embedding_adapter.AdapterTrainer.{name}" for name in ("train", "generate_dataset")} <= places
    listed = set(re.findall(r"`(\w+)`", PAGES["reference/index.md"]))
    assert public <= listed


def test_docstrings_are_told_in_markdown(site: Path) -> None:
    for file in (site / "reference").glob("*.html"):
        told = re.sub(r"<[^>]+>", "", file.read_text(encoding="utf-8"))
        assert not re.search(r":(meth|func|class|mod|data|attr):|code-block::|``", told), file


def test_figures_are_those_of_the_benchmarks() -> None:
    """Gains in README and pages are what RESULTS.md has."""
    results = {}
    for cells in table_rows(ROOT / "cookbook" / "benchmarks" / "RESULTS.md", 13):
        results[tuple(cells[:4])] = cells
    methods = {"LlamaIndex": "LlamaIndex's recipe, 4 epochs", "*of it, unseen*": "default", "unseen": "default"}
    checked = 0
    for file in (ROOT / "README.md", DOCS / "benchmarks.md", DOCS / "guides" / "choose.md"):
        for header, cells in tables_with(file, ("collection", "model", "pairs", "base")):
            row = dict(zip(header, cells, strict=True))
            for column, value in list(row.items())[4:]:
                method = methods.get(column, column)
                found = results[row["collection"], row["model"], row["pairs"], "default" if column in OTHER else method]
                place = OTHER.get(column, 9 if "unseen" in column else 5)
                assert value.strip("–") == found[place], f"{file.name}: {row['collection']}, {column}"
                checked += 1
    assert checked >= 6 * 5
    scifact, apple = (results[name, "all-MiniLM-L6-v2", pairs, "default"][10] for name, pairs in LARGEST)
    told = " ".join(PAGES["limits.md"].split())
    assert "{} got better, {} stayed and {} got worse".format(*scifact.split(" / ")) in told
    assert "Apple's report {}, {} and {}".format(*apple.split(" / ")) in told
    told = " ".join(PAGES["guides/choose.md"].split())
    for model in ("all-MiniLM-L6-v2", "WordLlama"):
        network, maps = (results[(*LARGEST[1][:1], model, LARGEST[1][1], way)][5] for way in SAME)
        assert f"{network} in place of {maps}" in told


def test_the_demos_table_is_what_the_demo_finds(tmp_path: Path) -> None:
    if CORPUS != SHOWN_CORPUS:
        pytest.skip("the README's table is of another Python's language reference")
    found = run_demo(tmp_path, WordLlamaEmbeddings(), show_progress=False)
    assert (found.trained_on, len(found.report.query_ids)) == (319, 180)
    header = ("metric", "base", "adapted", "gain", "p", "better", "same", "worse")
    table = [cells for _, cells in tables_with(ROOT / "README.md", header)]
    assert [cells[0] for cells in table] == ["hit rate@5", "MRR@10", "nDCG@10"]
    printed = found.report.to_markdown()
    for cells in table:
        assert re.search(r"\| +".join(map(re.escape, cells)).replace(r"\|", r" *\|"), printed), cells


LARGEST = [("scifact", "809"), ("apple_environment_2024", "3010")]
SAME = ("auto, same passages", "same passages")

OTHER = {"better / same / worse": 10, "seconds": 12}
"""Columns of the default's row, and where RESULTS.md has them."""


def table_rows(file: Path, width: int) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in file.read_text().splitlines()]
    return [row for row in rows if len(row) == width]


def tables_with(file: Path, start: tuple[str, ...]) -> list[tuple[list[str], list[str]]]:
    """The rows of a file's tables whose header begins so, each with its header."""
    found = []
    header: list[str] | None = None
    for line in file.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            header = None
        elif tuple(cells[: len(start)]) == start:
            header = cells
        elif header is not None and not set("".join(cells)) <= set("-: "):
            found.append((header, cells))
    return found

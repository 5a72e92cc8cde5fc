"""The snippets of Markdown pages, run as they stand there, with stand-ins for what needs a key or a network.

Python blocks of a page run one after the other in one namespace; a ``text`` block right after one is what it prints.
Of shell blocks, our own command runs; whatever else they say must exist: extras, targets of the Makefile, scripts and
their options. A block in a language that nothing here knows is an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import langchain_openai
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem
from langchain_core.documents import Document
from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import BaseMessage

from langchain_embedding_adapter import QADataset, WordLlamaEmbeddings, models, open_pair_vectors
from langchain_embedding_adapter.demo.language_reference import load_language_reference
from langchain_embedding_adapter.fitting import fit_linear, linear, torchrun
from langchain_embedding_adapter.vectors import PairVectors, on_ray

ROOT = Path(__file__).parents[1]
REFERENCE = load_language_reference()
CHUNKS = [chunk for chunk in REFERENCE.chunks if chunk.id in REFERENCE.dataset.passages_asked_about()][:120]
DOCS = ROOT / "docs"
PAGES = {file.relative_to(DOCS).as_posix(): file.read_text(encoding="utf-8") for file in sorted(DOCS.rglob("*.md"))}
"""The pages of the documentation."""
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[-+−]?\d*\.?\d+")
CORPUS = hashlib.sha256("".join(sorted(REFERENCE.dataset.corpus.values())).encode()).hexdigest()[:12]
"""Which text the language reference has: it differs from Python to Python."""
SHOWN_CORPUS = "19d6691a9fdb"
"""What it is where README and pages print figures of it."""
SHOWN = ("text", "markdown")
"""Languages of what a block before prints."""
DATA = ("json", "toml", "yaml", "csv")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page.

    Attributes:
        language: What it says it is in.
        code: What it holds.
        prints: For Python, the block right after it, which is what it prints; else ``None``.
    """

    language: str
    code: str
    prints: str | None = None


def blocks_of(text: str) -> list[Block]:
    """The blocks of a page; what a block prints is told with it.

    Raises:
        ValueError: If a block is in no known language, or shows what nothing before it prints.
    """
    found: list[Block] = []
    end = -1
    for match in FENCE.finditer(text):
        language, code = match.groups()
        after = found and not text[end : match.start()].strip()
        if language in SHOWN and after and found[-1].language == "python" and found[-1].prints is None:
            found[-1] = Block("python", found[-1].code, code)
        elif (language in SHOWN and after and found[-1].language == "bash") or language in ("python", "bash", *DATA):
            found.append(Block(language, code))
        else:
            raise ValueError(f"a block in {language!r} that nothing runs or prints: {code[:60]!r}")
        end = match.end()
    if text.count("\n```") + text.startswith("```") != 2 * len(FENCE.findall(text)):
        raise ValueError("a fence is not closed, or indented")
    return found


def run_python(blocks: list[Block], namespace: dict[str, Any], name: str, *, compare: bool) -> str:
    """Run the Python blocks one after the other; what they print, which is compared with what they are said to."""
    everything = []
    for number, block in enumerate((block for block in blocks if block.language == "python"), 1):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block.code, f"{name}, block {number}", "exec"), namespace)  # noqa: S102 our own pages
        everything.append(out.getvalue())
        if block.prints is not None and compare:
            assert alike(block.prints, out.getvalue()), f"{name}, block {number} printed\n{out.getvalue()}"
    return "".join(everything)


def alike(said: str, printed: str) -> bool:
    """Whether words agree and numbers nearly do; ``…`` in what is said stands for anything on a line."""
    patterns, numbers = [], []
    for line in squeezed(said):
        rest = NUMBER.split(line.replace("…", "\0"))
        patterns.append(r"([-+−]?\d*\.?\d+)".join(re.escape(part).replace("\0", ".*?") for part in rest))
        numbers += NUMBER.findall(line)
    found = re.fullmatch("\n".join(patterns), "\n".join(squeezed(printed)))
    return found is not None and all(map(near, numbers, found.groups()))


def squeezed(text: str) -> list[str]:
    """The lines of a text without the widths of its tables."""
    return [re.sub(r"-{3,}", "---", re.sub(r"\s+", " ", line)).strip() for line in text.strip().splitlines()]


def near(one: str, other: str) -> bool:
    """Whether two numbers are the same but for what another processor may round."""
    first, second = (float(number.replace("−", "-")) for number in (one, other))
    return abs(first - second) <= max(0.011, 0.02 * abs(first))


def commands_in(blocks: list[Block]) -> list[str]:
    """The shell's lines, continued ones joined, without comments."""
    lines = [
        line.strip()
        for block in blocks
        if block.language == "bash"
        for line in block.code.replace("\\\n", " ").splitlines()
    ]
    return [line for line in lines if line and not line.startswith("#")]


def check_command(command: str) -> None:
    """See that what a shell line names exists: an extra, a target, a script and its options.

    Raises:
        AssertionError: If it does not, or nothing is known about such a line.
    """
    words = shlex.split(command, comments=True)
    if words[:2] == ["pip", "install"]:
        known = set(metadata("langchain-embedding-adapter").get_all("Provides-Extra", []))
        named = re.findall(r"langchain-embedding-adapter\[([\w,-]+)\]", command)
        assert {extra for extras in named for extra in extras.split(",")} <= known, command
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), command
    elif words[0] == "python":
        script = (ROOT / words[1]).read_text(encoding="utf-8")
        for option in {word for word in words[2:] if word.startswith("--")} - {"--help"}:
            assert f'"{option}"' in script, command
    elif words[0] == "torchrun":
        at = words.index("-m")
        assert words[at + 1] == torchrun.__name__, command
        torchrun._parser().parse_args(words[at + 2 :])
    else:
        raise AssertionError(f"nothing is known about this line: {command}")


def check_data(block: Block) -> None:
    """See that a block of data can be read."""
    if block.language == "json":
        for line in block.code.splitlines() if block.code.count("\n{") else [block.code]:
            json.loads(line)


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put stand-ins in the place of OpenAI's models, of a reranker, and of whatever the command is told to load."""
    monkeypatch.setattr(langchain_openai, "OpenAIEmbeddings", StandIn)
    monkeypatch.setattr(langchain_openai, "ChatOpenAI", QuestionWriter)
    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(CrossEncoder=Reranker))
    monkeypatch.setattr(models, "load_embeddings", lambda model: StandIn(model.partition(":")[2]))
    monkeypatch.setattr(models, "load_chat_model", lambda model: QuestionWriter(model=model))


def here(vectors: PairVectors | str, *given: Any, engine: Any, **more: Any) -> Any:
    """What a cluster's workers would fit."""
    return fit_linear(open_pair_vectors(vectors) if isinstance(vectors, str) else vectors, *given, **more)


def without_a_cluster(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let this process do what a Ray cluster is asked to embed or fit, and a folder be every bucket of S3."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setattr(on_ray, "connected", lambda engine: contextlib.nullcontext())
    monkeypatch.setattr(on_ray, "spread", lambda engine, shards, work: [(shard, work(shard)) for shard in shards])
    monkeypatch.setattr(linear, "fit_linear_on_ray", here)

    class Bucket(LocalFileSystem):
        """S3 as a folder."""

        protocol = "s3"

        def __init__(self, **options: Any) -> None:
            super().__init__(auto_mkdir=True, **options)

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return super()._strip_protocol(str(path).replace("s3:/", str(folder / "s3")))

    fsspec.register_implementation("s3", Bucket, clobber=True)


class StandIn(WordLlamaEmbeddings):
    """WordLlama in the place of a paid model, under that model's name."""

    def __init__(self, model: str, **_: Any) -> None:
        super().__init__()
        self.model = model


class QuestionWriter(SimpleChatModel):
    """Answers with our own questions about whichever passage the prompt holds."""

    model: str = ""

    def _call(self, messages: list[BaseMessage], *_: Any, **__: Any) -> str:
        prompt = str(messages[-1].content)
        for query, (passage, *_rest) in REFERENCE.dataset.relevant_docs.items():
            if REFERENCE.dataset.corpus[passage] in prompt:
                return f"Here is a question:\n1. {REFERENCE.dataset.queries[query].rstrip('?.')}?"
        return "There is nothing to ask."

    @property
    def _llm_type(self) -> str:
        return "question-writer"


class Reranker:
    """Stands in for a cross-encoder: it scores as WordLlama does, and somewhat differently."""

    def __init__(self, model: str) -> None:
        self.model_name = model
        self._embeddings = WordLlamaEmbeddings()

    def predict(self, pairs: list[tuple[str, str]]) -> list[float]:
        questions, passages = (
            np.asarray(self._embeddings.embed_documents(list(part))) for part in zip(*pairs, strict=True)
        )
        return (10 * (questions * passages).sum(axis=1)).tolist()


def real_pairs(chunks: list[Document]) -> QADataset:
    """Our own questions about these chunks."""
    held = {str(chunk.id) for chunk in chunks}
    whole = REFERENCE.dataset
    asked = whole.subset([query for query, passages in whole.relevant_docs.items() if held.issuperset(passages)])
    return QADataset(
        asked.queries,
        {key: text for key, text in whole.corpus.items() if key in held},
        asked.relevant_docs,
        {key: document for key, document in whole.documents.items() if key in held},
    )


def links_in(text: str) -> Iterator[str]:
    """The targets of a page's links and pictures, code left out."""
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))
    yield from re.findall(r"\]\(([^)\s]+)\)", prose)
    yield from re.findall(r"(?:src|srcset|href)=\"([^\"]+)\"", prose)


def anchors_of(text: str) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}

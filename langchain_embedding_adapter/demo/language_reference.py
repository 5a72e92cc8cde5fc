"""The demo's collection: Python's language reference, which every interpreter carries, and questions about it.

The text is read from ``pydoc_data.topics``. The questions were written for this project, before any result was looked
at; each names its topic and a short anchor phrase that stands in the passage that answers it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.resources import files

from langchain_core.documents import Document

from langchain_embedding_adapter.chunks import with_ids
from langchain_embedding_adapter.documents import split_documents
from langchain_embedding_adapter.pairs.dataset import QADataset

try:
    from pydoc_data.topics import topics
except ImportError as error:
    raise ImportError(
        "this Python comes without `pydoc_data`, which holds Python's language reference; "
        "use one from python.org, or install your distribution's full standard library"
    ) from error

CHUNK_SIZE = 1000
SMALLEST_TOPIC = 150

_QUESTIONS = "language_reference_questions.jsonl"
_DECORATION = re.compile(r"[`\"'*“”‘’]")  # Python 3.14 marks code with backticks where 3.10 has quotation marks


@dataclass(frozen=True)
class LanguageReference:
    """The collection, for the Python that runs.

    Attributes:
        chunks: The passages; ``metadata["source"]`` is the topic each was cut from.
        dataset: The questions, with the topic as every passage's document.
        left_out: How many questions have no passage in this version of Python.
    """

    chunks: list[Document]
    dataset: QADataset
    left_out: int


def load_language_reference() -> LanguageReference:
    """Read the reference, cut it into passages and find the passage of every question."""
    chunks = with_ids(split_documents(_topics(), chunk_size=CHUNK_SIZE))
    passages: dict[str, dict[str, str]] = {}
    for chunk in chunks:
        passages.setdefault(chunk.metadata["source"], {})[str(chunk.id)] = _plain(chunk.page_content)
    queries, relevant, left_out = {}, {}, 0
    lines = (files(__package__) / _QUESTIONS).read_text(encoding="utf-8").splitlines()
    for number, row in enumerate(map(json.loads, lines), start=1):
        anchor = _plain(row["anchor"])
        found = [key for key, text in passages.get(row["topic"], {}).items() if anchor in text]
        if found:
            queries[f"{row['topic']}-{number}"] = row["question"]
            relevant[f"{row['topic']}-{number}"] = found
        else:
            left_out += 1
    dataset = QADataset(
        queries=queries,
        corpus={str(chunk.id): chunk.page_content for chunk in chunks},
        relevant_docs=relevant,
        documents={str(chunk.id): chunk.metadata["source"] for chunk in chunks},
    )
    return LanguageReference(chunks, dataset, left_out)


def _topics() -> list[Document]:
    """The topics, each paragraph only once: short topics repeat sections of long ones, and the short ones keep them."""
    seen: set[str] = set()
    documents = []
    for topic in sorted(topics, key=lambda name: (len(topics[name]), name)):
        kept = []
        for paragraph in re.split(r"\n\s*\n", topics[topic]):
            plain = _plain(paragraph)
            if not plain.strip("=-~^ .") or plain in seen:
                continue
            if len(plain) > 40:
                seen.add(plain)
            kept.append(paragraph.strip("\n"))
        text = "\n\n".join(kept)
        if len(text) >= SMALLEST_TOPIC:
            documents.append(Document(text, metadata={"source": topic}))
    return documents


def _plain(text: str) -> str:
    """A text without quotation marks, emphasis, letter case and line breaks."""
    return " ".join(_DECORATION.sub("", text).split()).lower()

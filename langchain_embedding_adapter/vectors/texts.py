"""Texts to embed, from memory or from a folder of Parquet or JSONL parts: read as often as needed, never held whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from langchain_embedding_adapter.vectors.parts import BATCH, SUFFIXES, batches, list_parts, strings_in
from langchain_embedding_adapter.vectors.shards import file_system

Texts = Iterator[tuple[list[str], list[str]]]
"""Ids and texts, some at a time."""
TextSource = Callable[[], Texts]
"""All of them, from the first one, whenever it is called."""

LINES = ".jsonl"


def texts_of(texts: Mapping[str, str]) -> TextSource:
    """Texts by id, at hand."""
    return lambda: iter([(list(texts), list(texts.values()))])


def texts_in(source: str | Path) -> TextSource:
    """The texts in a folder's Parquet, Arrow or JSONL parts, or in one such file: the columns ``id`` and ``text``.

    Raises:
        FileNotFoundError: If there is none.
    """
    files, root = file_system(source)
    parts = [root] if files.isfile(root) else list_parts(files, root, (*SUFFIXES, LINES))

    def read() -> Texts:
        for part in parts:
            yield from _lines(files, part) if PurePosixPath(part).suffix == LINES else _columns(files, part)

    return read


def _columns(files: Any, part: str) -> Texts:
    for batch in batches(files, part, ("id", "text")):
        columns = (strings_in(batch.column(name), f"{part}, {name}").to_pylist() for name in ("id", "text"))
        yield next(columns), next(columns)


def _lines(files: Any, part: str) -> Texts:
    ids: list[str] = []
    texts: list[str] = []
    with files.open(part, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                key, text = row["id"], row["text"]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{part}, line {number}: expected a JSON object with an id and a text: {error!r}"
                ) from error
            if not isinstance(text, str):
                raise ValueError(f"{part}, line {number}: expected the text to be a string, got {text!r:.80}")
            ids.append(str(key))
            texts.append(text)
            if len(ids) == BATCH:
                yield ids, texts
                ids, texts = [], []
    yield ids, texts

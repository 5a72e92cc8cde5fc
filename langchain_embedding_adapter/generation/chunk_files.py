"""Chunks from files of any file system: JSONL or Parquet, a chunk a row, files in the order of their names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter._files import jsonl_rows

TEXTS = ("text", "page_content", "content")
SUFFIXES = (".jsonl", ".parquet")


def read_chunks(path: str | Path) -> Iterator[Document]:
    """Read chunks, those of a document in their order.

    A row holds ``text`` (or ``page_content``, ``content``), and may hold ``id``, ``metadata`` (an object, or its JSON),
    ``source`` and ``document_id``.

    Args:
        path: A ``.jsonl`` or ``.parquet`` file, a folder of such files or a pattern with ``*``; at ``s3://``, ``gs://``
            and the like too.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a row holds no text, or a line no JSON object.
    """
    require_extra("fsspec", "arrow")
    from fsspec.core import url_to_fs

    files, root = url_to_fs(str(path))
    found = files.glob(root) if "*" in root else [root]
    if len(found) == 1 and files.isdir(found[0]):
        found = files.ls(found[0], detail=False)
    names = sorted(str(name) for name in found if str(name).endswith(SUFFIXES) and files.exists(name))
    if not names:
        raise FileNotFoundError(f"there is no file of chunks at {path}; expected {' or '.join(SUFFIXES)} files")
    for name in names:
        with files.open(name, "rb") as file:
            for number, row in enumerate(_rows(file, name), start=1):
                yield _chunk(row, f"{name}, row {number}")


def _rows(file: Any, name: str) -> Iterator[Mapping[str, Any]]:
    if name.endswith(".jsonl"):
        yield from jsonl_rows(file, name)
        return
    parquet = require_extra("pyarrow.parquet", "arrow")
    for batch in parquet.ParquetFile(file).iter_batches():
        yield from batch.to_pylist()


def _chunk(row: Mapping[str, Any], where: str) -> Document:
    text = next((row[name] for name in TEXTS if isinstance(row.get(name), str)), None)
    if text is None:
        raise ValueError(f"{where}: expected a chunk with one of {', '.join(TEXTS)}, got {', '.join(map(str, row))}")
    metadata = row.get("metadata") or {}
    metadata = json.loads(metadata) if isinstance(metadata, str) else dict(metadata)
    metadata |= {name: row[name] for name in ("source", "document_id") if row.get(name) is not None}
    given = row.get("id")
    return Document(text, id=None if given is None else str(given), metadata=metadata)

"""Rows and cells of tables, whatever holds them: files, DataFrames, mappings.

Bad numbers and times are errors that name the place.
"""

from __future__ import annotations

import csv
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from langchain_core.documents import Document

from langchain_embedding_adapter._files import read_jsonl
from langchain_embedding_adapter.chunks import document_of, with_ids

Corpus = Mapping[str, str] | Iterable[Document]


class _DataFrame(Protocol):
    """What is asked of a DataFrame; pandas' and polars' have it."""

    @property
    def columns(self) -> Any:
        """The names of its columns."""


Rows = str | Path | Iterable[Mapping[str, Any]] | _DataFrame


def same_question(text: str) -> str:
    """A question without case, spacing and the forms that Unicode has for one character: what makes two the same."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def passages_of(corpus: Corpus) -> tuple[dict[str, str], dict[str, str]]:
    """The texts of a corpus by id, and the document of each passage where one is known.

    Raises:
        ValueError: If the corpus is empty.
        TypeError: If it is neither a mapping nor made of ``Document`` objects.
    """
    if isinstance(corpus, Mapping):
        texts, documents = {str(key): text for key, text in corpus.items()}, {}
    else:
        chunks = with_ids(corpus)
        texts = {str(chunk.id): chunk.page_content for chunk in chunks}
        documents = {str(chunk.id): source for chunk in chunks if (source := document_of(chunk)) is not None}
    if not texts:
        raise ValueError("the corpus is empty: expected passages as a dict of id to text, or as LangChain Documents")
    return texts, documents


def read_rows(rows: Rows) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of a file, a DataFrame or an iterable of mappings, each with the words for where it stands.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is of another kind, or not well formed.
        TypeError: If a row is no mapping.
    """
    if isinstance(rows, (str, Path)):
        yield from _read_file(Path(rows))
        return
    frame: Any = rows
    if hasattr(rows, "iter_rows"):  # polars
        frame = frame.iter_rows(named=True)
    elif hasattr(rows, "to_dict") and hasattr(rows, "columns"):  # pandas
        frame = frame.to_dict("records")
    for position, row in enumerate(frame, start=1):
        if not isinstance(row, Mapping):
            raise TypeError(
                f"row {position}: expected a mapping of column to value, got {type(row).__name__}; rows are a .csv, "
                ".tsv or .jsonl file, a pandas or polars DataFrame, or an iterable of mappings"
            )
        yield f"row {position}", row


def _read_file(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    kind = path.suffix.lower()
    if kind == ".jsonl":
        for position, row in enumerate(read_jsonl(path), start=1):
            yield f"{path}, record {position}", row
    elif kind in (".csv", ".tsv"):
        yield from _read_table(path, "\t" if kind == ".tsv" else None)
    else:
        raise ValueError(f"{path}: expected a .csv, .tsv or .jsonl file, got {path.suffix or 'no suffix'}")


def _read_table(path: Path, delimiter: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a table with a header; without a delimiter, it is the one that the header has most of.

    The standard library's sniffer also looks at the rows, where the commas of the questions mislead it.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            header, start = file.readline(), 2
            file.seek(0)
            table = csv.DictReader(file, delimiter=delimiter or max(",;\t|", key=header.count), strict=True)
            for row in table:
                if None in row:
                    raise csv.Error(f"more cells than the header's {len(table.fieldnames or ())} columns")
                yield f"{path}, line {table.line_num}", row
                start = table.line_num + 1
        except csv.Error as error:
            raise ValueError(
                f"{path}, line {start}: {error}; a text that holds the separator, a quote or a line break "
                'stands in quotes, its own quotes doubled: "so ""to speak"", yes"'
            ) from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8: {error}; save it again in that encoding") from error


def plain(value: Any) -> Any:
    """A cell without NumPy's types and outer spacing; ``None`` if it is missing or blank."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, str):
        return value.strip() or None
    missing = type(value).__name__ in ("NAType", "NaTType") or (
        isinstance(value, float) and math.isnan(value)
    )  # pandas
    return None if missing else value


def number(value: Any, default: float, place: str, column: str) -> float:
    """A cell as a number, ``default`` where it is missing.

    Raises:
        ValueError: If it is not one; the message says where.
    """
    value = plain(value)
    try:
        result = default if value is None else float(value)
        if not math.isfinite(result):
            raise ValueError("it is not finite")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: expected a number as {column!r}, got {value!r}") from error
    return result


def ids_in(value: Any) -> list[str]:
    """The ids of a cell, each once: one id or a list of them, which may be written as JSON."""
    value = plain(value)
    if isinstance(value, str) and value.startswith("["):
        with suppress(ValueError):  # an id may begin with a bracket
            value = json.loads(value)
    cells = map(plain, value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
    whole = [int(cell) if isinstance(cell, float) and cell.is_integer() else cell for cell in cells]  # pandas' integers
    return list(dict.fromkeys(str(cell) for cell in whole if cell is not None))


_SECONDS = range(10**8, 10**11)  # 1973 to 5138: neither a date without dashes nor milliseconds


def moment_in(value: Any, place: str, column: str) -> datetime | None:
    """A cell as a time in UTC, ``None`` where it is missing."""
    value = plain(value)
    if value is None:
        return None
    try:
        if isinstance(value, str) and not re.fullmatch(r"[\d.]+", value):
            padded = re.sub(r"\.(\d{1,6})\d*", lambda found: f".{found[1]:0<6}", value)  # all that Python 3.10 reads
            return utc(datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", padded)))
        if isinstance(value, date):
            return utc(value if isinstance(value, datetime) else datetime.combine(value, datetime.min.time()))
        if int(float(value)) not in _SECONDS:
            raise ValueError("these are not the Unix seconds of a day since 1973")
        return datetime.fromtimestamp(float(value), timezone.utc)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{place}: expected a time as {column!r} (ISO 8601, a datetime, or Unix seconds), got {value!r}"
        ) from error


def utc(moment: datetime) -> datetime:
    """The same moment in UTC, as a plain ``datetime``; without a time zone it is in UTC already."""
    return datetime.combine(moment.date(), moment.time(), moment.tzinfo or timezone.utc).astimezone(timezone.utc)


def few(names: Iterable[str], most: int = 3) -> str:
    """The first few names, and how many more."""
    names = list(names)
    shown = ", ".join(map(repr, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def listed(skipped: Mapping[str, int]) -> str:
    """What was left out, in words: how many of what."""
    return ", ".join(f"{count} {reason}" for reason, count in skipped.items())

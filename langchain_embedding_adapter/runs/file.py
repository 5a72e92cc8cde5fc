"""A run in a TOML file: read with every key and type checked, and a commented one to start from.

Keys are the fields of :mod:`~langchain_embedding_adapter.runs.settings`, in the tables ``[pairs]``, ``[train]``
and ``[engine]``; before them stand ``folder`` and ``documents``. Paths are relative to the file.
"""

from __future__ import annotations

import difflib
import sys
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter.runs.settings import EngineSettings, PairsSettings, TrainSettings

TABLES: Mapping[str, type[Any]] = {"pairs": PairsSettings, "train": TrainSettings, "engine": EngineSettings}
SHOWN = {("documents",), ("pairs", "pseudo"), ("train", "embeddings")}
"""What the example sets; everything else it shows as a comment."""


@dataclass(frozen=True)
class RunFile:
    """What a file says: only what it sets.

    Attributes:
        folder: The folder of the run.
        documents: Files and folders to read.
        pairs: Of :class:`~langchain_embedding_adapter.runs.settings.PairsSettings`.
        train: Of :class:`~langchain_embedding_adapter.runs.settings.TrainSettings`.
        engine: Of :class:`~langchain_embedding_adapter.runs.settings.EngineSettings`.
    """

    folder: Path | None = None
    documents: tuple[Path, ...] = ()
    pairs: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, file: str | Path) -> RunFile:
        """Read a file.

        Raises:
            FileNotFoundError: If it does not exist.
            ValueError: If it is no TOML, or holds a key or a value that is not known; the message names the nearest
                right one.
        """
        file = Path(file)
        try:
            return cls.parse(file.read_text(encoding="utf-8"), base=file.parent)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"there is no file {file}; `embedding-adapter run --example > {file.name}` writes one to start from"
            ) from None
        except UnicodeDecodeError as error:
            raise ValueError(f"{file}: expected TOML in UTF-8: {error}") from error
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error

    @classmethod
    def parse(cls, text: str, *, base: Path = Path()) -> RunFile:
        """The same from text; paths are relative to ``base``.

        Raises:
            ValueError: As :meth:`read`.
        """
        toml = require_extra("tomllib" if sys.version_info >= (3, 11) else "tomli", "cli")
        content: dict[str, Any] = toml.loads(text)
        _know(content, {"folder", "documents", *TABLES}, "")
        found: dict[str, Any] = {}
        for name, kind in (("folder", Path), ("documents", tuple[Path, ...])):
            if name in content:
                found[name] = _checked(content[name], kind, name, base)
        for table, settings in TABLES.items():
            given = content.get(table, {})
            if not isinstance(given, dict):
                raise ValueError(f"expected a table [{table}], got {table} = {_shown(given)}")
            _know(given, {each.name for each in fields(settings)}, f"{table}.")
            hints = get_type_hints(settings)
            found[table] = {
                name: _checked(value, hints[name], f"{table}.{name}", base) for name, value in given.items()
            }
            for each in fields(settings):
                _large_enough(found[table].get(each.name), each, table)
        return cls(**found)


def example_file() -> str:
    """A file to start from: what every run sets, and every other option with its default, as a comment."""
    lines = [
        "# A run of embedding-adapter: embedding-adapter run --config run.toml",
        "# Paths are relative to this file. Flags of the command win over what stands here.",
        "",
        'folder = "handbook-run"',
        "# Text, Markdown, PDF and JSONL files, or folders of them.",
        'documents = ["handbook/"]',
    ]
    for table, settings in TABLES.items():
        lines += ["", f"[{table}]"]
        for each in fields(settings):
            lines += [f"# {line}" for line in wrap(each.metadata["help"], 100)]
            if get_origin(kind := _inner(get_type_hints(settings)[each.name])) is Literal:
                lines.append(f"# One of {', '.join(map(_shown, get_args(kind)))}.")
            example, default = each.metadata["example"], each.default
            value = default if example is None else example
            comment = "" if (table, each.name) in SHOWN else "# "
            lines.append(f"{comment}{each.name} = {_shown(value)}")
    return "\n".join(lines) + "\n"


def _know(given: Mapping[str, Any], known: set[str], prefix: str) -> None:
    for key in given:
        if key in known:
            continue
        close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
        elsewhere = [
            table for table, kind in TABLES.items() if not prefix and key in {each.name for each in fields(kind)}
        ]
        if elsewhere:
            hint = f"it belongs into the table [{elsewhere[0]}]"
        elif close:
            hint = f"did you mean {prefix}{close[0]}?"
        else:
            hint = f"expected one of {', '.join(sorted(known))}"
        raise ValueError(f"unknown key {prefix}{key}; {hint}")


def _inner(kind: Any) -> Any:
    """``int`` of ``int | None``."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(each for each in get_args(kind) if each is not type(None))
    return kind


def _checked(value: Any, kind: Any, name: str, base: Path) -> Any:
    """A value as its field wants it.

    Raises:
        ValueError: If it is of another type.
    """
    kind = _inner(kind)
    if get_origin(kind) is Literal:
        word = value.replace("-", " ") if isinstance(value, str) else value
        for choice in get_args(kind):
            if word == choice.replace("-", " "):
                return choice
        close = difflib.get_close_matches(str(value), get_args(kind), n=1)
        hint = f"; did you mean {_shown(close[0])}?" if close else ""
        raise ValueError(f"expected {name} to be one of {', '.join(get_args(kind))}, got {_shown(value)}{hint}")
    if get_origin(kind) is tuple:
        if name == "pairs.styles" and isinstance(value, dict):
            value = [f"{style}={weight}" for style, weight in value.items()]
        listed = value if isinstance(value, list) else [value]
        return tuple(_checked(each, get_args(kind)[0], name, base) for each in listed)
    if kind is Path and isinstance(value, str) and value:
        return base / Path(value).expanduser()
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is Path or not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        wanted = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}[kind]
        raise ValueError(f"expected {name} to be {wanted}, got {_shown(value)}")
    return value


def _large_enough(value: Any, field: Field[Any], table: str) -> None:
    least = field.metadata["least"]
    if least is not None and value is not None and value is not MISSING and value < least:
        raise ValueError(f"expected {table}.{field.name} to be at least {least}, got {value}")


def _shown(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:_}" if isinstance(value, int) and value >= 1_000_000 else str(value)

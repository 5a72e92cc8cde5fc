"""What ``config.json`` holds besides what it is given: the format, hashes, the names of the files beside it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langchain_embedding_adapter.storage.strict_json import parse_json
from langchain_embedding_adapter.storage.untrusted import NOT_AS_SAVED

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"

FORMAT = "langchain-embedding-adapter"
FORMAT_VERSION = 2
"""2: the hashes of weights and configuration, the names of further files. Format 1 has none of them and is read."""
BOOKKEEPING = ("weights", "further_files", "sha256")
_FURTHER_FILES_OF_FORMAT_1 = ("report.json", "history.json", "selection.json")


def check_config(config: Any, folder: Path) -> None:
    """See that a configuration was written here, in a format that is known, and is as it was written.

    Raises:
        ValueError: If not.
    """
    path = folder / CONFIG_FILE
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f"{path} does not describe an adapter of this package")
    version = config.get("format_version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise ValueError(
            f"{folder} is in format {version!r:.80} and this package reads up to {FORMAT_VERSION}; upgrade the package"
        )
    if (version > 1 or "weights" in config) and hash_of_weights(config) is None:
        raise ValueError(f"{path} does not tell hash and size of the weights (`weights`): {NOT_AS_SAVED}")
    if "sha256" in config and config["sha256"] != hash_of_config(config):
        raise ValueError(
            f"{path} is damaged or was edited: its own hash is another. If you meant to edit it, remove its entry "
            "`sha256`; else fetch or save the adapter again"
        )


def config_content(config: dict[str, Any], weights: dict[str, Any]) -> dict[str, Any]:
    """The content of ``config.json`` but for its last entries, in an order that people read.

    Raises:
        TypeError: If it holds what JSON cannot.
        ValueError: If a number in the ``adapter`` entry is not finite, or what JSON holds is more than is read again.
    """
    try:
        json.dumps(config.get("adapter"), allow_nan=False)
    except ValueError as error:
        raise ValueError(f"the adapter was made with arguments that JSON cannot hold: {error}") from error
    own = {"format": FORMAT, "format_version": FORMAT_VERSION}
    told = {key: value for key, value in config.items() if key not in (*own, *BOOKKEEPING)}
    content: dict[str, Any] = parse_json(as_json(own | told | {"weights": weights}), CONFIG_FILE)
    return content


def sealed_config(content: dict[str, Any], further: list[str]) -> bytes:
    """The content of ``config.json`` with the files beside it, those that are about to be removed too, and its hash."""
    content = content | {"further_files": further}
    return as_json(content | {"sha256": hash_of_config(content)})


def hash_of_weights(config: Mapping[str, Any]) -> str | None:
    """The SHA-256 of the weights file that a configuration names; ``None`` where it names none, as in format 1."""
    entry = config.get("weights")
    if not isinstance(entry, dict) or type(entry.get("bytes")) is not int:
        return None
    digest = entry.get("sha256")
    return digest if isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) else None


def hash_of_config(config: Mapping[str, Any]) -> str:
    """The SHA-256 of its content, however it is laid out, without the entry for this hash."""
    content = {key: value for key, value in config.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def further_files(config: Mapping[str, Any]) -> list[str]:
    """The files of the adapter that may lie beside it, by plain names: a save removes no others."""
    named = config.get("further_files", _FURTHER_FILES_OF_FORMAT_1 if config.get("format_version") == 1 else ())
    return [name for name in named if is_further_name(name)] if isinstance(named, list | tuple) else []


def is_further_name(name: Any) -> bool:
    """Whether a further file may be called like that: it stays in the folder, in sight, and is none of the three."""
    own = (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE)
    return isinstance(name, str) and name not in own and re.fullmatch(r"[\w-][\w. -]*", name) is not None


def as_json(value: Any) -> bytes:
    """As readable JSON; numbers that it cannot hold become ``null``."""
    return (json.dumps(_without_nan(value), ensure_ascii=False, indent=1) + "\n").encode("utf-8")


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    return [_without_nan(inner) for inner in value] if isinstance(value, list | tuple) else value

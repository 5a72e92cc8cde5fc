"""A saved adapter: a folder, here or on the Hugging Face hub, of ``config.json``, ``model.safetensors`` and a card.

Plain JSON and plain arrays: nothing in the folder is ever executed. The folder is written beside its place and moved
there whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from langchain_embedding_adapter._files import read_json, write_json
from langchain_embedding_adapter.hub import download_folder
from langchain_embedding_adapter.hub import push_folder as push_folder

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"

FORMAT = "langchain-embedding-adapter"
FORMAT_VERSION = 1

Arrays = dict[str, NDArray[Any]]


def save_folder(
    folder: str | Path,
    config: dict[str, Any],
    arrays: Arrays,
    card: str,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a saved adapter; one that is there already is replaced only when the new one is complete.

    Args:
        folder: Where; made if need be.
        config: The content of ``config.json``.
        arrays: The content of ``model.safetensors``.
        card: The content of ``README.md``.
        extra: Further JSON files, by name.

    Raises:
        FileExistsError: If ``folder`` is a file, or a folder that holds something else than a saved adapter.
    """
    folder = Path(folder).absolute()
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; name a folder for the adapter")
    if folder.is_dir() and any(folder.iterdir()) and not _is_saved_adapter(folder):
        raise FileExistsError(f"{folder} holds other files and no saved adapter; name a new or empty folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as workplace:
        fresh, old = Path(workplace) / "new", Path(workplace) / "old"
        fresh.mkdir()
        write_json(fresh / CONFIG_FILE, {"format": FORMAT, "format_version": FORMAT_VERSION, **config})
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, fresh / WEIGHTS_FILE)
        (fresh / CARD_FILE).write_text(card, encoding="utf-8")
        for name, value in (extra or {}).items():
            write_json(fresh / name, value)
        if folder.exists():
            folder.rename(old)
            try:
                fresh.rename(folder)
            except BaseException:
                old.rename(folder)
                raise
        else:
            fresh.rename(folder)


def load_folder(folder_or_hub_id: str | Path, *, revision: str | None = None) -> tuple[dict[str, Any], Arrays]:
    """Read a saved adapter's configuration and arrays.

    Args:
        folder_or_hub_id: A folder, or where there is none of that name the id of a repository on the hub.
        revision: Of a repository on the hub: a branch, a tag or a commit.

    Raises:
        FileNotFoundError: If the folder lacks one of its files.
        ValueError: If a file is damaged, or was written by something else or by a newer version of this package.
    """
    folder = _find(folder_or_hub_id, revision)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} is no saved adapter: it holds no {name}")
    config = read_json(folder / CONFIG_FILE)
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f"{folder / CONFIG_FILE} does not describe an adapter of this package")
    version = config.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ValueError(
            f"{folder} is in format {version!r} and this package reads up to {FORMAT_VERSION}; upgrade the package"
        )
    try:
        arrays = load_file(folder / WEIGHTS_FILE)
    except (SafetensorError, ValueError, OSError) as error:
        raise ValueError(f"{folder / WEIGHTS_FILE} is damaged: {error}") from error
    return config, arrays


def _is_saved_adapter(folder: Path) -> bool:
    """Whether a folder was written here (models of other libraries have a ``config.json`` too)."""
    try:
        config = read_json(folder / CONFIG_FILE)
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("format") == FORMAT


def _find(folder_or_hub_id: str | Path, revision: str | None = None) -> Path:
    folder = Path(folder_or_hub_id)
    if folder.is_dir():
        if revision is not None:
            raise ValueError(f"{folder} is a folder here; a revision ({revision!r}) is of a repository on the hub")
        return folder
    name = str(folder_or_hub_id)
    if isinstance(folder_or_hub_id, Path) or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise FileNotFoundError(f"there is no folder {name}")
    try:
        return download_folder(name, [CONFIG_FILE, WEIGHTS_FILE, CARD_FILE], revision=revision)
    except ImportError as error:
        raise FileNotFoundError(f"there is no folder {name}; if it is a repository on the hub: {error}") from error

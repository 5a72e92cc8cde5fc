"""A saved adapter: a folder, here or on the Hugging Face hub, of ``config.json``, ``model.safetensors`` and a card.

Plain JSON and plain arrays: nothing in the folder is ever executed. ``config.json`` names its weights by their hash and
takes the old one's place in one step, which is the moment of saving: before it the folder is the old adapter, after it
the new one, whatever is killed when, and a reader in between never mixes them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from langchain_embedding_adapter.storage.hub import download_folder
from langchain_embedding_adapter.storage.replacing import ASIDE, only_saver, replace_files, unlike
from langchain_embedding_adapter.storage.saved_config import (
    BOOKKEEPING,
    CARD_FILE,
    as_json,
    check_config,
    config_content,
    further_files,
    hash_of_weights,
    is_further_name,
    sealed_config,
)
from langchain_embedding_adapter.storage.saved_config import CONFIG_FILE as CONFIG_FILE
from langchain_embedding_adapter.storage.saved_config import FORMAT as FORMAT
from langchain_embedding_adapter.storage.saved_config import WEIGHTS_FILE as WEIGHTS_FILE
from langchain_embedding_adapter.storage.untrusted import (
    DTYPES,
    NOT_AS_SAVED,
    Shapes,
    Weights,
    identity,
    read_json_within,
    read_weights_within,
)

ATTEMPTS = 200
"""So often a load begins again because the adapter was saved meanwhile."""
PAUSE = 0.005

Arrays = dict[str, NDArray[Any]]
Expect = Callable[[dict[str, Any], Shapes], None]


def save_folder(
    folder: str | Path,
    config: dict[str, Any],
    arrays: Arrays,
    card: str,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a saved adapter; one that is there is replaced in one step, after all of the new one is on the disk.

    Whoever saves to the same folder meanwhile waits. A crash at any moment leaves the old adapter or the new one; what
    it left lying about goes with the next save. Other files in the folder are left alone.

    Args:
        folder: Where; made if need be.
        config: The content of ``config.json``. Numbers that JSON cannot hold (NaN, infinities) become ``null``.
        arrays: The content of ``model.safetensors``.
        card: The content of ``README.md``.
        extra: Further JSON files, by name; those of the adapter that was there before are removed.

    Raises:
        FileExistsError: If ``folder`` is a file, or a folder that holds something else than a saved adapter.
        TypeError: If ``config`` holds what JSON cannot, or ``arrays`` what a weights file cannot.
        ValueError: If an array, or a number in the ``adapter`` entry, is not finite, or a further file's name is taken.
        TimeoutError: If another process has been saving there for minutes.
    """
    weights = _weights_file(arrays)
    digest = hashlib.sha256(weights).hexdigest()
    further = {name: as_json(value) for name, value in (extra or {}).items()}
    for name in further:
        if not is_further_name(name):
            raise ValueError(f"expected a further file's own plain name, such as 'history.json', got {name!r}")
    content = config_content(config, {"sha256": digest, "bytes": len(weights)})
    folder = Path(folder).absolute()
    _check_place(folder)
    with only_saver(folder):
        _check_place(folder)
        before = _known_config(folder) or {}
        stale = [name for name in further_files(before) if name not in further and (folder / name).exists()]
        replace_files(
            folder,
            first=(WEIGHTS_FILE, weights, _aside(digest)),
            decisive=(CONFIG_FILE, sealed_config(content, sorted([*further, *stale]))),
            others={CARD_FILE: card.encode("utf-8"), **further},
            keep=_aside(hash_of_weights(before)) if hash_of_weights(before) else None,
            remove=stale,
        )


def load_folder(
    folder_or_hub_id: str | Path, *, revision: str | None = None, expect: Expect | None = None
) -> tuple[dict[str, Any], Arrays]:
    """Read a saved adapter's configuration and arrays.

    If it is saved anew meanwhile, the load begins again: both are always of one save.

    Args:
        folder_or_hub_id: A folder, or where there is none of that name the id of a repository on the hub.
        revision: Of a repository on the hub: a branch, a tag or a commit.
        expect: Called with the configuration and the arrays' shapes before the arrays are read, which may be large; to
            refuse them it raises ``ValueError``.

    Raises:
        FileNotFoundError: If the folder lacks one of its files.
        ValueError: If a file is damaged, is not as it was saved, leads out of the folder, or was written by something
            else or by a newer version of this package.
    """
    folder = _find(folder_or_hub_id, revision)
    for _ in range(ATTEMPTS):
        config, seen = read_json_within(folder, CONFIG_FILE)
        check_config(config, folder)
        found = _read_weights(folder, config, expect)
        if identity((folder / CONFIG_FILE).stat()) == seen:
            if isinstance(found, Exception):
                raise found
            return {key: config[key] for key in config if key not in BOOKKEEPING}, found.arrays
        time.sleep(PAUSE)
    raise ValueError(f"{folder} is being saved over and over, so that no load comes through; load it later")


def _read_weights(folder: Path, config: dict[str, Any], expect: Expect | None) -> Weights | ValueError | OSError:
    """The weights that a configuration names, from their place or from where a killed save left them; or what is wrong.

    They may move into their place while they are looked for, so that is looked at again.
    """
    digest = hash_of_weights(config)
    size = config["weights"]["bytes"] if digest else None
    fits = None if expect is None else partial(expect, config)
    wrong: ValueError | OSError | None = None
    for name in (WEIGHTS_FILE, _aside(digest), WEIGHTS_FILE) if digest else (WEIGHTS_FILE,):
        try:
            found = read_weights_within(folder, name, size=size, expect=fits)
        except (ValueError, FileNotFoundError) as error:
            wrong = error if name == WEIGHTS_FILE else wrong
            continue
        if digest in (None, found.sha256):
            return found
        wrong = ValueError(f"{folder / name} is damaged, or of another adapter: {NOT_AS_SAVED}")
    assert wrong is not None  # noqa: S101 - each name was returned from, or left a reason
    return wrong


def _aside(digest: str | None) -> str:
    """Where weights wait for the configuration that names them."""
    return f"{ASIDE}{digest}.safetensors"


def _weights_file(arrays: Arrays) -> bytes:
    """The content of ``model.safetensors``."""
    for name, array in arrays.items():
        if array.dtype.newbyteorder("<") not in DTYPES.values():
            raise TypeError(f"{name} is of type {array.dtype}, which a weights file cannot hold")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds values that are not finite; the adapter is not saved")
    return save(
        {name: np.array(array, dtype=array.dtype.newbyteorder("="), order="C") for name, array in arrays.items()}
    )


def _check_place(folder: Path) -> None:
    """See that nothing of anyone else's is in the way."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; name a folder for the adapter")
    if folder.is_dir() and unlike(folder, ASIDE) and _known_config(folder) is None:
        raise FileExistsError(f"{folder} holds other files and no saved adapter; name a new or empty folder")


def _known_config(folder: Path) -> dict[str, Any] | None:
    """The configuration, if it was written here (models of other libraries have a ``config.json`` too)."""
    try:
        config, _ = read_json_within(folder, CONFIG_FILE)
    except (FileNotFoundError, ValueError):
        return None
    return config if isinstance(config, dict) and config.get("format") == FORMAT else None


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

"""A saved adapter: a folder, here or on the Hugging Face hub, of ``config.json``, ``model.safetensors`` and a card.

Plain JSON and plain arrays: nothing in the folder is ever executed. ``config.json`` names its weights by their hash and
takes the old one's place in one step, which is the moment of saving: before it the folder is the old adapter, after it
the new one, whatever is killed when, and a reader in between never mixes them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from langchain_embedding_adapter._replacing import ASIDE, only_saver, replace_files, unlike
from langchain_embedding_adapter._untrusted import (
    DTYPES,
    NOT_AS_SAVED,
    Shapes,
    Weights,
    identity,
    parse_json,
    read_json_within,
    read_weights_within,
)
from langchain_embedding_adapter.hub import download_folder
from langchain_embedding_adapter.hub import push_folder as push_folder

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"

FORMAT = "langchain-embedding-adapter"
FORMAT_VERSION = 2
"""2: the hashes of weights and configuration, the names of further files. Format 1 has none of them and is read."""
_BOOKKEEPING = ("weights", "further_files", "sha256")
_FURTHER_FILES_OF_FORMAT_1 = ("report.json", "history.json", "selection.json")

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
    further = {name: _as_json(value) for name, value in (extra or {}).items()}
    for name in further:
        if not _is_further_name(name):
            raise ValueError(f"expected a further file's own plain name, such as 'history.json', got {name!r}")
    content = _config(config, {"sha256": digest, "bytes": len(weights)})
    folder = Path(folder).absolute()
    _check_place(folder)
    with only_saver(folder):
        _check_place(folder)
        before = _known_config(folder) or {}
        stale = [name for name in _further_files(before) if name not in further and (folder / name).exists()]
        replace_files(
            folder,
            first=(WEIGHTS_FILE, weights, _aside(digest)),
            decisive=(CONFIG_FILE, _sealed(content, sorted([*further, *stale]))),
            others={CARD_FILE: card.encode("utf-8"), **further},
            keep=_aside(_hash_of_weights(before)) if _hash_of_weights(before) else None,
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
        _check_config(config, folder)
        found = _read_weights(folder, config, expect)
        if identity((folder / CONFIG_FILE).stat()) == seen:
            if isinstance(found, Exception):
                raise found
            return {key: config[key] for key in config if key not in _BOOKKEEPING}, found.arrays
        time.sleep(PAUSE)
    raise ValueError(f"{folder} is being saved over and over, so that no load comes through; load it later")


def _read_weights(folder: Path, config: dict[str, Any], expect: Expect | None) -> Weights | ValueError | OSError:
    """The weights that a configuration names, from their place or from where a killed save left them; or what is wrong.

    They may move into their place while they are looked for, so that is looked at again.
    """
    digest = _hash_of_weights(config)
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


def _check_config(config: Any, folder: Path) -> None:
    path = folder / CONFIG_FILE
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f"{path} does not describe an adapter of this package")
    version = config.get("format_version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise ValueError(
            f"{folder} is in format {version!r:.80} and this package reads up to {FORMAT_VERSION}; upgrade the package"
        )
    if (version > 1 or "weights" in config) and _hash_of_weights(config) is None:
        raise ValueError(f"{path} does not tell hash and size of the weights (`weights`): {NOT_AS_SAVED}")
    if "sha256" in config and config["sha256"] != _hash_of_config(config):
        raise ValueError(
            f"{path} is damaged or was edited: its own hash is another. If you meant to edit it, remove its entry "
            "`sha256`; else fetch or save the adapter again"
        )


def _hash_of_weights(config: Mapping[str, Any]) -> str | None:
    entry = config.get("weights")
    if not isinstance(entry, dict) or type(entry.get("bytes")) is not int:
        return None
    digest = entry.get("sha256")
    return digest if isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) else None


def _hash_of_config(config: Mapping[str, Any]) -> str:
    """Of its content, however it is laid out, without the entry for this hash."""
    content = {key: value for key, value in config.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _further_files(config: Mapping[str, Any]) -> list[str]:
    named = config.get("further_files", _FURTHER_FILES_OF_FORMAT_1 if config.get("format_version") == 1 else ())
    return [name for name in named if _is_further_name(name)] if isinstance(named, list | tuple) else []


def _is_further_name(name: Any) -> bool:
    own = (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE)
    return isinstance(name, str) and name not in own and re.fullmatch(r"[\w-][\w. -]*", name) is not None


def _aside(digest: str | None) -> str:
    """Where weights wait for the configuration that names them."""
    return f"{ASIDE}{digest}.safetensors"


def _config(config: dict[str, Any], weights: dict[str, Any]) -> dict[str, Any]:
    """The content of ``config.json`` but for its last entries, in an order that people read."""
    try:
        json.dumps(config.get("adapter"), allow_nan=False)
    except ValueError as error:
        raise ValueError(f"the adapter was made with arguments that JSON cannot hold: {error}") from error
    own = {"format": FORMAT, "format_version": FORMAT_VERSION}
    told = {key: value for key, value in config.items() if key not in (*own, *_BOOKKEEPING)}
    content: dict[str, Any] = parse_json(_as_json(own | told | {"weights": weights}), CONFIG_FILE)
    return content


def _sealed(content: dict[str, Any], further: list[str]) -> bytes:
    """The content of ``config.json`` with the files beside it, those that are about to be removed too, and its hash."""
    content = content | {"further_files": further}
    return _as_json(content | {"sha256": _hash_of_config(content)})


def _as_json(value: Any) -> bytes:
    return (json.dumps(_without_nan(value), ensure_ascii=False, indent=1) + "\n").encode("utf-8")


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    return [_without_nan(inner) for inner in value] if isinstance(value, list | tuple) else value


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

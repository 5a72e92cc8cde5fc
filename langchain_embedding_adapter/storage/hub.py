"""Saved adapters on the Hugging Face hub: put there in one commit, fetched by id, checked against the hub's own hashes.

Only the files that are asked for by name are ever fetched. What the hub answers becomes a ``FileNotFoundError``, a
``PermissionError`` or a ``ValueError`` that says what to do.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_embedding_adapter._extras import require_extra

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
CHUNK = 2**20


def push_folder(folder: str | Path, hub_id: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a folder's files to the hub, in one commit: who loads it finds the old adapter or the new one.

    Args:
        folder: What to upload; its subfolders are left out.
        hub_id: The repository, ``owner/name``; made if need be.
        private: Whether nobody else may see it.
        token: Instead of the one that is logged in.

    Returns:
        The address of the commit.

    Raises:
        PermissionError: If nobody is logged in, or who is may not write there.
        ValueError: If ``hub_id`` cannot be a repository's name, or ``private`` is asked of one that is public.
        ConnectionError: If the hub cannot be reached.
    """
    require_extra("huggingface_hub", "hub")
    import huggingface_hub as hub

    api = hub.HfApi(token=token)
    with _explained(hub_id):
        api.create_repo(hub_id, private=private, exist_ok=True)
        if private and not api.model_info(hub_id).private:
            raise ValueError(
                f"{hub_id} is on the hub already and public, and was to be private; nothing was uploaded. "
                "Make it private in its settings on the hub, or choose another name"
            )
        files = sorted(path for path in Path(folder).iterdir() if path.is_file())
        operations = [hub.CommitOperationAdd(path.name, path) for path in files]
        return str(api.create_commit(hub_id, operations, commit_message="Upload adapter").commit_url)


def download_folder(
    hub_id: str,
    files: Sequence[str],
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
) -> Path:
    """Fetch files of a repository into the hub's cache; what is there already is not fetched again.

    Where the hub cannot be reached (or ``HF_HUB_OFFLINE`` is set), what was fetched last is taken.

    Args:
        hub_id: The repository, ``owner/name``.
        files: The names of the files; others are never fetched. One that the repository lacks is left out.
        revision: A branch, a tag or a commit; the newest of ``main`` by default.
        token: Instead of the one that is logged in.
        cache_dir: Instead of the hub's own cache.

    Returns:
        The folder that holds them; it belongs to the cache.

    Raises:
        FileNotFoundError: If there is no such repository or revision, or the hub cannot be reached and the cache does
            not hold it.
        PermissionError: If the hub wants to know who asks, or does not let them read it.
        ValueError: If what came is not what the hub has; it is taken out of the cache.
    """
    require_extra("huggingface_hub", "hub")
    import huggingface_hub as hub

    with _explained(hub_id, revision):
        found = hub.HfApi(token=token).snapshot_download(
            hub_id, revision=revision, cache_dir=cache_dir, allow_patterns=list(files)
        )
    folder = Path(found)
    for name in files:
        _check_hash(folder / name, hub_id)
    return folder


@contextmanager
def _explained(hub_id: str, revision: str | None = None) -> Iterator[None]:
    """Say what the errors of the hub's client mean here, and what to do."""
    from huggingface_hub import errors

    name = hub_id if revision is None else f"{hub_id} at revision {revision!r}"
    try:
        yield
    except errors.HFValidationError as error:
        raise ValueError(
            f"{hub_id!r} cannot be a repository on the hub, whose ids are `owner/name`: {error}"
        ) from error
    except errors.GatedRepoError as error:
        raise PermissionError(f"{name} is gated: ask for access on its page on the hub, and {LOG_IN}") from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"there is no repository {hub_id} on the hub, or it is private and you are not logged in as one who may "
            f"read it; check the name, or {LOG_IN}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(
            f"{hub_id} is on the hub and has no revision {revision!r}; name one of its branches, tags or commits"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        reason = error.__cause__ or error
        _raise_if_refused(reason, name)
        raise FileNotFoundError(
            f"{name} is not in the hub's cache, and the hub could not be reached: {_first_line(reason)}; "
            "load it once while there is a connection and HF_HUB_OFFLINE is not set"
        ) from error
    except errors.HfHubHTTPError as error:
        _raise_if_refused(error, name)
        raise ConnectionError(f"{name}: the hub answered with an error: {_first_line(error)}") from error
    except RuntimeError as error:  # of a large file's upload, around what happened
        cause = _first_line(error.__cause__ or error)
        raise ConnectionError(
            f"{name}: {_first_line(error)}: {cause}; nothing was changed there, push again"
        ) from error
    except _transport_errors() as error:
        if "onsistency check failed" in str(error):
            raise ValueError(f"a file of {name} came damaged: {_first_line(error)}; load it again") from error
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's own trouble
        raise ConnectionError(f"{name}: the hub could not be reached: {_first_line(error)}") from error


def _raise_if_refused(error: BaseException, name: str) -> None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        trouble = "does not know you" if status == 401 else "does not allow you this"
        raise PermissionError(f"{name}: the hub {trouble} ({_first_line(error)}); {LOG_IN}") from error


def _transport_errors() -> tuple[type[Exception], ...]:
    """What the hub's client raises where nobody answers: an ``OSError``, or by its version httpx's or httpx2's own."""
    used: list[Any] = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
    return (OSError, *(module.HTTPError for module in used))


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def _check_hash(file: Path, hub_id: str) -> None:
    """Compare a file with the name that the cache gave its content: the hash that the hub told.

    The hub's client compares sizes only.

    Raises:
        ValueError: If they differ; the file is taken out of the cache.
    """
    content = file.resolve()
    if content.parent.name != "blobs" or not content.is_file():
        return  # a cache without links (Windows) does not keep the hash, and a missing file is the reader's to miss
    expected = content.name
    if len(expected) == 40:  # what git calls a blob
        found = hashlib.sha1(b"blob %d\0" % content.stat().st_size, usedforsecurity=False)
    elif len(expected) == 64:
        found = hashlib.sha256()
    else:
        return
    with content.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            found.update(chunk)
    if found.hexdigest() != expected:
        content.unlink()
        file.unlink(missing_ok=True)
        raise ValueError(
            f"{file.name} of {hub_id} is damaged: its content is not what the hub has ({expected[:12]}…); "
            "it was taken out of the cache, so load it again"
        )

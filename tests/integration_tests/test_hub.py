"""Adapters go to the hub and come back, through the hub's own client and a stand-in of its server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants, file_download

from langchain_embedding_adapter import AdaptedEmbeddings
from langchain_embedding_adapter.storage.folder import load_folder
from langchain_embedding_adapter.storage.hub import download_folder, push_folder
from tests.hub_server import Hub, running
from tests.small_world import AngleEmbeddings, turned_back

NAME = "me/turned"
FILES = ["config.json", "model.safetensors", "README.md"]
NOWHERE = "http://127.0.0.1:9"

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how the hub's client calls httpx


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub on this machine that everything goes to, an empty cache, and ``me`` logged in."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)  # the stand-in speaks LFS
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setenv("HF_TOKEN", "token-me")
    with running() as server:
        go_to(server.url, monkeypatch)
        yield server


def go_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    for module in (constants, file_download):  # clients before version 1 keep a copy
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)


@pytest.fixture
def adapted(base: AngleEmbeddings) -> AdaptedEmbeddings:
    return turned_back(base)


def served(hub: Hub) -> list[str]:
    """The names of the files that were downloaded, from the repository or from the storage it points to."""
    downloads = [line for line in hub.asked if line.startswith("GET") and ("/resolve/" in line or "/lfs/" in line)]
    return sorted({line.rpartition("/")[2] for line in downloads})


def weights(folder: Path) -> Path:
    return folder / "model.safetensors"


@pytest.mark.parametrize("private", [False, True])
def test_an_adapter_is_pushed_and_loaded_by_its_id(private: bool, hub: Hub, base, adapted: AdaptedEmbeddings) -> None:
    address = adapted.push_to_hub(NAME, private=private)
    (repository,) = hub.repositories.values()
    head = repository.refs["main"]
    assert address == f"{hub.url}/{NAME}/commit/{head}"
    assert repository.private is private
    assert sorted(repository.commits[head]) == sorted(FILES)
    loaded = AdaptedEmbeddings.from_pretrained(NAME, base)
    assert loaded.embed_query("q 30 0") == adapted.embed_query("q 30 0")
    assert served(hub) == sorted(FILES)


def test_a_push_is_one_commit(hub: Hub, adapted: AdaptedEmbeddings) -> None:
    adapted.push_to_hub(NAME)
    assert len(hub.repositories[NAME].commits) == 2  # the empty one of a new repository, and this


def test_the_newest_is_loaded_and_older_ones_by_revision(hub: Hub, base, adapted: AdaptedEmbeddings) -> None:
    first = adapted.push_to_hub(NAME).rpartition("/")[2]
    hub.repositories[NAME].refs["v1"] = first
    assert load_folder(NAME)[1]["weight"][0, 0] == adapted.adapter.to_arrays()["weight"][0, 0]
    adapted.adapter.load_arrays({"weight": 2 * adapted.adapter.to_arrays()["weight"]})
    second = adapted.push_to_hub(NAME).rpartition("/")[2]
    assert second != first
    newest = load_folder(NAME)[1]["weight"]
    for revision, expected in [("v1", newest / 2), (first, newest / 2), ("main", newest), (second, newest)]:
        assert (load_folder(NAME, revision=revision)[1]["weight"] == expected).all()
    old = AdaptedEmbeddings.from_pretrained(NAME, base, revision="v1")
    assert not old.reload()  # the revision is kept
    assert AdaptedEmbeddings.from_pretrained(NAME, base, revision="v1").reload(NAME)
    assert (2 * old.adapter.to_arrays()["weight"] == newest).all()
    assert adapted.push_to_hub(NAME).rpartition("/")[2] == second  # nothing new, no commit
    with pytest.raises(FileNotFoundError, match=f"{NAME} is on the hub and has no revision 'v9'; name one of its"):
        load_folder(NAME, revision="v9")


def test_nothing_else_is_ever_downloaded(hub: Hub, base, adapted: AdaptedEmbeddings) -> None:
    adapted.push_to_hub(NAME)
    hub.repositories[NAME].commit({"pytorch_model.bin": b"a pickle", "adapter.py": b"code", "config.json.py": b"code"})
    folder = download_folder(NAME, FILES)
    assert served(hub) == sorted(FILES)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_a_repository_of_something_else(hub: Hub, adapted: AdaptedEmbeddings) -> None:
    adapted.push_to_hub(NAME)
    hub.repositories[NAME].commits[hub.repositories[NAME].refs["main"]].pop("model.safetensors")
    with pytest.raises(FileNotFoundError, match=r"holds no model.safetensors"):
        load_folder(NAME)


@pytest.mark.parametrize("token", ["token-me", "token-you", None])
def test_a_repository_that_is_not_there(token: str | None, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(
        FileNotFoundError, match=r"no repository me/none on the hub.*check the name, or log in with `hf"
    ):
        load_folder("me/none")


@pytest.mark.parametrize("token", ["token-you", None])
def test_a_private_one_is_not_there_for_others(
    token: str | None, hub: Hub, adapted: AdaptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapted.push_to_hub(NAME, private=True)
    assert len(list(download_folder(NAME, FILES, token="token-me").iterdir())) == 3  # noqa: S106
    hub.repositories["me/other"] = hub.repositories[NAME]  # not in the cache
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(FileNotFoundError, match="or it is private and you are not logged in"):
        download_folder("me/other", FILES, token=token)


def test_a_token_that_is_wrong(hub: Hub, adapted: AdaptedEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    adapted.push_to_hub(NAME)
    monkeypatch.setenv("HF_TOKEN", "expired")
    with pytest.raises(
        PermissionError, match=r"the hub does not know you .*; log in with `hf auth login`, or set HF_TOKEN"
    ):
        load_folder(NAME)
    with pytest.raises(PermissionError, match="the hub does not know you"):
        adapted.push_to_hub(NAME)


def test_a_token_that_may_not_read(hub: Hub) -> None:
    hub.status = 403
    with pytest.raises(PermissionError, match="the hub does not allow you this"):
        load_folder(NAME)


def test_a_push_without_a_login(hub: Hub, adapted: AdaptedEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PermissionError, match="log in with `hf auth login`"):
        adapted.push_to_hub(NAME)
    assert hub.repositories == {}


def test_a_push_to_somebody_elses(hub: Hub, adapted: AdaptedEmbeddings, tmp_path: Path) -> None:
    adapted.push_to_hub(NAME)
    adapted.save_pretrained(tmp_path / "adapter")
    for name in (NAME, "me/new"):
        with pytest.raises(PermissionError, match="the hub does not allow you this"):
            push_folder(tmp_path / "adapter", name, token="token-you")  # noqa: S106
    assert list(hub.repositories) == [NAME]


def test_what_was_to_be_private_is_not_pushed_to_a_public_one(hub: Hub, adapted: AdaptedEmbeddings) -> None:
    adapted.push_to_hub(NAME)
    before = hub.repositories[NAME].refs["main"]
    adapted.adapter.load_arrays({"weight": 2 * adapted.adapter.to_arrays()["weight"]})
    with pytest.raises(
        ValueError, match="is on the hub already and public, and was to be private; nothing was uploaded"
    ):
        adapted.push_to_hub(NAME, private=True)
    assert hub.repositories[NAME].refs["main"] == before


def test_a_gated_one(hub: Hub, adapted: AdaptedEmbeddings) -> None:
    adapted.push_to_hub(NAME)
    hub.repositories[NAME].gated = True
    with pytest.raises(PermissionError, match="is gated: ask for access on its page"):
        download_folder(NAME, FILES, token="token-you")  # noqa: S106


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "damage", [flipped, lambda content: content[:-3], lambda content: content + b"x"], ids=["flipped", "cut", "longer"]
)
def test_a_corrupted_download_is_found_and_not_kept(
    name: str, damage: Callable[[bytes], bytes], hub: Hub, base, adapted: AdaptedEmbeddings
) -> None:
    adapted.push_to_hub(NAME)
    hub.damage = lambda file, content: damage(content) if file == name else content
    with pytest.raises(ValueError, match=r"damaged.*load it again"):
        AdaptedEmbeddings.from_pretrained(NAME, base)
    hub.damage = lambda _, content: content
    loaded = AdaptedEmbeddings.from_pretrained(NAME, base)
    assert loaded.embed_query("q 30 0") == adapted.embed_query("q 30 0")


def test_a_cache_that_went_bad(hub: Hub, base, adapted: AdaptedEmbeddings) -> None:
    adapted.push_to_hub(NAME)
    kept = weights(download_folder(NAME, FILES)).resolve()
    kept.write_bytes(flipped(kept.read_bytes()))
    with pytest.raises(ValueError, match=r"model.safetensors of me/turned is damaged: .*taken out of the cache"):
        AdaptedEmbeddings.from_pretrained(NAME, base)
    assert AdaptedEmbeddings.from_pretrained(NAME, base).embed_query("q 30 0") == adapted.embed_query("q 30 0")


@pytest.mark.parametrize("trouble", ["down", "unavailable", "offline"])
def test_without_the_hub_what_was_loaded_last_is_taken(
    trouble: str, hub: Hub, base, adapted: AdaptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = adapted.push_to_hub(NAME).rpartition("/")[2]
    AdaptedEmbeddings.from_pretrained(NAME, base)
    if trouble == "down":
        go_to(NOWHERE, monkeypatch)
    elif trouble == "unavailable":
        hub.status = 503
    else:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for revision in (None, "main", commit):
        assert (load_folder(NAME, revision=revision)[1]["weight"] == adapted.adapter.to_arrays()["weight"]).all()
    with pytest.raises(FileNotFoundError, match="me/other is not in the hub's cache, and the hub could not be reached"):
        load_folder("me/other")


def test_a_commit_that_is_not_in_the_cache_when_the_hub_is_down(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    go_to(NOWHERE, monkeypatch)
    with pytest.raises((ConnectionError, FileNotFoundError), match="could not be reached"):
        load_folder(NAME, revision="a" * 40)


def test_a_push_when_the_hub_is_down(hub: Hub, adapted: AdaptedEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.status = 500
    with pytest.raises(ConnectionError, match=r"the hub answered with an error: .*500"):
        adapted.push_to_hub(NAME)
    go_to(NOWHERE, monkeypatch)
    with pytest.raises(ConnectionError, match="the hub could not be reached"):
        adapted.push_to_hub(NAME)


def test_an_upload_that_breaks_off_changes_nothing(hub: Hub, adapted: AdaptedEmbeddings) -> None:
    before = adapted.push_to_hub(NAME).rpartition("/")[2]
    adapted.adapter.load_arrays({"weight": 2 * adapted.adapter.to_arrays()["weight"]})
    hub.takes_uploads = False
    with pytest.raises(ConnectionError, match=r"upload.*model.safetensors.*: .*403.*; nothing was changed there"):
        adapted.push_to_hub(NAME)
    assert hub.repositories[NAME].refs["main"] == before


@pytest.mark.parametrize("name", ["me/a b", "me/-turned", "me/" + "a" * 97])
def test_names_that_no_repository_has(name: str, hub: Hub, adapted: AdaptedEmbeddings) -> None:
    for call in (lambda: load_folder(name), lambda: adapted.push_to_hub(name)):
        with pytest.raises(ValueError, match="cannot be a repository on the hub"):
            call()
    assert hub.asked == []


def test_the_environment_alone_decides(hub: Hub, adapted: AdaptedEmbeddings, tmp_path: Path) -> None:
    """``HF_ENDPOINT``, ``HF_HOME``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE``, in a process of its own."""
    adapted.push_to_hub(NAME, private=True)
    code = (
        "from langchain_embedding_adapter import AdaptedEmbeddings\n"
        "from tests.small_world import AngleEmbeddings\n"
        f"print(AdaptedEmbeddings.from_pretrained({NAME!r}, AngleEmbeddings()).embed_query('q 30 0'))"
    )
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

    def answer(**more: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        command = [sys.executable, "-c", code]
        return subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            env=environment | settings | more,
            cwd=Path(__file__).parents[2],
        ).stdout

    first = answer(HF_TOKEN="token-me")  # noqa: S106
    assert first.strip() == str(adapted.embed_query("q 30 0"))
    asked = len(hub.asked)
    assert answer(HF_HUB_OFFLINE="1") == first
    assert len(hub.asked) == asked

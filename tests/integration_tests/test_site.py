"""The built site: every link leads somewhere, nothing is fetched from elsewhere, every public name is told."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import langchain_embedding_adapter
from tests.snippets import PAGES, ROOT


class Html(HTMLParser):
    """What a page links to, what it fetches, and the places in it that may be linked to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.fetched: set[str] = set()
        self.places: set[str] = set()
        self.unnamed = 0
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.places |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        elif "src" in found or (tag == "link" and found.get("rel") not in ("prev", "next", "canonical")):
            self.fetched.add(found.get("src") or found.get("href", ""))
        self.unnamed += tag == "img" and not found.get("alt")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    return {file: Html(file) for file in site.rglob("*.html")}


def test_every_link_of_the_site_leads_somewhere(site: Path, pages: dict[Path, Html]) -> None:
    inside = 0
    for file, page in pages.items():
        for link in page.links | page.fetched:
            parts = urlsplit(link)
            if parts.scheme in ("https", "mailto", "data") or not (parts.path or parts.fragment):
                continue
            assert not parts.scheme, link
            start = site if parts.path.startswith("/") else file.parent
            target = (start / unquote(parts.path).lstrip("/")).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{file.relative_to(site)} links to {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].places, f"{file.relative_to(site)} links to {link}"
            inside += 1
    assert inside > 1000


def test_the_site_fetches_nothing_from_elsewhere_and_names_its_pictures(site: Path, pages: dict[Path, Html]) -> None:
    for file, page in pages.items():
        assert not [address for address in page.fetched if urlsplit(address).netloc], file
        assert not page.unnamed, file
    for file in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", file.read_text(encoding="utf-8")), file


def test_pictures_of_light_and_dark_pages_go_together(pages: dict[Path, Html]) -> None:
    shown = {(file, address) for file, page in pages.items() for address in page.fetched if "#only-" in address}
    light = {(file, address.replace("light", "dark")) for file, address in shown if "#only-light" in address}
    assert light == {(file, address) for file, address in shown if "#only-dark" in address}
    assert len(light) >= 6


def test_every_public_name_is_in_the_reference(pages: dict[Path, Html]) -> None:
    places = set().union(*(page.places for file, page in pages.items() if file.parent.name == "reference"))
    public = set(langchain_embedding_adapter.__all__) - {"__version__"}
    assert {f"langchain_embedding_adapter.{name}" for name in public} <= places
    assert {f"langchain_embedding_adapter.AdapterTrainer.{name}" for name in ("train", "generate_dataset")} <= places
    listed = set(re.findall(r"`(\w+)`", PAGES["reference/index.md"]))
    assert public <= listed


def test_docstrings_are_told_in_markdown(site: Path) -> None:
    for file in (site / "reference").glob("*.html"):
        told = re.sub(r"<[^>]+>", "", file.read_text(encoding="utf-8"))
        assert not re.search(r":(meth|func|class|mod|data|attr):|code-block::|``", told), file

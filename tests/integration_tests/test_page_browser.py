"""The report page in a real browser: a training's page is opened, searched, sorted, read by keyboard, printed.

Chromium has to be at hand (`apt-get install chromium`); Playwright drives it and downloads nothing.
"""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_embedding_adapter import AdapterTrainer, QADataset, WordLlamaEmbeddings
from langchain_embedding_adapter.demo.journey import split_questions
from langchain_embedding_adapter.demo.language_reference import load_language_reference
from langchain_embedding_adapter.report.page.texts import clean

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
HOSTILE = "</script><img src=x onerror=document.title='owned'> \u202eשלום🦜\x00 {{ 7 * 7 }} how do I close a file?"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of a real training: of its test, with a hostile question in it, of itself, and of the base alone."""
    folder = tmp_path_factory.mktemp("pages")
    reference = load_language_reference().dataset
    train, seen, unseen = split_questions(reference)
    result = AdapterTrainer(WordLlamaEmbeddings(), show_progress=False).train(train)
    test = reference.subset([*seen.queries, *unseen.queries])
    first = next(iter(test.queries))
    hostile = QADataset(
        {**test.queries, "hostile": HOSTILE},
        test.corpus,
        {**test.relevant_docs, "hostile": test.relevant_docs[first]},
        test.documents,
    )
    reports = {"test": result.evaluate(hostile), "training": result.report, "base": result.evaluate(test)}
    reports["base"] = type(reports["base"])(
        reports["base"].query_ids, reports["base"].passages, reports["base"].base_scores
    )
    for name, report in reports.items():
        report.save(folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in reports}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        options = {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}
        opened = driver.chromium.launch(**options)
        yield opened
        opened.close()


class Tab:
    """A tab that notes what it asks for and what it complains of."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.url = path.as_uri()
        self.page.goto(self.url)

    def questions(self) -> list[str]:
        return self.page.locator("#list tbody th button").all_inner_texts()

    def column(self, number: int) -> list[str]:
        return self.page.locator(f"#list tbody tr:not(.detail) td:nth-of-type({number})").all_inner_texts()


@pytest.fixture
def tab(browser: Any, pages: dict[str, Path]) -> Iterator[Tab]:
    opened = Tab(browser, pages["test"])
    yield opened
    assert opened.complaints == []
    assert {url for url in opened.requests if not url.startswith("data:")} == {opened.url}
    opened.context.close()


def test_it_opens_and_explores(tab: Tab) -> None:
    page = tab.page
    assert page.locator("h1").inner_text()
    assert page.locator("#count").inner_text() == "181 questions"
    changes = [float(text.replace("\N{MINUS SIGN}", "-")) for text in tab.column(3)]
    assert changes == sorted(changes, reverse=True)
    assert len(changes) == 40
    page.locator("#more").click()
    assert len(tab.questions()) == 80
    assert page.evaluate("document.activeElement.dataset.question") is not None  # the first of the new ones


def test_it_sorts(tab: Tab) -> None:
    header = tab.page.locator("[data-sort=base]")
    header.click()
    assert header.locator("xpath=..").get_attribute("aria-sort") == "ascending"
    ranks = [int(text) for text in tab.column(1)]
    assert ranks == sorted(ranks)
    assert ranks[0] == 1
    header.click()
    assert header.locator("xpath=..").get_attribute("aria-sort") == "descending"
    ranks = [int(text.replace(",", "")) for text in tab.column(1)]
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[0] > 10
    tab.page.locator("[data-sort=change]").click()
    assert tab.page.locator("[aria-sort=none]").count() == 3


def test_it_searches_and_filters(tab: Tab) -> None:
    page = tab.page
    page.get_by_label("Search the questions").fill("list")
    assert all("list" in question.lower() for question in tab.questions())
    assert page.locator("#count").inner_text().endswith("of 181 questions")
    page.get_by_label("Search the questions").fill("no such words at all")
    assert tab.questions() == []
    assert page.locator("#count").inner_text() == "0 of 181 questions"
    page.get_by_label("Search the questions").fill("")
    page.get_by_label("Change").select_option("worse")
    assert tab.questions()
    assert all(text.startswith("\N{MINUS SIGN}") for text in tab.column(3))
    page.get_by_label("Change").select_option("")
    page.get_by_label("Training").select_option(label="documents never seen")
    assert 0 < int(page.locator("#count").inner_text().split()[0]) < 181


def test_a_question_opens_and_shows_what_moved(tab: Tab) -> None:
    page = tab.page
    button = page.locator("#list tbody th button").first
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    for side in ("base", "adapted"):
        assert page.locator(f".side.{side} li").count() >= 10
        assert page.locator(f".side.{side} li.right").count() == 1
    ranks = [int(page.locator(f".side.{side} li.right .rank").inner_text()[:-1]) for side in ("base", "adapted")]
    assert ranks == [int(tab.column(number)[0]) for number in (1, 2)]
    moved = set(page.eval_on_selector_all(".side.base li", "all => all.map(one => one.dataset.passage)"))
    moved &= set(page.eval_on_selector_all(".side.adapted li", "all => all.map(one => one.dataset.passage)"))
    assert page.locator(".moves path").count() == len(moved)
    assert page.locator(".moves path.right").count() == 1
    assert page.locator(".moves path.right").bounding_box()["width"] > 20
    button.click()
    assert page.locator("tr.detail").count() == 0


def test_the_keyboard_is_enough(tab: Tab) -> None:
    page = tab.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash === '#verdict'")  # a moment later, on a busy machine
    page.locator("#search").focus()
    for _ in range(12):  # past the filters and the headers
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.question !== undefined"):
            break
    first = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    assert page.locator("tr.detail").count() == 1
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == tab.questions()[1]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.textContent") == tab.questions()[-1]
    page.keyboard.press("Escape")
    assert page.locator("tr.detail").count() == 0
    assert page.evaluate("document.activeElement.textContent") == first
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_the_theme_is_toggled_and_remembered(tab: Tab) -> None:
    page, paper = tab.page, "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_role("button", name="Dark theme").click()
    dark = page.evaluate(paper)
    assert dark != light
    page.reload()
    assert page.evaluate(paper) == dark
    page.get_by_role("button", name="Light theme").click()
    assert page.evaluate(paper) == light


def test_hostile_words_are_words(tab: Tab) -> None:
    page = tab.page
    page.locator("#search").fill("onerror")
    assert tab.questions() == [clean(HOSTILE)]
    page.locator("#list tbody th button").click()
    assert page.locator("img").count() == 0
    assert page.title() != "owned"


def test_the_lines_are_copied(browser: Any, pages: dict[str, Path]) -> None:
    tab = Tab(browser, pages["test"])
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = tab.page.locator("#use [data-copy]")
    button.click()
    tab.page.wait_for_function("document.querySelector('#use [data-copy]').textContent === 'Copied'")
    assert "AdaptedEmbeddings.from_pretrained" in tab.page.evaluate("navigator.clipboard.readText()")
    assert tab.complaints == []
    tab.context.close()


@pytest.mark.parametrize("name", ["test", "training", "base"])
@pytest.mark.parametrize("width", [360, 768])
def test_nothing_scrolls_sideways(browser: Any, pages: dict[str, Path], name: str, width: int) -> None:
    tab = Tab(browser, pages[name], viewport={"width": width, "height": 740}, is_mobile=width < 400)
    if tab.questions():
        tab.page.locator("#list tbody th button").first.click()
    for one in tab.page.locator("summary").all():
        one.click()
    assert tab.page.evaluate("document.documentElement.scrollWidth") == width
    assert tab.complaints == []
    tab.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["test", "training", "base"])
def test_nobody_is_kept_out(browser: Any, pages: dict[str, Path], name: str, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    tab = Tab(browser, pages[name], color_scheme=theme, reduced_motion="reduce")
    if tab.questions():
        tab.page.locator("#search").fill("list")  # a few rows are as good as all, and quicker
        tab.page.locator("#list tbody th button").first.click()
    for one in tab.page.locator("summary").all():
        one.click()
    found = axe.Axe().run(tab.page)
    told = [f"{one['id']}: {[node['target'] for node in one['nodes']][:4]}" for one in found.response["violations"]]
    assert told == []
    tab.context.close()


def test_it_prints(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    from pypdf import PdfReader

    tab = Tab(browser, pages["test"], color_scheme="dark")
    tab.page.locator("#list tbody th button").first.click()
    question = tab.questions()[0]
    tab.page.pdf(path=tmp_path / "page.pdf", format="A4", print_background=True)
    printed = " ".join(page.extract_text() for page in PdfReader(tmp_path / "page.pdf").pages)
    words = " ".join(unicodedata.normalize("NFKC", printed).split())  # ligatures are letters again
    assert tab.page.locator("h1").inner_text() in words
    assert "How to repeat it" in words
    assert question in words
    assert "Show 40 more" not in words
    tab.page.emulate_media(media="print")
    assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.complaints == []
    tab.context.close()


def test_without_javascript_all_but_the_explorer_is_there(browser: Any, pages: dict[str, Path]) -> None:
    tab = Tab(browser, pages["test"], java_script_enabled=False)
    assert tab.page.get_by_text("The question explorer needs JavaScript").is_visible()
    assert not tab.page.locator("#explorer").is_visible()
    assert not tab.page.locator("#theme").is_visible()
    for section in ("verdict", "figures", "seen", "where", "questions", "shift", "choice", "data", "use", "repeat"):
        assert tab.page.locator(f"#{section}").is_visible()
    tab.context.close()


def test_it_works_where_nothing_may_be_stored(browser: Any, pages: dict[str, Path]) -> None:
    tab = Tab(browser, pages["base"])
    html = pages["base"].read_text(encoding="utf-8")
    framed = '<!DOCTYPE html><iframe sandbox="allow-scripts" src="/framed" width="900" height="700"></iframe>'
    tab.page.route(
        "http://report.test/*",
        lambda route: route.fulfill(
            body=html if route.request.url.endswith("/framed") else framed, content_type="text/html; charset=utf-8"
        ),
    )
    tab.page.goto("http://report.test/")
    frame = tab.page.frame_locator("iframe")
    frame.get_by_role("button", name="Dark theme").click()
    assert frame.get_by_role("button", name="Light theme").is_visible()
    assert not [text for text in tab.complaints if "report.test/framed" in text or "Error" in text]
    tab.context.close()

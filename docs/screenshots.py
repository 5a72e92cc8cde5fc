"""Remake the pictures of the report page: ``python docs/screenshots.py``.

The page is the demo's: Python's language reference, the embedded model, the test questions. Chromium has to be at hand
(``apt-get install chromium``); Playwright drives it and downloads nothing.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from langchain_embedding_adapter import AdapterTrainer, WordLlamaEmbeddings
from langchain_embedding_adapter.demo.journey import split_questions
from langchain_embedding_adapter.demo.language_reference import load_language_reference

IMAGES = Path(__file__).parent / "images"
COLOURS = 64
LARGEST = 150_000
"""Bytes of a picture."""


def write_page(path: Path) -> None:
    """Train as the demo does, and save the page of its test."""
    reference = load_language_reference().dataset
    train, seen, unseen = split_questions(reference)
    result = AdapterTrainer(WordLlamaEmbeddings(), show_progress=False).train(train)
    result.evaluate(reference.subset([*seen.queries, *unseen.queries])).save(path)


def verdict(page: Page) -> None:
    """The page as it opens."""


def explorer(page: Page) -> None:
    """The question that gained most, opened."""
    button = page.locator("#list tbody th button").first
    button.click()
    button.evaluate("one => scrollTo({top: one.getBoundingClientRect().top + scrollY - 110, behavior: 'instant'})")
    page.evaluate("document.activeElement.blur()")


PICTURES: dict[str, tuple[Any, dict[str, Any]]] = {
    "report-light": (verdict, {"viewport": {"width": 1120, "height": 1240}, "color_scheme": "light"}),
    "report-dark": (explorer, {"viewport": {"width": 1120, "height": 860}, "color_scheme": "dark"}),
    "report-phone": (
        verdict,
        {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "device_scale_factor": 1.5},
    ),
}


def main() -> None:
    """Write every picture."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("there is no Chromium here: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = Path(folder) / "report.html"
        write_page(path)
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (prepare, options) in PICTURES.items():
            page = browser.new_context(**options).new_page()
            page.goto(path.as_uri())
            prepare(page)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            file = IMAGES / f"{name}.png"
            picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
            size = file.stat().st_size
            print(f"{file}: {picture.width} × {picture.height}, {size:,} bytes")
            if size > LARGEST:
                sys.exit(f"{file} is larger than {LARGEST:,} bytes")
        browser.close()


if __name__ == "__main__":
    main()

"""The cookbook's notebooks run from top to bottom, offline, each in an empty folder, and end with a picture."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

COOKBOOK = Path(__file__).parents[2] / "cookbook"
NOTEBOOKS = sorted(COOKBOOK.glob("*.ipynb"))


def draws(cell: NotebookNode) -> bool:
    return any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def last_code(notebook: NotebookNode) -> NotebookNode:
    return [cell for cell in notebook.cells if cell.cell_type == "code"][-1]


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_runs_from_top_to_bottom(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)  # without a key the notebooks bring stand-ins
    monkeypatch.setenv("PYTHONPATH", str(COOKBOOK))  # where a reader has them open
    notebook = nbformat.read(file, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(tmp_path))
    printed = [
        output.get("text", "") + output.get("data", {}).get("text/markdown", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    ]
    assert re.search(r"nDCG@10", "".join(printed))
    assert draws(last_code(notebook))


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_opens_with_what_one_has_at_the_end_and_was_run_whole(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    assert re.match(r"# .+\n\nAt the end you have ", notebook.cells[0].source)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert draws(last_code(notebook))
    assert file.stat().st_size < 400_000
    assert not re.search(
        r"site-packages|/(tmp|home|root|Users)/", str([cell.get("outputs") for cell in notebook.cells])
    )


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_its_links_lead_somewhere(file: Path) -> None:
    for cell in nbformat.read(file, as_version=4).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#]+)\)", cell.source):
                assert target.startswith("https://") or (COOKBOOK / target).exists(), target


def test_there_are_notebooks_and_the_list_has_them_all() -> None:
    listed = re.findall(r"\]\(([\w-]+\.ipynb)\)", (COOKBOOK / "README.md").read_text(encoding="utf-8"))
    assert len(NOTEBOOKS) >= 14
    assert sorted(listed) == [file.name for file in NOTEBOOKS]

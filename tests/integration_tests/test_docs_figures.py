"""Figures in README and pages: those of the benchmarks' tables, of the demo, of the code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from langchain_embedding_adapter import LinearAdapter, TrainingConfig, WordLlamaEmbeddings, metrics
from langchain_embedding_adapter.demo.journey import run_demo
from langchain_embedding_adapter.selection import caution, crossvalidation, fold_ranking, rule, sampling
from langchain_embedding_adapter.selection import choice as selection
from langchain_embedding_adapter.selection.candidates import candidates
from tests.snippets import CORPUS, DOCS, PAGES, ROOT, SHOWN_CORPUS

NUMBER = re.compile(r"\d+\.?\d*")


def test_figures_are_those_of_the_benchmarks() -> None:
    """Gains in README and pages are what RESULTS.md has."""
    results = {}
    for cells in table_rows(ROOT / "cookbook" / "benchmarks" / "RESULTS.md", 13):
        results[tuple(cells[:4])] = cells
    methods = {"LlamaIndex": "LlamaIndex's recipe, 4 epochs", "*of it, unseen*": "default", "unseen": "default"}
    checked = 0
    for file in (ROOT / "README.md", DOCS / "benchmarks.md", DOCS / "guides" / "choose.md"):
        for header, cells in tables_with(file, ("collection", "model", "pairs", "base")):
            row = dict(zip(header, cells, strict=True))
            for column, value in list(row.items())[4:]:
                method = methods.get(column, column)
                found = results[row["collection"], row["model"], row["pairs"], "default" if column in OTHER else method]
                place = OTHER.get(column, 9 if "unseen" in column else 5)
                assert value.strip("–") == found[place], f"{file.name}: {row['collection']}, {column}"
                checked += 1
    assert checked >= 6 * 5
    scifact, apple = (results[name, "all-MiniLM-L6-v2", pairs, "default"][10] for name, pairs in LARGEST)
    told = " ".join(PAGES["limits.md"].split())
    assert "{} got better, {} stayed and {} got worse".format(*scifact.split(" / ")) in told
    assert "Apple's report {}, {} and {}".format(*apple.split(" / ")) in told
    told = " ".join(PAGES["guides/choose.md"].split())
    for model in ("all-MiniLM-L6-v2", "WordLlama"):
        network, maps = (results[(*LARGEST[1][:1], model, LARGEST[1][1], way)][5] for way in SAME)
        assert f"{network} in place of {maps}" in told


def test_the_rule_is_told_with_the_numbers_of_the_code() -> None:
    told, config, start = " ".join(PAGES["selection.md"].split()), TrainingConfig(), LinearAdapter(4, 4)
    assert [len(candidates(start, config, questions=many, family="default")) for many in (300, 299)] == [18, 27]
    assert len(candidates(start, config, questions=300, family="default", all_passages=True)) == 30
    assert "| in all | 18 | 27 |" in told
    assert "not only those with a question: 30 in all" in told
    assert ", ".join(f"({scale:g}, {ridge:g})" for scale, ridge in config.linear_grid) in told
    assert ", ".join(f"({temperature:g}, {strength:g})" for temperature, strength in config.memory_grid) in told
    for number, said in {
        config.small: f"With fewer than {config.small} questions",
        config.folds: "There are three folds of each kind",
        metrics.SIGNIFICANT: f"less {metrics.SIGNIFICANT} standard errors",
        sampling.LARGEST: f"at most {sampling.LARGEST:,} questions",
        sampling.GROWTH * sampling.TOLERATED: "by more than half a point, up to four times as many do",
        selection.ENOUGH[rule.NEW]: f"after {selection.ENOUGH[rule.NEW]} examined questions",
        selection.ENOUGH[rule.SAME]: f"and {selection.ENOUGH[rule.SAME]} for the same",
        fold_ranking.RANKED_PASSAGES: f"more than {fold_ranking.RANKED_PASSAGES:,} without a question",
        crossvalidation.BEHIND: "more than half a standard error behind",
        caution.CAUTIOUS: "Half way is the rule",
    }.items():
        assert said in told, number
    assert (sampling.GROWTH, sampling.TOLERATED) == (4, 0.005)
    assert (config.folds, crossvalidation.BEHIND, caution.CAUTIOUS, caution.WEAK) == (3, 0.5, 0.5, 0.25)


def test_the_demos_table_is_what_the_demo_finds(tmp_path: Path) -> None:
    if CORPUS != SHOWN_CORPUS:
        pytest.skip("the README's table is of another Python's language reference")
    found = run_demo(tmp_path, WordLlamaEmbeddings(), show_progress=False)
    assert (found.trained_on, len(found.report.query_ids)) == (319, 180)
    header = ("metric", "base", "adapted", "gain", "p", "better", "same", "worse")
    table = [cells for _, cells in tables_with(ROOT / "README.md", header)]
    assert [cells[0] for cells in table] == ["hit rate@5", "MRR@10", "nDCG@10"]
    printed = found.report.to_markdown()
    for cells in table:
        assert re.search(r"\| +".join(map(re.escape, cells)).replace(r"\|", r" *\|"), printed), cells


def test_the_pictures_are_of_the_present_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if CORPUS != SHOWN_CORPUS:
        pytest.skip("the pictures are of another Python's language reference")
    monkeypatch.syspath_prepend(DOCS)
    figures = importlib.import_module("figures")
    monkeypatch.setattr(figures, "ASSETS", tmp_path)
    figures.main()
    drawn = sorted(tmp_path.glob("*.svg"))
    assert len(drawn) == 12
    for file in drawn:
        kept, new = ((folder / file.name).read_text(encoding="utf-8") for folder in (DOCS / "assets", tmp_path))
        assert NUMBER.sub("", kept) == NUMBER.sub("", new), file.name
        moved = [abs(float(one) - float(other)) for one, other in zip(*map(NUMBER.findall, (kept, new)), strict=True)]
        assert max(moved) < 1, file.name  # of a picture's points


LARGEST = [("scifact", "809"), ("apple_environment_2024", "3010")]
SAME = ("auto, same passages", "same passages")

OTHER = {"better / same / worse": 10, "seconds": 12}
"""Columns of the default's row, and where RESULTS.md has them."""


def table_rows(file: Path, width: int) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in file.read_text().splitlines()]
    return [row for row in rows if len(row) == width]


def tables_with(file: Path, start: tuple[str, ...]) -> list[tuple[list[str], list[str]]]:
    """The rows of a file's tables whose header begins so, each with its header."""
    found = []
    header: list[str] | None = None
    for line in file.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            header = None
        elif tuple(cells[: len(start)]) == start:
            header = cells
        elif header is not None and not set("".join(cells)) <= set("-: "):
            found.append((header, cells))
    return found

"""What quality.py measured, as tables, as RESULTS.md and as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from command import command_line

from langchain_embedding_adapter.plots import Gain, plot_gains
from langchain_embedding_adapter.tables import aligned

RECIPE = "LlamaIndex's recipe, 4 epochs"
DEFAULT = "default"

RESULTS = """# Results

nDCG@10 × 100 gained over the base by changing the query vector only, on the collections' own test questions. Made by

```bash
{command}
```

(what the methods are stands at the head of that file). Where pairs are fewer than all, figures are means over subsets,
and *worst* is the worst subset; *seen* and *unseen* are the test questions about passages with and without a training
question.

## The default

{summary}

![Gain against training pairs](quality.svg)

## Every way to train

*95 %* is a bootstrap interval over questions; better / same / worse count the questions of the first subset; *texts* is
how many texts were embedded to train, *s* the seconds that embedding (a look-up here), choosing and fitting took.

{table}

## What was chosen

{chosen}
"""


def write(rows: list[dict[str, Any]], folder: Path) -> None:
    """RESULTS.md and quality.svg."""
    text = RESULTS.format(command=command_line(), summary=summary(rows), table=table(rows), chosen=choices(rows))
    (folder / "RESULTS.md").write_text(text, encoding="utf-8")
    draw(rows, folder / "quality.svg")


def summary(rows: list[dict[str, Any]]) -> str:
    """The default beside LlamaIndex's recipe."""
    found = {(row["collection"], row["model"], row["pairs"], row["method"]): row for row in rows}
    header = ["collection", "model", "pairs", "base", RECIPE, DEFAULT, "worst", "seen", "unseen"]
    lines = []
    for (collection, model, pairs, method), row in found.items():
        if method == DEFAULT:
            other = found[collection, model, pairs, RECIPE]
            gains = [other["gain"], *(row[name] for name in ("gain", "worst", "seen", "unseen"))]
            lines.append([collection, model, str(pairs), f"{100 * row['base']:.1f}", *map(points, gains)])
    return aligned(header, lines)


def table(rows: list[dict[str, Any]]) -> str:
    """Every row, gains in points of nDCG@10."""
    columns = {
        "collection": lambda row: row["collection"],
        "model": lambda row: row["model"],
        "pairs": lambda row: str(row["pairs"]),
        "method": lambda row: row["method"],
        "base": lambda row: f"{100 * row['base']:.1f}",
        "gain": lambda row: points(row["gain"]),
        "95 %": lambda row: f"{points(row['low'])} … {points(row['high'])}",
        "worst": lambda row: points(row["worst"]),
        "seen": lambda row: points(row["seen"]),
        "unseen": lambda row: points(row["unseen"]),
        "better / same / worse": lambda row: f"{row['better']} / {row['same']} / {row['worse']}",
        "texts": lambda row: str(row["texts"]),
        "s": lambda row: f"{row['seconds']:.1f}",
    }
    return aligned(list(columns), [[cell(row) for cell in columns.values()] for row in rows])


def choices(rows: list[dict[str, Any]]) -> str:
    """What selection took by default and with ``adapter="auto"``, in the first subset of each size."""
    keys = ("collection", "model", "pairs", "method", "chosen")
    chosen = [[str(row[key]) for key in keys] for row in rows if row["method"] in (DEFAULT, "auto")]
    return aligned(keys, chosen)


def points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:+.1f}"


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Gain against pairs, a panel for each collection and model; bars are the 95 % intervals of the table."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys((row["collection"], row["model"]) for row in rows))
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    axes = figure.subplots(2, -(-len(panels) // 2)).ravel()
    shown = [DEFAULT, "in-batch softmax, early stop", "linear", RECIPE]
    for (collection, model), axis in zip(panels, axes, strict=False):
        found: dict[str, dict[int, Gain]] = {name: {} for name in shown}
        for row in rows:
            if (row["collection"], row["model"]) == (collection, model) and row["method"] in shown:
                found[row["method"]][row["pairs"]] = Gain(row["gain"], row["low"], row["high"])
        plot_gains(found, ax=axis).get_legend().remove()
        axis.set(title=f"{collection}\n{model}", ylabel="nDCG@10 × 100 gained")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(shown))
    with mpl.rc_context({"svg.hashsalt": file.name}):  # the same figures, the same file
        figure.savefig(file, metadata={"Date": None})

"""What trackers are told: settings, final figures, the candidates of the selection, the report as a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.result import TrainingResult
from langchain_embedding_adapter.tables import aligned

if TYPE_CHECKING:
    from langchain_embedding_adapter.selection.training import Task  # it brings torch


def settings_of(task: Task, embeddings: Embeddings, adapter: BaseAdapter | str | None, expect: str) -> dict[str, Any]:
    """What a training starts from: names, counts and every setting."""
    asked = adapter.kind or type(adapter).__name__ if isinstance(adapter, BaseAdapter) else adapter or "default"
    return {
        "embeddings": model_name(embeddings),
        "dimensions": task.vectors.queries.shape[1],
        "adapter": asked,
        "expect": expect,
        **task.counts,
        "data": task.digest,
        **asdict(task.config),
    }


def figures_of(result: TrainingResult) -> dict[str, float]:
    """Every metric's base, adapted, gain and p-value as ``"gain/ndcg@10"``, and whether the adapter is used."""
    found = {"improved": float(result.improved)}
    for row in result.report.rows:
        figures = {"base": row.base, "adapted": row.adapted, "gain": row.gain, "p_value": row.p_value}
        found |= {f"{name}/{row.metric}": float(value) for name, value in figures.items() if value is not None}
    return found


def candidates_of(result: TrainingResult) -> list[dict[str, Any]]:
    """A row a candidate that was examined: its name, and in every future its gain and the gain's standard error."""
    if result.selection is None:
        return []
    told = result.selection.to_dict()
    return [
        {"candidate": row["candidate"], "chosen": row["candidate"] == told["chosen"]}
        | {
            f"{figure}, {future}": float(value)
            for future, figures in row.items()
            if isinstance(figures, Mapping)
            for figure, value in figures.items()
        }
        for row in told["candidates"]
    ]


def candidate_steps(result: TrainingResult) -> list[dict[str, float]]:
    """The same as steps, in the order in which they were tried: ``"selection/gain, new passages"``."""
    return [
        {f"selection/{name}": value for name, value in row.items() if isinstance(value, float)}
        for row in candidates_of(result)
    ]


def settings_table(settings: Mapping[str, Any]) -> str:
    """Settings as a Markdown table."""
    return aligned(["setting", "value"], [[name, str(value)] for name, value in settings.items()])


@contextmanager
def report_file(result: TrainingResult) -> Iterator[Path]:
    """The report in a file that is there as long as the ``with``: the page, or the table where its extra is missing."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / ("report.html" if find_spec("jinja2") else "report.md")
        result.report.save(path)
        yield path

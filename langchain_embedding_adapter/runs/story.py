"""The story of a run, from its files: the training's own, the generation before it, the commands that repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from langchain_embedding_adapter._files import read_json, read_jsonl
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.story import TrainingStory

SAMPLES = 5
"""Questions that were turned down, so many of them are shown."""


def story_of_run(folder: Path, dataset: QADataset, settings: Mapping[str, Mapping[str, Any]]) -> TrainingStory:
    """How a run's adapter came about.

    Args:
        folder: The run.
        dataset: Its pairs.
        settings: What each stage was made with: the content of ``run.json``.

    Returns:
        The story; of a run that was trained before stories were kept, the verdict alone.
    """
    verdict, story = read_json(folder / "verdict.json"), saved_story(folder / "adapter")
    if story is None:
        metric = settings.get("train", {}).get("metric", TrainingConfig().metric)
        story = TrainingStory(verdict["verdict"], verdict["improved"], metric, folder=str(folder / "adapter"))
    trained = [query for query in read_json(folder / "split.json")["train"] if query in dataset.queries]
    seen = {passage for query in trained for passage in dataset.relevant_docs[query]}
    summary, rejected = folder / "answers.summary.json", folder / "answers.rejected.jsonl"
    return replace(
        story,
        questions=frozenset(trained),
        seen=frozenset(seen),
        seen_documents=frozenset(map(dataset.document, seen)),
        generation=read_json(summary) if summary.is_file() else {},
        rejected=tuple(islice(read_jsonl(rejected), SAMPLES)) if rejected.is_file() else (),
        commands=_commands(folder, settings),
    )


def saved_story(adapter: Path) -> TrainingStory | None:
    """The story that a training saved beside its adapter; ``None`` where it saved none.

    Raises:
        ValueError: If the file holds something else.
    """
    file = adapter / "story.json"
    return replace(TrainingStory.from_dict(read_json(file)), folder=str(adapter)) if file.is_file() else None


def _commands(folder: Path, settings: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The stages as they were asked for, as far as they differ from what is asked by default."""
    run = shlex.quote(str(folder))
    pairs, train = settings.get("pairs", {}), settings.get("train", {})
    lines = []
    if "sources" in pairs:
        asker = "--pseudo" if pairs.get("llm") is None else f"--llm {shlex.quote(pairs['llm'])}"
        sources = " ".join(map(shlex.quote, pairs["sources"]))
        lines.append(f"embedding-adapter pairs {run} {sources} {asker}")
    options = {
        "embeddings": train.get("embeddings"),
        "adapter": _unless(train.get("adapter"), "default"),
        "expect": _unless(train.get("expect"), "both"),
        "test-size": _unless(train.get("test_size"), 0.2),
        "validation": train.get("validation"),
        "metric": _unless(train.get("metric"), TrainingConfig().metric),
        "seed": _unless(train.get("seed"), TrainingConfig().seed),
        "pairs": pairs.get("from"),
    }
    told = "".join(f" --{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None)
    lines += [f"embedding-adapter train {run}{told}", f"embedding-adapter report {run}"]
    return tuple(lines)


def _unless(value: Any, default: Any) -> Any:
    return None if value == default else value

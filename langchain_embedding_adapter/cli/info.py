"""``embedding-adapter info``: what an adapter or a run is, and whether its base model is still what it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from langchain_embedding_adapter.cli.opening import (
    WrongUsageError,
    base_of,
    embeddings_named,
    is_adapter,
    is_run,
    open_run,
    show,
)
from langchain_embedding_adapter.cli.options import AsJson, EmbeddingsName

STAGES = (
    ("pairs", "pairs.json", "embedding-adapter pairs {run} DOCUMENTS"),
    ("train", "verdict.json", "embedding-adapter train {run}"),
    ("evaluate", "report.json", "embedding-adapter evaluate {run}"),
)


def info(
    folder: Annotated[Path, typer.Argument(help="A saved adapter, or a run.", metavar="FOLDER", show_default=False)],
    check: Annotated[
        bool, typer.Option("--check", help="Ask the base model whether it still answers as it did; else exit with 1.")
    ] = False,
    embeddings: EmbeddingsName = None,
    as_json: AsJson = False,
) -> None:
    """What an adapter or a run is, and how it did.

    Of a run it says which stages are there and what comes next.
    """
    told: dict[str, Any] = {}
    lines: list[str] = []
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; name a run or a saved adapter")
    inner = folder / "adapter"
    if not is_run(folder) and not is_adapter(folder) and not is_adapter(inner):
        raise ValueError(f"{folder} is neither a run nor a saved adapter: it holds no run.json and no config.json")
    if is_run(folder):
        told["run"] = _stages(folder)
        lines += [_stages_in_words(folder, told["run"]), ""]
    same: bool | None = True
    if inner.is_dir() or not is_run(folder):
        config, described = _described(inner if inner.is_dir() else folder)
        told = config | told
        lines += described
        if check:
            same, found = _checked(folder, config, embeddings)
            told["check"] = found
            lines += ["", f"check: {found['verdict']}"]
    elif check:
        raise WrongUsageError(f"{folder} has no adapter yet, and so no base model to check")
    show(told, "\n".join(lines).rstrip(), as_json)
    if same is False:
        raise typer.Exit(1)


def _described(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """A saved adapter: its configuration with its size, and the same in words."""
    from langchain_embedding_adapter.embeddings.pretrained import describe_saved
    from langchain_embedding_adapter.tables import comparison

    config, described = describe_saved(folder)
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    weights = (folder / "model.safetensors").stat().st_size
    saved_with = config.get("package_version", "an earlier version")
    lines = [
        described,
        f"{_readable(size)} on disk, {_readable(weights)} of them weights; saved by version {saved_with}, "
        f"format {config.get('format_version', 1)}",
    ]
    training, report = config.get("training", {}), config.get("report")
    if training:
        lines.append(f"trained on {training['questions']} questions; improved: {training['improved']}")
        if "chosen" in training:
            lines.append(f"chosen: {training['chosen']}")
    if report:
        lines += ["", f"{report['questions']} held-out questions", "", comparison(report["metrics"])]
    return config | {"size": {"bytes": size, "weights": weights}}, lines


def _stages(folder: Path) -> dict[str, Any]:
    """Which stages of a run are there, what they were made with, and the command that comes next."""
    made = {name: (folder / file).is_file() for name, file, _ in STAGES}
    settings = folder / "run.json"
    return {
        "folder": str(folder),
        "stages": made,
        "settings": json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {},
        "size": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        "next": _next(folder, made),
    }


def _next(folder: Path, made: Mapping[str, bool]) -> str:
    """The command that comes next; pseudo-questions are no test, and real ones have to be named."""
    missing = [(name, command.format(run=folder)) for name, _, command in STAGES if not made[name]]
    if not missing:
        return f'embedding-adapter ask {folder} "…"'
    name, command = missing[0]
    split = folder / "split.json"
    untested = name == "evaluate" and split.is_file() and not json.loads(split.read_text(encoding="utf-8"))["test"]
    return command + " --pairs real.csv" * untested


def _stages_in_words(folder: Path, told: Mapping[str, Any]) -> str:
    marks = ", ".join(f"{name} {'✔' if made else '–'}" for name, made in told["stages"].items())
    model = told["settings"].get("train", {}).get("embeddings")
    by = f"; embeddings {model}" if model else ""
    return f"run {folder}: {marks}{by}; {_readable(told['size'])}\nnext: {told['next']}"


def _checked(folder: Path, config: Mapping[str, Any], embeddings: str | None) -> tuple[bool | None, dict[str, Any]]:
    """Whether the base model still answers as it did, and that as JSON can hold it."""
    from langchain_embedding_adapter.embeddings.fingerprint import check_base
    from langchain_embedding_adapter.embeddings.pretrained import recorded_base

    if not is_run(folder) and embeddings is None:
        raise WrongUsageError("name the model to check: --embeddings provider:model")
    base = base_of(open_run(folder), embeddings) if is_run(folder) else embeddings_named(str(embeddings))
    found = check_base(recorded_base(config), base)
    return found.same, {"same": found.same, "verdict": str(found), "matches": list(found.matches)}


def _readable(size: int) -> str:
    """Bytes as people say them.

    >>> _readable(263_000)
    '263 kB'
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"

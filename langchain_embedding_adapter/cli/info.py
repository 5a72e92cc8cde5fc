"""``embedding-adapter info``: what an adapter is, and whether its base model is still what it was."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langchain_embedding_adapter.cli.opening import WrongUsageError, base_of, embeddings_named, open_run, show
from langchain_embedding_adapter.cli.options import AsJson, EmbeddingsName
from langchain_embedding_adapter.tables import comparison


def info(
    folder: Annotated[Path, typer.Argument(help="A saved adapter, or a run.", show_default=False)],
    check: Annotated[
        bool, typer.Option("--check", help="Ask the base model whether it still answers as it did; else exit with 1.")
    ] = False,
    embeddings: EmbeddingsName = None,
    as_json: AsJson = False,
) -> None:
    """Say what an adapter is, what it was trained on, and how it did.

    embedding-adapter info handbook-run --check
    """
    from langchain_embedding_adapter.pretrained import describe_saved, recorded_base

    inner = folder / "adapter"
    config, described = describe_saved(inner if inner.is_dir() else folder)
    lines = [described]
    training, report = config.get("training", {}), config.get("report")
    if training:
        lines.append(f"trained on {training['questions']} questions; improved: {training['improved']}")
        if "chosen" in training:
            lines.append(f"chosen: {training['chosen']}")
    if report:
        lines += ["", f"{report['questions']} held-out questions", "", comparison(report["metrics"])]
    same: bool | None = True
    if check:
        from langchain_embedding_adapter.fingerprint import check_base

        if embeddings is None and not inner.is_dir():
            raise WrongUsageError("name the model to check: --embeddings provider:model")
        base = base_of(open_run(folder), embeddings) if inner.is_dir() else embeddings_named(str(embeddings))
        found = check_base(recorded_base(config), base)
        same = found.same
        lines += ["", f"check: {found}"]
        config = config | {"check": {"same": same, "verdict": str(found), "matches": list(found.matches)}}
    show(config, "\n".join(lines), as_json)
    if same is False:
        raise typer.Exit(1)

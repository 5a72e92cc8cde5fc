"""``embedding-adapter pairs``: documents to chunks to questions about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from langchain_embedding_adapter.cli.opening import chat_model_named, embeddings_named, open_run, show
from langchain_embedding_adapter.cli.options import LOCAL, AsJson, Force, RunFolder
from langchain_embedding_adapter.documents import CHUNK_OVERLAP, CHUNK_SIZE
from langchain_embedding_adapter.styles import STYLES


def pairs(
    run: RunFolder,
    documents: Annotated[
        list[Path], typer.Argument(help="Text, Markdown, PDF and JSONL files, or folders of them.", show_default=False)
    ],
    llm: Annotated[
        str | None, typer.Option(help="The chat model that writes questions, as provider:model.", show_default=False)
    ] = None,
    pseudo: Annotated[
        bool, typer.Option("--pseudo", help="No chat model: cut pseudo-questions from the passages.")
    ] = False,
    questions_per_chunk: Annotated[int, typer.Option(min=1, help="How many questions to ask for.")] = 2,
    chunk_size: Annotated[int, typer.Option(min=1, help="Most characters of a chunk.")] = CHUNK_SIZE,
    chunk_overlap: Annotated[int, typer.Option(min=0, help="Characters that neighbours share.")] = CHUNK_OVERLAP,
    max_concurrency: Annotated[int, typer.Option(min=1, help="How many calls at a time.")] = 16,
    prompt: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file with another prompt, with {passage}, {questions_per_chunk}, {instructions}. Several: mixed."
        ),
    ] = None,
    style: Annotated[
        list[str] | None,
        typer.Option(help=f"How to ask: {', '.join(STYLES)}, with a weight after = if you like. Several are mixed."),
    ] = None,
    language: Annotated[list[str] | None, typer.Option(help="Language to ask in; by default the passage's.")] = None,
    persona: Annotated[list[str] | None, typer.Option(help="Who asks: 'a nurse on a night shift'.")] = None,
    examples: Annotated[
        Path | None, typer.Option(help="A file of questions that your users ask, one a line: the model is shown some.")
    ] = None,
    difficulty: Annotated[str | None, typer.Option(help="easy (in the passage's words) or hard (in others).")] = None,
    max_calls: Annotated[int | None, typer.Option(min=0, help="End cleanly after so many calls.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=0, help="End cleanly after so many tokens, in and out.")] = None,
    found_within: Annotated[
        int | None, typer.Option(min=1, help="Keep questions whose passage --embeddings rank so high.")
    ] = None,
    embeddings: Annotated[str, typer.Option(help="For --found-within: provider:model, or local:wordllama.")] = LOCAL,
    judge: Annotated[
        str | None, typer.Option(help="A chat model that is asked whether the passage answers each question.")
    ] = None,
    test_size: Annotated[
        float, typer.Option(help="Lay down now, by whole documents, a share of the chunks for the test: it stays.")
    ] = 0.0,
    validation_size: Annotated[float, typer.Option(help="Likewise for the validation that decides.")] = 0.0,
    limit: Annotated[int | None, typer.Option(min=1, help="A preview: ask about so many chunks only.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the prompt, calls, tokens and cost; ask nothing.")
    ] = False,
    price_in: Annotated[float | None, typer.Option(help="For --dry-run: price of a million tokens in.")] = None,
    price_out: Annotated[float | None, typer.Option(help="For --dry-run: price of a million tokens out.")] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Cut documents into chunks and let a chat model write questions about each.

    embedding-adapter pairs handbook-run handbook/ --llm openai:gpt-4o-mini
    """
    if pseudo == (llm is not None):
        raise typer.BadParameter("name the chat model that writes questions with --llm, or ask for --pseudo ones")
    settings: dict[str, Any] = {
        "llm": llm,
        "chunk_size": chunk_size,
        "chunk_overlap": chunk_overlap,
        "questions_per_chunk": questions_per_chunk,
        "max_concurrency": max_concurrency,
        "prompt": [file.read_text(encoding="utf-8") for file in prompt] if prompt else None,
        "styles": _weights(style or ["natural"]),
        "languages": language or [],
        "personas": persona or [],
        "examples": examples.read_text(encoding="utf-8").splitlines() if examples else [],
        "difficulty": difficulty,
        "max_calls": max_calls,
        "max_tokens": max_tokens,
        "limit": limit,
        "test_size": test_size,
        "validation_size": validation_size,
    }
    the_run = open_run(run)
    if dry_run:
        prices = None if price_in is None or price_out is None else (price_in, price_out)
        plan = the_run.plan_pairs(documents, prices, settings)
        show(plan.to_dict(), str(plan), as_json)
        return
    dataset = the_run.make_pairs(
        documents,
        None if llm is None else lambda: chat_model_named(llm),
        settings=settings,
        force=force,
        found_within=found_within,
        embeddings=None if found_within is None else embeddings_named(embeddings),
        judge=None if judge is None else chat_model_named(judge),
    )
    counts = {
        "questions": len(dataset),
        "passages": len(dataset.corpus),
        "pairs": str(the_run.pairs_file),
        "generation": the_run.summary,
    }
    show(counts, f"{dataset}, in {counts['pairs']}", as_json)


def _weights(styles: list[str]) -> dict[str, float]:
    """``natural`` and ``keywords=2`` as weights by name."""
    found = {}
    for style in styles:
        name, _, weight = style.partition("=")
        try:
            found[name] = float(weight or 1)
        except ValueError:
            raise typer.BadParameter(f"expected --style NAME or NAME=WEIGHT, got {style!r}") from None
    return found

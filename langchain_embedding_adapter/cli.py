"""The command ``embedding-adapter``: the journey from a shell.

Data goes to standard output, talk and progress to standard error; ``--json`` gives one JSON object. An error is one
line.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

try:
    import typer
except ModuleNotFoundError:  # pragma: no cover - a bare environment has no way to run this line's test
    sys.exit("error: the command needs the extra `cli`: pip install 'langchain-embedding-adapter[cli]'")

from langchain_embedding_adapter._version import __version__
from langchain_embedding_adapter.candidates import Future
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.documents import CHUNK_OVERLAP, CHUNK_SIZE
from langchain_embedding_adapter.models import load_chat_model, load_embeddings
from langchain_embedding_adapter.styles import STYLES
from langchain_embedding_adapter.tables import comparison, side_by_side, start_of

if TYPE_CHECKING:
    from langchain_embedding_adapter.runs import Hit, Run

app = typer.Typer(
    name="embedding-adapter",
    help="Better retrieval without touching the index: train, examine and use adapters for query vectors.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
DEFAULTS = TrainingConfig()
LOCAL = "local:wordllama"

RunFolder = Annotated[Path, typer.Argument(help="The folder of the run.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Force = Annotated[bool, typer.Option("--force", help="Make the stage anew, even if its file exists.")]
EmbeddingsName = Annotated[
    str | None,
    typer.Option("--embeddings", help="provider:model, or local:wordllama; by default the run's.", show_default=False),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[  # noqa: ARG001 its callback has done what there is to do
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors on standard error.")] = False,
) -> None:
    logging.getLogger("langchain_embedding_adapter").setLevel(logging.WARNING if quiet else logging.INFO)


@app.command()
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
    the_run = _run(run)
    if dry_run:
        prices = None if price_in is None or price_out is None else (price_in, price_out)
        plan = the_run.plan_pairs(documents, prices, settings)
        _print(plan.to_dict(), str(plan), as_json)
        return
    dataset = the_run.make_pairs(
        documents,
        None if llm is None else lambda: load_chat_model(llm),
        settings=settings,
        force=force,
        found_within=found_within,
        embeddings=None if found_within is None else load_embeddings(embeddings),
        judge=None if judge is None else load_chat_model(judge),
    )
    counts = {
        "questions": len(dataset),
        "passages": len(dataset.corpus),
        "pairs": str(the_run.pairs_file),
        "generation": the_run.summary,
    }
    _print(counts, f"{dataset}, in {counts['pairs']}", as_json)


@app.command()
def train(
    run: RunFolder,
    embeddings: EmbeddingsName = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Pairs that are at hand: our JSON, LlamaIndex's, or a BEIR folder.")
    ] = None,
    adapter: Annotated[
        str,
        typer.Option(
            help="What to choose among: default (linear maps with and without a memory), linear, memory or auto; "
            "or what to train in epochs: two-layer or low-rank."
        ),
    ] = "default",
    expect: Annotated[Future, typer.Option(help="What tomorrow's questions will be about.")] = "both",
    test_size: Annotated[
        float, typer.Option(help="Share of the questions that is kept for the test, unless `pairs` laid it down.")
    ] = 0.2,
    validation: Annotated[
        Path | None,
        typer.Option(help="Pairs that decide, in place of cross-validation; after `pairs --pseudo`, real ones."),
    ] = None,
    metric: Annotated[str, typer.Option(help="What decides between candidates.")] = DEFAULTS.metric,
    seed: Annotated[int, typer.Option(help="Of the split and of training.")] = DEFAULTS.seed,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Train an adapter on a run's pairs, and keep it only if it beats the base.

    embedding-adapter train handbook-run --embeddings openai:text-embedding-3-small
    """
    the_run = _run(run)
    if pairs is not None:
        the_run.take_pairs(pairs, force=force)
    name = embeddings or the_run.settings.get("train", {}).get("embeddings") or LOCAL
    improved, verdict = the_run.train(
        lambda: load_embeddings(name),
        embeddings=name,
        adapter=adapter,
        expect=expect,
        test_size=test_size,
        validation=validation,
        config=TrainingConfig(metric=metric, seed=seed),
        force=force,
    )
    folder = str(the_run.adapter_folder)
    _print({"improved": improved, "verdict": verdict, "adapter": folder}, f"{verdict}\n{folder}", as_json)


@app.command()
def evaluate(
    run: Annotated[Path | None, typer.Argument(help="The folder of the run.", show_default=False)] = None,
    embeddings: EmbeddingsName = None,
    adapter: Annotated[Path | None, typer.Option(help="In place of a run: a saved adapter …")] = None,
    pairs: Annotated[Path | None, typer.Option(help="… and the questions to examine it with.")] = None,
    as_json: AsJson = False,
) -> None:
    """Base against adapted, on the questions that training has not seen.

    embedding-adapter evaluate handbook-run
    """
    from langchain_embedding_adapter.embeddings import AdaptedEmbeddings
    from langchain_embedding_adapter.evaluation import evaluate_retrieval
    from langchain_embedding_adapter.pairs import QADataset

    if run is not None and adapter is None and pairs is None:
        report = _run(run).evaluate(_base(_run(run), embeddings))
    elif run is None and adapter is not None and pairs is not None:
        base = load_embeddings(embeddings or LOCAL)
        report = evaluate_retrieval(AdaptedEmbeddings.from_pretrained(adapter, base), QADataset.load(pairs))
    else:
        raise typer.BadParameter("name either a run, or --adapter and --pairs")
    _print(report.to_dict(), str(report), as_json)


@app.command()
def ask(
    run: RunFolder,
    question: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many passages to show.")] = 5,
    embeddings: EmbeddingsName = None,
    as_json: AsJson = False,
) -> None:
    """Show what a question finds, base beside adapted.

    embedding-adapter ask handbook-run "who approves parental leave?"
    """
    base, adapted = _run(run).ask(_base(_run(run), embeddings), question, k)
    found = {"question": question, "base": [vars(hit) for hit in base], "adapted": [vars(hit) for hit in adapted]}
    _print(found, side_by_side(_cells(base, adapted), _cells(adapted, base)), as_json)


@app.command()
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
            raise typer.BadParameter("name the model to check: --embeddings provider:model")
        base = _base(_run(folder), embeddings) if inner.is_dir() else load_embeddings(str(embeddings))
        found = check_base(recorded_base(config), base)
        same = found.same
        lines += ["", f"check: {found}"]
        config = config | {"check": {"same": same, "verdict": str(found), "matches": list(found.matches)}}
    _print(config, "\n".join(lines), as_json)
    if same is False:
        raise typer.Exit(1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the adapter and the index go.")] = Path("demo-run"),
    llm: Annotated[
        str | None, typer.Option(help="Let this chat model write the training questions, as provider:model.")
    ] = None,
    embeddings: Annotated[str, typer.Option(help="provider:model, or local:wordllama.")] = LOCAL,
    as_json: AsJson = False,
) -> None:
    """Run the whole journey on Python's language reference: no key, no network.

    embedding-adapter demo
    """
    from langchain_embedding_adapter.demo import run_demo

    result = run_demo(folder, load_embeddings(embeddings), llm=load_chat_model(llm) if llm else None)
    _print(result.to_dict(), str(result), as_json)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; ``arguments`` are those of the process unless given.

    Raises:
        SystemExit: Always: 0 if all went well, 1 after an error, 2 after wrong usage, 130 after Ctrl-C.
    """
    handler = logging.StreamHandler(sys.stderr)
    logger = logging.getLogger("langchain_embedding_adapter")
    logger.addHandler(handler)
    try:
        sys.exit(typer.main.get_command(app)(arguments, standalone_mode=False) or 0)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        if hasattr(error, "format_message"):  # wrong usage, whichever click it comes from
            _fail(error.format_message(), 2)
        known = isinstance(error, (ValueError, OSError, ImportError, RuntimeError))
        _fail(str(error) if known and str(error) else f"{type(error).__name__}: {error}", 1)
    finally:
        logger.removeHandler(handler)


def _fail(message: str, code: int) -> None:
    print("error:", " ".join(message.split()), file=sys.stderr)  # noqa: T201 the command talks to its user
    sys.exit(code)


def _run(folder: Path) -> Run:
    from langchain_embedding_adapter.runs import Run

    return Run(folder)


def _base(run: Run, name: str | None) -> Any:
    """The base embeddings of a run, unless others are named."""
    return load_embeddings(name or run.settings.get("train", {}).get("embeddings") or LOCAL)


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


def _cells(hits: list[Hit], others: list[Hit]) -> list[str]:
    """A line for each hit: where it moved to or came from, its score, the start of its text."""
    places = {hit.passage: hit.rank for hit in others}
    lines = []
    for hit in hits:
        place = places.get(hit.passage)
        mark = "new" if place is None else "=" if place == hit.rank else f"{place:>2}"
        lines.append(f"{mark:>3} {hit.score:.3f} {start_of(hit.text)}")
    return lines


def _print(data: Any, text: str, as_json: bool) -> None:
    typer.echo(json.dumps(data, ensure_ascii=False) if as_json else text)


if __name__ == "__main__":
    main()

"""What a run is told: every option of its stages with its default, its help and an example, written once.

The command's flags, the TOML file of ``embedding-adapter run`` and the command's page are made of these. Nothing heavy
is imported: they are read whenever help is asked for.
"""

# ruff: noqa: RUF009 `option` makes a field
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from langchain_embedding_adapter.config import CHUNK_OVERLAP, CHUNK_SIZE, Future, TrainingConfig
from langchain_embedding_adapter.engines import Engine, RayEngine
from langchain_embedding_adapter.questions.styles import STYLES

LOCAL = "local:wordllama"
DEFAULTS = TrainingConfig()
MODELS = (LOCAL, "openai:text-embedding-3-small", "openai:text-embedding-3-large", "huggingface:", "ollama:", "cohere:")
CHAT_MODELS = ("openai:gpt-4o-mini", "anthropic:", "google_genai:", "mistralai:", "ollama:")
METRICS = tuple(f"{name}@{k}" for name in ("ndcg", "hit_rate", "mrr", "recall", "map") for k in (10, 5))

AdapterChoice = Literal["default", "linear", "memory", "auto", "two-layer", "low-rank"]


def option(
    default: Any,
    help: str,
    *,
    example: Any = None,
    flag: str | None = None,
    metavar: str | None = None,
    least: float | None = None,
    values: Sequence[str] = (),
) -> Any:
    """A field of settings that is an option of the command and a key of the file.

    Args:
        default: Its default.
        help: What it does, in a sentence.
        example: A value for the example file, where the default shows none.
        flag: Its name on the command line, where it is not that of the field.
        metavar: What stands for its value in help.
        least: The smallest value of a number.
        values: What a shell completes; others are taken too.
    """
    words = {"help": help, "example": example, "flag": flag, "metavar": metavar, "least": least, "values": values}
    return field(default=default, metadata=words)


@dataclass(frozen=True)
class PairsSettings:
    """How documents become questions about them: ``embedding-adapter pairs``, and ``[pairs]`` in the file."""

    llm: str | None = option(
        None,
        "The chat model that writes questions, as provider:model.",
        example="openai:gpt-4o-mini",
        metavar="MODEL",
        values=CHAT_MODELS,
    )
    pseudo: bool = option(False, "No chat model: cut pseudo-questions from the passages.", example=True)
    questions_per_chunk: int = option(2, "How many questions to ask for.", least=1)
    chunk_size: int = option(CHUNK_SIZE, "Most characters of a chunk.", least=1)
    chunk_overlap: int = option(CHUNK_OVERLAP, "Characters that neighbours share.", least=0)
    max_concurrency: int = option(16, "How many calls at a time.", least=1)
    prompts: tuple[Path, ...] = option(
        (),
        "A file with another prompt, with {passage}, {questions_per_chunk}, {instructions}. Several are mixed.",
        example=("prompt.txt",),
        flag="prompt",
        metavar="FILE",
    )
    styles: tuple[str, ...] = option(
        ("natural",),
        f"How to ask: {', '.join(STYLES)}; =3 after it weighs it. Several are mixed.",
        flag="style",
        metavar="NAME[=WEIGHT]",
        values=tuple(STYLES),
    )
    languages: tuple[str, ...] = option(
        (), "Language to ask in; by default the passage's.", example=("German",), flag="language", metavar="NAME"
    )
    personas: tuple[str, ...] = option(
        (),
        "Who asks: 'a nurse on a night shift'.",
        example=("a nurse on a night shift",),
        flag="persona",
        metavar="WHO",
    )
    examples: Path | None = option(
        None,
        "A file of questions that your users ask, one a line: the model is shown some.",
        example="questions.txt",
        metavar="FILE",
    )
    difficulty: Literal["easy", "hard"] | None = option(
        None, "easy (in the passage's words) or hard (in others).", example="hard"
    )
    max_calls: int | None = option(None, "End cleanly after so many calls.", example=1000, least=0)
    max_tokens: int | None = option(None, "End cleanly after so many tokens, in and out.", example=2_000_000, least=0)
    found_within: int | None = option(
        None, "Keep questions whose passage the embeddings rank so high.", example=50, least=1
    )
    judge: str | None = option(
        None,
        "A chat model that is asked whether the passage answers each question.",
        example="openai:gpt-4o-mini",
        metavar="MODEL",
        values=CHAT_MODELS,
    )
    test_size: float = option(
        0.0, "Lay down now, by whole documents, a share of the chunks for the test: it stays.", least=0
    )
    validation_size: float = option(0.0, "Likewise for the validation that decides.", least=0)
    limit: int | None = option(None, "A preview: ask about so many chunks only.", example=20, least=1)
    price_in: float | None = option(
        None, "For --dry-run: price of a million tokens that the chat model reads.", example=0.15, least=0
    )
    price_out: float | None = option(
        None, "For --dry-run: price of a million tokens that it writes.", example=0.60, least=0
    )

    @property
    def prices(self) -> tuple[float, float] | None:
        """Of a million tokens in and out, if both are known."""
        return None if self.price_in is None or self.price_out is None else (self.price_in, self.price_out)

    def generation(self) -> dict[str, Any]:
        """What the stage is made with, as :meth:`~langchain_embedding_adapter.runs.run.Run.make_pairs` takes it.

        Raises:
            FileNotFoundError: If a prompt's file, or that of the examples, is not there.
            ValueError: If a style's weight is no number.
        """
        return {
            "llm": self.llm,
            "chunk_size": self.chunk_size,
            "chunk_overlap": self.chunk_overlap,
            "questions_per_chunk": self.questions_per_chunk,
            "max_concurrency": self.max_concurrency,
            "prompt": [file.read_text(encoding="utf-8") for file in self.prompts] or None,
            "styles": style_weights(self.styles),
            "languages": list(self.languages),
            "personas": list(self.personas),
            "examples": self.examples.read_text(encoding="utf-8").splitlines() if self.examples else [],
            "difficulty": self.difficulty,
            "max_calls": self.max_calls,
            "max_tokens": self.max_tokens,
            "limit": self.limit,
            "test_size": self.test_size,
            "validation_size": self.validation_size,
        }


@dataclass(frozen=True)
class EngineSettings:
    """Who does the work: ``--engine`` of the commands, and ``[engine]`` in the file."""

    engine: Literal["local", "ray"] = option("local", "Who does the work: this process, or a Ray cluster.")
    address: str | None = option(
        None,
        "Of the Ray cluster that this machine is part of: auto, or HOST:PORT. By default that of the Ray job, or one "
        "that is started here.",
        example="auto",
        metavar="ADDRESS",
    )
    workers: int = option(RayEngine.workers, "On Ray: how many processes work at a time.", least=1)

    def chosen(self) -> Engine:
        """As ``engine=`` takes it.

        Raises:
            ValueError: If an address or workers come without Ray.
        """
        if self.engine == "local":
            if self.address is not None:
                raise ValueError(f"an address goes with engine 'ray'; got {self.address!r} and engine 'local'")
            if self.workers != RayEngine.workers:
                raise ValueError(f"workers go with engine 'ray'; got {self.workers} and engine 'local'")
            return "local"
        return RayEngine(address=self.address, workers=self.workers)


@dataclass(frozen=True)
class TrainSettings:
    """How pairs become an adapter: ``embedding-adapter train``, and ``[train]`` in the file."""

    embeddings: str | None = option(
        None,
        f"The base embeddings, as provider:model; by default the run's, and else {LOCAL}.",
        example=LOCAL,
        metavar="MODEL",
        values=MODELS,
    )
    pairs: Path | None = option(
        None,
        "Pairs that are at hand, in place of documents: our JSON, LlamaIndex's, or a BEIR folder.",
        example="pairs.json",
        metavar="FILE",
    )
    adapter: AdapterChoice = option(
        "default",
        "What to choose among: default (linear maps with and without a memory), linear, memory or auto; or what to "
        "train in epochs: two-layer or low-rank.",
    )
    expect: Future = option("both", "What tomorrow's questions will be about.")
    test_size: float = option(
        0.2, "Share of the questions that is kept for the test, unless the pairs say which are.", least=0
    )
    validation: Path | None = option(
        None,
        "Pairs that decide, in place of cross-validation; after pseudo-questions, real ones: pairs, or a table (CSV, "
        "TSV, JSONL) of question and passage_id.",
        example="real.csv",
        metavar="FILE",
    )
    metric: str = option(DEFAULTS.metric, "What decides between candidates.", metavar="NAME@K", values=METRICS)
    seed: int = option(DEFAULTS.seed, "Of the split and of training.")
    memory: str | None = option(
        None, "How much the fit may hold, as 4GB; half of the machine's by default.", example="4GB", metavar="AMOUNT"
    )
    price_embeddings: float | None = option(
        None, "For --dry-run: price of a million tokens that are embedded.", example=0.02, least=0
    )

    def stage(self) -> dict[str, Any]:
        """What the stage is made with, as :meth:`~langchain_embedding_adapter.runs.run.Run.train` takes it."""
        return {
            "adapter": self.adapter,
            "expect": self.expect,
            "test_size": self.test_size,
            "validation": self.validation,
            "config": TrainingConfig(metric=self.metric, seed=self.seed, memory=self.memory),
        }


def style_weights(styles: Sequence[str]) -> Mapping[str, float]:
    """``natural`` and ``keywords=2`` as weights by name.

    Raises:
        ValueError: If a weight is no number.

    >>> style_weights(["natural", "keywords=2"])
    {'natural': 1.0, 'keywords': 2.0}
    """
    found = {}
    for style in styles:
        name, _, weight = style.partition("=")
        try:
            found[name] = float(weight or 1)
        except ValueError:
            raise ValueError(f"expected --style NAME or NAME=WEIGHT, got {style!r}") from None
    return found

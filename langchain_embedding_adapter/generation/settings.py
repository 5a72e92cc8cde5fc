"""How questions are generated: every default is written once, here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.prompts import BasePromptTemplate
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import Runnable

from langchain_embedding_adapter.generation.calls import CallLimits
from langchain_embedding_adapter.generation.prompts import DEFAULT_PROMPT, Difficulty, Prompt, PromptMix
from langchain_embedding_adapter.questions.filters import QuestionRules
from langchain_embedding_adapter.questions.styles import QuestionStyle
from langchain_embedding_adapter.vector_cache import VectorCache

DEFAULT_RULES = QuestionRules()
OF_A_PROMPT = ("prompt", "structured", "styles", "languages", "personas", "examples", "difficulty")
"""Settings that reach a model through the prompt."""


@dataclass(frozen=True)
class GenerationConfig:
    """What to ask for, how hard to try, and what to keep.

    Attributes:
        questions_per_chunk: How many questions to ask for, and the most to keep.
        prompt: In place of :data:`DEFAULT_PROMPT`: a prompt template or its text, with the variables ``{passage}``,
            ``{questions_per_chunk}`` and, for whatever else is set here, ``{instructions}``; or several, mixed.
        chain: In place of a model and a prompt: a whole Runnable that takes ``{"passage": …,
            "questions_per_chunk": …}`` and returns text, a message, a list of questions, or an object with a list
            ``questions``.
        structured: Whether to ask for structured output; by default where the model's profile says that it has it.
        styles: Ways to ask, by name (:data:`STYLES`: natural, keywords, terse, conversational, how-to, statement,
            multi-hop) or of one's own; a mapping gives each its weight in the mix.
        languages: Languages to write in, mixed; by default each passage's own.
        personas: Who asks, mixed.
        examples: Questions that real users asked: the model is shown five of them at a time.
        difficulty: ``"easy"`` (in the passage's words), ``"hard"`` (in others), or ``None``.
        seed: Of the mix and of the parts.
        max_concurrency: Calls at a time.
        max_attempts: Attempts at one call, where its error may pass.
        max_calls: Calls in all, attempts counted one by one; the run ends cleanly when they are spent.
        max_tokens: Tokens in all, as the model reports them; likewise.
        rate_limiter: One of LangChain's, asked before each call.
        rules: What a question has to be like; ``None`` keeps everything that was parsed.
        found_within: Keep only questions whose passage the ``embeddings`` rank so high among all chunks.
        embeddings: For ``found_within``.
        cache: Where the vectors for it are looked up and kept.
        judge: A model that is asked, in a second call, whether the passage answers each question.
        limit: Ask about so many chunks only, spread over the documents: a preview.
        test_size: Share of the chunks whose questions are for the test, by whole documents, laid down before anything
            is asked and for good: ``dataset.part("test")``, ``dataset.part("train")``.
        validation_size: Likewise for validation.
    """

    questions_per_chunk: int = 2
    prompt: Prompt | Sequence[Prompt] | None = None
    chain: Runnable[dict[str, Any], Any] | None = None
    structured: bool | None = None
    styles: Sequence[str | QuestionStyle] | Mapping[str | QuestionStyle, float] = ("natural",)
    languages: Sequence[str] = ()
    personas: Sequence[str] = ()
    examples: Sequence[str] = ()
    difficulty: Difficulty | None = None
    seed: int = 0
    max_concurrency: int = 16
    max_attempts: int = 8
    max_calls: int | None = None
    max_tokens: int | None = None
    rate_limiter: BaseRateLimiter | None = None
    rules: QuestionRules | None = DEFAULT_RULES
    found_within: int | None = None
    embeddings: Embeddings | None = None
    cache: VectorCache | None = None
    judge: Runnable[Any, Any] | None = None
    limit: int | None = None
    test_size: float = 0.0
    validation_size: float = 0.0

    def __post_init__(self) -> None:
        for name in ("questions_per_chunk", "found_within", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if (self.found_within is None) != (self.embeddings is None):
            raise ValueError("`found_within` and `embeddings` go together: how high, and by which embeddings")
        of_a_prompt = [name for name in OF_A_PROMPT if getattr(self, name) not in (None, (), [], ("natural",))]
        if self.chain is not None and of_a_prompt:
            raise ValueError(f"`{'`, `'.join(of_a_prompt)}` goes with `llm`; a whole `chain` brings its own")
        _ = self.call_limits, self.mix  # they check their part

    @property
    def call_limits(self) -> CallLimits:
        """How much may be asked, and how persistently."""
        return CallLimits(
            max_concurrency=self.max_concurrency,
            max_attempts=self.max_attempts,
            max_calls=self.max_calls,
            max_tokens=self.max_tokens,
            rate_limiter=self.rate_limiter,
        )

    @property
    def mix(self) -> PromptMix:
        """What each chunk is asked with."""
        prompt = DEFAULT_PROMPT if self.prompt is None else self.prompt
        return PromptMix(
            [prompt] if isinstance(prompt, (str, BasePromptTemplate)) else list(prompt),
            styles=self.styles,
            languages=self.languages,
            personas=self.personas,
            examples=self.examples,
            difficulty=self.difficulty,
            questions_per_chunk=self.questions_per_chunk,
            seed=self.seed,
        )

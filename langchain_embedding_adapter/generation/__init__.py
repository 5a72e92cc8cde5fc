"""Questions about chunks, written by a model: what it is asked, how it is called, and what is kept of its answers."""

from __future__ import annotations

from langchain_embedding_adapter.generation.pairs import agenerate_qa_pairs, generate_qa_pairs, plan_qa_pairs
from langchain_embedding_adapter.generation.prompts import DEFAULT_PROMPT, JUDGE_PROMPT
from langchain_embedding_adapter.generation.settings import GenerationConfig
from langchain_embedding_adapter.generation.summary import GenerationPlan, GenerationSummary

__all__ = [
    "DEFAULT_PROMPT",
    "JUDGE_PROMPT",
    "GenerationConfig",
    "GenerationPlan",
    "GenerationSummary",
    "agenerate_qa_pairs",
    "generate_qa_pairs",
    "plan_qa_pairs",
]

"""Examples of every command, as its help shows them. A test runs each one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

EXAMPLES: Mapping[str, Sequence[str]] = {
    "run": (
        "embedding-adapter run handbook-run handbook/ --llm openai:gpt-4o-mini --dry-run",
        "embedding-adapter run handbook-run handbook/ --pseudo",
        "embedding-adapter run --example > run.toml",
        "embedding-adapter run --config run.toml",
    ),
    "pairs": (
        "embedding-adapter pairs handbook-run handbook/ --llm openai:gpt-4o-mini --dry-run",
        "embedding-adapter pairs handbook-run handbook/ --llm openai:gpt-4o-mini --limit 20",
        "embedding-adapter pairs styled-run handbook/ --llm openai:gpt-4o-mini --style natural=2 --style keywords",
    ),
    "embed": (
        "embedding-adapter embed handbook-run --out vectors",
        "embedding-adapter embed --pairs pairs.json --embeddings local:wordllama --out logs-vectors --json",
    ),
    "train": (
        "embedding-adapter train handbook-run --embeddings openai:text-embedding-3-small",
        "embedding-adapter train logs-run --pairs pairs.json --expect same-passages",
    ),
    "evaluate": (
        "embedding-adapter evaluate handbook-run",
        "embedding-adapter evaluate handbook-run --pairs real.json",
        "embedding-adapter evaluate --adapter handbook-run/adapter --pairs real.json",
    ),
    "report": (
        "embedding-adapter report handbook-run",
        "embedding-adapter report handbook-run --output page.html",
        "embedding-adapter report --adapter handbook-run/adapter --pairs real.json",
    ),
    "ask": (
        'embedding-adapter ask handbook-run "who approves parental leave?"',
        "embedding-adapter ask handbook-run -k 3 < questions.txt",
        "embedding-adapter ask handbook-run --file questions.txt --json > found.jsonl",
        'embedding-adapter ask handbook-run "who approves parental leave?" --index index --trust-index',
    ),
    "compare": (
        "embedding-adapter compare handbook-run other-run",
        "embedding-adapter compare handbook-run other-run --pairs real.json --metric mrr@10 --top 3",
    ),
    "info": (
        "embedding-adapter info handbook-run --check",
        "embedding-adapter info handbook-run/adapter --json",
    ),
    "demo": ("embedding-adapter demo",),
}


def epilog(command: str) -> str:
    """The examples as help shows them: each on a line of its own, whatever the width."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in EXAMPLES[command])

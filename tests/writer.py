"""A model for workers in processes of their own: it answers by what it is asked, and writes down that it was.

It stands alone, as every worker's process imports it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import BaseMessage


class RefusedError(Exception):
    """As a server's client raises it."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"Error code: {status_code}")
        self.status_code = status_code


class Writer(SimpleChatModel):
    """Answers by what the prompt says; each call leaves a line when it begins and one when it ends."""

    log: Path
    latency: float = 0.0
    refuses: dict[str, int] = {}

    def _call(self, messages: list[BaseMessage], *_: Any, **__: Any) -> str:
        prompt = messages[-1].text
        self._note("begun", prompt)
        time.sleep(self.latency)
        for words, status in self.refuses.items():
            if words in prompt:
                raise RefusedError(status)
        self._note("ended", prompt)
        if "one word, yes or no" in prompt:
            return "No." if "World3 " in prompt else "Yes."
        return f"1. How many moons are told of in {len(prompt)} letters?\n2. Who told {prompt[10:60]!r}?\n3. Moons"

    def _note(self, what: str, prompt: str) -> None:
        line: dict[str, Any] = {"what": what, "prompt": prompt, "time": time.time(), "pid": os.getpid()}
        if ray := sys.modules.get("ray"):
            line["node"] = ray.get_runtime_context().get_node_id() if ray.is_initialized() else ""
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(descriptor, json.dumps(line).encode() + b"\n")
        finally:
            os.close(descriptor)

    @property
    def _llm_type(self) -> str:
        return "writer"


def notes(log: Path, what: str = "begun") -> list[dict[str, Any]]:
    found = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [line for line in found if line["what"] == what]

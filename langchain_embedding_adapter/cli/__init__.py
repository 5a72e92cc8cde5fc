"""The command ``embedding-adapter``: the journey from a shell.

Data goes to standard output, talk and progress to standard error; ``--json`` gives one JSON object. An error is one
line. Each command is a file of its own; what is imported before a command runs is little, so that help comes at once.
"""

from __future__ import annotations

from langchain_embedding_adapter.cli.entry import main

__all__ = ["main"]

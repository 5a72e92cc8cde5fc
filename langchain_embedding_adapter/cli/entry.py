"""The way in: the process's arguments to a command, and whatever goes wrong to one line and an exit code.

0: all went well. 1: it did not. 2: wrong usage. 130: Ctrl-C. Whoever closes the pipe has what it wanted: 0.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import IO

try:
    import typer
except ModuleNotFoundError:  # pragma: no cover - a bare environment has no way to run this line's test
    sys.exit("error: the command needs the extra `cli`: pip install 'langchain-embedding-adapter[cli]'")

from langchain_embedding_adapter.cli.commands import app
from langchain_embedding_adapter.cli.completion import mend_bash_completion
from langchain_embedding_adapter.cli.errors import explained
from langchain_embedding_adapter.cli.opening import NobodyReadsError, what_is_kept

INTERRUPTED = 130
DECIDING = ("langchain_embedding_adapter.selection.choice", "langchain_embedding_adapter.selection.caution")


class Talk(logging.StreamHandler[IO[str]]):
    """Log lines on standard error, around a bar that is drawn there."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Leaves out verdicts, which are the result and come on standard output."""
        return bool(super().filter(record)) and not (record.name in DECIDING and record.msg == "%s")

    def emit(self, record: logging.LogRecord) -> None:
        if "tqdm" in sys.modules:
            from tqdm import tqdm

            with tqdm.external_write_mode(file=self.stream):
                super().emit(record)
        else:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 logging's name
        """Nobody listens any more: the work goes on in silence."""
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            _silence(self.stream)
        else:
            super().handleError(record)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; ``arguments`` are those of the process unless given.

    Raises:
        SystemExit: Always: 0 if all went well, 1 after an error, 2 after wrong usage, 130 after Ctrl-C.
    """
    mend_bash_completion()
    handler = Talk(sys.stderr)
    logger = logging.getLogger("langchain_embedding_adapter")
    logger.addHandler(handler)
    try:
        code = typer.main.get_command(app)(arguments, prog_name="embedding-adapter", standalone_mode=False) or 0
        if code == INTERRUPTED:  # typer takes Ctrl-C for itself, or leaves it to us, from one version to another
            raise KeyboardInterrupt
        sys.exit(code)
    except (KeyboardInterrupt, typer.Abort):
        _tell(f"\ninterrupted: {what_is_kept()}")
        sys.exit(INTERRUPTED)
    except NobodyReadsError:
        _silence(sys.stdout)
        sys.exit(0)
    except Exception as error:
        message, code = explained(error)
        _tell(message if message.startswith("Usage: ") else f"error: {' '.join(message.split())}")
        sys.exit(code)
    finally:
        logger.removeHandler(handler)


def _tell(line: str) -> None:
    try:
        print(line, file=sys.stderr, flush=True)  # noqa: T201 the command talks to its user
    except BrokenPipeError:
        _silence(sys.stderr)


def _silence(stream: IO[str]) -> None:
    """Let whatever is still written go nowhere, so that the interpreter does not complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)

"""The way in: the process's arguments to a command, and whatever goes wrong to one line and an exit code."""

from __future__ import annotations

import logging
import sys

try:
    import typer
except ModuleNotFoundError:  # pragma: no cover - a bare environment has no way to run this line's test
    sys.exit("error: the command needs the extra `cli`: pip install 'langchain-embedding-adapter[cli]'")

from langchain_embedding_adapter.cli.commands import app


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

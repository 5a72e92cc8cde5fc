"""Optional dependencies, imported when first needed.

The core installs without torch, scipy, typer and the like. A module that needs one asks for it here, so that
a missing package is answered with the line that installs it instead of a bare ``ModuleNotFoundError``.
"""

from __future__ import annotations

import importlib
from types import ModuleType


def require_extra(module: str, extra: str) -> ModuleType:
    """Import ``module``, which comes with the optional dependencies ``extra``; a plain import follows where it is used.

    Raises:
        ImportError: If the module is not installed; the message holds the install line.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        raise ImportError(
            f"`{missing}` is needed here and is not installed; install it with "
            f"pip install 'langchain-embedding-adapter[{extra}]'"
        ) from error


def require_package(module: str, package: str) -> ModuleType:
    """Import ``module`` of a package that no extra brings, as whoever uses it has it.

    Raises:
        ImportError: If it is not installed; the message holds the install line.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or module).partition(".")[0] != module.partition(".")[0]:
            raise
        raise ImportError(f"`{module}` is needed here and is not installed; pip install {package}") from error

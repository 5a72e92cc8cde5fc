"""Whatever went wrong in one line: what was expected, what came, and what to do next."""

from __future__ import annotations

import difflib
import errno
import re
from typing import Any

from langchain_embedding_adapter.cli.opening import WrongUsageError

USAGE = 2
FAILURE = 1

_KNOWN = (ValueError, OSError, ImportError, RuntimeError)
_KEY = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_(?:API_KEY|API_TOKEN|ACCESS_KEY|TOKEN|KEY)\b")
_PROVIDERS = re.compile(
    r"[Ss]upported (?:model )?providers(?: and their required packages)?(?: are)?:(.*?)(?:For help|$)", re.DOTALL
)


def explained(error: Exception) -> tuple[str, int]:
    """What to tell of an error, and the exit code."""
    if hasattr(error, "format_message"):  # wrong usage, whichever click it comes from
        return _usage(error), USAGE
    if isinstance(error, WrongUsageError):
        return str(error), USAGE
    said = _provider(error) or _file(error)
    if said is None:
        said = str(error) if isinstance(error, _KNOWN) and str(error) else f"{type(error).__name__}: {error}"
    return said, FAILURE


def _usage(error: Any) -> str:
    """Wrong usage: the option or command that was probably meant, and where the right ones stand."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return str(error.format_message())
    message = str(error.format_message()).replace("Value error, ", "").rstrip(".")
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", None) or "embedding-adapter"
    mistyped = getattr(error, "option_name", None)
    if mistyped is not None and context is not None:
        options = [name for each in context.command.params for name in each.opts if name.startswith("--")]
        close = difflib.get_close_matches(mistyped, options, n=1)
        message = f"no such option: {mistyped}" + (f"; did you mean {close[0]}?" if close else "")
    elif "did you mean" in message.lower():
        return message + "?" * (not message.endswith("?"))
    return f"{message} (`{path} --help` shows what there is)"


def _provider(error: Exception) -> str | None:
    """What a provider of models, or LangChain on the way to one, has said."""
    text = str(error)
    if found := _PROVIDERS.search(text):
        return _unknown_provider(text, found[1])
    if "api_key" in text or "credentials" in text.lower() or "API key" in text:
        named = [name for name in _KEY.findall(text) if "ADMIN" not in name]
        if named and _status(error) is None:
            return f"no key: set the environment variable {named[0]} (export {named[0]}=…)"
    status = _status(error)
    model = type(error).__module__.partition(".")[0]
    if status in (401, 403):
        return f"{model} turned the key down ({status}): {_first_line(text)}; check the key and what it is allowed"
    if status == 404:
        return f"{model} knows no such model, or no such address (404): {_first_line(text)}"
    if status == 429:
        return f"{model} turns requests away (429): {_first_line(text)}; what is answered so far is kept"
    names = " ".join(each.__name__ for each in type(error).__mro__)
    if "APIConnectionError" in names or "ConnectError" in names or type(error).__module__.startswith("requests"):
        return (
            f"no connection to {_address(error)}: {_first_line(str(error.__cause__ or error))}; check the network, a "
            "proxy, and the provider's base URL (OPENAI_API_BASE, say)"
        )
    return None


def _unknown_provider(text: str, listed: str) -> str:
    providers = re.findall(r"[a-z][a-z0-9_]+(?=[,:\s]|$)", listed.replace("- ", ""))
    providers = sorted({name for name in providers if "langchain" not in name})
    quoted = re.search(r"['\"]([^'\":]+)[:'\"]", text)
    given = quoted[1] if quoted else ""
    close = difflib.get_close_matches(given, providers, n=1)
    hint = f"did you mean {close[0]}:…?" if close else f"expected one of {', '.join(providers)}"
    return f"there is no provider {given!r}; {hint}"


def _file(error: Exception) -> str | None:
    """What the operating system has said of a file."""
    if not isinstance(error, OSError) or error.errno is None or error.filename is None:
        return None
    name = error.filename if isinstance(error.filename, str) else str(error.filename)
    return {
        errno.ENOENT: f"there is no file or folder {name}",
        errno.EACCES: f"{name} may not be read or written here: permission denied",
        errno.EISDIR: f"expected a file, and {name} is a folder",
        errno.ENOTDIR: f"expected a folder, and a part of {name} is a file",
        errno.ENOSPC: f"the disk is full: {name}; what was written before is kept",
    }.get(error.errno)


def _status(error: Exception) -> int | None:
    found = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return found if isinstance(found, int) else None


def _address(error: Exception) -> str:
    url = getattr(getattr(error, "request", None), "url", None)
    return str(url) if url else "the provider"


def _first_line(text: str) -> str:
    line = next(iter(text.strip().splitlines()), "")
    return line if len(line) <= 200 else line[:199] + "…"

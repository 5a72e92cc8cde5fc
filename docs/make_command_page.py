"""Writes ``docs/command.md``, the page of the command, from the command itself: ``python docs/make_command_page.py``.

Options, defaults and help are read from where ``--help`` reads them; a test sees that the page is what this makes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer

from langchain_embedding_adapter.cli.commands import app
from langchain_embedding_adapter.cli.examples import EXAMPLES
from langchain_embedding_adapter.runs.file import example_file

PAGE = Path(__file__).with_name("command.md")

HEAD = """# The command

```bash
pip install "langchain-embedding-adapter[train,local,cli,report]"
```

![A run on Python's language reference, and a question asked with the base and with the adapter](images/command.svg)

A run is a folder. `embedding-adapter run` goes the whole way, and each of its stages is a command of its own:

| stage | command | leaves in the run |
|---|---|---|
| questions about your documents | [`pairs`](#embedding-adapter-pairs) | `chunks.jsonl`, `answers.jsonl`, `pairs.json` |
| an adapter, if one beats the base | [`train`](#embedding-adapter-train) | `split.json`, `adapter/`, `verdict.json` |
| base against adapted | [`evaluate`](#embedding-adapter-evaluate) | `report.json`, `report.md`, `report.html` |
| the page to judge by | [`report`](#embedding-adapter-report) | `report.html` |

A stage whose file exists is kept, so that after a stop the same command goes on where it was. `run.json` records what
each was made with; other settings than those are refused, until `--force` makes the stage anew. Answers of a chat model
and vectors are never asked for twice. [`embed`](#embedding-adapter-embed) is no stage: it leaves the vectors in a
folder of their own, for [large collections](guides/large.md).

Models are named `provider:model`, as LangChain's `init_chat_model` and `init_embeddings` take them, or
`local:wordllama`, which needs no key and no network. With `OPENAI_API_BASE` set, `openai:` speaks to any server of that
protocol.

"""

FILE = """## A run in a file

`embedding-adapter run --example` prints a file with every option of `pairs` and `train`, its default and what it does.
Paths in it are relative to it, flags win over it, and a key or a value that is not known is refused with the nearest
right one. Everything that is a comment may be left out:

```toml
{example}```

"""

TAIL = """## In pipes and in CI

Results go to standard output; talk, progress and errors to standard error. `--json` gives one JSON object (`ask`: one a
line). On a terminal progress is a bar with rate and time left; elsewhere a line now and then, and never an escape code.
`--quiet` leaves warnings and errors. Lines are as wide as the terminal; `COLUMNS` overrides it.

| exit code | means |
|---:|---|
| 0 | all went well; also where whoever reads the pipe has closed it |
| 1 | an error, told in one line with what to do; `info --check`: the model is another one than it was |
| 2 | wrong usage: an option, a command or a value that does not exist, or something missing |
| 130 | Ctrl-C; what was made is kept, and the same command goes on |

```bash
embedding-adapter ask handbook-run --json < questions.txt > found.jsonl
embedding-adapter --quiet evaluate handbook-run --json > report.json
```

## Completion

`embedding-adapter --install-completion` teaches bash, zsh, fish or PowerShell, whichever it runs in, to complete
commands, options, files, and the values of `--adapter`, `--expect`, `--style`, `--metric`, `--difficulty`,
`--embeddings` and `--llm`. `--show-completion` prints the script instead, for where your shell keeps such things.
"""


def page() -> str:
    """The page."""
    command: Any = typer.main.get_command(app)
    parts = [HEAD, *(section(name, each) for name, each in command.commands.items())]
    parts += [FILE.format(example=example_file()), "## Options of all commands\n\n", *options(command), "\n", TAIL]
    return "".join(parts)


def section(name: str, command: Any) -> str:
    """One command: what it does, examples, arguments and options."""
    context = command.make_context(f"embedding-adapter {name}", ["x"] * 9, resilient_parsing=True)
    usage = command.get_usage(context).removeprefix("Usage: ")
    told = "\n\n".join(" ".join(part.split()) for part in command.help.split("\n\n"))
    examples = "\n".join(EXAMPLES[name])
    lines = [
        f"## embedding-adapter {name}\n\n{told}\n\n",
        f"```bash\n{examples}\n```\n\n",
        f"Usage: `{' '.join(usage.split())}`\n\n",
    ]
    return "".join([*lines, *options(command), "\n"])


def options(command: Any) -> list[str]:
    """A table of what a command takes."""
    rows = ["| | | default |\n", "|---|---|---|\n"]
    for each in sorted(command.params, key=lambda each: each.param_type_name != "argument"):
        if getattr(each, "hidden", False):
            continue
        is_argument = each.param_type_name == "argument"
        metavar = each.metavar if is_argument or not each.is_flag else None
        names = [metavar or each.name.upper()] if is_argument else [*each.opts, *each.secondary_opts]
        written = ", ".join(f"`{name}`" for name in names)
        if metavar and not is_argument:
            written += f" `{metavar}`".replace("|", "\\|")
        rows.append(f"| {written} | {each.help} | {default(each, is_argument)} |\n")
    if command.add_help_option:
        rows.append("| `--help` | Show this message and exit. | |\n")
    return rows


def default(each: Any, is_argument: bool) -> str:
    """What stands if nothing is given."""
    if is_argument and each.required:
        return "required"
    value = each.default
    if value is None or value is False or value in ((), []) or str(type(value).__name__) == "Sentinel":
        return ""
    return f"`{', '.join(value) if isinstance(value, (list, tuple)) else value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)

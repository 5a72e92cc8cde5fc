"""The command's help, its page and its examples say the same."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from langchain_embedding_adapter.cli.commands import app
from langchain_embedding_adapter.cli.examples import EXAMPLES

ROOT = Path(__file__).parents[2]
COMMAND: Any = typer.main.get_command(app)
PAGE = (ROOT / "docs" / "command.md").read_text(encoding="utf-8")


def help_of(name: str) -> str:
    context = COMMAND.commands[name].make_context(f"embedding-adapter {name}", ["x"] * 9, resilient_parsing=True)
    return str(COMMAND.commands[name].get_help(context))


def test_the_page_is_what_the_command_says() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_command_page.py"))["page"]()
    assert made == PAGE, "docs/command.md is out of date; make it anew: python docs/make_command_page.py"


@pytest.mark.parametrize("name", COMMAND.commands)
def test_every_option_of_the_help_is_on_the_page(name: str) -> None:
    section = re.split(r"^## ", PAGE.partition(f"\n## embedding-adapter {name}\n")[2], flags=re.MULTILINE)[0]
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+)", help_of(name), re.MULTILINE)
    assert len(options) >= 3
    assert [option for option in options if f"`{option}`" not in section] == []


@pytest.mark.parametrize("name", COMMAND.commands)
def test_the_help_has_examples_whose_options_exist(name: str) -> None:
    told = help_of(name)
    known = {option for each in COMMAND.commands[name].params for option in each.opts}
    assert EXAMPLES[name]
    for line in EXAMPLES[name]:
        assert f"\n    {line}\n" in told + "\n"
        words = shlex.split(line)
        assert words[:2] == ["embedding-adapter", name]
        assert {word for word in words if word.startswith("-")} <= known


def test_every_command_says_what_it_is_on_one_line() -> None:
    context = COMMAND.make_context("embedding-adapter", [], resilient_parsing=True)
    listed = COMMAND.get_help(context).partition("Commands:")[2].partition("Examples:")[0].strip().splitlines()
    assert [line.split()[0] for line in listed] == list(EXAMPLES)
    assert not [line for line in listed if line.endswith("...")]


def test_help_waits_for_nothing_heavy() -> None:
    code = "import sys, langchain_embedding_adapter.cli; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "typer" in imported
    assert {"numpy", "torch", "scipy", "langchain_core", "langchain", "tqdm", "rich"} & set(imported) == set()

"""Docstrings for the site: roles become links where the reference has the name, code and doctests become fences.

The docstrings say ``:func:`generate_qa_pairs``` and ``.. code-block:: python``, which editors know; Markdown does not.
"""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Any

import griffe

PACKAGE = "langchain_embedding_adapter"
ROLE = re.compile(r":(?:class|func|meth|attr|data|mod|exc):`~?([\w.]+)`")
DOCTEST = re.compile(r"^( *)>>> .*\n(?:\1\S.*\n|\1 +.*\n)*", re.MULTILINE)
BLOCK = re.compile(r"^( *)\.\. code-block:: (\w+)\n((?:\1 +.*\n|\s*\n)+)", re.MULTILINE)


class PlainDocstrings(griffe.Extension):
    """Rewrites every docstring of the package."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:  # noqa: ARG002
        """Rewrite, once everything is known."""
        if pkg.path == PACKAGE:
            public = {name for name, member in pkg.members.items() if member.is_alias and not name.startswith("_")}
            _rewrite(pkg, pkg, public)


def _rewrite(found: griffe.Object, package: griffe.Module, public: set[str]) -> None:
    if found.docstring is not None:
        found.docstring.value = _plain(found.docstring.value, found, package, public)
    for member in found.members.values():
        if not member.is_alias:
            _rewrite(member, package, public)


def _plain(text: str, found: griffe.Object, package: griffe.Module, public: set[str]) -> str:
    text = re.sub(r"^Example:$", "Examples:", text + "\n", flags=re.MULTILINE)
    text = BLOCK.sub(lambda block: _fenced(*block.groups()), text)
    text = DOCTEST.sub(lambda block: _fenced(block.group(1), "pycon", block.group()), text).rstrip()
    owner = found if found.is_class else found.parent
    return ROLE.sub(lambda role: _link(role.group(1), owner, package, public), text)


def _fenced(indent: str, language: str, code: str) -> str:
    lines = [f"```{language}", *dedent(code).strip("\n").splitlines(), "```"]
    return "".join(f"{indent}{line}".rstrip() + "\n" for line in lines)


def _link(name: str, owner: griffe.Object | None, package: griffe.Module, public: set[str]) -> str:
    """A link to a public name, or to a member of one; else the name as code."""
    short = name.removeprefix(f"{PACKAGE}.")
    first, _, member = short.partition(".")
    if first in public and (not member or member in package[first].all_members):
        return f"[`{short}`][{PACKAGE}.{short}]"
    if owner is not None and owner.is_class and owner.name in public and first in owner.all_members:
        return f"[`{short}`][{PACKAGE}.{owner.name}.{short}]"
    return f"`{short.rpartition('.')[2] if short.count('.') > 1 else short}`"

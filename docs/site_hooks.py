"""What the site takes from elsewhere in the repository: the cookbook, the benchmarks' tables, changelog, contributing.

Pages link to these files where they lie, so that the links hold on GitHub too; here the files become pages, and links
to them are turned. Notebooks become pages with the outputs that they were saved with.
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
TAKEN = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "cookbook/README.md": "cookbook/index.md",
    "cookbook/a_small_model.md": "cookbook/a_small_model.md",
    "cookbook/benchmarks/RESULTS.md": "benchmarks/results.md",
    "cookbook/benchmarks/NO_LABELS.md": "benchmarks/no_labels.md",
    "cookbook/benchmarks/SCALE.md": "benchmarks/scale.md",
    "cookbook/benchmarks/quality.svg": "benchmarks/quality.svg",
    "cookbook/benchmarks/scale.svg": "benchmarks/scale.svg",
}
"""Files of the repository, and where the site has them."""
COOKBOOK = "Cookbook"
"""The entry of the navigation that lists the notebooks."""
LINK = re.compile(r"(\]\(|src=\")([^)\"#\s]+)")
IN_TABLE = re.compile(r"`[^`\n]*\\\|[^`\n]*`")
"""Code in a table: GitHub wants its bars escaped, and here the escape would show."""
PRINTED = re.compile(r"^```text\n((?:(?!```).*\n)*\|-(?:(?!```).*\n)*)```$", re.MULTILINE)
"""What a snippet prints, where that is Markdown with a table: it is shown as such, as a notebook does."""
PLAIN = re.compile(r"^```.*?^```|^#.*?$|\[[^\]]*\]\([^)]*\)", re.MULTILINE | re.DOTALL)
"""What no link may be put into: blocks of code, headings, links."""
PACKAGE = "langchain_embedding_adapter"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the notebooks in the navigation, each by its title."""
    for entry in config.nav or []:
        if COOKBOOK in entry:
            entry[COOKBOOK] += [{title_of(file): f"cookbook/{file.stem}.md"} for file in notebooks()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that lie elsewhere, and the notebooks as pages."""
    for source, place in taken().items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    for file in notebooks():
        text, pictures = as_page(file)
        files.append(File.generated(config, f"cookbook/{file.stem}.md", content=text))
        for name, content in pictures.items():
            files.append(File.generated(config, f"cookbook/{name}", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Turn links to files of the repository into links to their pages."""
    known = {place: source for source, place in taken().items()}
    known |= {f"cookbook/{file.stem}.md": f"cookbook/{file.name}" for file in notebooks()}
    pages = {source: place for place, source in known.items()} | {"cookbook/benchmarks": "benchmarks.md"}
    here = page.file.src_uri
    home = posixpath.dirname(known.get(here, f"docs/{here}"))  # where the page's links start from

    def turned(link: re.Match[str]) -> str:
        before, target = link.groups()
        if re.match(r"[a-z]+:", target):
            return link.group()
        meant = posixpath.normpath(posixpath.join(home, target))
        place = pages.get(meant, meant.removeprefix("docs/") if meant.startswith("docs/") else None)
        return link.group() if place is None else before + posixpath.relpath(place, posixpath.dirname(here) or ".")

    markdown = PRINTED.sub('<div class="printed" markdown="1">\n\n\\1\n</div>', LINK.sub(turned, markdown))
    markdown = IN_TABLE.sub(lambda code: code.group().replace("\\|", "|"), markdown)
    return markdown if here.startswith(("reference/", "cookbook/")) else with_references(markdown)


def with_references(markdown: str) -> str:
    """The page with a link to the reference at the first mention of each public name."""
    found = re.findall(
        rf"^::: {PACKAGE}\.(\w+)$",
        "\n".join(file.read_text(encoding="utf-8") for file in REFERENCE.glob("*.md")),
        re.MULTILINE,
    )
    names, parts, end = set(found), [], 0

    def named(mention: re.Match[str]) -> str:
        name = mention.group(2)
        if name not in names:
            return mention.group()
        names.remove(name)
        return f"[`{mention.group(1)}`][{PACKAGE}.{name}]"

    for plain in [*PLAIN.finditer(markdown), None]:
        prose = markdown[end : plain.start() if plain else None]
        parts += [re.sub(r"`((\w+)(?:\(…?\))?)`", named, prose), plain.group() if plain else ""]
        end = plain.end() if plain else end
    return "".join(parts)


def taken() -> dict[str, str]:
    """All files that are taken as they are; code to be read as text."""
    code = {f"cookbook/{file.name}": f"cookbook/{file.stem}.txt" for file in (ROOT / "cookbook").glob("*.py")}
    return TAKEN | code


def notebooks() -> list[Path]:
    """The cookbook's notebooks."""
    return sorted((ROOT / "cookbook").glob("*.ipynb"))


def title_of(notebook: Path) -> str:
    """What a notebook's first line calls it."""
    return (
        "".join(json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"]).partition("\n")[0].lstrip("# ")
    )


def as_page(notebook: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by file name."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code":
            parts.append(f"```python\n{source}\n```")
            parts += outputs_of(cell, notebook.stem, pictures)
    return "\n\n".join(parts) + "\n", pictures


def outputs_of(cell: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> list[str]:
    """What a cell gave, as Markdown; pictures are put aside."""
    parts: list[str] = []
    printed = ""
    for output in [*cell["outputs"], {}]:  # the last one, of nothing, ends what was printed
        found = output.get("data", {}).items()
        data = {kind: "".join(value) for kind, value in found if isinstance(value, (str, list))}
        drawn = next((kind for kind in ("image/svg+xml", "image/png") if kind in data), None)
        if output and drawn is None and "text/markdown" not in data:
            printed += "".join(output.get("text", data.get("text/plain", "")))
            continue
        if printed.strip():
            parts.append(f"```text\n{printed.rstrip()}\n```")
        printed = ""
        if drawn is not None:
            name = f"{stem}-{len(pictures)}.{'png' if drawn == 'image/png' else 'svg'}"
            pictures[name] = base64.b64decode(data[drawn]) if drawn == "image/png" else data[drawn].encode()
            parts.append(f"![What the cell above draws]({name})")
        elif output:
            parts.append(data["text/markdown"])
    return parts

"""Files to chunks: text, Markdown, PDF and JSONL through LangChain's loaders and splitters.

Before the journey starts: what comes out are LangChain ``Document`` objects whose ``metadata["source"]`` names the file
they were cut from, so that splits keep a file together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from langchain_core.documents import Document

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter._files import read_jsonl
from langchain_embedding_adapter.config import CHUNK_OVERLAP, CHUNK_SIZE

_TEXT_FIELDS = ("text", "page_content", "content")


def load_documents(paths: Iterable[str | Path], *, without: str | Path | None = None) -> list[Document]:
    """Read files, and folders of files, into documents.

    Args:
        paths: Files that end in .txt, .md, .pdf or .jsonl (one object a line, with ``text``, ``page_content`` or
            ``content``), or folders that hold such files; folders are searched to the bottom, other files in them
            passed over.
        without: A folder that is passed over: a run's own, say, that lies among its documents.

    Raises:
        FileNotFoundError: If a path does not exist.
        ValueError: If a file is of another kind or cannot be read as what it is, nothing with text was found, or a line
            of JSONL has no text.
    """
    places = [Path(path) for path in paths]
    files = _files(places, None if without is None else Path(without))
    documents = [document for file in files for document in _load(file)]
    documents = [document for document in documents if document.page_content.strip()]
    if not documents:
        raise ValueError(_nothing_in(places, files))
    return documents


def split_documents(
    documents: Iterable[Document], *, chunk_size: int = CHUNK_SIZE, chunk_overlap: int = CHUNK_OVERLAP
) -> list[Document]:
    """Cut documents into chunks, at headings (Markdown), paragraphs, lines or words, in that order of preference.

    Args:
        documents: What to cut; metadata is handed on to the chunks.
        chunk_size: Most characters of a chunk.
        chunk_overlap: Characters that neighbouring chunks share.
    """
    require_extra("langchain_text_splitters", "cli")
    from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

    plain = RecursiveCharacterTextSplitter(chunk_size=chunk_size, chunk_overlap=chunk_overlap)
    # MarkdownTextSplitter would take the pattern of a heading for literal text, and never cut at one.
    markdown = RecursiveCharacterTextSplitter.from_language(
        Language.MARKDOWN, chunk_size=chunk_size, chunk_overlap=chunk_overlap
    )
    chunks: list[Document] = []
    for document in documents:
        source = str(document.metadata.get("source", ""))
        chunks += (markdown if source.lower().endswith(".md") else plain).split_documents([document])
    return chunks


def _files(paths: Iterable[Path], without: Path | None) -> list[Path]:
    files: list[Path] = []
    left_out = None if without is None else without.resolve()
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in LOADERS and file.is_file())
            files += [file for file in found if left_out is None or left_out not in file.resolve().parents]
        elif not path.exists():
            raise FileNotFoundError(f"there is no file or folder {path}")
        elif path.suffix.lower() not in LOADERS:
            raise ValueError(f"{path} is of no known kind; expected {', '.join(LOADERS)}")
        else:
            files.append(path)
    return files


def _load(file: Path) -> list[Document]:
    """A file's documents.

    Raises:
        ValueError: If the file is not what its suffix says; the message names it.
    """
    try:
        return LOADERS[file.suffix.lower()](file)
    except (OSError, ImportError):
        raise
    except Exception as error:  # each loader has errors of its own
        if str(file) in str(error) and isinstance(error, ValueError):
            raise
        cause = error.__cause__ or error
        raise ValueError(
            f"{file} cannot be read as {'text in UTF-8' if file.suffix.lower() != '.pdf' else 'PDF'}: {cause}; repair "
            "it, or take it out"
        ) from error


def _nothing_in(paths: Sequence[Path], files: Sequence[Path]) -> str:
    """What to say where no text was found."""
    where = ", ".join(map(str, paths))
    if any(file.suffix.lower() == ".pdf" for file in files):
        return f"found no text in {where}; a scanned PDF needs text recognition first"
    if files:
        return f"found no text in {where}: its {len(files)} files are empty"
    others = {file.suffix.lower() for path in paths for file in path.rglob("*") if file.is_file() and file.suffix}
    held = f"; there are only {', '.join(sorted(others)[:5])} files, to be converted first" if others else ""
    return f"found no document in {where}: expected files that end in {', '.join(LOADERS)}{held}"


def _load_text(file: Path) -> list[Document]:
    require_extra("langchain_community", "cli")
    from langchain_community.document_loaders import TextLoader

    return TextLoader(str(file), encoding="utf-8").load()


def _load_pdf(file: Path) -> list[Document]:
    require_extra("langchain_community", "cli")
    require_extra("pypdf", "cli")
    from langchain_community.document_loaders import PyPDFLoader

    return PyPDFLoader(str(file)).load()


def _load_jsonl(file: Path) -> list[Document]:
    """One document a line (LangChain's own JSONLoader needs jq, which does not install everywhere)."""
    documents = []
    for number, row in enumerate(read_jsonl(file), start=1):
        text = next((row[field] for field in _TEXT_FIELDS if isinstance(row.get(field), str)), None)
        if text is None:
            raise ValueError(f"{file}, record {number}, has no text; expected one of {', '.join(_TEXT_FIELDS)}")
        metadata = row.get("metadata") if isinstance(row.get("metadata"), dict) else {}
        key = None if row.get("id") is None else str(row["id"])
        documents.append(Document(text, id=key, metadata={"source": row.get("source", str(file)), **(metadata or {})}))
    return documents


LOADERS: Mapping[str, Callable[[Path], list[Document]]] = {
    ".txt": _load_text,
    ".md": _load_text,
    ".pdf": _load_pdf,
    ".jsonl": _load_jsonl,
}
"""Kinds of files, by suffix."""

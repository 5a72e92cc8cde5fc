"""A run in a TOML file: what it may say, and what it is told where it says something else."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.generation import GenerationConfig
from langchain_embedding_adapter.runs.file import TABLES, RunFile, example_file
from langchain_embedding_adapter.runs.settings import PairsSettings, TrainSettings


def test_the_example_is_a_file_that_can_be_read() -> None:
    said = RunFile.parse(example_file())
    assert said == RunFile(
        folder=Path("handbook-run"),
        documents=(Path("handbook"),),
        pairs={"pseudo": True},
        train={"embeddings": "local:wordllama"},
    )


def test_the_example_shows_every_option_with_its_default() -> None:
    lines = [line.removeprefix("# ") for line in example_file().splitlines()]
    kept = [line for line in lines if line.startswith("[") or line.partition(" = ")[0].replace("_", "").isalpha()]
    tables = {f"[{table}]" for table in TABLES}
    said = RunFile.parse("\n".join(line for line in kept if " = " in line or line in tables))
    for table, settings in TABLES.items():
        given = getattr(said, table)
        for field in fields(settings):
            assert field.name in given
            if field.metadata["example"] is None:
                assert given[field.name] == field.default, field.name
    PairsSettings(**{**said.pairs, "pseudo": False})
    TrainSettings(**said.train)


def test_defaults_are_those_of_the_library() -> None:
    generation = GenerationConfig()
    for name in ("questions_per_chunk", "max_concurrency", "difficulty", "max_calls", "max_tokens", "limit"):
        assert getattr(PairsSettings(), name) == getattr(generation, name)
    assert (PairsSettings().test_size, PairsSettings().validation_size) == (0.0, 0.0)
    assert (TrainSettings().metric, TrainSettings().seed) == (TrainingConfig().metric, TrainingConfig().seed)
    assert PairsSettings().generation().keys() - {"llm", "chunk_size", "chunk_overlap"} <= {
        field.name for field in fields(GenerationConfig)
    }


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        'folder = "r"\ndocuments = "docs"\n[pairs]\nprompts = ["p.txt"]\n[train]\nvalidation = "/else/real.json"\n'
    )
    said = RunFile.read(tmp_path / "run.toml")
    assert (said.folder, said.documents) == (tmp_path / "r", (tmp_path / "docs",))
    assert said.pairs == {"prompts": (tmp_path / "p.txt",)}
    assert said.train == {"validation": Path("/else/real.json")}


def test_values_are_taken_as_people_write_them() -> None:
    said = RunFile.parse(
        "[pairs]\nstyles = {natural = 2, keywords = 1}\nprice_in = 1\n[train]\nexpect = 'same-passages'\n"
    )
    assert said.pairs == {"styles": ("natural=2", "keywords=1"), "price_in": 1.0}
    assert said.train == {"expect": "same passages"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 1", "unknown key colour; expected one of documents, engine, folder, pairs, train"),
        ("document = 'a'", "unknown key document; did you mean documents?"),
        ("llm = 'a:b'", r"unknown key llm; it belongs into the table \[pairs\]"),
        ("[pairs]\nstyle = 'terse'", r"unknown key pairs.style; did you mean pairs.styles?"),
        ("[train]\nembedings = 'a:b'", r"unknown key train.embedings; did you mean train.embeddings?"),
        ("[pairs]\nchunk_size = '800'", 'expected pairs.chunk_size to be a whole number, got "800"'),
        ("[pairs]\nchunk_size = true", "expected pairs.chunk_size to be a whole number, got true"),
        ("[pairs]\nlimit = 0", "expected pairs.limit to be at least 1, got 0"),
        ("[pairs]\npseudo = 1", "expected pairs.pseudo to be true or false, got 1"),
        ("[pairs]\nlanguages = [1]", "expected pairs.languages to be a text, got 1"),
        ("[train]\nadapter = 'linaer'", 'got "linaer"; did you mean "linear"?'),
        ("[train]\ntest_size = 'a'", 'expected train.test_size to be a number, got "a"'),
        ("documents = [1]", "expected documents to be a path, got 1"),
        ("pairs = 3", r"expected a table \[pairs\], got pairs = 3"),
        ("a = [", "Invalid value"),
    ],
)
def test_what_is_not_known_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        RunFile.read(tmp_path / "run.toml")
    assert str(caught.value).startswith(str(tmp_path / "run.toml"))


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"`embedding-adapter run --example > run.toml` writes one"):
        RunFile.read(tmp_path / "run.toml")
    (tmp_path / "run.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="expected TOML in UTF-8"):
        RunFile.read(tmp_path / "run.toml")

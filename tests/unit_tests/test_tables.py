"""The tables that terminal, notebook, README and card share."""

from __future__ import annotations

import pytest

from langchain_embedding_adapter.tables import aligned, comparison, format_p_value, side_by_side, start_of


def test_words_stand_left_and_figures_right() -> None:
    table = aligned(["name", "p", "count"], [["a", "<.001", "1,000"], ["longer", ".5", "-2"]])
    assert table.splitlines() == [
        "| name   |     p | count |",
        "|--------|------:|------:|",
        "| a      | <.001 | 1,000 |",
        "| longer |    .5 |    -2 |",
    ]


def test_an_empty_cell_does_not_make_figures_words() -> None:
    assert aligned(["n"], [[""], ["12"]]).splitlines()[2:] == ["|    |", "| 12 |"]


def test_a_row_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        aligned(["a", "b"], [["1"]])


def test_base_alone() -> None:
    table = comparison([{"metric": "ndcg@10", "base": 0.51249}, {"metric": "hit_rate@1", "base": 1.0}])
    assert table.splitlines()[2:] == ["| nDCG@10    | 0.512 |", "| hit rate@1 | 1.000 |"]


def test_base_against_adapted() -> None:
    row = {
        "metric": "mrr@10",
        "base": 0.5,
        "adapted": 0.4,
        "gain": -0.1,
        "p_value": 0.0312,
        "better": 3,
        "same": 10,
        "worse": 12,
    }
    header, _, line = comparison([row]).splitlines()
    assert header.replace("|", " ").split() == ["metric", "base", "adapted", "gain", "p", "better", "same", "worse"]
    assert line.replace("|", " ").split() == ["MRR@10", "0.500", "0.400", "-0.100", ".031", "3", "10", "12"]


def test_what_a_question_finds() -> None:
    lines = side_by_side(["Mars", "Venus"], ["Venus", "Mars"]).splitlines()
    assert lines[2:] == ["|    1 | Mars  | Venus   |", "|    2 | Venus | Mars    |"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("short", "short"),
        ("just right", "just right"),
        ("one too many", "one too m…"),
        ("a | b\n c", "a b c"),
        ("", ""),
    ],
)
def test_the_start_of_a_text_fits_a_cell(text: str, expected: str) -> None:
    assert start_of(text, width=10) == expected


@pytest.mark.parametrize(
    ("value", "printed"), [(0.0, "<.001"), (0.00099, "<.001"), (0.001, ".001"), (0.05, ".050"), (1.0, "1.000")]
)
def test_p_values(value: float, printed: str) -> None:
    assert format_p_value(value) == printed

"""Texts that are nearly the same are found, and kept on one side of a split."""

from __future__ import annotations

import random

import pytest

from langchain_embedding_adapter import QADataset
from langchain_embedding_adapter.pairs.duplicates import near_duplicates

WORDS = [f"word{number}" for number in range(500)]


def text(seed: int, length: int = 120) -> list[str]:
    return random.Random(seed).choices(WORDS, k=length)


@pytest.mark.parametrize("seed", range(20))
def test_a_text_with_a_word_changed_is_found(seed: int) -> None:
    original = text(seed)
    changed = [*original[:60], "changed", *original[61:]]
    others = [" ".join(text(1000 + seed * 10 + n)) for n in range(10)]
    assert list(near_duplicates([*others, " ".join(original), " ".join(changed)])) == [(10, 11)]


def test_half_a_text_in_common_is_not_enough() -> None:
    original = text(1)
    assert list(near_duplicates([" ".join(original), " ".join(original[:60] + text(2, 60))])) == []


def test_case_punctuation_and_space_do_not_matter() -> None:
    original = " ".join(text(1))
    assert list(near_duplicates([original, original.upper().replace(" ", ",\n ")])) == [(0, 1)]


def test_scripts_without_spaces() -> None:
    original = "北京是中华人民共和国的首都,是全国政治中心、文化中心,也是世界著名古都和现代化国际城市。" * 2
    assert list(near_duplicates([original, original + "。", "上海是中国最大的城市。" * 3])) == [(0, 1)]


def test_short_and_empty_texts() -> None:
    assert list(near_duplicates(["", "a", "b", "a"])) == [(1, 3)]
    assert list(near_duplicates([])) == []


def test_editions_of_one_page_do_not_both_teach_and_examine() -> None:
    pages = [text(number) for number in range(20)]
    corpus = {f"{number}-{year}": " ".join([*page, str(year)]) for number, page in enumerate(pages) for year in (1, 2)}
    dataset = QADataset({key: f"about {key}?" for key in corpus}, corpus, {key: [key] for key in corpus})
    train, test = dataset.split(test_size=0.3, seed=3)
    assert len(test) == 12
    sides = [{query.partition("-")[0] for query in part.queries} for part in (train, test)]
    assert not sides[0] & sides[1]

"""What a model is asked for: styles, languages, askers, examples, in a mix that every chunk draws by its id."""

from __future__ import annotations

from collections import Counter

import pytest
from langchain_core.documents import Document

from langchain_embedding_adapter import GenerationConfig, QuestionStyle
from langchain_embedding_adapter.generation.prompts import DEFAULT_PROMPT, PromptMix
from langchain_embedding_adapter.questions.styles import STYLES

CHUNKS = [Document(f"fact {n}", id=str(n), metadata={"source": f"book {n // 10}"}) for n in range(200)]


def texts(mix: PromptMix) -> list[str]:
    return [found.prompt.format_prompt(**found.variables).to_string() for found in mix.wordings(CHUNKS)]


def test_the_default_asks_naturally_in_the_passages_language() -> None:
    first = texts(GenerationConfig().mix)[0]
    assert "Passage:\n\nfact 0\n\nWrite 2 different questions" in first
    assert STYLES["natural"].instruction in first
    assert "in the passage's language" in first


@pytest.mark.parametrize("style", [style for style in STYLES.values() if not style.joins], ids=lambda style: style.name)
def test_every_style_says_how_to_ask(style: QuestionStyle) -> None:
    assert all(style.instruction in text for text in texts(PromptMix([DEFAULT_PROMPT], styles=[style.name])))


def test_styles_come_in_the_shares_that_are_asked_for() -> None:
    found = PromptMix([DEFAULT_PROMPT], styles={"natural": 3, "keywords": 1}).wordings(CHUNKS)
    counts = Counter(wording.style.name for wording in found)
    assert 120 < counts["natural"] < 180
    assert sum(counts.values()) == len(CHUNKS)


def test_a_chunk_draws_the_same_whatever_is_around_it() -> None:
    mix = PromptMix([DEFAULT_PROMPT], styles=["natural", "terse", "how-to"], personas=["a nurse", "a pilot"])
    alone = [mix.wordings([chunk])[0] for chunk in CHUNKS]
    assert alone == mix.wordings(CHUNKS)
    other = PromptMix([DEFAULT_PROMPT], styles=["natural", "terse", "how-to"], personas=["a nurse", "a pilot"], seed=1)
    assert alone != other.wordings(CHUNKS)


def test_languages_personas_examples_and_difficulty_reach_the_prompt() -> None:
    config = GenerationConfig(
        languages=["German", "Polish"],
        personas=["a nurse on a night shift"],
        examples=[f"my question {n}?" for n in range(9)],
        difficulty="hard",
    )
    found = texts(config.mix)
    assert {"German", "Polish"} == {name for name in ("German", "Polish") for text in found if f"in {name}." in text}
    assert all("is a nurse on a night shift." in text for text in found)
    assert all(text.count("my question") == 5 for text in found)
    assert all("hard to find" in text for text in found)
    assert not any("in the passage's language" in text for text in found)


def test_several_prompts_are_mixed() -> None:
    found = texts(GenerationConfig(prompt=["Ask: {passage}", "Frage: {passage}"]).mix)
    assert 60 < sum("Ask: fact" in text for text in found) < 140


def test_a_style_of_ones_own() -> None:
    rude = QuestionStyle("rude", "Ask rudely.")
    found = PromptMix([DEFAULT_PROMPT], styles=[rude]).wordings(CHUNKS[:1])
    assert found[0].style is rude
    assert "Ask rudely." in found[0].variables["instructions"]


def test_questions_over_two_chunks_join_neighbours_of_one_document() -> None:
    found = PromptMix([DEFAULT_PROMPT], styles=["multi-hop"]).wordings(CHUNKS)
    assert found[3].also is CHUNKS[4]
    assert found[3].variables["passage"] == "Part 1:\n\nfact 3\n\nPart 2:\n\nfact 4"
    assert found[9].also is None  # the last one of its book
    assert found[9].style is STYLES["natural"]
    lonely = PromptMix([DEFAULT_PROMPT], styles=["multi-hop"]).wordings([Document("a", id="a"), Document("b", id="b")])
    assert [wording.also for wording in lonely] == [None, None]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"styles": ["odd"]}, "unknown style 'odd'; expected one of natural, keywords"),
        ({"styles": []}, "at least one style of a weight above 0"),
        ({"styles": {"natural": 0}}, "at least one style of a weight above 0"),
        ({"difficulty": "medium"}, "expected the difficulty 'easy', 'hard' or None"),
        ({"prompt": "{passage}", "languages": ["German"]}, "which this prompt lacks"),
        ({"found_within": 5}, "`found_within` and `embeddings` go together"),
        ({"limit": 0}, "limit must be at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GenerationConfig(**settings)

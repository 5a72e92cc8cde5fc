"""Pseudo-questions: what each style takes from a passage, the same from the same seed, each traced to its passage."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from langchain_core.documents import Document

from langchain_embedding_adapter import QADataset, generate_pseudo_questions
from langchain_embedding_adapter.chunks import text_id
from langchain_embedding_adapter.demo.language_reference import load_language_reference
from langchain_embedding_adapter.generation.pseudo import LONGEST, OPENERS, SHORTEST, STYLES, Style

CHUNKS = load_language_reference().chunks
MARS = Document("A Mars year lasts 687 days. It has seasons.", id="mars", metadata={"source": "planets.md"})
VENUS = Document("Venus, slowly, turns backwards on its axis; Venus turns backwards!", id="venus")


@pytest.fixture(scope="module")
def reference() -> QADataset:
    return generate_pseudo_questions(CHUNKS)


def pairs(dataset: QADataset, style: Style) -> list[tuple[str, str]]:
    """The questions of a style, each with its passage, on one line."""
    return [
        (text, " ".join(dataset.corpus[dataset.relevant_docs[query][0]].split()))
        for query, text in dataset.queries.items()
        if dataset.pseudo_styles[query] == style
    ]


def texts(dataset: QADataset) -> list[str]:
    return list(dataset.queries.values())


def in_order(words: list[str], text: str) -> bool:
    """Whether the words come one after the other in the text, with anything between."""
    place = 0
    for word in words:
        place = text.lower().find(word, place) + len(word)
        if place < len(word):
            return False
    return True


def frequency(word: str) -> int:
    """In how many passages of the reference the word is, also as a part of another."""
    return sum(word in chunk.page_content.lower() for chunk in CHUNKS)


def test_every_style_cuts_from_nearly_every_passage(reference: QADataset) -> None:
    assert list(reference.corpus) == [chunk.id for chunk in CHUNKS]
    assert reference.pseudo_styles.keys() == reference.queries.keys()
    assert set(reference.pseudo_styles.values()) == set(STYLES)
    counts = Counter(reference.pseudo_styles.values())
    assert all(0.9 * len(CHUNKS) < counts[style] <= len(CHUNKS) for style in STYLES)


def test_a_sentence_stands_in_its_passage(reference: QADataset) -> None:
    for sentence, passage in pairs(reference, "sentence"):
        assert sentence in passage
        assert SHORTEST <= len(re.findall(r"[^\W\d_][\w'-]*", sentence)) <= LONGEST
        assert "\n" not in sentence


def test_keywords_are_a_sentences_content_words_in_order_each_once(reference: QADataset) -> None:
    for keywords, passage in pairs(reference, "keywords"):
        words = keywords.split()
        assert len(words) == len(set(words)) >= 2
        assert min(map(len, words)) >= 3
        assert in_order(words, passage)
        assert not {"the", "and", "that"} & set(words)
    dataset = generate_pseudo_questions([VENUS], styles=["keywords"])
    assert texts(dataset) == ["venus slowly turns backwards its axis"]


def test_few_keywords_are_three_to_six_in_order(reference: QADataset) -> None:
    sizes = Counter()
    for keywords, passage in pairs(reference, "few keywords"):
        words = keywords.split()
        sizes[len(words)] += 1
        assert len(words) == len(set(words))
        assert in_order(words, passage)
    assert sizes.keys() == {3, 4, 5, 6}


def test_terms_are_three_to_six_specific_words_in_any_order(reference: QADataset) -> None:
    terms = pairs(reference, "terms")
    sizes = Counter(len(words.split()) for words, _ in terms)
    assert sizes.keys() == {3, 4, 5, 6}
    assert all(word in passage.lower() for words, passage in terms for word in words.split())
    assert any(not in_order(words.split(), passage) for words, passage in terms)
    assert not {"the", "and", "is"} & {word for words, _ in terms[:100] for word in words.split()}


def test_a_word_of_a_single_passage_is_noise_among_the_terms() -> None:
    shared = "alpha beta gamma delta epsilon zeta theta iota kappa lambda"
    others = [Document("nothing to see here, move along please")] * 5
    documents = [Document(f"xyzzy plugh {shared}"), Document(f"frobozz {shared}"), *others]
    found = {
        word
        for seed in range(20)
        for text in texts(generate_pseudo_questions(documents, styles=["terms"], most_passages=2, seed=seed))
        for word in text.split()
    }
    assert found >= set(shared.split())
    assert not {"xyzzy", "plugh", "frobozz"} & found


def test_words_of_most_passages_are_no_content_words() -> None:
    documents = [Document(f"every planet number{'abcdefghij'[n % 10]} moves around stars") for n in range(30)]
    common = generate_pseudo_questions(documents, styles=["sentence"])
    assert len(common.corpus) == 10  # repetitions are left out; ten passages, and "every" is in all of them
    with pytest.raises(ValueError, match="nothing could be cut from 10 passages"):
        generate_pseudo_questions(documents, styles=["keywords"])


def test_a_question_is_an_opener_and_a_few_keywords(reference: QADataset) -> None:
    used = Counter()
    for question, passage in pairs(reference, "question"):
        (opener,) = [opener for opener in OPENERS if question.startswith(f"{opener} ")]
        words = question.removeprefix(opener).removesuffix("?").split()
        used[opener] += 1
        assert question.endswith("?")
        assert 3 <= len(words) <= 6
        assert in_order(words, passage)
    assert used.keys() == set(OPENERS)


def test_own_openers() -> None:
    dataset = generate_pseudo_questions([MARS], styles=["question"], openers=["¿por qué"])
    (question,) = texts(dataset)
    assert question.startswith("¿por qué ")


def test_question_ids_name_passage_style_and_text(reference: QADataset) -> None:
    dataset = generate_pseudo_questions([MARS], styles=["sentence"])
    assert dataset.queries == {text_id("mars\nsentence\nA Mars year lasts 687 days."): "A Mars year lasts 687 days."}
    assert len(set(reference.queries)) == len(reference)


def test_the_seed_decides_and_another_decides_otherwise(reference: QADataset) -> None:
    assert generate_pseudo_questions(CHUNKS) == reference
    other = generate_pseudo_questions(CHUNKS, seed=1)
    assert other.corpus == reference.corpus
    assert len(other.queries.keys() & reference.queries.keys()) < 0.5 * len(reference)


def test_the_order_of_sets_in_a_process_decides_nothing() -> None:
    code = (
        "from langchain_core.documents import Document\n"
        "from langchain_embedding_adapter import generate_pseudo_questions\n"
        f"documents = [Document({MARS.page_content!r}), Document({VENUS.page_content!r})]\n"
        "print(generate_pseudo_questions(documents, per_style=3).queries)"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_a_passages_questions_do_not_depend_on_the_other_styles_nor_on_the_order() -> None:
    alone = generate_pseudo_questions(CHUNKS, styles=["terms"])
    beside = generate_pseudo_questions(CHUNKS[::-1], styles=["terms", "sentence"])
    of_terms = [query for query, style in beside.pseudo_styles.items() if style == "terms"]
    # Sorting breaks ties by the passage's own order of words, so that both collections rank words alike.
    assert alone.queries == beside.subset(of_terms).queries


def test_more_of_each_style_are_different_ones() -> None:
    once, often = (generate_pseudo_questions(CHUNKS[:50], per_style=count) for count in (1, 4))
    assert 3 * len(once) < len(often) <= 4 * 5 * 50
    few, many = (
        [(dataset.relevant_docs[query][0], text) for query, text in dataset.queries.items()]
        for dataset in (once, often)
    )
    assert set(few) <= set(many)  # the style may be another's: what two styles cut alike counts for the first
    assert len(set(many)) == len(many)


def test_a_text_is_cut_once_from_a_passage_whatever_the_style() -> None:
    document = Document("The cat saw a dog run.")
    for seed in range(5):
        dataset = generate_pseudo_questions([document], per_style=5, seed=seed)
        assert len(set(texts(dataset))) == len(dataset)
    twice = generate_pseudo_questions([document], styles=["sentence", "sentence"], per_style=3)
    assert texts(twice) == ["The cat saw a dog run."]


def test_every_sentence_comes_before_one_comes_again() -> None:
    sentences = [f"Planet {name} moves slowly around." for name in ("Mercury", "Venus", "Mars", "Saturn")]
    dataset = generate_pseudo_questions([Document(" ".join(sentences))], styles=["sentence"], per_style=4)
    assert sorted(texts(dataset)) == sorted(sentences)


def test_one_text_may_be_about_two_passages() -> None:
    documents = [Document(MARS.page_content, id="one"), Document(MARS.page_content, id="two")]
    dataset = generate_pseudo_questions(documents, styles=["sentence"])
    assert texts(dataset) == ["A Mars year lasts 687 days."] * 2
    assert list(dataset.relevant_docs.values()) == [["one"], ["two"]]


def test_no_more_passages_than_asked_for_get_questions_and_all_stay(reference: QADataset) -> None:
    some = [generate_pseudo_questions(CHUNKS, most_passages=20, seed=seed) for seed in (0, 0, 1)]
    assert [len(dataset.passages_asked_about()) for dataset in some] == [20, 20, 20]
    assert some[0] == some[1]
    assert some[0].passages_asked_about() != some[2].passages_asked_about()
    assert some[0].corpus == reference.corpus
    assert some[0].queries.items() <= reference.queries.items()
    asked = list(dict.fromkeys(passage for (passage,) in some[0].relevant_docs.values()))
    assert asked == [passage for passage in some[0].corpus if passage in set(asked)]
    assert generate_pseudo_questions(CHUNKS, most_passages=None) == reference


def test_documents_are_kept_and_blank_ones_left_out() -> None:
    dataset = generate_pseudo_questions(iter([MARS, Document(" "), VENUS, MARS]))
    assert dataset.corpus == {"mars": MARS.page_content, "venus": VENUS.page_content}
    assert dataset.documents == {"mars": "planets.md"}
    assert dataset.grades == {}


@pytest.mark.parametrize("count", [1, 2, 4, 19])
def test_in_a_handful_of_passages_words_are_still_content_words(count: int) -> None:
    documents = [Document(f"Planet {'x' * (n + 1)} turns slowly around stars.") for n in range(count)]
    dataset = generate_pseudo_questions(documents[:4] + [Document(f"filler {n}") for n in range(count - 4)])
    assert set(dataset.pseudo_styles.values()) >= {"sentence", "keywords", "terms", "question"}
    assert all("planet" in keywords for keywords, _ in pairs(dataset, "keywords"))


def test_passages_too_short_are_counted_and_stay(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "langchain_embedding_adapter.generation.pseudo"):
        dataset = generate_pseudo_questions([MARS, Document("Pluto."), Document("687")])
    assert dataset.passages_asked_about() == {"mars"}
    assert len(dataset.corpus) == 3
    assert "2 of 3 passages are too short and gave no pseudo-question" in caplog.text


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One two three four five! Six seven? Six of them make half a dozen.", 2),
        ("a heading\n\nfive words are a sentence\n \nand so are these five\r\n\r\nnot this", 2),
        ("Version 3.10 of it came out.  Then came 3.11 with faster code.", 2),
        ("今天天气很好，我们去公园散步。你想不想一起来呢，还是留在家里？不。昨天下了一整天的大雨！", 3),
        ("हिन्दी भाषा भारत में बोली जाती है। यह देवनागरी लिपि में लिखी जाती है।", 2),
        ("word " * 60 + ". " + "word " * 61 + ".", 1),
    ],
    ids=["signs", "paragraphs", "numbers", "Chinese", "Hindi", "length"],
)
def test_what_a_sentence_is(text: str, sentences: int) -> None:
    dataset = generate_pseudo_questions([Document(text)], styles=["sentence"], per_style=9)
    assert len(dataset) == sentences
    assert all(sentence in " ".join(text.split()) for sentence in texts(dataset))


def test_words_keep_their_marks() -> None:
    document = Document("नमस्ते दुनिया, cafe\u0301 don't well-known")
    assert texts(generate_pseudo_questions([document], styles=["keywords"])) == [
        "नमस्ते दुनिया cafe\u0301 don't well-known"
    ]


@pytest.mark.parametrize(
    ("documents", "options", "message"),
    [
        ([], {}, "there is no document to cut pseudo-questions from"),
        ([Document(" ")], {}, "there is no document"),
        ([MARS], {"styles": ["haiku", "terms"]}, r"among 'sentence', 'keywords'.*'question'; got 'haiku'$"),
        ([MARS], {"styles": []}, "expected styles among 'sentence'.*; got none$"),
        ([MARS], {"per_style": 0}, "per_style must be at least 1, got 0"),
        ([MARS], {"most_passages": 0}, "most_passages must be at least 1, or None for all; got 0"),
        ([MARS], {"openers": []}, "'question' needs openers"),
        ([Document("Pluto.")], {}, "nothing could be cut from 1 passage: .*at least one sentence of 5 words"),
        ([Document("Too short."), Document("This too.")], {"styles": ["sentence"]}, "cut from 2 passages"),
    ],
)
def test_what_is_wrong_is_said(documents: list[Document], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate_pseudo_questions(documents, **options)


def test_openers_are_needed_by_questions_only() -> None:
    assert len(generate_pseudo_questions([MARS], styles=["sentence"], openers=[])) == 1

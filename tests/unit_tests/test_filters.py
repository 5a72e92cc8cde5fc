"""What may become training data, and what may not."""

from __future__ import annotations

from typing import get_args

import pytest

from langchain_embedding_adapter.questions.filters import QuestionRules, Reason, rejection

PASSAGE = (
    "How do I copy a list in Python? A slice takes a part of a list and leaves the list itself as it was. "
    "A Mars year lasts 687 days, which is nearly twice as long as a year on Earth. "
    "切片取出列表的一部分，而原来的列表保持不变。"
)

QUESTIONS = [
    "What is a slice?",
    "How long is a year on Mars?",
    "how to copy a list",
    "How do I sort a list",
    "why do slices leave the list alone",
    "What does `a[1:2]` return?",
    '"Is a slice a copy?"',
    "Is a slice a copy? 🤔",
    "My list changes when I copy it. What did I do wrong?",
    "I can't open my file, what can I do?",
    "Explain how slices work.",
    "explain slices in python",
    "Tell me how slices are copied.",
    "describe the orbit of Mars",
    "List the ways to copy a list.",
    "I want to know how slices work.",
    "Should I use a list or a tuple?",
    "Shall I copy a list before sorting it?",
    "Do you need a visa for Japan?",
    "How can I help birds in winter?",
    "Should I continue taking the pills?",
    "Discuss the risks of copying a list.",
    "In what ways can a list be copied? Give an example of each.",
    "In the context of lists, explain what a slice is.",
    "Can you give me details on slices?",
    "Can you copy a list?",
    "Would a slice help here?",
    "How does AI affect jobs?",
    # other languages
    "Was ist ein Slice?",
    "wie kopiere ich eine Liste",
    "Erkläre mir, wie man eine Liste kopiert.",
    "Soll ich eine Liste oder ein Tupel nehmen?",
    "Qu'est-ce qu'une tranche ?",
    "comment copier une liste",
    "Est-ce que la tranche change la liste",
    "¿Qué es un corte?",
    "cómo copiar una lista",
    "Come si copia una lista?",
    "perché la lista non cambia",
    "O que é uma fatia?",
    "como copiar uma lista",
    "Hoe kopieer ik een lijst?",
    "waarom verandert de lijst niet",
    "Jak skopiować listę?",
    "dlaczego lista się nie zmienia",
    "Что такое срез?",
    "как скопировать список",
    "Как искусственный интеллект меняет работу?",
    "Hur kopierar man en lista?",
    "varför ändras inte listan",
    "Bir liste nasıl kopyalanır?",
    "Python'da dilim nedir",
    "Τι είναι η φέτα;",
    "什么是切片？",
    "如何复制列表",
    "请解释切片的用法。",
    "火星的一年有多长?",
    "切片会改变原来的列表吗",
    "我无法登录账户怎么办？",
    "スライスとは何ですか？",
    "リストをコピーするにはどうすればいいですか",
    "スライスの使い方を教えてください。",
    "すみません、駅はどこですか。",
    "슬라이스란 무엇인가요?",
    "리스트를 어떻게 복사하나요",
    "ما هي الشريحة؟",
    "كيف أنسخ القائمة",
    "स्लाइस क्या है?",
    "सूची की प्रति कैसे बनाएँ",
    "สไลซ์คืออะไร",
]

NO_QUESTIONS = [
    "The passage explains slices.",
    "A slice is a part of a list.",
    "When a list is copied, its elements are shared.",
    "Do not change a list while you read it.",
    "I hope this helps!",
    "What a wonderful passage!",
    "Sure, here are the questions",
    "Sure! Here are two questions about slices:",
    "Here are two questions about how slices work?",
    "I cannot help with that.",
    "I'm sorry, but I can't answer that.",
    "As an AI language model, I have no opinions.",
    "None",
    "slice copy list python",
    "Would you like me to write more questions?",
    "Shall I continue?",
    "Should I continue?",
    "Should I write some more questions?",
    "Do you want me to explain slices?",
    "Do you need any further help?",
    "Is there anything else I can do?",
    "How can I assist you today?",
    "How can I help?",
    "Does this help?",
    "Could you please provide the passage?",
    "Can you give me more context?",
    "Let me know if you need more, okay?",
    # other languages
    "Der Text erklärt, was ein Slice ist.",
    "Möchten Sie, dass ich weitere Fragen schreibe?",
    "Soll ich noch mehr Fragen schreiben?",
    "Es tut mir leid, dabei kann ich nicht helfen.",
    "Voulez-vous que je continue ?",
    "Je suis désolé, je ne peux pas vous aider.",
    "Voici deux questions sur les tranches ?",
    "¿Quieres que escriba más preguntas?",
    "Lo siento, no puedo ayudar con eso.",
    "Vuoi che scriva altre domande?",
    "Você quer que eu escreva mais perguntas?",
    "Desculpe, não posso ajudar.",
    "Wil je dat ik meer vragen schrijf?",
    "К сожалению, я не могу помочь.",
    "Хотите, чтобы я написал ещё вопросы?",
    "抱歉，我无法回答如何复制列表。",
    "以下是两个问题：",
    "这段文字解释了如何复制列表。",
    "您需要我再写几个问题吗？",
    "申し訳ありませんが、お答えできません。",
    "他に質問はありますか？",
    "스라이스는 리스트의 일부입니다.",
    "عذراً، لا أستطيع المساعدة.",
    "स्लाइस सूची का एक हिस्सा है।",
]

MENTIONS = [
    "What does the passage say about slices?",
    "According to the passage, what is a slice?",
    "According to the text, how long is a year?",
    "According to this document, how is a list copied?",
    "What is a slice, according to the author?",
    "Based on the given context, what is a slice?",
    "Based only on the provided excerpt, what is a slice?",
    "What is the main idea of the passage?",
    "What is this article about?",
    "In this passage, what happens to the list?",
    "In the text, what happens to the list?",
    "Which planet is mentioned in the text?",
    "What methods are described in the section above?",
    "What can be inferred from the passage?",
    "What example is given in the article?",
    "Why does the author think that slices are safe?",
    "How does the above passage describe slices?",
    "What does the document state about copying lists?",
    "How is a slice explained in the following excerpt?",
    # other languages
    "Was ist laut dem Text ein Slice?",
    "Worum geht es in diesem Abschnitt über Listen?",
    "Welcher Planet wird im Text erwähnt?",
    "Was sagt der Autor über Slices?",
    "Selon le texte, qu'est-ce qu'une tranche ?",
    "D'après l'auteur, combien dure une année ?",
    "Que dit cet article sur les tranches ?",
    "Quelle planète est mentionnée dans le passage ?",
    "Según el texto, ¿qué es un corte?",
    "¿Qué planeta se menciona en el pasaje?",
    "¿Qué dice este artículo sobre las listas?",
    "Secondo il testo, che cos'è una fetta?",
    "Quale pianeta è menzionato nel brano?",
    "De acordo com o texto, o que é uma fatia?",
    "Qual planeta é mencionado na passagem?",
    "Wat is volgens de tekst een slice?",
    "Wat wordt in dit artikel over lijsten gezegd?",
    "Согласно тексту, что такое срез?",
    "О чём говорится в этом отрывке текста?",
    "根据这段文字，什么是切片？",
    "文中提到的行星是哪一颗？",
    "这篇文章主要讲了什么？",
    "この文章によると、スライスとは何ですか？",
    "本文中で述べられている惑星は何ですか？",
]

NO_MENTIONS = [
    "How do I open a text file?",
    "What is a document object?",
    "How long is the passage from Dover to Calais?",
    "When was the passage of the Civil Rights Act?",
    "What does the article 5 of the GDPR require?",
    "According to article 5 of the GDPR, who is responsible?",
    "How does a context manager work?",
    "What does the context manager return?",
    "Who is the author of Dune?",
    "How do I change the author name in git?",
    "How do I search for a word in the document?",
    "Why is the text above the line cut off?",
    "How do I make the text bold?",
    "Which section of the tax form is for income?",
    "How do I cite a source in an essay?",
    "What is the title of the document node?",
    "What is a text editor?",
    "How do I centre the text in a table?",
    "What does this document object hold?",
    "How do I load a document from a URL?",
    "How many articles does the constitution have?",
    "How is context passed to a prompt?",
    "How do I pass the document type to the loader?",
    # other languages
    "Wie öffne ich eine Textdatei?",
    "Was verlangt Artikel 5 der DSGVO?",
    "Wie füge ich ein Bild in ein Dokument ein?",
    "Que dit l'article 5 du RGPD ?",
    "Comment ouvrir un fichier texte ?",
    "¿Qué dice el artículo 5 del RGPD?",
    "¿Cómo abro un archivo de texto?",
    "Come si apre un file di testo?",
    "Como abrir um arquivo de texto?",
    "Hoe open ik een tekstbestand?",
    "Что требует статья 5 закона о данных?",
    "如何打开文本文件？",
    "日本文化有什么特点？",
    "中文中的量词怎么用？",
    "テキストファイルはどう開きますか？",
    "この文字コードは何ですか？",
]


@pytest.mark.parametrize("question", [*QUESTIONS, *NO_MENTIONS])
def test_questions_are_accepted(question: str) -> None:
    assert rejection(question, PASSAGE) is None


@pytest.mark.parametrize("text", NO_QUESTIONS)
def test_what_asks_nothing_is_turned_down(text: str) -> None:
    assert rejection(text, PASSAGE) == "not a question"


@pytest.mark.parametrize("question", MENTIONS)
def test_a_question_about_the_passage_itself_is_turned_down(question: str) -> None:
    assert rejection(question, PASSAGE) == "mentions the passage"


@pytest.mark.parametrize(
    "question", ["", " ", "?", "What is", "Why?", "How so?", "Warum nicht?", "为什么？", "何か", "Что это?"]
)
def test_a_question_of_few_words_is_too_short(question: str) -> None:
    assert rejection(question, PASSAGE) == "too short"


@pytest.mark.parametrize(
    "question",
    [
        f"What is {'very ' * 60}long?",
        f"What is a slice{'e' * 10}, {'and what is it, ' * 15} in Python?",
        f"如何{'非常' * 60}复制列表？",
        f"สไลซ์คืออะไร{'มากมาก' * 45}",
    ],
)
def test_a_question_of_many_words_is_too_long(question: str) -> None:
    assert rejection(question, PASSAGE) == "too long"


@pytest.mark.parametrize(
    ("question", "copied"),
    [
        ("How do I copy a list in Python?", True),
        ("how do I copy a list in python", True),
        ("A slice takes a part of a list and leaves the list itself as it was?", True),
        ("Why a slice takes a part of a list and leaves the list itself?", True),
        ("切片取出列表的一部分，而原来的列表保持不变吗？", True),
        ("How do I copy a list?", True),  # six words
        ("Copy a list in Python?", False),  # five
        ("How is a list copied in Python?", False),
        ("What takes a part of a list but does not change it?", False),
        ("切片会改变列表吗？", False),
    ],
)
def test_a_question_is_no_copy_of_the_passage(question: str, copied: bool) -> None:
    assert rejection(question, PASSAGE) == ("copied from the passage" if copied else None)


@pytest.mark.parametrize(
    ("question", "earlier", "repeated"),
    [
        ("How long is a year on Mars?", "How long is a year on Mars?", True),
        ("how long is a YEAR on Mars", "How long is a year on Mars?", True),
        ("On Mars, how long is a year?", "How long is a year on Mars?", True),
        ("Que dure une année sur Mars ?", "Que dure une annee sur mars?", True),
        ("火星上的一年有多长呢？", "火星上的一年有多长？", True),
        ("How long is a day on Mars?", "How long is a year on Mars?", False),
        ("Is Venus hotter than Mars?", "Is Mars hotter than Venus?", False),
        ("What is a slice in Python?", "What is a slice?", False),
        ("火星上的一天有多长？", "火星上的一年有多长？", False),
        ("Was ist ein Slice?", "!", False),
    ],
)
def test_a_question_is_asked_once(question: str, earlier: str, repeated: bool) -> None:
    assert rejection(question, "", ["Why is the sky blue?", earlier]) == ("repeated" if repeated else None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("slice copy list python", None),
        ("list copy", None),
        ("slices", None),
        ("切片", None),
        ("A slice takes a part", None),
        ("Mars year days", None),
        ("What is a slice?", None),
        ("", "too short"),
        ("a slice takes a part of a list and leaves the list itself as it was", "copied from the passage"),
        ("I cannot help with that.", "not a question"),
        ("Here are some search keywords", "not a question"),
        ("main idea of the passage", "mentions the passage"),
        ("python " * 61, "too long"),
    ],
)
def test_keywords_need_not_ask(text: str, reason: Reason | None) -> None:
    assert rejection(text, PASSAGE, form="keywords") == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("My copied list changes together with the original", None),
        ("A Mars year is shorter than one on Earth.", None),
        ("slices", "too short"),
        ("a slice takes a part of a list", "copied from the passage"),
        ("Sure, here are two statements.", "not a question"),
        ("The passage says that lists are copied.", "mentions the passage"),
    ],
)
def test_a_statement_need_not_ask(text: str, reason: Reason | None) -> None:
    assert rejection(text, PASSAGE, form="statement") == reason


def test_rules_are_the_callers() -> None:
    question = "How do I copy a list in Python?"
    assert rejection(question, PASSAGE, rules=QuestionRules(most_copied=1.0)) is None
    assert rejection(question, "", rules=QuestionRules(min_words=9)) == "too short"
    assert rejection(question, "", rules=QuestionRules(max_words=7)) == "too long"
    assert rejection(question, "", ["How do I sort a list in Python?"], QuestionRules(repeated_above=0.5)) == "repeated"


def test_every_reason_is_named() -> None:
    assert len(set(get_args(Reason))) == 8


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("What does this passage do?", "mentions the passage"),
        ("What do you know about the passage?", "mentions the passage"),
        ("What's the passage's approach?", "mentions the passage"),
        ("What do the author's intentions are?", "mentions the passage"),
        ("What is the researchers' main finding?", "mentions the passage"),
        ("What's a good question to ask a scientist who doesn't know what they're talking about?", "not a question"),
        ("Who has read the book and the answer to this question?", "not a question"),
        ("How long is the passage from Dover to Calais?", None),
        ("What is a good answer when they ask about my salary?", None),
        ("How are authors paid by the publisher?", None),
    ],
)
def test_what_a_small_model_really_wrote(question: str, reason: str | None) -> None:
    assert rejection(question, PASSAGE) == reason

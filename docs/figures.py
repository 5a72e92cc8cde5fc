"""The pictures of the documentation, from real numbers where they show numbers.

    python docs/figures.py

Each is written twice into docs/assets, for light pages and for dark ones. What is trained and examined is the demo
(``make demo``: WordLlama, Python's language reference), so that the pictures are those of the README's table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from svg import Draw, Palette, arrow, box, dot, line, rectangle, text, write

from langchain_embedding_adapter import AdapterTrainer, WordLlamaEmbeddings
from langchain_embedding_adapter.demo.journey import split_questions
from langchain_embedding_adapter.demo.language_reference import load_language_reference
from langchain_embedding_adapter.tables import start_of

ASSETS = Path(__file__).parent / "assets"
SHOWN = 6
"""First passages of a question."""

Scores = NDArray[np.float64]


def main() -> None:
    """Train as the demo does, and draw."""
    reference = load_language_reference()
    base = WordLlamaEmbeddings()
    train, seen, unseen = split_questions(reference.dataset)
    result = AdapterTrainer(base, show_progress=False).train(train)
    report = result.evaluate(reference.dataset.subset([*seen.queries, *unseen.queries]))
    moved = (report.adapted_scores or {})["ndcg@10"] - report.base_scores["ndcg@10"]

    query = report.query_ids[int(moved.argmax())]
    question = reference.dataset.queries[query]
    passages = unit(base.embed_documents([chunk.page_content for chunk in reference.chunks]))
    before, after = (passages @ unit([found.embed_query(question)])[0] for found in (base, result.embeddings))
    answer = [chunk.id for chunk in reference.chunks].index(reference.dataset.relevant_docs[query][0])
    starts = [start_of(re.sub(r"[*\"]+", "", chunk.page_content)) for chunk in reference.chunks]
    names = [f"{chunk.metadata['source']}: {start}"[:38] for chunk, start in zip(reference.chunks, starts, strict=True)]

    write(ASSETS, "journey", (760, 350), "Train once; at every question the adapter turns the base's vector", journey)
    write(ASSETS, "strip", (760, 240), "One question's cosine to every passage", strip(before, after, answer, question))
    write(ASSETS, "moves", (760, 270), f"The first passages for: {question}", moves(before, after, answer, names))
    write(ASSETS, "changes", (760, 238), "The change of every test question", changes(moved))
    write(ASSETS, "memory", (760, 270), "How much a remembered question counts", memory)
    write(ASSETS, "futures", (800, 316), "Two ways to leave questions out", futures)


def unit(vectors: Sequence[Sequence[float]]) -> Scores:
    found = np.array(vectors)
    lengths: Scores = np.linalg.norm(found, axis=1, keepdims=True)
    return found / lengths


def journey(p: Palette) -> str:
    """What is done once, and what happens at every question."""
    wide = (150, 54)
    return "".join(
        [
            text(190, 22, "once, to train", p["faint"], anchor="middle"),
            text(570, 22, "at every question", p["faint"], anchor="middle"),
            line(400, 10, 400, 340, p["line"], dashes="3 4"),
            box(20, 40, wide, ["documents", "as they are"], p),
            box(210, 40, wide, ["pairs", "question → passage"], p),
            box(20, 150, wide, ["base model", "frozen"], p),
            box(210, 142, (150, 70), ["fit, and examine", "on questions the", "fit has not seen"], p),
            box(20, 270, wide, ["the index", "untouched"], p),
            arrow(170, 67, 208, 67, p),
            arrow(95, 94, 95, 148, p),
            arrow(285, 94, 285, 140, p),
            arrow(170, 177, 208, 177, p),
            arrow(95, 204, 95, 268, p),
            box(495, 40, (150, 40), ["question"], p),
            box(495, 112, wide, ["base model", "frozen"], p),
            box(495, 198, wide, ["adapter", "W q, in NumPy"], p, strong=True),
            box(495, 284, (150, 40), ["nearest passages"], p),
            arrow(570, 80, 570, 110, p),
            arrow(570, 166, 570, 196, p),
            arrow(570, 252, 570, 282, p),
            arrow(285, 225, 493, 225, p),
            line(285, 212, 285, 225, p["faint"], width=1.4),
            text(388, 217, "W, if it beat the base", p["faint"], size=11, anchor="middle"),
            arrow(170, 304, 493, 304, p),
            text(330, 296, "the same vectors as ever", p["faint"], size=11, anchor="middle"),
        ]
    )


def strip(base: Scores, adapted: Scores, answer: int, question: str) -> Draw:
    """The cosine of one question to every passage, before and after."""
    left, right, most = 96.0, 740.0, 0.1 + float(max(base.max(), adapted.max()))

    def x(score: float) -> float:
        return left + (right - left) * max(float(score), 0.0) / most

    def ticks(y: float, scores: Scores, colour: str) -> str:
        path = "".join(f"M{x(score):.1f} {y - 11:.0f}v22" for score in scores)
        return f'<path d="{path}" stroke="{colour}" stroke-opacity="0.6"/>'

    def row(y: float, name: str, scores: Scores, p: Palette) -> str:
        ahead, place = scores > scores[answer], x(scores[answer])
        return "".join(
            [
                text(left - 14, y + 4, name, p["ink"], anchor="end", bold=True),
                line(left, y, right, y, p["line"]),
                ticks(y, scores[~ahead], p["faint"]),
                ticks(y, scores[ahead], p["miss"]),
                line(place, y - 17, place, y + 17, p["hit"], width=3),
                text(place, y - 24, f"the answer: rank {1 + ahead.sum()}", p["hit"], anchor="middle", bold=True),
            ]
        )

    def draw(p: Palette) -> str:
        axis = [
            text(x(tenth / 10), 226, f"{tenth / 10:g}", p["faint"], size=11, anchor="middle")
            for tenth in range(int(most * 10) + 1)
        ]
        note = f"its cosine to each of {len(base)} passages; in orange, those ahead of the answer"
        said = text(20, 20, f"“{question}”", p["ink"]) + text(20, 40, note, p["faint"])
        return said + row(100, "base", base, p) + row(180, "adapted", adapted, p) + "".join(axis)

    return draw


def moves(base: Scores, adapted: Scores, answer: int, names: Sequence[str]) -> Draw:
    """The first passages of one question, base beside adapted."""
    found = [np.argsort(-scores)[:SHOWN].tolist() for scores in (base, adapted)]
    ranks = [1 + int((scores > scores[answer]).sum()) for scores in (base, adapted)]
    top, step, width, columns = 66, 36, 320, (10, 430)

    def draw(p: Palette) -> str:
        parts = []
        for x, passages, name, rank in zip(columns, found, ("base", "adapted"), ranks, strict=True):
            parts.append(text(x, 28, f"{name}: the answer is at rank {rank}", p["ink"], bold=True))
            for place, passage in enumerate(passages):
                right, y = passage == answer, top + step * place
                parts += [
                    rectangle(x, y - 18, width, 28, p, strong=right),
                    text(x + 10, y + 1, f"{place + 1}", p["faint"], size=12),
                    text(x + 30, y + 1, names[passage], p["hit" if right else "ink"], size=12, bold=right),
                ]
        for passage in set(found[0]) & set(found[1]):
            before, after = (top + step * passages.index(passage) - 4 for passages in found)
            parts.append(line(columns[0] + width, before, columns[1], after, p["faint"], width=1.2))
        return "".join(parts)

    return draw


def changes(moved: Scores) -> Draw:
    """The change of every test question, sorted."""
    ordered = np.sort(moved)[::-1]
    better, worse = int((ordered > 1e-12).sum()), int((ordered < -1e-12).sum())
    left, width, zero, scale = 60.0, 680.0, 110.0, 100.0
    bar = width / len(ordered)

    def draw(p: Palette) -> str:
        parts = [line(left, zero, left + width, zero, p["line"])]
        for row, value in enumerate(ordered):
            if abs(value) > 1e-12:
                top = zero - max(value, 0) * scale
                shape = f'x="{left + row * bar + 0.4:.1f}" y="{top:.1f}" width="{bar - 0.8:.1f}"'
                colour = p["hit" if value > 0 else "miss"]
                parts.append(f'<rect {shape} height="{max(abs(value) * scale, 0.5):.1f}" fill="{colour}"/>')
        for mark, name in ((-0.5, "−0.5"), (0.0, "0"), (0.5, "+0.5")):
            parts += [text(left - 10, zero - mark * scale + 4, name, p["faint"], size=11, anchor="end")]
        same = f"{len(ordered) - better - worse} as before"
        return "".join(parts) + "".join(
            [
                text(left + bar * better, 60, f"{better} better", p["hit"], bold=True),
                text(left + width / 2, zero - 12, same, p["faint"], anchor="middle"),
                text(left + width - bar * worse - 12, zero + 40, f"{worse} worse", p["miss"], anchor="end", bold=True),
                text(left, 226, f"change of nDCG@10, question by question, {len(ordered)} test questions", p["faint"]),
            ]
        )

    return draw


def memory(p: Palette) -> str:
    """How much a remembered question counts, by its cosine to the one that is asked."""
    left, right, top, bottom = 70.0, 740.0, 30.0, 220.0

    def x(cosine: float) -> float:
        return left + (right - left) * (cosine - 0.5) / 0.5

    def y(share: float) -> float:
        return bottom - (bottom - top) * share

    note = "cosine of the question to a remembered one; height: how much that one counts"
    parts = [line(left, bottom, right, bottom, p["line"]), line(left, top, left, bottom, p["line"])]
    for tenth in range(5, 11):
        parts += [text(x(tenth / 10), bottom + 18, f"{tenth / 10:g}", p["faint"], size=11, anchor="middle")]
    for share in (0, 0.5, 1):
        parts += [text(left - 10, y(share) + 4, f"{share:g}", p["faint"], size=11, anchor="end")]
    for row, (temperature, dashes) in enumerate(((0.1, ""), (0.05, "7 4"), (0.03, "2 4"))):
        curve = [(x(at), y(math.exp((at - 1) / temperature))) for at in np.linspace(0.5, 1, 100)]
        points = " ".join(f"{one:.1f},{other:.1f}" for one, other in curve)
        look = f'fill="none" stroke="{p["hit"]}" stroke-width="2"' + (f' stroke-dasharray="{dashes}"' if dashes else "")
        legend = top + 20 + 22 * row
        parts += [
            f'<polyline points="{points}" {look}/>',
            line(left + 30, legend, left + 80, legend, p["hit"], width=2, dashes=dashes),
            text(left + 92, legend + 4, f"temperature {temperature:g}", p["ink"]),
        ]
    return "".join(parts) + text(left, bottom + 42, note, p["faint"])


def futures(p: Palette) -> str:
    """The two ways to leave questions out."""
    random = np.random.default_rng(3)
    topics = [(70, 110), (190, 100), (290, 150), (90, 210), (220, 220)]
    panels = [
        ("topic folds: questions about new passages", "whole topics are left out, with all their questions"),
        ("question folds: new questions, same passages", "questions are left out at random"),
    ]
    parts = []
    for panel, (title, note) in enumerate(panels):
        shift = 405 * panel
        parts += [text(20 + shift, 24, title, p["ink"], bold=True), text(20 + shift, 42, note, p["faint"], size=12)]
        for topic, (centre, middle) in enumerate(topics):
            parts.append(dot(centre + shift, middle, 46, p, "box"))
            for row in range(7):
                turn, radius = 2 * math.pi * row / 7 + topic, 12 + 20 * (row % 2)
                out = topic in (1, 3) if panel == 0 else random.random() < 1 / 3
                place = centre + shift + radius * math.cos(turn), middle + radius * math.sin(turn)
                parts.append(dot(*place, 5, p, "miss" if out else "hit", hollow=bool(out)))
    legend = [
        (30, dot(30, 296, 5, p, "hit"), "a question that is learned from"),
        (262, dot(262, 296, 5, p, "miss", hollow=True), "one that examines"),
        (412, dot(412, 296, 8, p, "line"), "a topic: passages that are alike"),
    ]
    return "".join(parts) + "".join(shape + text(x + 14, 300, said, p["faint"], size=12) for x, shape, said in legend)


if __name__ == "__main__":
    main()

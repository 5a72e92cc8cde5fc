"""A small world where texts are angles, so that what training must find is known.

A passage ``"p 30 0"`` lies at 30° in plane 0 of a space of several planes, a question ``"q 30 0"`` at the same angle
turned by ``TURN`` degrees: the base finds little, and the linear map that turns back finds everything.
"""

from __future__ import annotations

import math

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import BaseMessage

from langchain_embedding_adapter import AdaptedEmbeddings, LinearAdapter, QADataset

PLANES = 4
DIMENSIONS = 2 * PLANES
TURN = 50


class AngleEmbeddings(Embeddings):
    """Embeds a text as the angle it names; keeps count of what it was asked."""

    def __init__(self, turn: float = TURN) -> None:
        self.turn = turn
        self.queries: list[str] = []
        self.documents: list[str] = []
        self.document_calls = 0

    def embed_query(self, text: str) -> list[float]:
        self.queries.append(text)
        return self._vector(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.document_calls += 1
        self.documents += texts
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        kind, angle, plane = text.split()[:3] if text[:2] in ("p ", "q ") else ("p", "0", "0")
        radians = math.radians(float(angle) + (self.turn if kind == "q" else 0))
        vector = np.zeros(DIMENSIONS)
        vector[2 * int(plane) : 2 * int(plane) + 2] = math.cos(radians), math.sin(radians)
        return vector.tolist()


def turned_back(base: AngleEmbeddings) -> AdaptedEmbeddings:
    """The base with the adapter that undoes the turn of the questions: what training would find."""
    angle = np.radians(-base.turn)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    adapter = LinearAdapter(DIMENSIONS, DIMENSIONS)
    adapter.load_arrays({"weight": np.kron(np.eye(PLANES), turn).astype(np.float32)})
    return AdaptedEmbeddings(base, adapter)


def shifted(places: int, features: int = 16) -> LinearAdapter:
    """Moves every coordinate so many places on."""
    adapter = LinearAdapter(features, features)
    adapter.weight = np.roll(adapter.weight, places, axis=0)
    return adapter


def world(step: int = 12, per_document: int = 5) -> QADataset:
    """Passages all around every plane, a question about each, a few passages a document."""
    queries, corpus, relevant, documents = {}, {}, {}, {}
    for plane in range(PLANES):
        for number, angle in enumerate(range(0, 360, step)):
            key = f"{plane}-{angle}"
            corpus[f"p{key}"] = f"p {angle} {plane}"
            queries[f"q{key}"] = f"q {angle} {plane}"
            relevant[f"q{key}"] = [f"p{key}"]
            documents[f"p{key}"] = f"document {plane}-{number // per_document}"
    return QADataset(queries, corpus, relevant, documents)


class AngleWriter(SimpleChatModel):
    """Writes the question of the passage that the prompt holds, as chat models do: numbered, after a preamble."""

    calls: int = 0

    def _call(self, messages: list[BaseMessage], *_: object, **__: object) -> str:
        self.calls += 1
        passage = next(line for line in str(messages[-1].content).splitlines() if line.startswith("p "))
        return f"Here is a question:\n1. q{passage[1:]} ?"

    @property
    def _llm_type(self) -> str:
        return "angle-writer"

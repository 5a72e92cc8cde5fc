"""The solvers: a convex problem for linear maps, a memory of questions, one readable loop for every other adapter.

All of them learn from the same thing, vectors that are at hand: the softmax of the right passages among all passages
with training questions, held to where they started. (A passage without a training question would only ever be a
negative, and the map would learn to push it down.)
"""

from __future__ import annotations

from langchain_embedding_adapter.fitting.closed_forms import CLOSED_FORMS
from langchain_embedding_adapter.fitting.convex import History, LinearProblem
from langchain_embedding_adapter.fitting.descent import Follow, fit_by_descent
from langchain_embedding_adapter.fitting.entries import Entries
from langchain_embedding_adapter.fitting.linear import feasible, fit_linear
from langchain_embedding_adapter.fitting.memory import (
    condense,
    filled,
    fit_memory,
    mean_answers,
    memory_for,
    question_memory,
    recall_table,
)
from langchain_embedding_adapter.fitting.problem import Problem, QuestionWeights, as_tensor
from langchain_embedding_adapter.fitting.products import inner
from langchain_embedding_adapter.fitting.threads import SideBySide

__all__ = [
    "CLOSED_FORMS",
    "Entries",
    "Follow",
    "History",
    "LinearProblem",
    "Problem",
    "QuestionWeights",
    "SideBySide",
    "as_tensor",
    "condense",
    "feasible",
    "filled",
    "fit_by_descent",
    "fit_linear",
    "fit_memory",
    "inner",
    "mean_answers",
    "memory_for",
    "question_memory",
    "recall_table",
]

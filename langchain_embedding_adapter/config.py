"""How to train: every setting and its default, written once.

The command's flags, the cards and the documentation read their defaults here.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal, get_args

Future = Literal["new passages", "same passages", "both"]
"""What tomorrow's questions will be about."""

CHUNK_SIZE = 800
"""Most characters of a chunk."""

CHUNK_OVERLAP = 0
"""Characters that neighbouring chunks share."""

Precision = Literal["float32", "tf32", "bfloat16"]
"""What numbers are rounded to before they are multiplied."""

CROWDED = 10
"""Questions to an entry of a memory: one that stands for more was measured to recall little (memory_scale.py)."""

DEFAULT_MEMORY = 4 * 2**30
"""Bytes that a fit may hold on a machine that does not tell what it has."""


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of :meth:`AdapterTrainer.train`.

    Attributes:
        scale: Inverse temperature of the softmax over cosines, for adapters trained in epochs and a single linear fit;
            selection tries those of ``linear_grid``.
        ridge: How strongly these are held to where they started: the weight of the mean squared displacement of a
            query, and of ``‖W − I‖² + ‖b‖²`` in a single linear fit.
        linear_grid: Pairs of scale and ridge that selection tries for a linear map, from simple to complex.
        cautious_grid: Further ones that it tries where questions are few: they move the questions less.
        memory_grid: Pairs of temperature and strength that selection tries for a memory, from simple to complex.
        strengths: How far from the base to a fitted linear map selection tries to go, 1 always.
        closed_forms: Closed forms that selection tries where questions are few: ``"mean shift"``, ``"procrustes"``,
            ``"ridge regression"``.
        memory_size: Most questions that a memory holds. A query costs a product with each; of more than 16,384 at
            384 dimensions, 4,096 at 1,536, with the nearest and with cells of the others. More than 65,536 at 384
            dimensions are held as codes, in a sixteenth of the room.
        folds: Parts of the cross-validation, of each of its two kinds; where questions are many, not every part is
            examined.
        small: With fewer questions than this, questions are few: selection tries closed forms and the cautious grid
            too, leaves out whatever is not a standard error ahead of the base, and takes the simplest form of the best
            candidate that is within one standard error of it.
        negatives: What a question's passages compete with: ``"asked"``, the passages that have a training question, or
            ``"all"`` passages, which pays only where future questions hit the same passages.
        duplicates_above: A passage whose cosine to a right one is at least this is no negative; ``None`` lets it be.
        false_negatives_above: A passage that the base scores above this share of the best right one is taken for
            another right one, and is no negative (NV-Retriever proposes 0.95); ``None`` lets it be, as where the base
            is weak it is what there is to learn.
        teacher_share: How much of the loss is the distance to a teacher's opinion, where there is a teacher.
        teacher_depth: A teacher is asked about so many passages of each question: the base's nearest, and the right
            ones.
        loss: Of adapters trained in epochs: ``"softmax"``, the cross-entropy that a linear map minimises too, or
            ``"margin"``: each right passage ahead of the hardest negatives by ``1 / scale`` in cosine.
        teacher_loss: How these measure the distance to a teacher: ``"listwise-kl"``, as a linear map does, or
            ``"margin-mse"``.
        block_entries: Most scores, questions × passages, held at a time by each thread.
        memory: How much memory a fit may hold, as ``"4GB"`` or a number of bytes; half of the machine's by default.
            Vectors beyond it are streamed from files.
        exact_entries: Most scores, questions × passages, that a linear fit looks at one by one. Of more, each question
            competes with its right passages and with ``negatives_drawn`` others, which are counted as often as they
            stand for others that are left out.
        negatives_drawn: So many of them, most among those that the questions are confused with.
        precision: Of the products of questions and passages in such a fit: ``"float32"``, or on a GPU ``"tf32"`` (of no
            effect on a CPU) or ``"bfloat16"``; sums are float32 in any case.
        max_steps: Most evaluations of the objective in the fit of a linear map.
        tolerance: The fit of a linear map has converged when its loss is above the optimum by no more than this share,
            by a bound that strong convexity gives (a ridge below 0.001 counts as that); it is several times nearer,
            mostly.
        epochs: Most passes over the pairs for adapters other than linear.
        batch_size: Questions a step of these.
        learning_rate: Of AdamW in the first step; it falls to 0 in the last epoch, along a cosine.
        weight_decay: Of AdamW.
        max_gradient_norm: A step's gradient is scaled down to this length.
        patience: Stop after so many epochs without a better one on the held-out questions.
        validation_size: Share of the questions that are held out, by document, to decide between adapter and base.
        metric: What decides, on the held-out questions: ``"ndcg@10"``, ``"hit_rate@5"`` …
        device: ``"cpu"``, ``"cuda"``, ``"mps"``; ``"auto"`` takes the CPU for a linear map, and for the others a
            GPU where there is one.
        seed: Of the split, of shuffling and of dropout.
    """

    scale: float = 40.0
    ridge: float = 0.1
    linear_grid: tuple[tuple[float, float], ...] = ((40, 0.1), (80, 0.1))
    cautious_grid: tuple[tuple[float, float], ...] = ((80, 0.3),)
    memory_grid: tuple[tuple[float, float], ...] = ((0.03, 0.5), (0.05, 0.5), (0.05, 1), (0.1, 0.3), (0.1, 1))
    strengths: tuple[float, ...] = (1,)
    closed_forms: tuple[str, ...] = ("mean shift", "procrustes", "ridge regression")
    memory_size: int = 10_000
    folds: int = 3
    small: int = 300
    negatives: Literal["asked", "all"] = "asked"
    duplicates_above: float | None = 0.99
    false_negatives_above: float | None = None
    teacher_share: float = 0.5
    teacher_depth: int = 20
    loss: Literal["softmax", "margin"] = "softmax"
    teacher_loss: Literal["listwise-kl", "margin-mse"] = "listwise-kl"
    block_entries: int = 2**22
    memory: str | int | None = None
    exact_entries: int = 2**28
    negatives_drawn: int = 2048
    precision: Precision = "float32"
    max_steps: int = 200
    tolerance: float = 1e-2
    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    patience: int = 5
    validation_size: float = 0.2
    metric: str = "ndcg@10"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        positive = ("scale", "max_steps", "epochs", "batch_size", "learning_rate", "patience", "tolerance")
        for name in (*positive, "max_gradient_norm", "teacher_depth", "negatives_drawn", "exact_entries"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)!r}")
        for name in ("ridge", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or above, got {getattr(self, name)!r}")
        choices_of = {
            "loss": ("softmax", "margin"),
            "teacher_loss": ("listwise-kl", "margin-mse"),
            "precision": get_args(Precision),
            "negatives": ("asked", "all"),
        }
        for name, choices in choices_of.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if not 0 <= self.teacher_share <= 1:
            raise ValueError(f"teacher_share must lie between 0 and 1, got {self.teacher_share!r}")
        if not 0 < self.validation_size < 1:
            raise ValueError(f"validation_size must lie between 0 and 1, got {self.validation_size!r}")
        name, _, k = self.metric.partition("@")
        if name not in ("hit_rate", "recall", "mrr", "ndcg", "map") or not k.isdecimal() or int(k) < 1:
            raise ValueError(f"metric must be like 'ndcg@10' or 'hit_rate@5', got {self.metric!r}")
        if self.device not in ("auto", "cpu", "cuda", "mps") and not self.device.startswith("cuda:"):
            raise ValueError(f"device must be 'auto', 'cpu', 'cuda' or 'mps', got {self.device!r}")
        if self.memory is not None and not in_bytes(self.memory) > 0:
            raise ValueError(f"memory must be above 0, got {self.memory!r}")

    @property
    def memory_bytes(self) -> int:
        """``memory`` as a number; half of the machine's where it is not set."""
        return _half_of_the_machine() if self.memory is None else in_bytes(self.memory)

    @property
    def cutoff(self) -> int:
        """The k of ``metric``."""
        return int(self.metric.partition("@")[2])


def in_bytes(memory: str | int) -> int:
    """An amount of memory as a number of bytes.

    Raises:
        ValueError: If it is no amount.

    >>> in_bytes("4GB"), in_bytes("512 MiB")
    (4000000000, 536870912)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)[bB]?\s*", str(memory))
    if found is None:
        raise ValueError(f"memory must be like '4GB', '512MiB' or a number of bytes, got {memory!r}")
    amount, prefix, binary = found.groups()
    return int(float(amount) * (1024 if binary else 1000) ** " KMGT".index(prefix.upper() or " "))


def _half_of_the_machine() -> int:
    names = getattr(os, "sysconf_names", {})  # Windows has none
    if not names.keys() >= {"SC_PHYS_PAGES", "SC_PAGE_SIZE"}:
        return DEFAULT_MEMORY
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2

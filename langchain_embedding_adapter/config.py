"""How to train: every setting and its default, written once.

The command's flags, the cards and the documentation read their defaults here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of :meth:`AdapterTrainer.train`.

    Attributes:
        scale: Inverse temperature of the softmax over cosines.
        ridge: How strongly the fit is held to the identity: the weight of ``‖W − I‖² + ‖b‖²`` for a linear map, of the
            mean squared displacement of a query for every other adapter.
        max_steps: Most evaluations of the objective in the fit of a linear map.
        tolerance: The fit of a linear map has converged when no entry of its gradient is larger.
        epochs: Most passes over the pairs for adapters other than linear.
        batch_size: Questions a step of these.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        patience: Stop after so many epochs without a better one on the held-out questions.
        validation_size: Share of the questions that are held out, by document, to decide between adapter and base.
        metric: What decides, on the held-out questions: ``"ndcg@10"``, ``"hit_rate@5"`` …
        device: ``"cpu"``, ``"cuda"``, ``"mps"``; ``"auto"`` takes the CPU for a linear map, and for the others a
            GPU where there is one.
        seed: Of the split, of shuffling and of dropout.
    """

    scale: float = 40.0
    ridge: float = 0.1
    max_steps: int = 200
    tolerance: float = 1e-5
    epochs: int = 50
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    patience: int = 5
    validation_size: float = 0.2
    metric: str = "ndcg@10"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("scale", "max_steps", "epochs", "batch_size", "learning_rate", "patience", "tolerance"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)!r}")
        for name in ("ridge", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or above, got {getattr(self, name)!r}")
        if not 0 < self.validation_size < 1:
            raise ValueError(f"validation_size must lie between 0 and 1, got {self.validation_size!r}")
        name, _, k = self.metric.partition("@")
        if name not in ("hit_rate", "recall", "mrr", "ndcg", "map") or not k.isdecimal() or int(k) < 1:
            raise ValueError(f"metric must be like 'ndcg@10' or 'hit_rate@5', got {self.metric!r}")
        if self.device not in ("auto", "cpu", "cuda", "mps") and not self.device.startswith("cuda:"):
            raise ValueError(f"device must be 'auto', 'cpu', 'cuda' or 'mps', got {self.device!r}")

    @property
    def cutoff(self) -> int:
        """The k of ``metric``."""
        return int(self.metric.partition("@")[2])

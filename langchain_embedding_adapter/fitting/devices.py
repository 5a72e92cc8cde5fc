"""Where to compute."""

from __future__ import annotations

import torch


def pick_device(wanted: str, automatic: str) -> str:
    """The device to compute on; ``automatic`` says what ``"auto"`` means here: the CPU, or a GPU if there is one."""
    if wanted != "auto":
        return wanted
    if automatic == "auto" and torch.cuda.is_available():
        return "cuda"
    if automatic == "auto" and torch.backends.mps.is_available():
        return "mps"
    return "cpu"

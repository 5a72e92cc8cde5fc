"""Products of questions and passages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from langchain_embedding_adapter.config import Precision

LEAST_WORK = 2**20
"""Multiplications; with fewer, calling oneDNN takes longer than it saves."""


def inner(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right.T``, the inner products of the rows of both.

    Where the processor has AVX-512, float32 is multiplied by oneDNN: MKL, torch's own choice, uses those instructions
    on Intel's processors only, and is half as fast on others. Which of the two multiplies depends on the shapes alone.
    """
    if _wide(left) and len(left) * len(right) * left.shape[1] >= LEAST_WORK:
        return torch.ops.mkldnn._linear_pointwise.default(left, right, None, "none", [], "")
    return left @ right.T


def product(left: Tensor, right: Tensor, precision: Precision) -> Tensor:
    """``left @ right.T`` as float32: of float32 numbers, or of the same rounded to bfloat16; sums are float32's."""
    if precision != "bfloat16":
        return inner(left, right)
    one, other = left.bfloat16(), right.T.bfloat16()
    if left.is_cuda and hasattr(torch.ops.aten.mm, "dtype"):  # from torch 2.8 on
        found: Tensor = torch.mm(one, other, out_dtype=torch.float32)
        return found
    return one.float() @ other.float()  # what a GPU computes: products of eight bits each are exact


@contextmanager
def multiplying(precision: Precision) -> Iterator[None]:
    """A context in which a GPU rounds what it multiplies to TensorFloat-32 if ``precision`` says so, and only then."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _wide(vectors: Tensor) -> bool:
    return (
        vectors.device.type == "cpu"
        and vectors.dtype == torch.float32
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and torch.backends.mkldnn.is_available()
    )

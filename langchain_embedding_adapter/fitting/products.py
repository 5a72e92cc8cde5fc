"""Products of questions and passages."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from langchain_embedding_adapter.config import Precision
from langchain_embedding_adapter.fitting.sharing import current

LONGEST = 1536
"""So many products at a time are added up by oneDNN, which shares out sums of 2,048 and more among threads."""


def inner(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right.T``, the inner products of the rows of both.

    Processors with AVX2 or AVX-512 multiply float32 by oneDNN, and what comes out does not depend on the number of
    threads then. (MKL, torch's own choice, makes no such promise, and uses AVX-512 on Intel's processors only: on
    others it is half as fast.)
    """
    sides = left, right
    plain = all(side.device.type == "cpu" and side.dtype == torch.float32 and not side.requires_grad for side in sides)
    if not (plain and left.shape[1] == right.shape[1] and left.numel() and right.numel() and steady()):
        return left @ right.T
    began = time.perf_counter()
    parts = zip(*(_two_rows(side).split(LONGEST, dim=1) for side in sides), strict=True)
    found = functools.reduce(Tensor.add_, itertools.starmap(_by_onednn, parts))
    if 1 in (len(left), len(right)):
        found = found[: len(left), : len(right)].contiguous()
    sharing = current.get()
    if sharing is not None:
        sharing.took(time.perf_counter() - began, 2 * found.numel() * left.shape[1])
    return found


def _two_rows(side: Tensor) -> Tensor:
    """The side, its only row twice: a product with a vector is shared out among threads as a long sum is."""
    return side.expand(2, -1).contiguous() if len(side) == 1 else side


def _by_onednn(left: Tensor, right: Tensor) -> Tensor:
    sides = (side if side.is_contiguous() or side.T.is_contiguous() else side.contiguous() for side in (left, right))
    found: Tensor = torch.ops.mkldnn._linear_pointwise.default(*sides, None, "none", [], "")  # no other strides: 1000 ×
    return found


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


@functools.cache
def steady() -> bool:
    """Whether inner products on this machine are the same on any number of threads."""
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512") or not torch.backends.mkldnn.is_available():
        return False
    numbers = torch.arange(16.0).view(4, 4)
    try:
        return torch.equal(_by_onednn(numbers, numbers), numbers @ numbers.T)
    except (AttributeError, RuntimeError):  # the operation is torch's own affair, and another version may lack it
        return False

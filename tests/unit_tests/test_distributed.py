"""The fit on several processes, as far as one process can show it."""

from __future__ import annotations

import pytest
import torch

from langchain_embedding_adapter.fitting.distributed import reduced
from langchain_embedding_adapter.fitting.ranks import Ranks, joined


def test_a_group_of_one_is_its_own_sum() -> None:
    alone = Ranks.here()
    assert (alone.rank, alone.count) == (0, 1)
    assert alone.total(1.5) == 1.5
    assert alone.add(torch.ones(2)).tolist() == alone.told(torch.ones(2)).tolist() == [1, 1]
    value, gradient = reduced(lambda point: (2.0, 3 * point), alone)(torch.ones(2))
    assert (value, gradient.tolist()) == (2, [3, 3])


def test_whoever_is_not_started_by_torchrun_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(RuntimeError, match="start them with torchrun"), joined():
        pass

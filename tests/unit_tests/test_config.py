"""Settings say what is wrong with them."""

from __future__ import annotations

import pytest

from langchain_embedding_adapter import TrainingConfig


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"scale": 0}, "scale must be above 0, got 0"),
        ({"learning_rate": -1}, "learning_rate must be above 0"),
        ({"ridge": -0.1}, "ridge must be 0 or above"),
        ({"validation_size": 1.0}, "validation_size must lie between 0 and 1"),
        ({"metric": "accuracy@10"}, "metric must be like 'ndcg@10'"),
        ({"metric": "ndcg"}, "metric must be like 'ndcg@10'"),
        ({"metric": "ndcg@0"}, "metric must be like 'ndcg@10'"),
        ({"device": "tpu"}, "device must be"),
    ],
)
def test_a_setting_out_of_range_is_refused(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**setting)


def test_the_cutoff_is_read_from_the_metric() -> None:
    assert TrainingConfig(metric="hit_rate@5").cutoff == 5

"""The small world of the stores' tests: a base that counts what it is asked, and half as many passages."""

from __future__ import annotations

import os

import pytest

from langchain_embedding_adapter import QADataset
from tests.small_world import AngleEmbeddings, world

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray tells nobody, and leaves no thread that asks around


@pytest.fixture
def base() -> AngleEmbeddings:
    return AngleEmbeddings()


@pytest.fixture(scope="session")
def dataset() -> QADataset:
    return world(step=24)

"""Unit tests run with sockets off."""

from __future__ import annotations

import pytest
from pytest_socket import disable_socket, enable_socket

from tests.small_world import AngleEmbeddings, world


@pytest.fixture(autouse=True)
def no_network():
    disable_socket(allow_unix_socket=True)  # asyncio's own loop talks to itself through one
    yield
    enable_socket()


@pytest.fixture
def base() -> AngleEmbeddings:
    return AngleEmbeddings()


@pytest.fixture(scope="session")
def dataset():
    return world()

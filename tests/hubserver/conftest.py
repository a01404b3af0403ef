"""A Hub, and a plain HTTP client that speaks to it as any program could."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

import httpx
import pytest

from enfold.hubserver import EmbeddedHub

_numbers = count()


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    database = os.environ.get("HUBSERVER_TEST_DATABASE")  # by test_hubserver_postgres.py
    store = os.environ.get("HUBSERVER_TEST_STORE")  # by test_hubserver_s3.py
    with EmbeddedHub(tmp_path_factory.mktemp("hub"), durable=False, database=database, store=store) as hub:
        yield hub


@pytest.fixture(scope="session")
def http(embedded: EmbeddedHub) -> Iterator[httpx.Client]:
    """A client that holds the owner's token."""
    headers = {"Authorization": f"Bearer {embedded.token}"}
    with httpx.Client(base_url=embedded.endpoint, headers=headers) as client:
        yield client


@pytest.fixture(scope="session")
def anonymous(embedded: EmbeddedHub) -> Iterator[httpx.Client]:
    """A client without a token."""
    with httpx.Client(base_url=embedded.endpoint) as client:
        yield client


@pytest.fixture
def name(http: httpx.Client) -> str:
    """A fresh model repository."""
    number = next(_numbers)
    made = http.post("/api/repos/create", json={"name": f"raw-{number}", "organization": "owner"})
    assert made.status_code == 200, made.text
    return f"owner/raw-{number}"

"""A Hub on Postgres behaves as on SQLite, and several servers share one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hubserver_raw import commit, file
from postgres import postgres

from enfold.errors import EnfoldError
from enfold.hubserver import EmbeddedHub
from enfold.hubserver.database import Database

HERE = Path(__file__).parent
#: the tests of what the database answers for
SUITES = (
    "test_hubserver_api",
    "test_hubserver_dedup",
    "test_hubserver_discussions",
    "test_hubserver_people",
    "test_hubserver_search",
    "test_hubserver_xet",
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with postgres() as found:
        yield found


@pytest.fixture
def database(address: str, request: pytest.FixtureRequest) -> str:
    """A fresh database."""
    import psycopg

    name = f"hub_{abs(hash(request.node.name)) % 10**9}"
    with psycopg.connect(address.format(name="postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return address.format(name=name)


def test_everything_holds_on_postgres(database: str) -> None:
    environment = {**os.environ, "HUBSERVER_TEST_DATABASE": database}
    files = [str(HERE / f"{name}.py") for name in SUITES]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=0", *files]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=HERE.parents[1])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_two_servers_share_one_database(database: str, tmp_path: Path) -> None:
    with (
        EmbeddedHub(tmp_path / "data", durable=False, database=database) as one,
        EmbeddedHub(tmp_path / "data", durable=False, database=database) as two,
    ):
        clients = [
            httpx.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {one.token}"}, timeout=60)
            for hub in (one, two)
        ]
        clients[0].post("/api/repos/create", json={"name": "shared", "organization": "owner"}).raise_for_status()
        oids: list[str] = []

        def write(number: int) -> None:
            for turn in range(10):
                made = commit(clients[number], "owner/shared", file(f"{number}-{turn}", b"x"), title=f"{number}-{turn}")
                oids.append(made.raise_for_status().json()["commitOid"])

        writers = [threading.Thread(target=write, args=(number,)) for number in (0, 1)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        listed = clients[1].get("/api/models/owner/shared/tree/main").json()
        assert len(listed) == 21 and len(set(oids)) == 20
        history = [item["id"] for item in clients[0].get("/api/models/owner/shared/commits/main").json()]
        assert set(oids) < set(history) and len(history) == 21


def test_a_lost_connection_is_made_again(database: str, tmp_path: Path) -> None:
    import psycopg

    with EmbeddedHub(tmp_path / "data", durable=False, database=database) as hub:
        client = httpx.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {hub.token}"})
        client.post("/api/repos/create", json={"name": "kept", "organization": "owner"}).raise_for_status()
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid()"
            )
        statuses = [client.get("/api/models/owner/kept").status_code for _ in range(5)]
        assert statuses[-1] == 200 and set(statuses) <= {200, 503}
        assert commit(client, "owner/kept", file("a", b"a")).status_code == 200


def test_a_database_that_cannot_be_reached_is_a_503(database: str, tmp_path: Path, monkeypatch: Any) -> None:
    from sqlalchemy.exc import OperationalError

    with EmbeddedHub(tmp_path / "data", durable=False, database=database) as hub:

        def refuse(secret: str | None) -> None:
            raise OperationalError("connect", None, Exception("refused"))

        monkeypatch.setattr(hub.hub.tokens, "viewer", refuse)
        answer = httpx.get(f"{hub.endpoint}/api/models")
        assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
        assert "refused" not in answer.text and "try again" in answer.json()["error"]


def test_other_databases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EnfoldError, match="SQLite or Postgres, not in 'mysql'"):
        Database("mysql://localhost/hub")


def test_a_file_of_several_gigabytes_has_its_size(database: str) -> None:
    from sqlalchemy import insert, select

    from enfold.hubserver.database import blob

    made = Database(database)
    with made.write() as connection:
        connection.execute(insert(blob).values(oid="0" * 40, sha256="0" * 64, size=5_000_000_000, lfs=True))
    with made.read() as connection:
        assert connection.scalar(select(blob.c.size)) == 5_000_000_000
    made.close()

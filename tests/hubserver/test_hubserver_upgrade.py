"""Data of an older server is brought up to date when it is opened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import postgres
from sqlalchemy import Engine, create_engine, inspect, make_url, select, text

from enfold.hubserver import database as db
from enfold.hubserver.hub import Hub
from enfold.hubserver.settings import Settings
from enfold.hubserver.xet.hashes import from_hex

#: what schema 5 added to schema 4
NEWER_TABLES = ["space_value"]
NEWER_COLUMNS = {"repo": ["trend", "parameters"]}
#: what schema 4 added to schema 3
TABLES = "mirror_file session failure device audit mirror xet_use chunk webhook_watch".split()
COLUMNS = {
    "account": ["password", "locked", "quota"],
    "token": ["scopes", "expires", "used", "family"],
    "repo": ["small"],
    "xorb": ["namespace"],
}
XORB = "0123456789abcdef" * 4


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'hub.sqlite'}"
        return
    import psycopg

    with postgres() as address:
        with psycopg.connect(address.format(name="postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE hub")
        yield address.format(name="hub")


def _engine(url: str) -> Engine:
    address = make_url(url)
    return create_engine(address.set(drivername="postgresql+psycopg") if "postgres" in url else address)


def _shape(engine: Engine) -> dict[str, tuple[list[str], list[str]]]:
    found = inspect(engine)
    return {
        name: (
            sorted(column["name"] for column in found.get_columns(name)),
            sorted(str(index["name"]) for index in found.get_indexes(name)),
        )
        for name in found.get_table_names()
    }


@pytest.mark.parametrize("version", ["3", "4"])
def test_tables_get_what_they_lack(version: str, url: str, tmp_path: Path) -> None:
    tables = NEWER_TABLES + (TABLES if version == "3" else [])
    columns = {name: NEWER_COLUMNS.get(name, []) + (COLUMNS[name] if version == "3" else []) for name in COLUMNS}
    settings = Settings(tmp_path / "data", database=url, durable=False)
    hub = Hub(settings)
    hub.accounts.create_user("ada")
    secret = hub.tokens.create("ada")
    with hub.database.write() as connection:
        values = {"url": "https://hooks.invalid", "watched": json.dumps([["model", "Ada/One"]]), "domains": "[]"}
        connection.execute(db.webhook.insert().values(id="hook", account_id=1, **values))
        terms = from_hex(XORB) + bytes(12)
        connection.execute(db.xet_file.insert().values(hash="f" * 64, sha256="a" * 64, size=1, terms=terms))
    hub.close()
    engine = _engine(url)
    wanted = _shape(engine)
    with engine.begin() as connection:
        for table in tables:
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("DROP INDEX repo_in_order_trend"))
        if engine.dialect.name == "postgresql" and version == "3":
            for name in ("update", "delete"):
                connection.execute(text(f"DROP FUNCTION audit_no_{name}"))
        for name in ("ix_xorb_namespace", "ix_token_family") if version == "3" else ():
            connection.execute(text(f"DROP INDEX {name}"))
        for table, names in columns.items():
            for column in names:
                connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        connection.execute(text(f"UPDATE meta SET value = '{version}' WHERE key = 'schema'"))
    engine.dispose()
    assert _shape(_engine(url)) != wanted

    hub = Hub(settings)
    viewer = hub.tokens.viewer(secret)
    assert viewer is not None and viewer.name == "ada"
    with hub.database.read() as connection:
        filled = version == "3"  # version 4 has filled them as it went
        assert connection.execute(select(db.webhook_watch)).all() == [("model", "ada/one", "hook")] * filled
        assert connection.execute(select(db.xet_use)).all() == [(XORB, "f" * 64)] * filled
    hub.close()
    engine = _engine(url)
    assert _shape(engine) == wanted
    engine.dispose()

"""Lists hold what was asked for, whole and in order, whichever way they are found."""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select, text

from enfold.hubserver import database as db
from enfold.hubserver import search
from enfold.hubserver.accounts import Viewer
from enfold.hubserver.hub import Hub
from enfold.hubserver.search import Wanted, find
from enfold.hubserver.settings import Settings

WORDS = ["bert", "t5", "qwen3", "base", "large", "tiny", "v1.5", "chat_x", "-it"]
TAGS = ["pytorch", "license:mit", "text-generation", "en", "région:été", 'a"b', "x y"]


def _schema(name: str) -> str | None:
    """Return an address of an empty part of the database that the tests were given; None for SQLite."""
    database = os.environ.get("HUBSERVER_TEST_DATABASE")  # by test_hubserver_postgres.py
    if database is None:
        return None
    import psycopg

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())
        connection.execute(f"CREATE SCHEMA {name}".encode())
    return f"{database}&options=-csearch_path%3D{name}"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    hub = Hub(Settings(tmp_path_factory.mktemp("search"), database=_schema("filled"), durable=False))
    random.seed(7)
    repos: list[dict[str, Any]] = []
    tags = []
    for key in range(1, 601):
        namespace = random.choice(["Ann", "bob", "org-1"])
        name = f"{namespace}/{random.choice(WORDS)}-{random.choice(WORDS)}-{key}"
        values = {"id": key, "kind": random.choice(["models", "models", "datasets"]), "name": name, "key": name.lower()}
        values |= {"namespace": namespace.lower(), "private": random.random() < 0.2, "downloads": random.randrange(9)}
        repos.append({**values, "modified": float(random.randrange(200)), "created": float(key), "likes": key % 5})
        tags += [
            {"repo_id": key, "tag": tag, "position": number}
            for number, tag in enumerate(random.sample(TAGS, random.randrange(5)))
        ]
    with hub.database.write() as connection:
        connection.execute(insert(db.repo), repos)
        connection.execute(insert(db.repo_tag), tags)
        connection.execute(db.meta.delete().where(db.meta.c.key == "words"))
    search.prepare(hub.database)  # as at the first start after an upgrade
    yield hub
    hub.close()


def viewer(name: str, *, admin: bool = False) -> Viewer:
    words = {"fullname": name, "email": "", "role": "write", "token_name": "token", "organisations": {}}
    return Viewer(account_id=1, name=name, admin=admin, **words)


def expected(hub: Hub, wanted: Wanted, who: Viewer | None) -> list[str]:
    """The same list by the plainest means."""
    with hub.database.read() as connection:
        rows = connection.execute(select(db.repo).where(db.repo.c.kind == wanted.kind)).all()
        tags = {(row.repo_id, row.tag) for row in connection.execute(select(db.repo_tag))}
    column = search.SORTS[wanted.sort]
    found = [
        row
        for row in rows
        if (not row.private or (who is not None and (who.admin or who.name.lower() == row.namespace)))
        and all(word.lower() in row.key for word in wanted.search)
        and (wanted.author is None or row.namespace == wanted.author.lower())
        and all((row.id, tag) in tags for tag in wanted.tags)
    ]
    return [row.name for row in sorted(found, key=lambda row: (getattr(row, column), row.id), reverse=True)]


CASES = [
    Wanted(kind, words, author, tags, sort)
    for kind, words, author, tags, sort in itertools.islice(
        itertools.product(
            ["models", "datasets"],
            [(), ("bert",), ("t5",), ("5",), ("BERT", "base"), ("ann/",), ("été",), ("%",), ('"',), ("b_r",)],
            [None, "ann", "ORG-1", "nobody"],
            [(), ("pytorch",), ("région:été", 'a"b'), ("x y", "en", "license:mit"), ("none",)],
            ["lastModified", "downloads", "createdAt", "likes", "trendingScore"],
        ),
        0,
        None,
        7,
    )
]


@pytest.mark.parametrize("way", ["few matches", "many matches", "many matches, the next one far"])
def test_a_list_is_what_looking_at_every_repository_gives(
    filled: Hub, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way != "few matches":
        monkeypatch.setattr(search, "_FEW", 0)
    if way.endswith("far"):
        monkeypatch.setattr(search, "_FAR", 3)
    people = [None, viewer("ann"), viewer("root", admin=True)]
    for number, wanted in enumerate(CASES):
        who = people[number % 3]
        found: list[str] = []
        after = None
        while True:  # in pages of seventeen
            with filled.database.read() as connection:
                rows = find(connection, wanted._replace(after=after), who, 17)
            found += [row.name for row in rows]
            if len(rows) < 17:
                break
            after = (getattr(rows[-1], search.SORTS[wanted.sort]), rows[-1].id)
        assert found == expected(filled, wanted, who), (wanted, who)


def test_no_list_reads_the_whole_table(filled: Hub) -> None:
    with filled.database.read() as connection:
        if connection.dialect.name != "sqlite":
            pytest.skip("the plans of Postgres depend on its statistics")
        for column in ("modified", "created", "downloads", "likes"):
            statement = (
                f"EXPLAIN QUERY PLAN SELECT id FROM repo WHERE kind = 'models' AND private = 0 AND key LIKE '%bert%' "
                f"AND ({column}, id) < (5, 7) ORDER BY {column} DESC, id DESC LIMIT 60"
            )
            plan = " ".join(row[3] for row in connection.execute(text(statement)))
            assert f"COVERING INDEX repo_in_order_{column}" in plan and "TEMP B-TREE" not in plan


def test_the_index_follows_what_happens(http: httpx.Client, name: str) -> None:
    from hubserver_raw import commit, file

    short = name.split("/")[1]

    def listed(**parameters: Any) -> list[str]:
        return [found["id"] for found in http.get("/api/models", params=parameters).json()]

    assert listed(search=short) == [name]
    assert commit(http, name, file("README.md", b"---\nlicense: wtfpl\ntags: [Odd Tag]\n---\n")).status_code == 200
    assert listed(filter=["license:wtfpl", "Odd Tag"]) == [name]
    assert listed(filter=["license:wtfpl", "odd tag"]) == []
    assert commit(http, name, file("README.md", b"---\nlicense: mit\n---\n")).status_code == 200
    assert listed(filter="license:wtfpl") == []
    moved = f"owner/renamed-{short}"
    assert http.post("/api/repos/move", json={"fromRepo": name, "toRepo": moved, "type": "model"}).status_code == 200
    assert listed(search=f"renamed-{short}") == [moved]
    made = http.post(f"/api/models/{moved}/duplicate", json={"repository": f"owner/copy-{short}"})
    assert made.status_code == 200, made.text
    assert listed(search=f"copy-{short}", filter="license:mit") == [f"owner/copy-{short}"]
    http.request("DELETE", "/api/repos/delete", json={"name": f"copy-{short}", "organization": "owner"})
    assert listed(search=f"copy-{short}") == []


def test_an_index_is_made_for_older_data(tmp_path: Path) -> None:
    settings = Settings(tmp_path, database=_schema("older"), durable=False)
    hub = Hub(settings)
    with hub.database.write() as connection:
        values = {"kind": "models", "name": "o/Old", "key": "o/old", "namespace": "o", "modified": time.time()}
        connection.execute(insert(db.repo).values(**values, card=json.dumps({})))
        connection.execute(text("DROP TABLE repo_words"))
        connection.execute(db.meta.delete().where(db.meta.c.key == "words"))
    hub.close()
    hub = Hub(settings)
    with hub.database.read() as connection:
        assert [row.name for row in find(connection, Wanted("models", ("old",)), None, 5)] == ["o/Old"]
    hub.close()

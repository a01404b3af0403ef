"""Finding repositories among a million: an index of what they are called, tagged and whose they are.

Every repository has a set of words: the pairs and triples of letters in its id, its tags, its namespace. Whatever a
list asks for is a set of words too, and what matches is an intersection of the words' lists: FTS5 does that on SQLite,
a GIN index on Postgres. Lists go on from a place in their order (keyset cursors), never from a count of rows to skip.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Integer,
    Row,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)

from enfold.hubserver import database as db
from enfold.hubserver.accounts import Viewer
from enfold.hubserver.errors import HubServerError
from enfold.log import get_logger

__all__ = ["SORTS", "Wanted", "find", "forget", "is_used", "note", "prepare"]

_log = get_logger(__name__)

_VERSION = "1"  # of the words; another one has them made again
_FEW = 5_000  # matches that are fetched and sorted; with more of them, the next in order is never far
_FAR = 100_000  # repositories that are looked at in order before every match is fetched after all
_BATCH = 500

#: the API's names of sort orders → columns
SORTS = {
    "lastModified": "modified",
    "last_modified": "modified",
    "createdAt": "created",
    "created_at": "created",
    "downloads": "downloads",
    "likes": "likes",
    "trendingScore": "trend",
    "trending_score": "trend",
}

_SQLITE = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS repo_words USING fts5"
    "(words, detail=none, tokenize=\"unicode61 remove_diacritics 0 tokenchars '-_./#@'\")"
)
_POSTGRES = (
    "CREATE TABLE IF NOT EXISTS repo_words "
    "(repo_id INTEGER PRIMARY KEY REFERENCES repo (id) ON DELETE CASCADE, words TEXT[] NOT NULL)"
)
_POSTGRES_INDEX = "CREATE INDEX IF NOT EXISTS repo_words_by_word ON repo_words USING gin (words)"


class Wanted(NamedTuple):
    """What a list is to hold.

    Args:
        kind: "models", "datasets" or "spaces".
        search: words that the id must contain.
        author: the namespace.
        tags: tags that a repository must all have.
        sort: one of :data:`SORTS`; always descending.
        after: the sort value and the key of the last repository of the page before.
        any_tags: groups of tags, of each of which a repository must have one.
        gated: whether it must be gated, or in which way: "auto", "manual".
        parameters: how many a model must have at least and at most.
        linked: whether a Space must name a model or a dataset.
    """

    kind: str
    search: Sequence[str] = ()
    author: str | None = None
    tags: Sequence[str] = ()
    sort: str = "lastModified"
    after: tuple[float, int] | None = None
    any_tags: Sequence[Sequence[str]] = ()
    gated: bool | str | None = None
    parameters: tuple[int | None, int | None] = (None, None)
    linked: bool = False


# ---------------------------------------------------------------------- the index


def prepare(database: db.Database) -> None:
    """Make the index, and fill it where the data are older than it."""
    with database.write() as connection:
        found = connection.scalar(select(db.meta.c.value).where(db.meta.c.key == "words"))
        if found == _VERSION:
            return
        connection.execute(text("DROP TABLE IF EXISTS repo_words"))
        connection.execute(text(_SQLITE if _is_sqlite(connection) else _POSTGRES))
        if not _is_sqlite(connection):
            connection.execute(text(_POSTGRES_INDEX))
        for index in db.repo.indexes:
            index.create(connection, checkfirst=True)
        for old in ("repo_by_modified", "repo_by_downloads"):
            connection.execute(text(f"DROP INDEX IF EXISTS {old}"))
        last, count = 0, 0
        while True:
            query = select(db.repo.c.id).where(db.repo.c.id > last).order_by(db.repo.c.id).limit(_BATCH)
            ids = list(connection.scalars(query))
            if not ids:
                break
            note(connection, ids)
            last, count = ids[-1], count + len(ids)
            if count % 100_000 == 0:
                _log.warning("making the search index: %d repositories", count)
        connection.execute(delete(db.meta).where(db.meta.c.key == "words"))
        connection.execute(insert(db.meta).values(key="words", value=_VERSION))


def note(connection: Connection, ids: Sequence[int]) -> None:
    """Bring the words of repositories up to date with their rows and tags."""
    tags: dict[int, list[str]] = {key: [] for key in ids}
    table = db.repo_tag
    for row in connection.execute(select(table.c.repo_id, table.c.tag).where(table.c.repo_id.in_(ids))):
        tags[row.repo_id].append(row.tag)
    columns = (db.repo.c.id, db.repo.c.kind, db.repo.c.key, db.repo.c.namespace)
    rows = connection.execute(select(*columns).where(db.repo.c.id.in_(ids))).all()
    forget(connection, ids)
    made = [(row.id, sorted(_words(row.kind, row.key, row.namespace, tags[row.id]))) for row in rows]
    if not made:
        return
    if _is_sqlite(connection):
        values = [{"key": key, "words": " ".join(words)} for key, words in made]
        connection.execute(text("INSERT INTO repo_words (rowid, words) VALUES (:key, :words)"), values)
    else:
        values = [{"key": key, "words": words} for key, words in made]  # type: ignore[misc]
        connection.execute(text("INSERT INTO repo_words (repo_id, words) VALUES (:key, :words)"), values)


def forget(connection: Connection, ids: Sequence[int]) -> None:
    """Take repositories out of the index."""
    column = "rowid" if _is_sqlite(connection) else "repo_id"
    statement = text(f"DELETE FROM repo_words WHERE {column} IN :ids").bindparams(bindparam("ids", expanding=True))
    connection.execute(statement, {"ids": list(ids)})


def _is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def _words(kind: str, key: str, namespace: str, tags: Iterable[str]) -> set[str]:
    """Return the words of a repository; each begins with its kind, so that no list holds those of another kind."""
    grams = {key[start : start + size] for size in (2, 3) for start in range(len(key) - size + 1)}
    return {kind[0] + word for word in (*grams, _author(namespace), *map(_tag, tags))}


def _tag(tag: str) -> str:
    return "#" + hashlib.sha1(tag.encode(), usedforsecurity=False).hexdigest()[:14]


def _author(namespace: str) -> str:
    return "@" + hashlib.sha1(namespace.lower().encode(), usedforsecurity=False).hexdigest()[:14]


def _wanted_words(wanted: Wanted) -> set[str] | None:
    """Return the words that a match has (more may have them: letters also match apart); None where none can."""
    words = set()
    for part in wanted.search:
        part = part.lower()
        if not set(part) <= _LETTERS:
            return None
        size = min(len(part), 3)
        if size > 1:
            words |= {part[start : start + size] for start in range(len(part) - size + 1)}
    words |= {_tag(tag) for tag in wanted.tags}
    if wanted.author:
        words.add(_author(wanted.author))
    return {wanted.kind[0] + word for word in words}


_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_./")  # what a repository's id can hold, in lower case


# ---------------------------------------------------------------------- lists


def find(connection: Connection, wanted: Wanted, viewer: Viewer | None, limit: int) -> Sequence[Row[Any]]:
    """Return up to ``limit`` repositories that the viewer may see, in descending order.

    Few matches are fetched and sorted. Where there are many, the repositories are looked at in order instead, since
    the next match is near; should it not be, every match is fetched after all.
    """
    if wanted.sort not in SORTS:
        raise HubServerError(400, f"Invalid sort {wanted.sort!r}: expected one of {', '.join(SORTS)}")
    words = _wanted_words(wanted)
    if words is None:
        return []
    column = db.repo.c[SORTS[wanted.sort]]
    if not words:
        return _rows(connection, column, _in_order(connection, wanted, viewer, column, limit, None))
    ids = _matches(connection, words, _FEW + 1)
    if len(ids) > _FEW:
        found = _in_order(connection, wanted, viewer, column, limit, _FAR)
        if len(found) == limit:
            return _rows(connection, column, found)
        ids = _matches(connection, words, None)
    return _rows(connection, column, _sorted(connection, wanted, viewer, column, limit, ids))


def _matches(connection: Connection, words: set[str], limit: int | None) -> list[int]:
    """Return the keys of up to ``limit`` repositories that have all of the words."""
    count = -1 if limit is None else limit
    if _is_sqlite(connection):
        query = " AND ".join(f'"{word}"' for word in sorted(words))
        statement = text("SELECT rowid FROM repo_words WHERE repo_words MATCH :query LIMIT :count")
        return list(connection.scalars(statement, {"query": query, "count": count}))
    statement = text("SELECT repo_id FROM repo_words WHERE words @> :words LIMIT :count")
    return list(connection.scalars(statement, {"words": sorted(words), "count": limit}))


def _conditions(wanted: Wanted, viewer: Viewer | None, column: Any) -> list[Any]:
    """Return what a repository of the kind has to fulfil, apart from its tags."""
    table = db.repo
    conditions: list[Any] = []
    if viewer is None:
        conditions.append(table.c.private.is_(False))
    elif not viewer.admin:
        mine = viewer.namespaces
        conditions.append(or_(table.c.private.is_(False), table.c.namespace.in_(mine)))
    conditions += [table.c.key.contains(word.lower(), autoescape=True) for word in wanted.search]
    if wanted.author:
        conditions.append(table.c.namespace == wanted.author.lower())
    if wanted.gated is not None:
        said = {True: table.c.gated != "false", False: table.c.gated == "false"}
        conditions.append(said[wanted.gated] if isinstance(wanted.gated, bool) else table.c.gated == wanted.gated)
    least, most = wanted.parameters
    conditions += [table.c.parameters >= least] if least is not None else []
    conditions += [table.c.parameters <= most] if most is not None else []
    tag = db.repo_tag
    tagged = select(tag.c.repo_id).where(tag.c.repo_id == table.c.id)
    conditions += [tagged.where(tag.c.tag.in_(list(group))).exists() for group in wanted.any_tags]
    if wanted.linked:
        conditions.append(tagged.where(or_(tag.c.tag.startswith("model:"), tag.c.tag.startswith("dataset:"))).exists())
    if wanted.after is not None:
        conditions.append(tuple_(column, table.c.id) < tuple_(*wanted.after))
    return conditions


def _tagged(wanted: Wanted) -> list[Any]:
    tag = db.repo_tag
    return [
        select(tag.c.repo_id).where(tag.c.repo_id == db.repo.c.id, tag.c.tag == name).exists() for name in wanted.tags
    ]


def _in_order(
    connection: Connection, wanted: Wanted, viewer: Viewer | None, column: Any, limit: int, steps: int | None
) -> list[int]:
    """Walk through the repositories in order, ``steps`` of them at most, and return the keys of those wanted."""
    table = db.repo
    conditions = (table.c.kind == wanted.kind, *_conditions(wanted, viewer, column), *_tagged(wanted))
    query = select(table.c.id).where(*conditions)
    if steps is not None:
        last = select(column, table.c.id).where(table.c.kind == wanted.kind)
        if wanted.after is not None:
            last = last.where(tuple_(column, table.c.id) < tuple_(*wanted.after))
        end = connection.execute(last.order_by(column.desc(), table.c.id.desc()).offset(steps).limit(1)).first()
        if end is not None:
            query = query.where(tuple_(column, table.c.id) > tuple_(*end))
    return list(connection.scalars(query.order_by(column.desc(), table.c.id.desc()).limit(limit)))


def _sorted(
    connection: Connection, wanted: Wanted, viewer: Viewer | None, column: Any, limit: int, ids: Sequence[int]
) -> list[int]:
    """Return which of the matches ``ids`` are wanted: the first ``limit`` in order."""
    table = db.repo
    # One value for all of them: thousands of bound values take longer to bind than to look up.
    chosen: ColumnElement[bool]
    if _is_sqlite(connection):
        chosen = table.c.id.in_(select(literal_column("value")).select_from(func.json_each(json.dumps(list(ids)))))
    else:
        chosen = table.c.id == func.any(bindparam("ids", list(ids), type_=ARRAY(Integer)))
    query = select(table.c.id).where(chosen, *_conditions(wanted, viewer, column))
    return list(connection.scalars(query.order_by(column.desc(), table.c.id.desc()).limit(limit)))


def _rows(connection: Connection, column: Any, ids: Sequence[int]) -> Sequence[Row[Any]]:
    query = select(db.repo).where(db.repo.c.id.in_(ids)).order_by(column.desc(), db.repo.c.id.desc())
    return connection.execute(query).all() if ids else []


def is_used(connection: Connection, kind: str, tag: str) -> bool:
    """Say whether a public repository of the kind has a tag (of the first twenty that have it, one)."""
    ids = _matches(connection, {kind[0] + _tag(tag)}, 20)
    query = select(db.repo.c.id).where(db.repo.c.id.in_(ids), db.repo.c.private.is_(False)).limit(1)
    return bool(ids) and connection.scalar(query) is not None

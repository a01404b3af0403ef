"""Rows from and into databases."""

from __future__ import annotations

import datetime
import sqlite3
from pathlib import Path

import pytest

from enfold.datasets import Dataset, Features, Value
from enfold.datasets.errors import DatasetGenerationError

sqlalchemy = pytest.importorskip("sqlalchemy")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = tmp_path / "rows.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE rows (n INTEGER, x REAL, t TEXT, d TEXT)")
        connection.executemany(
            "INSERT INTO rows VALUES (?, ?, ?, ?)",
            [(1, 0.5, "one", "2020-01-01"), (None, 1.5, None, "2020-01-02 03:04:05"), (3, None, "three", None)],
        )
    return f"sqlite:///{path}"


def test_a_table_and_a_query_are_read(database: str) -> None:
    whole = Dataset.from_sql("rows", database)
    assert whole.features == Features(
        {"n": Value("float64"), "x": Value("float64"), "t": Value("string"), "d": Value("string")}
    )
    assert whole[0] == {"n": 1.0, "x": 0.5, "t": "one", "d": "2020-01-01"}
    some = Dataset.from_sql("SELECT t, n FROM rows WHERE n >= ?", database, params=(2,))
    assert some.to_list() == [{"t": "three", "n": 3}]
    dates = Dataset.from_sql("SELECT d FROM rows", database, parse_dates=["d"])
    assert dates[1]["d"] == datetime.datetime(2020, 1, 2, 3, 4, 5) and dates[2]["d"] is None
    assert Dataset.from_sql("rows", database, columns=["t"], index_col="n").column_names == ["t", "n"]
    assert Dataset.from_sql("rows", database, features=Features({**whole.features, "n": Value("int8")}))[2]["n"] == 3


@pytest.mark.parametrize("kind", ["sqlite3", "engine", "connection", "selectable"])
def test_connections_of_every_kind_serve(kind: str, database: str) -> None:
    sql = "SELECT n FROM rows WHERE n = 3"
    if kind == "sqlite3":
        con = sqlite3.connect(database.removeprefix("sqlite:///"))
    else:
        con = sqlalchemy.create_engine(database)
        con = con.connect() if kind == "connection" else con
    if kind == "selectable":
        sql = sqlalchemy.select(sqlalchemy.text("n")).select_from(sqlalchemy.text("rows")).where(sqlalchemy.text("n=3"))
    assert Dataset.from_sql(sql, con)["n"][:] == [3]


def test_a_database_that_changed_is_read_again(database: str) -> None:
    assert len(Dataset.from_sql("rows", database)) == 3
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        connection.execute("INSERT INTO rows VALUES (4, 1, 'x', 'y')")
    assert len(Dataset.from_sql("rows", database)) == 4


def test_small_chunks_widen_the_types(database: str) -> None:
    rows = Dataset.from_sql("SELECT n, t FROM rows", database, chunksize=1)
    assert rows.to_list() == [{"n": 1.0, "t": "one"}, {"n": None, "t": None}, {"n": 3.0, "t": "three"}]


@pytest.mark.parametrize("kind", ["address", "sqlite3", "engine"])
def test_rows_are_written_and_come_back(kind: str, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'out.db'}"
    con = {
        "address": lambda: address,
        "sqlite3": lambda: sqlite3.connect(tmp_path / "out.db"),
        "engine": lambda: sqlalchemy.create_engine(address),
    }[kind]()
    dataset = Dataset.from_dict({"a": [1, 2, 3], 'b"': ["x", None, "z"], "l": [[1], [], [2, 3]]})
    assert dataset.to_sql("t", con, batch_size=2) == 3
    assert Dataset.from_sql("t", address).to_list() == [
        {"a": 1, 'b"': "x", "l": "[1]"},
        {"a": 2, 'b"': None, "l": "[]"},
        {"a": 3, 'b"': "z", "l": "[2, 3]"},
    ]
    with pytest.raises(ValueError, match="already exists"):
        dataset.to_sql("t", con)
    dataset.to_sql("t", con, if_exists="append")
    assert len(Dataset.from_sql("t", address)) == 6
    dataset.select([0]).to_sql("t", con, if_exists="replace", index=True)
    assert Dataset.from_sql("t", address).to_list() == [{"index": 0, "a": 1, 'b"': "x", "l": "[1]"}]


def test_a_write_that_fails_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'out.db'}"
    Dataset.from_dict({"a": [1]}).to_sql("t", address)
    with pytest.raises(sqlite3.OperationalError):
        Dataset.from_dict({"other": [1]}).to_sql("t", address, if_exists="append")
    with pytest.raises(OverflowError):
        Dataset.from_dict({"a": [2**63]}, features=Features({"a": Value("uint64")})).to_sql(
            "t", address, if_exists="replace"
        )
    assert Dataset.from_sql("t", address).to_list() == [{"a": 1}]


def test_wrong_queries_are_named(database: str) -> None:
    with pytest.raises(DatasetGenerationError, match="no such table: other"):
        Dataset.from_sql("SELECT * FROM other", database)
    with pytest.raises(TypeError, match="address"):
        Dataset.from_sql("rows", 3)

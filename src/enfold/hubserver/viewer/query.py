"""Answer a question in SQL about Parquet files: ``python -I query.py '{"tables": …, "question": …}'``.

A program of its own, run confined. DuckDB gets the tables as they are and, before the question, loses everything else:
files, the network, extensions, and the right to change any of that.

Source: https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
"""

from __future__ import annotations

import json
import sys
from typing import Any

_TEXT = 2_000  # characters of a cell


def main(said: dict[str, Any]) -> dict[str, Any]:
    """Return the columns and rows of an answer, or what is wrong with the question."""
    import duckdb
    import pyarrow.dataset as ds

    connection = duckdb.connect(":memory:")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute(f"SET memory_limit = '{said['memory']}MB'")
    connection.execute("SET threads = 2")
    connection.execute("SET max_temp_directory_size = '0MB'")
    for name, file in said["tables"].items():
        connection.register(name, ds.dataset(file, format="parquet"))
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    try:
        statements = connection.extract_statements(said["question"])
        kinds = [statement.type for statement in statements]
        if kinds != [duckdb.StatementType.SELECT]:
            names = ", ".join(kind.name for kind in kinds) or "nothing"
            return {"error": f"ask one question with SELECT; this is {names}"}
        connection.execute(statements[0])
        columns = [[column[0], str(column[1])] for column in connection.description or []]
        rows = connection.fetchmany(said["rows"] + 1)
    except duckdb.Error as error:
        return {"error": str(error)}
    more = len(rows) > said["rows"]
    return {"columns": columns, "rows": [[_cell(value) for value in row] for row in rows[: said["rows"]]], "more": more}


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} bytes"
    return str(value)[:_TEXT]


if __name__ == "__main__":
    json.dump(main(json.loads(sys.argv[1])), sys.stdout)

"""The rows of datasets, what columns hold, and questions in SQL that reach nothing but the rows."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from itertools import count
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hubserver_raw import file, lines

from enfold.hubserver import EmbeddedHub

_numbers = count()
PAGE = {"accept": "text/html"}
Make = Callable[..., str]


@pytest.fixture(scope="session")
def dataset(http: httpx.Client) -> Make:
    """Make a dataset of files; return its id."""

    def make(private: bool = False, **files: bytes) -> str:
        name = f"rows-{next(_numbers)}"
        made = http.post("/api/repos/create", json={"name": name, "type": "dataset", "private": private})
        assert made.status_code == 200
        records = [file(path, data) for path, data in files.items()]
        headers = {"content-type": "application/x-ndjson"}
        done = http.post(f"/api/datasets/owner/{name}/commit/main", content=lines(*records), headers=headers)
        assert done.status_code == 200, done.text
        return f"owner/{name}"

    return make


@pytest.fixture(scope="session")
def letters(dataset: Make) -> str:
    rows = [{"text": f"row <{n}>", "label": n % 3, "score": n / 8, "tags": ["a"] * (n % 4)} for n in range(250)]
    train = "".join(json.dumps(row) + "\n" for row in rows).encode()
    test = b'{"text": "other", "label": null, "score": null, "tags": []}\n'
    return dataset(**{"train.jsonl": train, "test.jsonl": test, "README.md": b"# Letters"})


@pytest.fixture
def ask(anonymous: httpx.Client, letters: str) -> Callable[..., httpx.Response]:
    def ask(action: str, **parameters: Any) -> httpx.Response:
        return anonymous.get(f"/datasets-server/{action}", params={"dataset": letters, **parameters}, timeout=60)

    return ask


def test_splits_and_sizes_are_told(ask: Callable[..., httpx.Response], letters: str) -> None:
    found = ask("splits").json()["splits"]
    assert {(one["dataset"], one["config"], one["split"]) for one in found} == {
        (letters, "default", "train"),
        (letters, "default", "test"),
    }
    size = ask("size").json()["size"]
    assert size["dataset"]["num_rows"] == 251 and size["configs"][0]["num_columns"] == 4
    assert {one["split"]: one["num_rows"] for one in size["splits"]} == {"train": 250, "test": 1}
    assert ask("is-valid").json()["viewer"] is True
    assert ask("info").json()["dataset_info"]["default"]["splits"]["train"]["num_examples"] == 250


def test_rows_come_in_pages(ask: Callable[..., httpx.Response]) -> None:
    first = ask("first-rows", config="default", split="train").json()
    assert len(first["rows"]) == 100 and first["truncated"] is True
    assert first["features"][0] == {"feature_idx": 0, "name": "text", "type": {"dtype": "string", "_type": "Value"}}
    part = ask("rows", config="default", split="train", offset=245, length=50).json()
    assert [row["row_idx"] for row in part["rows"]] == [245, 246, 247, 248, 249] and part["num_rows_total"] == 250
    assert part["rows"][2]["row"] == {"text": "row <247>", "label": 1, "score": 30.875, "tags": ["a"] * 3}
    assert ask("rows", split="test").json()["rows"][0]["row"]["label"] is None
    assert ask("rows", split="train", length=101).status_code == 422
    assert ask("rows", split="none").status_code == 404
    assert ask("rows", dataset="owner/none").status_code == 401


def test_statistics_say_what_columns_hold(ask: Callable[..., httpx.Response]) -> None:
    said = ask("statistics", config="default", split="train").json()
    columns = {one["column_name"]: one for one in said["statistics"]}
    assert said["num_examples"] == 250
    score = columns["score"]["column_statistics"]
    assert columns["score"]["column_type"] == "float" and score["min"] == 0 and score["max"] == 249 / 8
    assert sum(score["histogram"]["hist"]) == 250 and len(score["histogram"]["bin_edges"]) == 11
    label = columns["label"]["column_statistics"]
    assert label["histogram"] == {"hist": [84, 83, 83], "bin_edges": [0, 1, 2, 2]} and label["mean"] == 0.996
    assert columns["text"]["column_type"] == "string_text" and columns["text"]["column_statistics"]["max"] == 9
    assert columns["tags"]["column_type"] == "list" and columns["tags"]["column_statistics"]["max"] == 3


def test_rows_are_searched_and_filtered(ask: Callable[..., httpx.Response]) -> None:
    found = ask("search", split="train", query="ROW <24").json()
    assert found["num_rows_total"] == 11 and found["rows"][0]["row_idx"] == 24
    found = ask("filter", split="train", where='"label" = 2', orderby='"score" DESC', length=2).json()
    assert [row["row"]["score"] for row in found["rows"]] == [248 / 8, 245 / 8] and found["num_rows_total"] == 83
    assert ask("filter", split="train", where="nothing = 1").status_code == 422


def test_parquet_files_are_read_by_others(
    ask: Callable[..., httpx.Response], anonymous: httpx.Client, letters: str
) -> None:
    [one] = [one for one in ask("parquet").json()["parquet_files"] if one["split"] == "train"]
    assert pq.read_table(io.BytesIO(anonymous.get(one["url"]).content)).num_rows == 250
    part = anonymous.get(one["url"], headers={"range": "bytes=0-3"})
    assert part.status_code == 206 and part.content == b"PAR1"
    listed = anonymous.get(f"/api/datasets/{letters}/parquet").json()
    assert listed == {"default": {one["split"]: [one["url"]] for one in ask("parquet").json()["parquet_files"]}}
    assert anonymous.get(f"/api/datasets/{letters}/parquet/default/none").status_code == 404


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled"),
        ("SELECT * FROM '/etc/passwd'", "does not exist"),
        ("SELECT * FROM read_text('/etc/hostname')", "disabled"),
        ("SELECT * FROM glob('/*')", "disabled"),
        ("SELECT * FROM read_parquet('0.parquet')", "disabled"),
        ("SELECT * FROM 'https://example.org/x.parquet'", "disabled"),
        ("ATTACH '/tmp/x.db'", "ask one question with SELECT; this is ATTACH"),
        ("COPY train TO '/tmp/stolen.csv'", "ask one question with SELECT; this is COPY"),
        ("INSTALL httpfs", "ask one question with SELECT; this is "),
        ("LOAD httpfs", "ask one question with SELECT; this is LOAD"),
        ("SET enable_external_access = true", "ask one question with SELECT; this is SET"),
        ("CREATE TABLE x AS SELECT 1", "ask one question with SELECT; this is CREATE"),
        ("SELECT 1; SELECT 2", "this is SELECT, SELECT"),
        ("SELECT 1; COPY train TO 'x'", "this is SELECT, COPY"),
        ("SELECT nonsense(", "Parser Error"),
        ("SELECT * FROM said", "does not exist"),
        ("SELECT count(*) FROM range(1000000000000) a, range(1000000) b", "takes longer"),
        ("SELECT list(a.range) FROM range(400000000) a", "emory"),
    ],
)
def test_a_question_reaches_nothing_but_the_rows(
    embedded: EmbeddedHub, ask: Callable[..., httpx.Response], monkeypatch: pytest.MonkeyPatch, question: str, said: str
) -> None:
    from enfold.hubserver.viewer import datasets

    monkeypatch.setattr(datasets, "_QUESTION", 3.0 if said == "takes longer" else 60.0)
    found = answer(embedded, ask, question)
    assert said in found["error"], found


def answer(embedded: EmbeddedHub, ask: Callable[..., httpx.Response], question: str) -> dict[str, Any]:
    ask("splits")  # by now it is ready
    hub = embedded.hub
    with hub.database.read() as connection:
        row = hub.repositories.follow(connection, "datasets", ask("splits").json()["splits"][0]["dataset"], None)
        prepared = hub.datasets.prepared(connection, row, hub.repositories.revision(connection, row.id, "main").tree)
    assert prepared is not None
    return hub.datasets.ask(prepared, "default", question)


def test_a_question_has_an_answer(embedded: EmbeddedHub, ask: Callable[..., httpx.Response]) -> None:
    question = "SELECT label, count(*) AS n, max(text) FROM train GROUP BY label ORDER BY label;"
    assert answer(embedded, ask, question) == {
        "columns": [["label", "BIGINT"], ["n", "BIGINT"], ['max("text")', "VARCHAR"]],
        "rows": [[0, 84, "row <9>"], [1, 83, "row <97>"], [2, 83, "row <98>"]],
        "more": False,
    }
    assert answer(embedded, ask, "FROM train JOIN test ON true")["more"] is False
    assert len(answer(embedded, ask, "SELECT 1 FROM range(1000)")["rows"]) == 500


def test_the_page_shows_rows_and_answers(anonymous: httpx.Client, letters: str) -> None:
    anonymous.get("/datasets-server/splits", params={"dataset": letters}, timeout=60)
    page = anonymous.get(f"/datasets/{letters}/viewer", headers=PAGE).text
    assert "row &lt;0&gt;" in page and "row &lt;50&gt;" not in page and "<rect" in page
    page = anonymous.get(f"/datasets/{letters}/viewer/default/train?start=240", headers=PAGE).text
    assert "row &lt;249&gt;" in page and "200 to 249 of 250" in page
    page = anonymous.get(f"/datasets/{letters}/viewer", params={"sql": "SELECT '<b>' AS x"}, headers=PAGE, timeout=60)
    assert "<td>&lt;b&gt;</td>" in page.text
    page = anonymous.get(f"/datasets/{letters}/viewer", params={"sql": "SELEC"}, headers=PAGE, timeout=60)
    assert "Parser Error" in page.text
    assert anonymous.get(f"/datasets/{letters}/viewer/default/none", headers=PAGE).status_code == 404


def test_pictures_are_shown(dataset: Make, anonymous: httpx.Client) -> None:
    def piece(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + piece(b"IHDR", head) + piece(b"IDAT", zlib.compress(b"\0\0\0\0")) + piece(b"IEND", b"")
    name = dataset(**{"train/cat/1.png": png, "train/dog/1.png": png})
    said = anonymous.get("/datasets-server/rows", params={"dataset": name, "split": "train"}, timeout=60).json()
    assert said["rows"][0]["row"]["image"]["src"].startswith("data:image/png;base64,"), said
    page = anonymous.get(f"/datasets/{name}/viewer", headers=PAGE).text
    assert '<img src="data:image/png;base64,' in page


def test_no_picture_is_a_file_of_the_server(dataset: Make, anonymous: httpx.Client) -> None:
    card = b"---\ndataset_info:\n  features:\n  - name: image\n    dtype: image\n---\n"
    for path in ("/etc/passwd", "../../../../etc/passwd", "file:///etc/passwd"):
        sink = io.BytesIO()
        picture = pa.array([{"bytes": None, "path": path}], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        pq.write_table(pa.table({"image": picture}), sink)
        name = dataset(**{"README.md": card, "train.parquet": sink.getvalue()})
        said = anonymous.get("/datasets-server/rows", params={"dataset": name, "split": "train"}, timeout=60).json()
        assert said["rows"][0]["row"]["image"] == {"src": None, "path": path, "size": 0}, said


def test_parquet_is_shown_with_its_types(dataset: Make, anonymous: httpx.Client) -> None:
    import datetime

    table = pa.table(
        {
            "when": [datetime.datetime(2026, 1, 2), None],
            "nested": [{"a": [1, 2]}, {"a": []}],
            "bytes": [b"\0\1", b""],
            "nan": [float("nan"), 1.0],
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    name = dataset(**{"data/train-00000-of-00001.parquet": sink.getvalue()})
    said = anonymous.get("/datasets-server/rows", params={"dataset": name, "split": "train"}, timeout=60).json()
    assert said["rows"][0]["row"] == {
        "when": "2026-01-02 00:00:00",
        "nested": {"a": [1, 2]},
        "bytes": "AAE=",
        "nan": None,
    }
    assert anonymous.get(f"/datasets/{name}/viewer", headers=PAGE).status_code == 200


def test_what_is_no_dataset_says_so(dataset: Make, anonymous: httpx.Client) -> None:
    for files, said in (({}, "no files here"), ({"a.jsonl": b"{nonsense"}, "cannot be read")):
        name = dataset(**files)
        answer = anonymous.get("/datasets-server/splits", params={"dataset": name}, timeout=60)
        assert answer.status_code == 422 and said in answer.json()["error"], answer.text
        assert "/tmp" not in answer.text
        assert said in anonymous.get(f"/datasets/{name}/viewer", headers=PAGE).text


def test_rows_of_private_datasets_are_private(dataset: Make, anonymous: httpx.Client, http: httpx.Client) -> None:
    name = dataset(private=True, **{"a.csv": b"secret\n1\n"})
    for path in (f"/datasets-server/rows?dataset={name}&split=train", f"/datasets/{name}/viewer"):
        assert anonymous.get(path).status_code == 401
    for path in ("", "/default", "/default/train/0.parquet"):
        assert anonymous.get(f"/api/datasets/{name}/parquet{path}").status_code == 401
    said = http.get("/datasets-server/rows", params={"dataset": name, "split": "train"}, timeout=60).json()
    assert said["rows"][0]["row"] == {"secret": 1}

"""Streams of files: every kind, packed or not, from a Hub or an address, whole or broken; nothing comes to disk."""

from __future__ import annotations

import bz2
import gzip
import http.server
import json
import lzma
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from enfold.datasets import Dataset, Features, IterableDataset, Value, load_dataset
from enfold.datasets.errors import DatasetGenerationError, HubUnreachableError

COUNT = 20_000


def rows(count: int = COUNT) -> list[dict[str, Any]]:
    return [{"a": i, "t": f"row {i} " + "x" * (i % 50)} for i in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("files")
    table = pa.Table.from_pylist(rows())
    pq.write_table(table, place / "rows.parquet", row_group_size=3000)
    with pa.OSFile(str(place / "rows.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=3000)
    with pa.OSFile(str(place / "file.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=3000)
    lines = "".join(json.dumps(row) + "\n" for row in rows())
    (place / "rows.jsonl").write_text(lines)
    csv = "a,t\n" + "".join(f'{row["a"]},"{row["t"]}"\n' for row in rows())
    (place / "rows.csv").write_text(csv)
    (place / "rows.txt").write_text("".join(row["t"] + "\n" for row in rows()))
    for name, text in (("rows.jsonl", lines), ("rows.csv", csv)):
        for end, pack in (
            (".gz", gzip.compress),
            (".bz2", partial(bz2.compress, compresslevel=1)),
            (".xz", lzma.compress),
        ):
            (place / (name + end)).write_bytes(pack(text.encode()))
        with pa.output_stream(str(place / (name + ".zst")), compression="zstd") as packed:
            packed.write(text.encode())
        with zipfile.ZipFile(place / (name + ".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, text)
    return place


KINDS = {
    "rows.parquet": "parquet",
    "rows.arrow": "arrow",
    "file.arrow": "arrow",
    "rows.jsonl": "json",
    "rows.csv": "csv",
    **{
        f"rows.{kind}.{end}": kind.replace("jsonl", "json")
        for kind in ("jsonl", "csv")
        for end in ("gz", "bz2", "xz", "zst")
    },
}


def load(path: Any, kind: str, **options: Any) -> IterableDataset:
    return load_dataset(kind, data_files=str(path), split="train", streaming=True, **options)


def test_every_kind_gives_its_rows_and_nothing_is_written(folder: Path, hf_home: Path) -> None:
    for name, kind in KINDS.items():
        stream = load(folder / name, kind)
        assert list(stream) == rows(), name
        assert stream.column_names == ["a", "t"] and stream.num_shards == 1
    assert list(load(folder / "rows.txt", "text")) == [{"text": row["t"]} for row in rows()]
    assert not hf_home.exists() or not list(hf_home.rglob("*.arrow"))


@pytest.mark.parametrize("name", KINDS)
def test_a_state_in_the_middle_of_a_file_gives_the_rest(folder: Path, name: str) -> None:
    for after in (1, 999, 12_345, COUNT):
        stream = load(folder / name, KINDS[name])
        reader = iter(stream)
        for _ in range(after):
            next(reader)
        fresh = load(folder / name, KINDS[name])
        fresh.load_state_dict(json.loads(json.dumps(stream.state_dict())))
        assert list(fresh) == rows()[after:]


def test_only_the_columns_and_row_groups_that_are_asked_for_are_read(folder: Path) -> None:
    stream = load(folder / "rows.parquet", "parquet")
    assert list(stream.select_columns("a").take(2)) == [{"a": 0}, {"a": 1}]
    assert stream.select_columns("a")._step.shards[0].columns == ["a"]
    assert stream.remove_columns("t")._step.shards[0].columns == ["a"]
    assert [row["a"] for row in stream.filter(pc.field("a") >= COUNT - 2)] == [COUNT - 2, COUNT - 1]
    filtered = load(folder / "rows.parquet", "parquet", filters=[("a", "<", 3)], columns=["t"])
    assert [row["t"] for row in filtered] == [row["t"] for row in rows(3)]
    fine = stream.reshard()
    assert fine.num_shards == 7 and list(fine) == rows()
    assert [row["a"] for row in fine.shard(7, 6)] == list(range(18_000, COUNT))
    assert [row["a"] for row in load(folder / "rows.jsonl", "json").filter(pc.field("a") < 2)] == [0, 1]


def test_parts_of_splits(folder: Path) -> None:
    for name, kind in (("rows.parquet", "parquet"), ("rows.csv", "csv")):
        for split, expected in {
            "train[:3]": range(3), "train[5:8]": range(5, 8), "train[-2:]": range(COUNT - 2, COUNT),
            "train[50%:]": range(COUNT // 2, COUNT), "train[1:2]+train[:1]": (1, 0),
        }.items():  # fmt: skip
            made = load_dataset(kind, data_files=str(folder / name), split=split, streaming=True)
            assert [row["a"] for row in made] == list(expected)


def test_given_features_are_those_of_the_rows(folder: Path) -> None:
    features = Features({"a": Value("float32"), "t": Value("string")})
    for name in ("rows.csv", "rows.jsonl", "rows.parquet"):
        stream = load(folder / name, KINDS[name], features=features)
        assert stream.features == features
        assert next(stream.with_format("arrow").iter(5)).schema.field("a").type == pa.float32()


# ---- from elsewhere --------------------------------------------------------------------------------------------------


class Server:
    """A file server that knows ranges, and that fails as often as it is told to."""

    def __init__(self, folder: Path) -> None:
        self.failures, self.bytes, self.requests = 0, 0, 0
        this = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                this.requests += 1
                if this.failures:
                    this.failures -= 1
                    self.send_response(503)
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                path = folder / self.path.lstrip("/")
                if not path.exists():
                    self.send_response(404)
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                data = path.read_bytes()
                start, _, stop = self.headers["range"].removeprefix("bytes=").partition("-")
                part = data[int(start) : int(stop) + 1]
                self.send_response(206 if part else 416)
                self.send_header(
                    "content-range", f"bytes {start}-{stop}/{len(data)}" if part else f"bytes */{len(data)}"
                )
                self.send_header("content-length", str(len(part)))
                self.end_headers()
                self.wfile.write(part)
                this.bytes += len(part)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    made = Server(folder)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl", "rows.csv.gz", "rows.arrow", "file.arrow"])
def test_an_address_is_read_by_ranges_and_again_after_failures(
    server: Server, name: str, monkeypatch: pytest.MonkeyPatch, hf_home: Path
) -> None:
    monkeypatch.setattr("enfold.datasets.streaming.opening.time.sleep", lambda seconds: None)
    stream = load(f"{server.address}/{name}", KINDS[name])
    server.failures = 3
    assert list(stream.take(5)) == rows(5)
    assert list(stream.skip(COUNT - 1)) == rows()[-1:]
    assert not list(hf_home.rglob("*.arrow")) and not (hf_home / "datasets" / "downloads").exists()


def test_of_a_distant_parquet_file_only_what_is_needed_comes(server: Server, folder: Path) -> None:
    stream = load(f"{server.address}/rows.parquet", "parquet").select_columns("a").skip(18_500)
    server.bytes = 0
    assert next(iter(stream)) == {"a": 18_500}
    assert server.bytes < (folder / "rows.parquet").stat().st_size


def test_an_address_that_never_answers_is_an_error_that_names_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("enfold.datasets.streaming.opening.time.sleep", lambda seconds: None)
    server.failures = 1000
    with pytest.raises(HubUnreachableError, match=r"rows\.jsonl.*6 attempts.*503"):
        list(load(f"{server.address}/rows.jsonl", "json"))
    server.failures = 0
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl"):
        list(load(f"{server.address}/none.jsonl", "json"))


def test_addresses_that_fsspec_knows(folder: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for name in ("rows.jsonl", "rows.csv.gz", "rows.parquet"):
        memory.pipe(f"/stream-test/{name}", (folder / name).read_bytes())
    assert list(load("memory://stream-test/rows.jsonl", "json")) == rows()
    assert list(load("memory://stream-test/*.parquet", "parquet")) == rows()
    assert list(load("memory://stream-test/rows.csv.gz", "csv").take(2)) == rows(2)
    archive = f"zip://rows.jsonl::{folder / 'rows.jsonl.zip'}"
    assert list(load(archive, "json")) == rows()


def test_a_repository_is_streamed_from_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hf_home: Path) -> None:
    from enfold.hubserver import EmbeddedHub

    with EmbeddedHub(tmp_path / "hub", durable=False) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        made = Dataset.from_list(rows(100)).to_iterable_dataset(4).map(lambda row: {"b": row["a"] * 2})
        made.push_to_hub("owner/streamed", num_shards=3)
        stream = load_dataset("owner/streamed", streaming=True)["train"]
        assert stream.num_shards == 3 and stream.column_names == ["a", "t", "b"]
        assert [row["b"] for row in stream] == [2 * i for i in range(100)]
        address = "hf://datasets/owner/streamed/data/*.parquet"
        assert len(list(load(address, "parquet"))) == 100
        shuffled = load_dataset("owner/streamed", split="train", streaming=True).shuffle(seed=1, buffer_size=20)
        assert sorted(row["a"] for row in shuffled) == list(range(100))
        assert not list(hf_home.rglob("*.parquet"))


# ---- broken files ----------------------------------------------------------------------------------------------------


def until_error(stream: IterableDataset, error: type[Exception] = DatasetGenerationError) -> tuple[list[Any], str]:
    """Return the rows before an error, and what the error says."""
    seen: list[Any] = []
    with pytest.raises(error) as caught:
        for row in stream:
            seen.append(row)
    return seen, str(caught.value)


def test_a_broken_line_is_named_and_the_rows_before_it_are_given(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in rows(9000)]
    lines[7000] = '{"a": 1, "t"'
    (tmp_path / "broken.jsonl").write_text("\n".join(lines))
    seen, message = until_error(load(tmp_path / "broken.jsonl", "json"))
    assert seen == rows(7000) and "broken.jsonl, line 7001" in message
    text = ["a,t", *(f"{row['a']},{row['t']}" for row in rows(9000))]
    text[8000] = "1,2,3"
    (tmp_path / "broken.csv").write_text("\n".join(text))
    seen, message = until_error(load(tmp_path / "broken.csv", "csv"))
    assert len(seen) == 7999 and seen[-1]["a"] == 7998 and "broken.csv, line 8001: 3 values for 2 columns" in message


def test_a_value_of_another_type_is_named_with_its_line(tmp_path: Path) -> None:
    text = ["a,t", *(f"{row['a']},{row['t']}" for row in rows(9000))]
    text[8000] = "many,x"
    (tmp_path / "mixed.csv").write_text("\n".join(text))
    features = Features({"a": Value("int64"), "t": Value("string")})
    seen, message = until_error(load(tmp_path / "mixed.csv", "csv", features=features))
    assert len(seen) == 7999 and "mixed.csv, line 8001, column 'a': 'many' is no int64" in message


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.csv.gz", "rows.jsonl.xz", "rows.jsonl.bz2", "rows.csv.zst"])
def test_of_a_truncated_packed_file_the_rows_before_its_end_are_given(folder: Path, tmp_path: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: len(data) * 3 // 4])
    seen, message = until_error(load(path, KINDS[name]))
    assert seen == rows()[: len(seen)] and len(seen) > 5000 and name in message


def test_a_truncated_parquet_or_arrow_file_is_named(folder: Path, tmp_path: Path) -> None:
    data = (folder / "rows.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(data[: len(data) // 2])
    _, message = until_error(load(tmp_path / "cut.parquet", "parquet"))
    assert "cut.parquet: no Parquet file" in message
    damaged = bytearray(data)
    group = pq.read_metadata(folder / "rows.parquet").row_group(2).column(1)
    start = group.dictionary_page_offset or group.data_page_offset
    damaged[start : start + 200] = b"\xff" * 200
    (tmp_path / "damaged.parquet").write_bytes(bytes(damaged))
    seen, message = until_error(load(tmp_path / "damaged.parquet", "parquet"))
    assert seen == rows(6000) and "damaged.parquet, row group 2" in message
    assert len(list(load(tmp_path / "cut.parquet", "parquet", on_bad_files="skip"))) == 0
    arrow = (folder / "rows.arrow").read_bytes()
    (tmp_path / "cut.arrow").write_bytes(arrow[: len(arrow) // 2])
    seen, message = until_error(load(tmp_path / "cut.arrow", "arrow"))
    assert seen == rows()[: len(seen)] and len(seen) >= 6000 and "cut.arrow, record batch" in message


def test_an_error_of_a_function_comes_after_the_rows_before_it(folder: Path) -> None:
    def fails(row: dict[str, Any]) -> bool:
        if row["a"] == 700:
            raise RuntimeError("row 700")
        return row["a"] % 2 == 0

    for stream in (
        load(folder / "rows.csv", "csv").filter(fails),
        load(folder / "rows.csv", "csv").map(lambda r: {"b": fails(r)}),
    ):
        seen: list[Any] = []
        with pytest.raises(RuntimeError, match="row 700"):
            for batch in stream.iter(64):
                seen += batch["a"]
        assert seen[-1] in (698, 699)


def test_numbers_that_change_their_type_between_blocks_stay(tmp_path: Path) -> None:
    (tmp_path / "late.jsonl").write_text("".join(f'{{"a": {i if i < 15000 else i + 0.5}}}\n' for i in range(30_000)))
    assert [row["a"] for row in load(tmp_path / "late.jsonl", "json")] == [
        i if i < 15000 else i + 0.5 for i in range(30_000)
    ]


def test_csv_files_whose_quotes_hold_line_ends(tmp_path: Path) -> None:
    text = "a,t\n" + "".join(f'{i},"one ""{i}""\ntwo, three"\n' for i in range(8000))
    (tmp_path / "quoted.csv").write_text(text)
    assert list(load(tmp_path / "quoted.csv", "csv")) == [{"a": i, "t": f'one "{i}"\ntwo, three'} for i in range(8000)]
    (tmp_path / "stray.csv").write_text("a,t\n" + "".join(f'{i},5" disk\n' for i in range(30_000)))
    assert [row["t"] for row in load(tmp_path / "stray.csv", "csv")][-1] == '5" disk'


# ---- archives, folders -----------------------------------------------------------------------------------------------


def test_the_members_of_an_archive_are_shards(folder: Path, tmp_path: Path, hf_home: Path) -> None:
    path = tmp_path / "both.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"part-{number}.jsonl", "".join(json.dumps(row) + "\n" for row in rows(40)))
        archive.write(folder / "rows.parquet", "rows.parquet")
    stream = load(path, "json")
    assert stream.num_shards == 3 and list(stream) == rows(40) * 3
    assert list(load(folder / "rows.csv.zip", "csv").skip(COUNT - 3)) == rows()[-3:]
    assert not list(hf_home.rglob("*.jsonl"))
    (tmp_path / "broken.zip").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DatasetGenerationError, match=r"broken\.zip: no zip archive"):
        load(tmp_path / "broken.zip", "json")


def test_folders_of_images_and_webdataset_archives(tmp_path: Path) -> None:
    import io
    import tarfile

    from PIL import Image

    def picture(shade: int) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", (4, 3), (shade, 0, 0)).save(out, "PNG")
        return out.getvalue()

    for number in range(6):
        place = tmp_path / "images" / ("cat" if number % 2 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.png").write_bytes(picture(number))
    stream = load_dataset(str(tmp_path / "images"), split="train", streaming=True)
    found = sorted((row["image"].getpixel((0, 0))[0], row["label"]) for row in stream)
    assert found == [(0, 1), (1, 0), (2, 1), (3, 0), (4, 1), (5, 0)]
    assert isinstance(next(iter(stream.decode(False)))["image"], dict)
    with tarfile.open(tmp_path / "rows.tar", "w") as archive:
        for number in range(5):
            for name, data in (
                (f"{number}.png", picture(number)),
                (f"{number}.json", json.dumps({"n": number}).encode()),
            ):
                item = tarfile.TarInfo(name)
                item.size = len(data)
                archive.addfile(item, io.BytesIO(data))
    webdataset = load(tmp_path / "rows.tar", "webdataset")
    assert [(row["png"].getpixel((0, 0))[0], row["json"]["n"]) for row in webdataset] == [(i, i) for i in range(5)]

"""A Hub whose contents are in a bucket behaves as one whose contents are in a folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from enfold.errors import EnfoldError
from enfold.hubserver.store.blobs import BlobStore
from enfold.hubserver.store.objects import Bucket

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".peers" / "s3" / "bin" / "python"
#: the tests of what contents are read and written by
SUITES = ("test_hubserver_api", "test_hubserver_parts", "test_hubserver_xet")
SERVE = "import sys; from moto.server import main; main(['-H', '127.0.0.1', '-p', sys.argv[1]])"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Moto, which speaks S3, in a process of its own."""
    if not PYTHON.exists():
        message = "the endpoint that speaks S3 is missing: run `make peers`"
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(message)
        pytest.skip(message)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    process = subprocess.Popen([PYTHON, "-c", SERVE, port], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                httpx.put(f"http://127.0.0.1:{port}/hub").raise_for_status()
                break
            except httpx.TransportError:
                assert process.poll() is None
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def variables(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment that leads to the endpoint."""
    names = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    return names


def test_everything_holds_in_a_bucket(variables: dict[str, str]) -> None:
    environment = {**os.environ, **variables, "HUBSERVER_TEST_STORE": "s3://hub/all"}
    files = [str(HERE / f"{name}.py") for name in SUITES]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=HERE.parents[1])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_objects_are_kept_listed_read_and_deleted(variables: dict[str, str], tmp_path: Path) -> None:
    place = Bucket("s3://hub/objects/", tmp_path / "tmp")
    content = os.urandom(20_000_000)  # more than one part of an upload, and more than is read at once
    (tmp_path / "tmp" / "x").write_bytes(content)
    place.keep("aa/bb/name", tmp_path / "tmp" / "x")
    assert not (tmp_path / "tmp" / "x").exists()
    assert place.find("aa/bb/name").size == len(content) and place.find("aa/bb/none") is None
    with place.source("aa/bb/name")() as reader:
        reader.seek(9_000_000)
        assert reader.read(10) == content[9_000_000:9_000_010]
        assert b"".join(iter(lambda: reader.read(1 << 20), b"")) == content[9_000_010:]
        reader.seek(0)
        assert reader.read(5) == content[:5]
    (found,) = place.list()
    assert (found.name, found.size) == ("aa/bb/name", len(content)) and abs(found.modified - time.time()) < 600
    place.delete("aa/bb/name")
    place.delete("aa/bb/name")
    assert list(place.list()) == [] and place.find("aa/bb/name") is None


def test_a_content_is_uploaded_once_and_not_at_all_when_it_is_another(
    variables: dict[str, str], tmp_path: Path
) -> None:
    store = BlobStore(Bucket("s3://hub/blobs", tmp_path))
    one, two = store.put(b"content"), store.put(b"content")
    assert one == two and store.has(one.sha256) and len(list(store.objects.list())) == 1
    with pytest.raises(Exception, match="was announced"), store.writer() as writer:
        writer.write(b"other")
        writer.finish(sha256="0" * 64)
    assert len(list(store.objects.list())) == 1 and not list(tmp_path.iterdir())


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnfoldError, match="s3://bucket/prefix"):
        Bucket("nowhere://x", tmp_path)

"""Bytes to and from a Hub that runs as a process of its own, each figure beside what the machine itself can do."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_BUFFER = bytearray(1 << 20)

# The least that can be done for a download: the kernel copies from the file to the socket.
SENDFILE = """
import os, socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    peer, _ = server.accept()
    peer.recv(65536)
    with open(sys.argv[1], "rb") as file:
        size = os.fstat(file.fileno()).st_size
        peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % size)
        peer.sendfile(file)
    peer.close()
"""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, str, subprocess.Popen[str]]]:
    """A Hub that is served from ``folder`` as the command serves it: its address, a token, and the process."""
    code = "from enfold.cli import main; main()"
    command = [sys.executable, "-c", code, "hub", "serve", str(folder), "--port", "0", "--new-token"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = ""
        while "Use it" not in said:
            line = process.stdout.readline()
            if not line:
                raise SystemExit("the Hub did not start")
            said += line
        address = re.search(r"Hub at (\S+),", said)
        token = re.search(r"shown only now: (\S+)", said)
        assert address is not None and token is not None
        yield address[1], token[1], process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


@contextlib.contextmanager
def client(address: str, token: str, **variables: str) -> Iterator[Any]:
    """Our client with that Hub, and a cache that goes away."""
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"HF_ENDPOINT": address, "HF_TOKEN": token, "HF_HOME": home, **variables}
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        from enfold.hub import HfApi

        yield HfApi()


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not repeat and do not get smaller when packed."""
    dice = random.Random(seed)
    return b"".join(dice.randbytes(min(1 << 24, size - start)) for start in range(0, size, 1 << 24))


def receive(address: str, path: str, token: str | None = None) -> tuple[int, float]:
    """Read an answer without looking at it: its bytes, and seconds from the request to the last of them."""
    parts = urlsplit(address)
    assert parts.hostname is not None and parts.port is not None
    with socket.create_connection((parts.hostname, parts.port)) as peer:
        lines = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
        lines += [f"Authorization: Bearer {token}"] if token else []
        begin = time.perf_counter()
        peer.sendall("\r\n".join([*lines, "", ""]).encode())
        head = bytearray()
        while b"\r\n\r\n" not in head:
            head += peer.recv(4096)
        assert b" 200 " in head[:20], bytes(head[:200])
        total = len(head) - head.index(b"\r\n\r\n") - 4
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        while total < length:
            count = peer.recv_into(_BUFFER)
            if not count:
                break
            total += count
        seconds = time.perf_counter() - begin
    return total, seconds


def read_back(path: Path) -> float:
    """Read a file that the kernel was told to forget: bytes per second of the disk."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        begin = time.perf_counter()
        while file.readinto(_BUFFER):
            pass
        return path.stat().st_size / (time.perf_counter() - begin)


def download(size: int = 512_000_000, pairs: int = 9) -> None:
    """Download a large file, beside a process that only calls sendfile, in turns; target ≥ 0.9 ×."""
    with tempfile.TemporaryDirectory() as name, served(Path(name) / "hub") as (address, token, _):
        plain = Path(name) / "plain.bin"
        plain.write_bytes(noise(size))
        os.sync()
        disk = read_back(plain)
        with (
            client(address, token, HF_HUB_DISABLE_XET="1") as api,
            subprocess.Popen([sys.executable, "-c", SENDFILE, str(plain)], stdout=subprocess.PIPE, text=True) as raw,
        ):
            assert raw.stdout is not None
            port = raw.stdout.readline().strip()
            repo = api.create_repo("owner/large").repo_id
            api.upload_file(path_or_fileobj=plain, path_in_repo="plain.bin", repo_id=repo)
            os.environ["HF_HUB_DISABLE_XET"] = "0"
            api.upload_file(path_or_fileobj=noise(size // 4, 1), path_in_repo="chunks.bin", repo_id=repo)
            rates: dict[str, list[float]] = {"plain": [], "chunks": [], "sendfile": []}
            for _ in range(pairs):
                for kind in ("plain", "chunks"):
                    count, seconds = receive(address, f"/{repo}/resolve/main/{kind}.bin", token)
                    assert count == (size if kind == "plain" else size // 4), (kind, count)
                    rates[kind].append(count / seconds)
                count, seconds = receive(f"http://127.0.0.1:{port}", "/")
                rates["sendfile"].append(count / seconds)
            raw.kill()
            for kind in ("plain", "chunks"):
                ratio = statistics.median(
                    ours / min(theirs, disk) for ours, theirs in zip(rates[kind], rates["sendfile"], strict=True)
                )
                print(
                    f"download, {kind:6} {_rate(rates[kind])} MB/s   sendfile {_rate(rates['sendfile'])}   "
                    f"disk {disk / 1e6:,.0f}   {ratio:.2f} × the lesser"
                )
            from enfold.hub import hf_hub_download

            begin = time.perf_counter()
            hf_hub_download(repo, "plain.bin")
            print(f"download by our client, with its SHA-256   {size / (time.perf_counter() - begin) / 1e6:,.0f} MB/s")


def upload(size: int = 512_000_000, pairs: int = 5) -> None:
    """Upload a large file, which the Hub hashes before it acknowledges it, beside writing it; target ≥ 0.7 ×."""
    with tempfile.TemporaryDirectory() as name, served(Path(name) / "hub") as (address, token, _):
        rates: dict[str, list[float]] = {"lfs": [], "chunks": [], "write": []}
        with client(address, token) as api:
            repo = api.create_repo("owner/large").repo_id
            for turn in range(pairs):
                data = noise(size, turn)
                file = Path(name) / "file.bin"
                begin = time.perf_counter()
                with file.open("wb") as out:
                    out.write(data)
                    out.flush()
                    os.fsync(out.fileno())
                rates["write"].append(size / (time.perf_counter() - begin))
                rates["lfs"].append(size / _put(api, repo, data))
                os.environ["HF_HUB_DISABLE_XET"] = "0"
                data = noise(size, turn + 100)
                begin = time.perf_counter()
                api.upload_file(path_or_fileobj=data, path_in_repo="chunks.bin", repo_id=repo)
                rates["chunks"].append(size / (time.perf_counter() - begin))
        for kind in ("lfs", "chunks"):
            ratio = statistics.median(a / b for a, b in zip(rates[kind], rates["write"], strict=True))
            print(f"upload, {kind:6} {_rate(rates[kind])} MB/s   write {_rate(rates['write'])}   {ratio:.2f} ×")


def _put(api: Any, repo: str, data: bytes) -> float:
    """Seconds of sending one LFS object whose hash is known already."""
    from enfold.hub import http

    oid = hashlib.sha256(data).hexdigest()
    body = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": len(data)}]}
    answer = http.request("POST", f"{api.endpoint}/{repo}.git/info/lfs/objects/batch", json=body).json()
    href = urlsplit(answer["objects"][0]["actions"]["upload"]["href"])
    assert href.hostname is not None and href.port is not None
    with socket.create_connection((href.hostname, href.port)) as peer:
        head = f"PUT {href.path}?{href.query} HTTP/1.1\r\nHost: {href.netloc}\r\nContent-Length: {len(data)}\r\n\r\n"
        begin = time.perf_counter()
        peer.sendall(head.encode())
        peer.sendall(data)
        said = peer.recv(4096)
        assert b" 200 " in said[:20], said
        return time.perf_counter() - begin


def insertion(size: int = 18_000_000) -> None:
    """Insert 7 bytes into a file and upload it again: the bytes that the Hub keeps for it; target ≤ 1 %."""
    with (
        tempfile.TemporaryDirectory() as name,
        served(Path(name) / "hub") as (address, token, _),
        client(address, token, HF_HUB_DISABLE_XET="0") as api,
    ):
        repo = api.create_repo("owner/insert").repo_id
        shares = []
        for turn in range(9):
            data = noise(size, turn)
            api.upload_file(path_or_fileobj=data, path_in_repo="f.bin", repo_id=repo)
            before = _kept(Path(name) / "hub")
            place = random.Random(turn).randrange(size)
            api.upload_file(
                path_or_fileobj=data[:place] + b"insert!" + data[place:], path_in_repo="f.bin", repo_id=repo
            )
            shares.append((_kept(Path(name) / "hub") - before) / size)
        print(f"7 bytes into {size / 1e6:.0f} MB   {statistics.median(shares):.2%} again, at most {max(shares):.2%}")


def _kept(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and "sqlite" not in path.name)


def head(count: int = 2_000) -> None:
    """Ask for a file's headers over one connection; target: p50 ≤ 2 ms."""
    import http.client

    with (
        tempfile.TemporaryDirectory() as name,
        served(Path(name) / "hub") as (address, token, _),
        client(address, token) as api,
    ):
        repo = api.create_repo("owner/head").repo_id
        api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=repo)
        peer = http.client.HTTPConnection(urlsplit(address).netloc)
        times = []
        for number in range(count + 100):
            begin = time.perf_counter()
            peer.request("HEAD", f"/{repo}/resolve/main/config.json", headers={"Authorization": f"Bearer {token}"})
            answer = peer.getresponse()
            answer.read()
            assert answer.status == 200
            if number >= 100:
                times.append((time.perf_counter() - begin) * 1000)
        percent = statistics.quantiles(times, n=100)
        print(f"HEAD resolve   p50 {percent[49]:.2f} ms   p99 {percent[98]:.2f} ms   {count} requests")


def commit(files: int = 1_000, many: int = 100_000) -> None:
    """Commit 1,000 small files into an empty repository and into one of 100,000; targets: ≤ 1 s, and the same."""
    with (
        tempfile.TemporaryDirectory() as name,
        served(Path(name) / "hub") as (address, token, _),
        client(address, token) as api,
    ):
        seconds: dict[str, list[float]] = {"small": [], "large": []}
        for kind in seconds:
            api.create_repo(f"owner/{kind}")
        begin = time.perf_counter()
        for start in range(0, many, 10_000):
            paths = [f"base/{number // 1000:03}/{number % 1000:03}.txt" for number in range(start, start + 10_000)]
            _commit(api, "owner/large", paths, start)
        made = time.perf_counter() - begin
        for turn in range(9):
            for kind in seconds:
                paths = [f"more/{turn}/{number // 100}/{number}.txt" for number in range(files)]
                begin = time.perf_counter()
                _commit(api, f"owner/{kind}", paths, turn)
                seconds[kind].append(time.perf_counter() - begin)
        ratio = statistics.median(a / b for a, b in zip(seconds["large"], seconds["small"], strict=True))
        print(
            f"commit of {files:,} files   empty repository {statistics.median(seconds['small']):.2f} s   "
            f"{many:,} files {statistics.median(seconds['large']):.2f} s   {ratio:.2f} ×"
        )
        begin = time.perf_counter()
        found = sum(1 for _ in api.list_repo_files("owner/large"))
        print(f"{many:,} files: committed in {made:.1f} s, {found:,} listed in {time.perf_counter() - begin:.1f} s")


def snapshot(many: int = 100_000, few: int = 3_000) -> None:
    """Download a repository of 100,000 small files into the cache; and some of them by a request for each."""
    with (
        tempfile.TemporaryDirectory() as name,
        served(Path(name) / "hub") as (address, token, process),
        client(address, token) as api,
    ):
        from enfold.hub import small_files, snapshot_download

        api.create_repo("owner/many")
        for start in range(0, many, 10_000):
            paths = [
                f"{number // 1000:03}/{number % 1000:03}.txt" for number in range(start, min(start + 10_000, many))
            ]
            _commit(api, "owner/many", paths, start)
        ways: dict[str, tuple[int, dict[str, Any]]] = {"together": (many, {}), "again": (many, {})}
        ways["one by one"] = (
            few,
            {"cache_dir": f"{name}/other", "allow_patterns": [f"{n:03}/*" for n in range(few // 1000)]},
        )
        for way, (count, options) in ways.items():
            if way == "one by one":
                small_files.FEWEST = 1 << 60
            begin, mine, theirs = time.perf_counter(), time.process_time(), _processor(process.pid)
            folder = snapshot_download("owner/many", **options)
            seconds, mine = time.perf_counter() - begin, time.process_time() - mine
            theirs = _processor(process.pid) - theirs
            found = sum(1 for path in Path(folder).rglob("*.txt"))
            assert found == count, (way, found)
            print(
                f"{count:,} small files, {way:10}   {seconds:6.1f} s   of each {seconds / count * 1000:.2f} ms: "
                f"client {mine / count * 1000:.2f}, server {theirs / count * 1000:.2f} of the processor"
            )


def _processor(pid: int) -> float:
    """Seconds of the processor that a process took."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _commit(api: Any, repo: str, paths: list[str], seed: int) -> None:
    """Send a commit as it is on the wire; asking how each file should come is the client's affair."""
    import base64

    from enfold.hub import http

    lines = [{"key": "header", "value": {"summary": "files", "description": ""}}]
    for path in paths:
        content = base64.b64encode(f"{seed}/{path}".encode()).decode()
        lines.append({"key": "file", "value": {"content": content, "path": path, "encoding": "base64"}})
    body = "\n".join(map(json.dumps, lines)).encode()
    http.request("POST", f"{api.endpoint}/api/models/{repo}/commit/main", content=body, timeout=600)


def start() -> None:
    """From the command to the first file that is there, and the memory then; targets: ≤ 3 s, ≤ 150 MB."""
    times, sizes = [], []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as name:
            begin = time.perf_counter()
            with served(Path(name) / "hub") as (address, token, process), client(address, token) as api:
                repo = api.create_repo("owner/first").repo_id
                api.upload_file(path_or_fileobj=b"hello", path_in_repo="a.txt", repo_id=repo)
                times.append(time.perf_counter() - begin)
                status = Path(f"/proc/{process.pid}/status").read_text()
                sizes.append(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1000)  # type: ignore[index]
    print(f"start to first upload   {statistics.median(times):.2f} s   {max(sizes):.0f} MB at most")


def _rate(rates: list[float]) -> str:
    return f"{statistics.median(rates) / 1e6:>7,.0f}"

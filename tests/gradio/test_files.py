"""Files: what is taken and shown, and every way to read or write one that is not for visitors, tried."""

from __future__ import annotations

import io
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest

import enfold.gradio as gr
from enfold.gradio.files import FileRules, InvalidPathError, current_rules, received, safe_name
from enfold.web.fetch import FetchError, fetch_public, is_public

META = {"meta": {"_type": "gradio.FileData"}}


def png(size: tuple[int, int] = (5, 4), colour: str = "red") -> bytes:
    import PIL.Image

    buffer = io.BytesIO()
    PIL.Image.new("RGB", size, colour).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder outside the temporary one's rules: secrets, a shared folder, and the place where files are kept."""
    home = tmp_path_factory.mktemp("server")
    for name in ("secret.txt", "shared/open.txt", "shared/blocked/no.txt", "shared_not/open.txt"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(home / "kept"))
        yield home


@pytest.fixture(scope="module")
def site(home: Path) -> Iterator[SimpleNamespace]:
    """A page that takes and gives files."""
    with gr.Blocks() as demo:
        picture, sound, papers = gr.Image(), gr.Audio(), gr.File(file_count="multiple")
        words, tree, out = gr.Textbox(), gr.JSON(), gr.Textbox()
        explorer = gr.FileExplorer(root_dir=home / "shared")
        helper = gr.HTML("x", server_functions=[len])
        button = gr.Button()
        button.click(lambda image: image[:, ::-1], picture, picture, api_name="flip")
        button.click(lambda paths: [Path(path).read_text() for path in paths], papers, tree, api_name="read")
        button.click(lambda path: path, words, gr.File(), api_name="show")
        button.click(lambda text: json.loads(text), words, tree, api_name="parse")
        button.click(lambda paths: paths, explorer, tree, api_name="explore")
        button.click(lambda sound: sound, sound, sound, api_name="echo")
        button.click(lambda text: text, gr.DateTime(type="string"), out, api_name="when")
        button.click(lambda history: len(history), gr.Chatbot(), out, api_name="talk")
        button.click(lambda path: path, words, gr.Dataframe(), api_name="table")
    _, url, _ = demo.launch(
        prevent_thread_lock=True,
        server_port=0,
        quiet=True,
        show_error=True,
        allowed_paths=[home / "shared"],
        blocked_paths=[home / "shared" / "blocked"],
        max_file_size="20 kb",
    )
    with httpx.Client(base_url=url + "gradio_api/", timeout=20) as client:

        def run(name: str, *data: Any) -> httpx.Response:
            return client.post(f"run/{name}", json={"data": list(data)})

        def upload(name: str, body: bytes) -> str:
            return client.post("upload", files={"files": (name, body)}).json()[0]

        ids = {block.type_name: block._id for block in demo.blocks.values()}
        yield SimpleNamespace(demo=demo, url=url, client=client, run=run, upload=upload, ids=ids, helper=helper)
    demo.close()


def test_an_uploaded_picture_goes_through_a_function_and_back(site: SimpleNamespace) -> None:
    path = site.upload("a b.png", png())
    (shown,) = site.run("flip", {"path": path, "orig_name": "a b.png", **META}).json()["data"]
    assert shown["url"] == f"{site.url}gradio_api/file={shown['path']}" and shown["meta"] == META["meta"]
    answer = httpx.get(shown["url"])
    assert answer.headers["content-type"] == "image/webp" and answer.headers["x-content-type-options"] == "nosniff"
    part = httpx.get(shown["url"], headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, answer.content[:4])
    assert httpx.head(shown["url"]).headers["content-length"] == str(len(answer.content))


def test_a_picture_in_the_address_itself_is_read(site: SimpleNamespace) -> None:
    import base64

    url = "data:image/png;base64," + base64.b64encode(png()).decode()
    assert site.run("flip", {"path": None, "url": url, **META}).status_code == 200
    broken = {"path": None, "url": "data:image/png;base64,!!!", **META}
    assert "cannot be read" in site.run("flip", broken).json()["error"]


def test_addresses_follow_the_proxy_of_each_visitor(site: SimpleNamespace) -> None:
    path = site.upload("a.png", png())
    body = {"data": [{"path": path, **META}]}
    headers = {"X-Forwarded-Host": "demo.example", "X-Forwarded-Proto": "https"}
    (shown,) = site.client.post("run/flip", json=body, headers=headers).json()["data"]
    assert shown["url"].startswith("https://demo.example/gradio_api/file=")
    (shown,) = site.client.post("run/flip", json=body).json()["data"]
    assert shown["url"].startswith(site.url), "one visitor's address is not another's"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "{home}/secret.txt",
        "{home}/kept/../secret.txt",
        "{home}/shared_not/open.txt",
        "{home}/shared/blocked/no.txt",
        "{home}/shared/../secret.txt",
        "{home}/shared/%2e%2e/secret.txt",
        "{home}/SHARED/../secret.txt",
        "..%2f..%2fetc%2fpasswd",
        "//evil.example/share/x",
        "\\\\evil.example\\share\\x",
        "http://127.0.0.1:1/x",
        "https://evil.example/x",
        "file:///etc/passwd",
        "pyproject.toml",
        "{home}/shared",
        "{home}/shared/open.txt%00.png",
        "{home}/shared/absent.txt",
    ],
)
def test_a_file_that_is_not_for_visitors_is_not_served(site: SimpleNamespace, home: Path, path: str) -> None:
    for route in ("file=", "file/"):
        answer = site.client.get(f"{route}{path.format(home=home)}", follow_redirects=False)
        assert answer.status_code in {400, 403, 404} and "location" not in answer.headers


def test_a_link_does_not_lead_out_of_an_allowed_folder(site: SimpleNamespace, home: Path) -> None:
    (home / "shared" / "link.txt").symlink_to(home / "secret.txt")
    assert site.client.get(f"file={home}/shared/link.txt").status_code == 403
    assert site.client.get(f"file={home}/shared/open.txt").text == "shared/open.txt"


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "{home}/secret.txt", "{home}/kept/../secret.txt", "\\\\evil\\x", "//e/x"]
)
def test_a_payload_opens_only_what_was_uploaded(site: SimpleNamespace, home: Path, path: str) -> None:
    payload = {"path": path.format(home=home), **META}
    for name, data in (("read", [payload]), ("flip", payload), ("echo", payload)):
        answer = site.run(name, data)
        assert answer.status_code == 500 and "only files that were uploaded" in answer.json()["error"].lower()
    message = {"role": "user", "content": [{"type": "file", "file": payload}]}
    assert site.run("talk", [message]).status_code == 500


def test_a_payload_without_the_mark_is_no_file(site: SimpleNamespace) -> None:
    path = site.upload("a.txt", b"hello")
    assert site.run("read", [{"path": path, **META}]).json()["data"] == [["hello"]]
    for payload in ({"path": path}, {"path": path, "meta": {"_type": "other"}}, path, {"path": path, "meta": None}):
        assert site.run("read", [payload]).status_code == 500


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://localhost:1/", "http://169.254.169.254/latest", "http://[::1]/", "http://0/"]
)
def test_an_address_in_a_payload_does_not_reach_into_the_servers_network(site: SimpleNamespace, url: str) -> None:
    for payload in ({"path": url, **META}, {"path": None, "url": url, **META}):
        assert "not a public address" in site.run("read", [payload]).json()["error"]
    assert "not a public address" in site.run("show", url).json()["error"]


def test_addresses_are_judged_by_what_they_resolve_to_and_redirects_again(monkeypatch: pytest.MonkeyPatch) -> None:
    private = ("10.0.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "::1", "fe80::1", "::ffff:10.0.0.1", "224.0.0.1")
    assert not any(is_public(address) for address in private) and is_public("1.1.1.1")
    answers = {"both.example": ["1.1.1.1", "10.0.0.1"], "fine.example": ["1.1.1.1"]}
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: [(0, 0, 0, "", (each, 0)) for each in answers.get(host, [host])]
    )
    with pytest.raises(FetchError, match="not a public"):
        fetch_public("http://both.example/", limit=10)
    from enfold.web import fetch

    asked: list[str] = []

    def get(url: str, limit: int, timeout: float) -> Any:
        asked.append(url)
        if "fine" in url:
            return 302, {"location": "http://10.0.0.1/admin"}, b""
        return original(url, limit, timeout)

    original = fetch._get
    monkeypatch.setattr(fetch, "_get", get)
    with pytest.raises(FetchError, match="not a public"):
        fetch_public("http://fine.example/", limit=10)
    assert asked == ["http://fine.example/", "http://10.0.0.1/admin"]
    monkeypatch.setattr(fetch, "_get", original)
    for url in ("ftp://fine.example/", "file:///etc/passwd", "gopher://x"):
        with pytest.raises(FetchError, match="only http"):
            fetch_public(url, limit=10)


def test_json_with_a_path_is_data_and_no_file(site: SimpleNamespace, home: Path) -> None:
    value = {"path": str(home / "secret.txt"), "url": "x", **META}
    assert site.run("parse", json.dumps(value)).json()["data"] == [value]
    assert not list((home / "kept").rglob("secret.txt"))


def test_a_function_shows_only_files_from_its_folders(site: SimpleNamespace, home: Path, monkeypatch: Any) -> None:
    for path in ("/etc/passwd", "pyproject.toml/../.gitignore", ".git/config", str(home / "shared/blocked/no.txt")):
        answer = site.run("show", path)
        assert answer.status_code == 500 and "may not be shown" in answer.json()["error"]
    assert site.run("table", "/etc/passwd").status_code == 500
    shown = site.run("show", str(home / "shared/open.txt")).json()["data"][0]
    assert Path(shown["path"]).is_relative_to(home / "kept") and httpx.get(shown["url"]).text == "shared/open.txt"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.html", b"<script>1</script>"),
        ("a.svg", b"<svg onload='1'/>"),
        ("a.js", b"1"),
        ("a.xml", b"<a/>"),
        ("a", b"<b>"),
    ],
)
def test_files_that_could_run_are_downloads(site: SimpleNamespace, name: str, body: bytes) -> None:
    answer = site.client.get(f"file={site.upload(name, body)}")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "name", ["../../x.txt", "..\\..\\x.txt", "/etc/cron.d/x", "a\0b.txt", "CON:stream.txt", "x" * 300]
)
def test_upload_names_stay_in_the_folder(site: SimpleNamespace, home: Path, name: str) -> None:
    assert Path(home / "kept") in Path(site.upload(name.replace("\0", "%00"), b"x")).parents
    assert not set(safe_name(name)) & set("/\\:\0") and len(safe_name(name)) < 140 and safe_name(name) not in {"", ".."}


def test_uploads_are_limited(site: SimpleNamespace) -> None:
    answer = site.client.post("upload", files={"files": ("a.bin", b"x" * 20_481)})
    assert answer.status_code == 413 and "at most 20480" in answer.json()["detail"]
    assert site.client.get("config").json()["max_file_size"] == 20_480
    assert site.client.post("upload", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 400
    bad = {"Content-Type": "multipart/form-data; boundary=x"}
    assert site.client.post("upload", content=b"--x\r\nbroken", headers=bad).status_code in {200, 400}
    assert site.client.post("upload", content=b"x", headers={"Content-Type": "multipart/form-data"}).status_code == 400
    fields = {f"f{number}": "x" for number in range(40)}
    assert site.client.post("upload", data=fields, files={"files": ("a", b"x")}).status_code == 400


def test_foreign_pages_cannot_upload_or_call_components(site: SimpleNamespace) -> None:
    evil = {"Origin": "https://evil.example"}
    assert site.client.post("upload", files={"files": ("a", b"x")}, headers=evil).status_code == 403
    body = {"component_id": site.ids["fileexplorer"], "fn_name": "ls", "data": [], "session_hash": "x"}
    assert site.client.post("component_server", json=body, headers=evil).status_code == 403


@pytest.mark.parametrize(
    "name", ["postprocess", "preprocess", "unrender", "__init__", "changed", "accept_blobs", "config"]
)
def test_only_methods_offered_to_the_page_are_called(site: SimpleNamespace, name: str) -> None:
    for kind in ("fileexplorer", "image", "imageeditor", "html", "textbox"):
        body = {"component_id": site.ids.get(kind), "fn_name": name, "data": ["/etc/passwd"]}
        assert site.client.post("component_server", json=body).status_code == 404


def test_offered_functions_answer(site: SimpleNamespace) -> None:
    call = {"component_id": site.helper._id, "fn_name": "len", "data": [1, 2]}
    assert site.client.post("component_server", json=call).json() == 2
    listed = {"component_id": site.ids["fileexplorer"], "fn_name": "ls", "data": []}
    assert {"name": "open.txt", "type": "file", "valid": True} in site.client.post(
        "component_server", json=listed
    ).json()


@pytest.mark.parametrize(
    "names", [[".."], ["..", "secret.txt"], ["/etc"], ["a/../.."], ["", "x"], ["a\0"], "x", [["a"]]]
)
def test_an_explorer_stays_in_its_folder(site: SimpleNamespace, names: Any) -> None:
    body = {"component_id": site.ids["fileexplorer"], "fn_name": "ls", "data": names}
    assert site.client.post("component_server", json=body).status_code == 422
    assert site.run("explore", [names]).status_code == 500


def test_dates_are_read_in_linear_time(site: SimpleNamespace) -> None:
    begun = time.perf_counter()
    assert site.run("when", "now" + " " * 50_000 + "x").status_code == 500
    assert time.perf_counter() - begun < 2


def test_old_files_are_deleted_when_the_page_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "kept"))
    with gr.Blocks(delete_cache=(0, 0)) as demo:
        gr.File()
    from starlette.testclient import TestClient

    client = TestClient(gr.App.create_app(demo))
    (path,) = client.post("/gradio_api/upload", files={"files": ("a", b"x")}).json()
    assert not Path(path).exists()


def test_unknown_rules_are_the_authors_own(tmp_path: Path) -> None:
    """While a page is put together, and in plain Python, the author may use any file."""
    (tmp_path / "a.txt").write_text("x")
    assert gr.File().postprocess(str(tmp_path / "a.txt"))["size"] == 1
    token = current_rules.set(FileRules(blocked=[tmp_path]))
    try:
        with pytest.raises(InvalidPathError, match="blocked"):
            gr.File().postprocess(str(tmp_path / "a.txt"))
    finally:
        current_rules.reset(token)
    assert received(gr.FileData(path="/x")) == "/x"


def test_static_files_are_served_where_they_lie(site: SimpleNamespace, home: Path) -> None:
    (home / "assets").mkdir()
    (home / "assets" / "logo.png").write_bytes(png())
    assert site.client.get(f"file={home}/assets/logo.png").status_code == 403
    gr.set_static_paths(home / "assets")
    assert site.client.get(f"file={home}/assets/logo.png").status_code == 200
    shown = site.run("show", str(home / "assets/logo.png")).json()["data"][0]
    assert shown["path"] == os.path.realpath(home / "assets/logo.png")


def test_sounds_are_scaled_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    stereo = np.stack([np.linspace(-0.5, 0.5, 100), np.zeros(100)], 1).astype(np.float32)
    shown = gr.Audio().postprocess((22_050, stereo))
    rate, samples = gr.Audio().preprocess(shown)
    assert (rate, samples.dtype, samples.shape) == (22_050, np.int16, (100, 2))
    assert samples[:, 0].min() == -32767 and samples[:, 0].max() == 32767
    with pytest.raises(gr.Error, match="not a sound"):
        gr.Audio().preprocess(gr.FileData(path=__file__))

"""Programs in Spaces: started, logged, stopped, kept from the Hub and from each other."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hubserver_raw import file, lines
from sqlalchemy import insert, select

from enfold.hub import HfApi
from enfold.hub.errors import HfHubHTTPError
from enfold.hubserver import EmbeddedHub
from enfold.hubserver import database as db

#: a small web server, so that the test does not wait for a large one
PROGRAM = """
import http.server, os, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/stream"):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for number in range(3):
                self.wfile.write(f"data: {number}\\n\\n".encode())
                self.wfile.flush()
            return
        size = int(self.headers.get("Content-Length") or 0)
        said = {"path": self.path, "method": self.command, "headers": dict(self.headers.items())}
        said |= {"body": self.rfile.read(size).decode(), "uid": os.getuid(), "env": dict(os.environ)}
        said |= {"user": os.listdir(os.path.expanduser("~/.."))}
        data = __import__("json").dumps(said).encode()
        self.send_response(201)
        self.send_header("Set-Cookie", "enfold-hub=stolen; Path=/")
        self.send_header("X-Mine", "yes")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    do_POST = do_GET
    def log_message(self, *words): pass

print("begins", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["GRADIO_SERVER_PORT"])), Answer).serve_forever()
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    spaces = "separate" if os.geteuid() == 0 else "trusted"
    with EmbeddedHub(tmp_path_factory.mktemp("spaces"), durable=False, spaces=spaces) as hub:
        yield hub


@pytest.fixture(scope="module")
def http(hub: EmbeddedHub) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {hub.token}"}
    with httpx.Client(base_url=hub.endpoint, headers=headers, timeout=60) as client:
        yield client


def make(http: httpx.Client, name: str, *, sdk: str = "gradio", private: bool = False, **files: str) -> str:
    made = http.post("/api/repos/create", json={"name": name, "type": "space", "sdk": sdk, "private": private})
    assert made.status_code in {200, 409}
    records = [file(path.replace("__", "."), text.encode()) for path, text in files.items()]
    headers = {"content-type": "application/x-ndjson"}
    done = http.post(f"/api/spaces/owner/{name}/commit/main", content=lines(*records), headers=headers)
    assert done.status_code == 200, done.text
    return f"owner/{name}"


def reach(http: httpx.Client, name: str, path: str = "", **options: Any) -> httpx.Response:
    """Ask a program, which may have to start first."""
    deadline = time.monotonic() + 60
    while True:
        answer = http.request(options.pop("method", "GET"), f"/spaces/{name}/run/{path}", **options)
        if answer.status_code != 503 or "starting" not in answer.text or time.monotonic() > deadline:
            return answer
        time.sleep(0.1)


def test_a_request_reaches_the_program_without_the_visitors_secrets(http: httpx.Client, hub: EmbeddedHub) -> None:
    name = make(http, "echo", app__py=PROGRAM)
    reach(http, name)
    answer = http.post(
        f"/spaces/{name}/run/a%2Fb/c?x=1&y=%20",
        content=b"body",
        headers={"cookie": "enfold-hub=hs_secret", "origin": "null", "x-own": "1", "content-type": "text/plain"},
    )
    assert answer.status_code == 201, answer.text
    said = answer.json()
    assert (said["path"], said["method"], said["body"]) == ("/a%2Fb/c?x=1&y=%20", "POST", "body")
    sent = {key.lower(): value for key, value in said["headers"].items()}
    assert sent["x-own"] == "1" and sent["x-forwarded-host"] == hub.endpoint.partition("://")[2]
    assert not {"cookie", "authorization", "origin", "referer"} & sent.keys()
    assert hub.token not in answer.text and said["env"]["SPACE_ID"] == name
    assert answer.headers["x-mine"] == "yes" and "set-cookie" not in answer.headers
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts") and "allow-same-origin" not in policy
    assert answer.headers["access-control-allow-origin"] == "*"
    if os.geteuid() == 0:
        assert said["uid"] >= 200_000
    stream = reach(http, name, "stream")
    assert stream.text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
    asked = http.options(f"/spaces/{name}/run/x", headers={"access-control-request-headers": "x-gradio-user"})
    assert asked.status_code == 204 and asked.headers["access-control-allow-headers"] == "x-gradio-user"


def stage(http: httpx.Client, name: str) -> dict[str, Any]:
    said: dict[str, Any] = http.get(f"/api/spaces/{name}/runtime").json()
    return said


def test_state_and_log_are_told(http: httpx.Client, hub: EmbeddedHub) -> None:
    name = make(http, "told", app__py=PROGRAM)
    assert stage(http, name)["stage"] == "SLEEPING"
    reach(http, name)
    said = stage(http, name)
    assert said["stage"] == "RUNNING" and said["sha"] == http.get(f"/api/spaces/{name}").json()["sha"]
    with http.stream("GET", f"/api/spaces/{name}/logs/run") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = (json.loads(line[6:])["data"] for line in answer.iter_lines() if line.startswith("data: "))
        assert any(event == "begins\n" for event in events)
    assert httpx.get(f"{hub.endpoint}/api/spaces/{name}/logs/run").status_code == 401
    assert httpx.post(f"{hub.endpoint}/api/spaces/{name}/pause").status_code == 401
    assert http.post(f"/api/spaces/{name}/pause").json()["stage"] == "PAUSED"
    assert http.post(f"/api/spaces/{name}/restart").json()["stage"] in {"BUILDING", "APP_STARTING"}
    assert reach(http, name).status_code == 201


MOUNTED = """
import os
import gradio as gr
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def own(request):
    return PlainTextResponse("own " + request.query_params["q"])

with gr.Blocks() as demo:
    name, greeting = gr.Textbox(), gr.Textbox()
    gr.Button("Greet").click(lambda who: f"Hello {who}!", name, greeting, api_name="greet")

app = gr.mount_gradio_app(Starlette(routes=[Route("/own", own)]), demo, path="/demo")
uvicorn.run(app, host="127.0.0.1", port=int(os.environ["GRADIO_SERVER_PORT"]), log_level="warning")
"""


def test_a_program_may_be_an_application_that_a_demo_is_mounted_in(http: httpx.Client) -> None:
    name = make(http, "mounted", app__py=MOUNTED)
    assert reach(http, name, "own?q=1").text == "own 1"
    page = http.get(f"/spaces/{name}/run/demo/")
    assert page.status_code == 200 and "<html" in page.text
    asked = http.post(f"/spaces/{name}/run/demo/gradio_api/call/greet", json={"data": ["Ann"]}).raise_for_status()
    told = http.get(f"/spaces/{name}/run/demo/gradio_api/call/greet/{asked.json()['event_id']}")
    assert "event: complete" in told.text and '["Hello Ann!"]' in told.text


def test_another_commit_is_another_program(http: httpx.Client) -> None:
    name = make(http, "changed", app__py=PROGRAM)
    assert reach(http, name).headers["x-mine"] == "yes"
    make(http, "changed", app__py=PROGRAM.replace('"X-Mine", "yes"', '"X-Mine", "other"'))
    assert reach(http, name).headers["x-mine"] == "other"


def test_a_program_that_fails_says_why(http: httpx.Client) -> None:
    name = make(http, "broken", app__py="import nonsense_that_is_nowhere\n")
    assert "ended with the code 1" in reach(http, name).text
    said = stage(http, name)
    assert said["stage"] == "RUNTIME_ERROR" and "ended with the code 1" in said["errorMessage"]
    page = http.get(f"/spaces/{name}/app", headers={"accept": "text/html"}).text
    assert "nonsense_that_is_nowhere" in page  # in the log
    empty = make(http, "empty", other__py="")
    assert "There is no app.py" in reach(http, empty).text
    assert stage(http, empty)["stage"] == "NO_APP_FILE"
    docker = make(http, "docker", sdk="docker", Dockerfile="")
    assert "not docker" in http.get(f"/spaces/{docker}/app", headers={"accept": "text/html"}).text


def test_a_program_that_nobody_visits_is_stopped(http: httpx.Client, hub: EmbeddedHub) -> None:
    name = make(http, "idle", app__py=PROGRAM)
    reach(http, name)
    settings = hub.hub.settings
    object.__setattr__(settings, "space_idle", 0.5)
    try:
        deadline = time.monotonic() + 10
        while stage(http, name)["stage"] != "SLEEPING":
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        object.__setattr__(settings, "space_idle", 900.0)
    assert reach(http, name).status_code == 201


def test_static_spaces_are_files(http: httpx.Client) -> None:
    name = make(http, "files", sdk="static", index__html="<p>root", style__css="p{}")
    page = http.get(f"/spaces/{name}/run/")
    assert page.text == "<p>root" and page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("sandbox")
    style = http.get(f"/spaces/{name}/run/style.css")
    assert style.headers["content-type"].startswith("text/css")
    assert (
        http.get(f"/spaces/{name}/run/style.css", headers={"if-none-match": style.headers["etag"]}).status_code == 304
    )
    assert http.get(f"/spaces/{name}/run/none.css").status_code == 404
    assert http.post(f"/spaces/{name}/run/").status_code == 405
    assert stage(http, name)["stage"] == "RUNNING"


def test_a_hub_runs_no_program_unless_it_is_told_to(embedded: EmbeddedHub, anonymous: httpx.Client) -> None:
    headers = {"Authorization": f"Bearer {embedded.token}"}
    with httpx.Client(base_url=embedded.endpoint, headers=headers) as client:
        name = make(client, "not-here", app__py=PROGRAM)
        answer = client.get(f"/spaces/{name}/run/")
        assert answer.status_code == 503 and "runs no programs" in answer.text
        assert "runs no programs" in client.get(f"/spaces/{name}/app", headers={"accept": "text/html"}).text


def test_variables_and_secrets_are_the_programs_alone(http: httpx.Client, hub: EmbeddedHub) -> None:
    name = make(http, "values", app__py=PROGRAM)
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    api.add_space_variable(name, "MODEL", "ada/one", description="what it runs")
    api.add_space_secret(name, "API_KEY", "s3cret-value")
    api.add_space_secret(name, "API_KEY", "s3cret-again", description="of a service")
    variables = api.get_space_variables(name)
    assert variables["MODEL"].value == "ada/one" and variables["MODEL"].description == "what it runs"
    assert set(api.get_space_secrets(name)) == {"API_KEY"}
    said = reach(http, name).json()["env"]
    assert (said["MODEL"], said["API_KEY"]) == ("ada/one", "s3cret-again")

    # nobody is shown a secret: not its owner, not a page, not the log of changes, not whoever reads the table
    for path in (
        f"/api/spaces/{name}/secrets",
        f"/spaces/{name}/settings",
        f"/spaces/{name}/app",
        f"/api/spaces/{name}",
    ):
        assert "s3cret" not in http.get(path, headers={"accept": "text/html, */*"}).text
    with hub.hub.database.read() as connection:
        rows = connection.execute(select(db.space_value)).all()
        told = [str(row) for row in connection.execute(select(db.audit))]
    assert not any("s3cret" in str(row) for row in rows) and not any("s3cret" in row for row in told)
    assert any("space.secret.set" in row and "API_KEY" in row for row in told)
    other = HfApi(endpoint=hub.endpoint, token=hub.create_user("eve"))
    for call in (other.get_space_variables, other.get_space_secrets):
        with pytest.raises(HfHubHTTPError, match="403"):
            call(name)
    with pytest.raises(HfHubHTTPError, match="403"):
        other.add_space_secret(name, "API_KEY", "x")

    # a change is another environment
    assert set(api.add_space_variable(name, "MODEL", "ada/two")) == {"MODEL"}
    assert reach(http, name).json()["env"]["MODEL"] == "ada/two"
    assert api.delete_space_variable(name, "MODEL") == {}
    api.delete_space_secret(name, "API_KEY")
    assert not {"MODEL", "API_KEY"} & reach(http, name).json()["env"].keys()
    with pytest.raises(HfHubHTTPError, match="404"):
        api.delete_space_secret(name, "API_KEY")


@pytest.mark.parametrize("key", ["1X", "A-B", "", "PATH", "LD_PRELOAD", "PYTHONPATH", "GRADIO_SERVER_PORT", "SPACE_ID"])
def test_names_that_are_none_or_the_hubs_own_are_refused(http: httpx.Client, key: str) -> None:
    name = make(http, "names", sdk="static", index__html="x")
    answer = http.post(f"/api/spaces/{name}/variables", json={"key": key, "value": "x"})
    assert answer.status_code == 400, answer.text


def test_a_secret_opens_only_where_it_was_set(hub: EmbeddedHub, http: httpx.Client) -> None:
    one, other = (make(http, name, sdk="static", index__html="x") for name in ("sealed", "thief"))
    http.post(f"/api/spaces/{one}/secrets", json={"key": "KEY", "value": "mine"}).raise_for_status()
    with hub.hub.database.write() as connection:
        ids = {row.key: row.id for row in connection.execute(select(db.repo.c.key, db.repo.c.id))}
        row = connection.execute(select(db.space_value).where(db.space_value.c.repo_id == ids[one])).one()
        connection.execute(insert(db.space_value).values({**row._mapping, "repo_id": ids[other]}))
        values = hub.hub.space_values
        assert values.environment(connection, ids[one]) == {"KEY": "mine"}
        assert values.environment(connection, ids[other]) == {}


def test_a_new_space_comes_with_values(hub: EmbeddedHub) -> None:
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    values = {"space_secrets": [{"key": "KEY", "value": "hidden"}], "space_variables": [{"key": "A", "value": "b"}]}
    api.create_repo("owner/valued", repo_type="space", space_sdk="static", **values)
    assert api.get_space_variables("owner/valued")["A"].value == "b"
    assert set(api.get_space_secrets("owner/valued")) == {"KEY"}
    with pytest.raises(HfHubHTTPError, match="400"):
        api.create_repo("owner/bad", repo_type="space", space_sdk="static", space_variables=[{"key": "PATH"}])
    assert not api.repo_exists("owner/bad", repo_type="space")

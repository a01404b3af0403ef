"""Apps of several pages, and links to a page's present state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import enfold.gradio as gr
from enfold.gradio.errors import GradioError


@pytest.fixture
def app() -> TestClient:
    """An app of two pages."""
    with gr.Blocks(title="Shop") as demo:
        gr.Navbar([("Sources", "https://example.org")], main_page_name="Start")
        name, out = gr.Textbox(label="Name"), gr.Textbox(label="Out")
        gr.Button().click(str.upper, name, out, api_name="shout")
    with demo.route("About us"):
        gr.HTML("<b>who</b>", head="<meta name='only' content='about'>")
        gr.Button().click(lambda: 3, None, gr.Number(), api_name="three")
    return TestClient(gr.App.create_app(demo), base_url="http://127.0.0.1")


def test_each_page_has_its_own_components_and_functions(app: TestClient) -> None:
    whole = app.get("/config").json()
    assert whole["pages"] == [["", "Home", True], ["about-us", "About us", True]]
    kinds = {entry["id"]: entry["type"] for entry in whole["components"]}
    assert [kinds[number] for number in whole["page"]["about-us"]["components"]] == ["html", "button", "number", "form"]
    one = app.get("/config", params={"page": "about-us"}).json()
    assert [entry["type"] for entry in one["components"]] == ["html", "button", "number", "form"]
    assert [entry["api_name"] for entry in one["dependencies"]] == ["three"]
    assert one["layout"] == whole["page"]["about-us"]["layout"] and one["current_page"] == "about-us"
    assert "current_page" not in app.get("/config", params={"page": "absent"}).json()


def test_pages_are_answered_at_their_paths_with_what_is_on_them(app: TestClient) -> None:
    main, about = app.get("/"), app.get("/about-us")
    assert "<title>Shop</title>" in main.text and "<title>About us · Shop</title>" in about.text
    assert "shout" not in about.text and "name='only'" in about.text and "name='only'" not in main.text
    assert app.get("/about-us/", follow_redirects=False).headers["location"] == "../about-us"
    assert app.get("/absent").status_code == 404
    assert list(app.get("/gradio_api/info").json()["named_endpoints"]) == ["/shout", "/three"]
    assert list(app.get("/gradio_api/info", params={"page": "about-us"}).json()["named_endpoints"]) == ["/three"]


def test_an_app_of_one_page_says_nothing_of_pages() -> None:
    page = TestClient(gr.App.create_app(gr.Interface(str.upper, "text", "text")), base_url="http://127.0.0.1").get("/")
    assert "navbar" not in page.text and "current_page" not in page.text


def test_a_password_is_asked_for_on_every_page() -> None:
    with gr.Blocks() as demo:
        gr.Markdown("secret one")
    with demo.route("Other"):
        gr.Markdown("secret two")
    client = TestClient(gr.App.create_app(demo, auth=("a", "b")), base_url="http://127.0.0.1")
    for path in ("/", "/other"):
        answer = client.get(path)
        assert answer.status_code == 200 and "password" in answer.text and "secret" not in answer.text
    assert client.get("/config", params={"page": "other"}).status_code == 401


def test_paths_are_made_of_names_and_kept_apart() -> None:
    with gr.Blocks() as demo:
        pass
    for name, path in (("Ünïcode & more", None), ("Unicode more", None), ("X", "/deep_er/"), ("Config", None)):
        demo.route(name, path)
    assert [path for path, _, _ in demo.pages] == ["", "unicode-more", "_unicode-more", "deep_er", "_config"]


@pytest.mark.parametrize("path", ["a/b", "..", ".", "a b", "config", "gradio_api", "{x}", "%2e"])
def test_paths_that_cannot_be_are_refused(path: str) -> None:
    with gr.Blocks() as demo:
        pass
    with pytest.raises(GradioError, match="cannot have the path"):
        demo.route("Page", path)
    assert len(demo.pages) == 1


def test_a_page_is_begun_outside_of_the_others() -> None:
    with gr.Blocks() as demo, pytest.raises(GradioError, match="not inside of it"):
        demo.route("Page")
    with pytest.raises(GradioError, match="no path"):
        demo.route("…")


def test_a_page_has_one_set_of_links() -> None:
    with gr.Blocks() as demo:
        gr.Navbar()
        gr.Navbar()
    with pytest.raises(GradioError, match="one Navbar"):
        gr.App.create_app(demo)


def test_pages_lie_below_the_path_where_an_app_is_mounted() -> None:
    with gr.Blocks() as demo:
        gr.Textbox()
    with demo.route("About"):
        gr.Markdown("who")
    client = TestClient(gr.mount_gradio_app(Starlette(), demo, path="/demo", pwa=True), base_url="http://127.0.0.1")
    page = client.get("/demo/about")
    assert page.status_code == 200 and 'src="gradio_api/ui/' in page.text  # which is below /demo/
    assert client.get("/demo/about/", follow_redirects=False).headers["location"] == "../about"
    said = client.get("/demo/manifest.json").json()
    assert (said["start_url"], said["display"]) == ("./", "standalone") and 'rel="manifest"' in page.text


def test_whole_apps_become_pages() -> None:
    with gr.Blocks() as inner:
        box = gr.Textbox(label="Inner")
        inner.load(lambda: "x", None, box, api_name="inner")
    with gr.Blocks() as demo:
        gr.Textbox(label="Outer")
    with demo.route("Second"):
        inner.render()
    config = demo.get_config_file()
    assert box._id in config["page"]["second"]["components"] and config["page"]["second"]["dependencies"] == [0]
    assert config["page"][""]["dependencies"] == []


# --- links to a page's present state ---------------------------------------------------------------------------------


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A page that can be linked to, and ``call``, ``link`` and ``at`` to use it."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "kept"))
    with gr.Blocks() as demo:
        name, out, said = gr.Textbox(label="Name"), gr.Textbox(label="Out"), gr.Markdown("as written")
        pick, picture = gr.Dropdown(["a"], label="Pick"), gr.Image(type="filepath", label="Picture")
        secret = gr.Textbox("hidden", label="Secret", interactive=False)
        gr.DeepLinkButton()
        go = gr.Button()
        go.click(lambda n: (n.upper(), gr.Dropdown(choices=["p", "q"], value="q")), name, [out, pick], api_name="go")
        go.click(lambda pick: pick, pick, out, api_name="picked")
        go.click(lambda path: path, picture, picture, api_name="show")
    client = TestClient(gr.App.create_app(demo), base_url="http://127.0.0.1")
    ids = {fn.api_name: fn.id for fn in demo.fns.values()}

    def call(fn: str, *data: Any, session: str = "s", **more: Any) -> Any:
        body = {"data": list(data), "fn_index": ids[fn], "session_hash": session, **more}
        answer = client.post("/gradio_api/queue/join", json=body)
        if answer.status_code != 200:
            return answer
        frames = client.get("/gradio_api/queue/data", params={"session_hash": session}).text.split("\n\n")
        return [json.loads(frame[6:]) for frame in frames if "process_completed" in frame][-1]

    def link(values: dict[Any, Any], session: str = "s", **more: Any) -> Any:
        given = {str(block._id): value for block, value in values.items()}
        body = {"session_hash": session, "values": given, **more}
        return client.post("/gradio_api/deep_link", json=body).json()

    def at(name: str) -> Any:
        config = client.get("/config", params={"deep_link": name}).json()
        by_id = {entry["id"]: entry["props"] for entry in config["components"]}
        return config["deep_link_state"], lambda block: by_id[block._id]

    blocks = SimpleNamespace(name=name, out=out, said=said, pick=pick, picture=picture, secret=secret)
    with client:  # one event loop for all requests
        yield SimpleNamespace(client=client, call=call, link=link, at=at, blocks=blocks, home=tmp_path)


def test_a_link_leads_to_what_was_given_and_shown(linked: SimpleNamespace) -> None:
    b = linked.blocks
    linked.call("go", "ada")
    state, props = linked.at(linked.link({b.name: "typed later"}))
    assert state == "valid"
    assert (props(b.name)["value"], props(b.out)["value"], props(b.pick)["value"]) == ("typed later", "ADA", "q")
    assert props(b.pick)["choices"] == [["p", "p"], ["q", "q"]] and props(b.said)["value"] == "as written"
    # As the ecosystem's page asks for it: what the server has seen.
    seen = linked.client.get("/gradio_api/deep_link", params={"session_hash": "s"}).json()
    assert linked.at(seen)[1](b.name)["value"] == "ada"
    assert linked.client.get("/gradio_api/deep_link", params={"session_hash": "nobody"}).json() == ""


def test_who_comes_by_a_link_has_its_choices(linked: SimpleNamespace) -> None:
    linked.call("go", "ada")
    name = linked.link({})
    assert linked.call("picked", "q", session="new")["success"] is False
    linked.client.app.sessions.open("other")  # whose heartbeat came before
    assert linked.call("picked", "q", session="other", deep_link=name)["output"]["data"] == ["q"]
    assert linked.at(linked.link({}, session="other"))[1](linked.blocks.name)["value"] == "ada"
    # A link made from a page that a link led to has all of it.
    again = linked.link({linked.blocks.name: "x"}, session="third", deep_link=name)
    state, props = linked.at(again)
    assert state == "valid" and props(linked.blocks.out)["value"] == "ADA"


def test_nobody_makes_the_page_say_what_it_never_said(linked: SimpleNamespace) -> None:
    b = linked.blocks
    forged = {b.said: "<h1>Forged</h1>", b.out: "forged", b.secret: "forged", b.pick: "not offered", b.name: "mine"}
    state, props = linked.at(linked.link(forged))
    assert state == "valid" and props(b.name)["value"] == "mine"
    assert props(b.said)["value"] == "as written" and props(b.secret)["value"] == "hidden"
    assert props(b.out).get("value") is None and props(b.pick)["value"] != "not offered"


@pytest.mark.parametrize("path", ["/etc/passwd", "https://evil.example/pixel.png", ""])
def test_a_link_shows_no_files_but_those_that_were_uploaded(linked: SimpleNamespace, path: str) -> None:
    b = linked.blocks
    picture = {"path": path, "url": "https://evil.example/x.png", "meta": {"_type": "gradio.FileData"}}
    state, props = linked.at(linked.link({b.name: "x", b.picture: picture}))
    assert state == "valid" and props(b.picture).get("value") is None


def test_a_link_shows_an_uploaded_picture_from_here(linked: SimpleNamespace) -> None:
    PIL = pytest.importorskip("PIL.Image")
    PIL.new("RGB", (3, 2), "teal").save(linked.home / "sea.png")
    uploaded = linked.client.post("/gradio_api/upload", files={"files": (linked.home / "sea.png").open("rb")}).json()[0]
    payload = {"path": uploaded, "url": "https://evil.example/x.png", "meta": {"_type": "gradio.FileData"}}
    _, props = linked.at(linked.link({linked.blocks.picture: payload}))
    url = props(linked.blocks.picture)["value"]["url"]
    assert url.startswith("http://127.0.0.1/gradio_api/file=") and linked.client.get(url).status_code == 200


@pytest.mark.parametrize("name", ["../../../etc", "x" * 32, "a/b", "..%2f..", "x\0" * 10, ""])
def test_links_that_are_none_lead_to_the_page_as_it_begins(linked: SimpleNamespace, name: str) -> None:
    # Somebody uploads a file that looks like a link's, and names it by a way to it.
    linked.client.post("/gradio_api/upload", files={"files": ("state.json", b"{}")})
    config = linked.client.get("/config", params={"deep_link": name}).json()
    assert config.get("deep_link_state", "invalid") == "invalid"
    assert linked.client.get("/", params={"deep_link": name}).status_code == 200


def test_foreign_pages_make_no_links(linked: SimpleNamespace) -> None:
    foreign = {"Origin": "https://evil.example"}
    assert linked.client.post("/gradio_api/deep_link", json={}, headers=foreign).status_code == 403
    assert linked.client.get("/gradio_api/deep_link?session_hash=s", headers=foreign).status_code == 403


def test_a_link_stands_for_so_much(linked: SimpleNamespace) -> None:
    body = {"session_hash": "s", "values": {str(linked.blocks.name._id): "x" * 2**21}}
    assert linked.client.post("/gradio_api/deep_link", json=body).status_code == 413


def test_a_page_without_the_button_keeps_nothing(tmp_path: Path) -> None:
    app = gr.App.create_app(gr.Interface(str.upper, "text", "text", deep_link=False))
    client = TestClient(app, base_url="http://127.0.0.1")
    client.post("/gradio_api/queue/join", json={"data": ["a"], "fn_index": 0, "session_hash": "s"})
    assert client.post("/gradio_api/deep_link", json={}).status_code == 404
    assert app.sessions.open("s").shown is None
    assert "deep_link_state" not in client.get("/config", params={"deep_link": "x" * 32}).json()


def test_an_interface_has_the_button_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def buttons(**options: Any) -> list[str]:
        made = gr.Interface(lambda text: text, "text", "text", **options)
        return [each.value for each in made.blocks.values() if isinstance(each, gr.DeepLinkButton)]

    assert buttons() == [] and buttons(deep_link=True) == ["Share via Link"] and buttons(deep_link="Share") == ["Share"]
    monkeypatch.setenv("SPACE_ID", "ann/demo")
    assert buttons() == ["Share via Link"] and buttons(deep_link=False) == []

"""What people do on pages: filters, files of weights, what a commit changed, words, settings; and who may not."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

import httpx
import pytest
from hubserver_raw import commit, file
from hypothesis import given
from hypothesis import strategies as st

from enfold.hubserver import EmbeddedHub
from enfold.hubserver.tensors import read_header

PAGE = {"accept": "text/html"}


class Bytes:
    """What reads like a file that gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, size: int, /) -> bytes:
        piece, self.data = self.data[: min(size, 100)], self.data[min(size, 100) :]
        return piece


def weights(said: object, room: int = 0) -> bytes:
    header = said if isinstance(said, bytes) else json.dumps(said).encode()
    return struct.pack("<Q", len(header)) + header + bytes(room)


def test_a_header_says_what_a_file_of_weights_holds() -> None:
    tensors = {
        f"layer.{n}": {"dtype": "BF16", "shape": [4, 3], "data_offsets": [24 * n, 24 * n + 24]} for n in range(9)
    }
    scale = {"dtype": "F32", "shape": [], "data_offsets": [216, 220]}
    data = weights({"__metadata__": {"format": "pt"}, **tensors, "scale": scale}, 220)
    header = read_header(Bytes(data), len(data))  # type: ignore[arg-type]
    assert header.metadata == {"format": "pt"} and header.parameters == {"BF16": 108, "F32": 1}
    assert header.tensors[1] == ("layer.1", "BF16", (4, 3), 24) and header.tensors[-1].shape == ()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no safetensors file"),
        (struct.pack("<Q", 1 << 60) + b"{}", "no safetensors file"),
        (weights(b"{nope"), "not JSON"),
        (weights(b"[" * 5000), "not JSON"),
        (weights([1]), "not a mapping"),
        (weights({"a": 1}), "does not say what 'a' is"),
        (weights({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, 4), "outside of the file"),
        (weights({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, 4), "does not have 4 bytes"),
        (weights({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, 4), "does not have 4 bytes"),
    ],
)
def test_what_is_no_file_of_weights_is_said(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_header(Bytes(data), len(data))  # type: ignore[arg-type]


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(weights))
def test_no_header_does_more_than_raise_an_error(data: bytes) -> None:
    try:
        read_header(Bytes(data), len(data))  # type: ignore[arg-type]
    except ValueError:
        pass


def test_tensors_have_a_table(http: httpx.Client, anonymous: httpx.Client, name: str) -> None:
    tensor = {"dtype": "F16", "shape": [2, 5], "data_offsets": [0, 20]}
    records = [file("m.safetensors", weights({"a<b>.weight": tensor}, 20)), file("bad.safetensors", b"no weights")]
    assert commit(http, name, *records).status_code == 200
    page = anonymous.get(f"/{name}/blob/main/m.safetensors", headers=PAGE).text
    assert "a&lt;b&gt;.weight" in page and "2 × 5" in page and "F16 numbers" in page
    assert "no safetensors file" in anonymous.get(f"/{name}/blob/main/bad.safetensors", headers=PAGE).text


def test_a_commit_shows_what_it_changed(http: httpx.Client, anonymous: httpx.Client, name: str) -> None:
    assert commit(http, name, file("a.txt", b"one\ntwo\n"), file("b.bin", b"\0\1")).status_code == 200
    made = commit(http, name, file("a.txt", b"one\n<b>2</b>\n"), ("deletedFile", {"path": "b.bin"}), title="Second")
    page = anonymous.get(f"/{name}/commit/{made.json()['commitOid']}", headers=PAGE).text
    assert "2 files changed" in page and "&lt;b&gt;2&lt;/b&gt;" in page and "deleted" in page
    history = anonymous.get(f"/{name}/commits/main/a.txt", headers=PAGE).text
    assert "History of a.txt" in history and history.count(">files</a>") == 2
    assert anonymous.get(f"/{name}/commits/main/none", headers=PAGE).text.count(">files</a>") == 0


def test_a_long_history_has_pages(http: httpx.Client, anonymous: httpx.Client, name: str) -> None:
    for number in range(60):
        assert commit(http, name, file("n.txt", b"%d" % number), title=f"Number {number}").status_code == 200
    for path, count in (("", 61), ("/n.txt", 60)):
        page = anonymous.get(f"/{name}/commits/main{path}", headers=PAGE).text
        assert "Number 59" in page and "Number 5<" not in page
        more = page.partition('class="more" href="')[2].partition('"')[0]
        older = anonymous.get(f"/{name}/commits/main{path}{more}", headers=PAGE).text
        seen = (
            [f"Number {number}<" in page for number in range(60)],
            [f"Number {number}<" in older for number in range(60)],
        )
        assert all(one != other for one, other in zip(*seen, strict=True)), count


@pytest.fixture
def signed_in(embedded: EmbeddedHub) -> Iterator[httpx.Client]:
    """Somebody who is signed in, with a namespace of their own."""
    accounts = embedded.hub.accounts
    accounts.create_user("former", password="a long pass phrase")
    with httpx.Client(base_url=embedded.endpoint, follow_redirects=True, headers=PAGE) as client:
        done = client.post("/login", data={"name": "former", "password": "a long pass phrase"})
        assert done.status_code == 200 and "Sign out" in done.text
        yield client


def proof(client: httpx.Client, address: str) -> str:
    return client.get(address).text.partition('name="proof" value="')[2].partition('"')[0]


def test_people_talk_on_pages(signed_in: httpx.Client, http: httpx.Client, name: str) -> None:
    base = f"/{name}/discussions"
    said = {"proof": proof(signed_in, f"{base}/new"), "title": "Why <b>?", "text": "I *wonder* <script>"}
    page = signed_in.post(base, data=said)
    assert page.status_code == 200 and str(page.url).endswith(f"{base}/1")
    assert "Why &lt;b&gt;?" in page.text and "<em>wonder</em> &lt;script&gt;" in page.text
    text = {"proof": said["proof"], "text": "Second", "do": "comment"}
    page = signed_in.post(f"{base}/1/comment", data=text)
    event = http.get(f"/api/models/{name}/discussions/1").json()["events"][-1]
    assert event["data"]["latest"]["raw"] == "Second" and event["author"]["name"] == "former"
    edited = signed_in.post(f"{base}/1/comment/{event['id']}/edit", data={"proof": said["proof"], "text": "Changed"})
    assert "Changed" in edited.text and "Second" not in edited.text
    hidden = signed_in.post(f"{base}/1/comment/{event['id']}/hide", data={"proof": said["proof"]})
    assert "has been hidden" in hidden.text
    empty = signed_in.post(f"{base}/1/comment", data={**text, "text": " "})
    assert empty.status_code == 400 and "expected 1 to" in empty.text
    closed = signed_in.post(f"{base}/1/comment", data={**text, "do": "close"})
    assert "Open again" in closed.text
    merge = signed_in.post(f"{base}/1/comment", data={**text, "do": "merge"})
    assert merge.status_code == 403  # the repository is somebody else's


def test_no_form_of_another_site_is_taken(signed_in: httpx.Client, anonymous: httpx.Client, name: str) -> None:
    base = f"/{name}/discussions"
    right = proof(signed_in, f"{base}/new")
    for data, headers in (
        ({"title": "Mine"}, {}),
        ({"title": "Mine", "proof": "wrong"}, {}),
        ({"title": "Mine", "proof": right}, {"origin": "https://elsewhere.example"}),
        ({"title": "Mine", "proof": right}, {"sec-fetch-site": "cross-site"}),
    ):
        assert signed_in.post(base, data=data, headers=headers).status_code == 403
    assert anonymous.post(base, data={"title": "Mine"}, headers=PAGE).status_code == 401
    assert signed_in.get(base).text.count("Mine") == 0


def test_settings_are_for_those_who_may_write(
    signed_in: httpx.Client, http: httpx.Client, anonymous: httpx.Client, name: str, embedded: EmbeddedHub
) -> None:
    base = f"/{name}/settings"
    assert anonymous.get(base, headers=PAGE).status_code == 401 and signed_in.get(base).status_code == 403
    right = proof(signed_in, "/")
    for what in ("visibility", "name", "access", "grant", "delete"):
        data = {"proof": right, "private": "yes", "target": "former/mine", "user": "former", "name": name}
        assert signed_in.post(f"{base}/{what}", data=data).status_code == 403
    assert http.post(f"{base}/visibility", data={"private": "no", "gated": "manual"}).status_code == 303
    asked = signed_in.post(f"/{name}/ask-access", data={"proof": right, "why": "to <see>"})
    assert asked.status_code < 400, asked.text
    page = http.get(base, headers=PAGE).text
    assert "former" in page and "why: to &lt;see&gt;" in page
    request = page.partition('name="request" value="')[2].partition('"')[0]
    assert signed_in.get(f"/{name}/blob/main/.gitattributes").status_code == 403
    assert http.post(f"{base}/access", data={"request": request, "status": "accepted"}).status_code == 303
    assert signed_in.get(f"/{name}/blob/main/.gitattributes").status_code == 200
    wrong = http.post(f"{base}/delete", data={"name": "other"}, headers=PAGE)
    assert wrong.status_code == 400 and "type its id" in wrong.text
    assert http.post(f"{base}/name", data={"target": "no-slash"}, headers=PAGE).status_code == 400
    assert http.post(f"{base}/delete", data={"name": name}).status_code == 303
    assert anonymous.get(f"/{name}", headers=PAGE).status_code == 404

"""The Hub's description is true: what it names is answered, and whatever fits it is answered without an accident."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import httpx
import pytest
import schemathesis
from hubserver_raw import commit, file
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode

from enfold.hubserver import EmbeddedHub
from enfold.hubserver import app as application
from enfold.hubserver.routes import description, oauth, uploads, xet
from enfold.hubserver.routes.description import OPERATIONS, describe

EXAMPLES = int(os.environ.get("HUBSERVER_SCHEMATHESIS", "4"))


@schemathesis.serializer("application/x-ndjson")
def _lines(context: object, value: Any) -> bytes:
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "replace")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    """A Hub with something in it, for requests that no test of another file would like to meet."""
    with EmbeddedHub(tmp_path_factory.mktemp("hub"), durable=False) as made:
        token = made.create_user("ann")
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=made.endpoint, headers=headers) as http:
            for kind in ("model", "dataset"):
                http.post("/api/repos/create", json={"name": "one", "type": kind}).raise_for_status()
            commit(http, "ann/one", file("a.txt", b"a"), file("b/c.bin", os.urandom(40_000))).raise_for_status()
            talk = {"title": "t", "description": "d", "pullRequest": True}
            http.post("/api/models/ann/one/discussions", json=talk).raise_for_status()
        yield made


def test_every_operation_has_a_sentence() -> None:
    for path, operations in describe(application.answers)["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"].endswith((".", ":", ",", "d", "h")) and operation["summary"], (method, path)


def test_nothing_of_the_api_is_left_out() -> None:
    """Every function that a program is answered by is behind a line of the description."""
    described = set()
    for line in OPERATIONS:
        method, path = line.split(" ")[:2]
        for kind in ("models", "datasets", "spaces"):
            address = path.replace("{kind}", kind)
            described.add((method, application.answers(method, address)))
    tables = [application._FIXED, application._API, uploads.lfs, xet.cas, oauth.routes, description.routes]
    for table in tables:
        for (method, action), function in table.table.items():
            sentence = (function.__doc__ or "").strip().partition("\n")[0]
            of_spaces = action in {"logs", "pause", "restart"}
            if method != "HEAD" and not of_spaces:
                assert {(other, sentence) for other in ("GET", method)} & described, (method, action)


def test_an_error_that_names_what_was_sent_is_still_an_answer(hub: EmbeddedHub) -> None:
    headers = {"Authorization": f"Bearer {hub.token}"}
    body = {"user": "a\r\nSet-Cookie: x=1\x0b\u00e4", "status": "accepted"}
    httpx.put(f"{hub.endpoint}/api/models/ann/one/settings", json={"gated": "manual"}, headers=headers)
    answer = httpx.post(f"{hub.endpoint}/api/models/ann/one/user-access-request/handle", json=body, headers=headers)
    assert answer.status_code == 404 and "set-cookie" not in answer.headers
    assert answer.headers["x-error-message"] == r"there is no user 'a\r\nSet-Cookie: x=1\x0b?'"


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("/api/models/ann/one/discussions", {"title": "\ud800", "description": ""}),
        ("/api/models/ann/one/discussions", {"title": "t", "description": "\udfff"}),
        ("/api/models/ann/one/tag/main", {"tag": "\ud800"}),
        ("/ann/one/ask-access", {"\udae4": [1]}),
        ("/api/collections", {"title": "\ud800", "namespace": "ann"}),
    ],
)
def test_half_a_character_is_refused(hub: EmbeddedHub, address: str, body: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {hub.token}", "Content-Type": "application/json"}
    answer = httpx.post(f"{hub.endpoint}{address}", content=json.dumps(body), headers=headers)
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    "query",
    [
        "/api/models?limit=-1",
        "/api/models?limit=x",
        "/api/models?cursor=W10=",
        "/api/models?cursor=eyJhIjoxfQ==",
        "/api/models/ann/one/tree/main?cursor=-1",
        "/api/models/ann/one/tree/main?limit=%C2%B2",
        "/api/models/ann/one/discussions?p=1e3",
        "/api/collections?limit=-7",
        "/api/audit?cursor=99999999999999999999",
    ],
)
def test_a_number_that_is_none_is_refused(hub: EmbeddedHub, query: str) -> None:
    answer = httpx.get(f"{hub.endpoint}{query}", headers={"Authorization": f"Bearer {hub.token}"})
    assert answer.status_code == 400, answer.text


def test_the_description_is_served(hub: EmbeddedHub) -> None:
    answer = httpx.get(f"{hub.endpoint}/openapi.json")
    assert answer.status_code == 200 and answer.json()["openapi"] == "3.1.0"
    assert len(answer.json()["paths"]) > 60


def _operations() -> list[tuple[str, str]]:
    return [(line.split(" ")[0], line.split(" ")[1]) for line in OPERATIONS]


@pytest.mark.parametrize(("method", "path"), _operations())
def test_whatever_fits_the_description_is_answered(hub: EmbeddedHub, method: str, path: str) -> None:
    schema = schemathesis.openapi.from_dict(describe(application.answers))
    operation = schema[path][method]
    tokens = [hub.token, None]
    known = {"namespace": "ann", "name": "one", "account": "ann", "revision": "main", "num": "1", "path": "a.txt"}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    )
    def ask(case: Any) -> None:
        for token, real in product(tokens, (True, False)):
            if real:  # else whatever was made up
                case.path_parameters = {**(case.path_parameters or {}), **_only(known, path)}
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            response = case.call(base_url=hub.endpoint, headers=headers)
            assert response.status_code < 500, (case.as_curl_command(), response.status_code, response.text)
            if response.status_code >= 400 and response.content and method != "HEAD":
                assert response.headers["content-type"][0].startswith("application/json"), case.as_curl_command()
                assert response.json()["error"], case.as_curl_command()

    ask()


def _only(values: dict[str, str], path: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if name in re.findall(r"\{(\w+)\}", path)}

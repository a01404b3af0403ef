"""Whoever runs a Hub makes users, tokens and limits by commands, also while it serves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from enfold.cli.hub import app
from enfold.hubserver import EmbeddedHub


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with EmbeddedHub(tmp_path / "data", durable=False):
        pass
    return tmp_path / "data"


def run(data: Path, *arguments: str, said: str | None = None, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*arguments, "--data", str(data)], input=said)
    assert done.exit_code == code, done.output
    return done.output


def test_a_user_gets_a_password_and_a_token(data: Path) -> None:
    run(
        data,
        "user",
        "add",
        "ann",
        "--password",
        "--email",
        "ann@hub.invalid",
        said="a long password\na long password\n",
    )
    secret = run(data, "token", "add", "ann", "--name", "laptop", "--days", "30").strip()
    with EmbeddedHub(data, durable=False) as hub:
        headers = {"Authorization": f"Bearer {secret}"}
        assert httpx.get(f"{hub.endpoint}/api/whoami-v2", headers=headers).json()["email"] == "ann@hub.invalid"
        assert hub.hub.accounts.check_password("ann", "a long password") is not None
    listed = run(data, "token", "ls", "ann")
    assert re.search(r"laptop +write +\d{4}-\d\d-\d\d \d\d:\d\d +\d{4}-", listed) and secret not in listed
    number = re.search(r"^(\d+) +laptop", listed, re.M)
    assert number is not None
    assert "Revoked 'laptop'" in run(data, "token", "rm", "ann", number[1])
    assert "laptop" not in run(data, "token", "ls", "ann")
    run(data, "user", "password", "ann", said="another password\nanother password\n")


def test_what_is_wrong_is_said_in_a_sentence(data: Path) -> None:
    assert "there is no user 'nobody'" in run(data, "token", "add", "nobody", code=1)
    run(data, "user", "add", "ann")
    assert "'ann' is a user of this Hub" in run(data, "user", "add", "ann", code=1)
    assert "no number of bytes" in run(data, "user", "set", "ann", "--quota", "much", code=2)
    assert "nothing is to be changed" in run(data, "user", "set", "ann", code=2)
    assert "there is no right 'repo.destroy'" in run(data, "token", "add", "ann", "--scope", "*=repo.destroy", code=1)
    assert "there is no Hub" in run(data / "none", "user", "ls", code=2)


def test_accounts_are_changed_listed_and_deleted(data: Path) -> None:
    run(data, "user", "add", "ann", "--admin")
    run(data, "org", "add", "guild")
    run(data, "org", "member", "guild", "ann", "admin")
    run(data, "user", "set", "guild", "--quota", "1.5GB")
    run(data, "user", "set", "ann", "--lock", "--no-admin")
    listed = run(data, "user", "ls")
    assert re.search(r"^ann +user, locked +0.0 MB +no limit", listed, re.M)
    assert re.search(r"^guild +organisation +0.0 MB +1,500.0 MB", listed, re.M)
    with EmbeddedHub(data, durable=False) as hub:
        assert httpx.get(f"{hub.endpoint}/api/organizations/guild/members").json()[0]["user"] == "ann"
    assert "no longer in guild" in run(data, "org", "member", "guild", "ann", "none")
    run(data, "user", "rm", "guild")
    assert "guild" not in run(data, "user", "ls")


def test_a_scope_is_a_place_and_rights(data: Path) -> None:
    run(data, "user", "add", "ann")
    scopes = ["--scope", "user:ann=repo.write,discussion.write", "--scope", "*=collection.read"]
    secret = run(data, "token", "add", "ann", *scopes).strip()
    with EmbeddedHub(data, durable=False) as hub:
        said = httpx.get(f"{hub.endpoint}/api/whoami-v2", headers={"Authorization": f"Bearer {secret}"}).json()
    fine = said["auth"]["accessToken"]["fineGrained"]
    assert fine["global"] == ["collection.read"]
    assert fine["scoped"][0]["permissions"] == ["discussion.write", "repo.content.read", "repo.write"]


def test_the_log_is_printed_as_lines_of_json(data: Path) -> None:
    run(data, "user", "add", "ann")
    rows = [json.loads(line) for line in run(data, "audit", "--subject", "ann").splitlines()]
    assert [row["action"] for row in rows] == ["account.create"] and rows[0]["token"] == "this machine"
    assert "every row follows" in run(data, "audit", "--verify")

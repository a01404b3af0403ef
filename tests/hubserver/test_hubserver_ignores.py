"""What a ``.gitignore`` leaves out, as git itself says, and as clients are told."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import httpx
import pytest
from hubserver_raw import commit, file

from enfold.hubserver.ignores import Ignores

RULES = r"""
# a comment
*.log
!keep.log
/top.txt
build/
docs/*.md
a/**/z
**/deep
end/**
\#hash
\!bang
[ab]?.bin
[^x]yz
with space.txt
trailing   
!build/kept.txt
star\*name
sub/
!sub/
exact/
"""
PATHS = """
x.log a/x.log keep.log a/keep.log top.txt a/top.txt build a/build/x build/kept.txt b/build docs/a.md docs/b/a.md
x/docs/a.md a/z a/b/z a/b/c/z b/a/z deep x/deep x/y/deep deeper end end/x end/x/y #hash !bang a1.bin c1.bin ab.bin xyz
ayz trailing starXname star*name sub/x exact exact/x plain a.logs x.log/y README.md
""".split()


@pytest.mark.parametrize(
    "rules", [RULES, "*\n!*.txt\n!*/\n", "/*\n!/a\n", "", "/\n//\n**\n!plain\n", "**/\n", "a/\n!a/b"]
)
def test_the_rules_are_gits(rules: str, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text(rules)
    paths = [*PATHS, "with space.txt"]
    # With a slash at its end git takes a path that is not there for a folder; files have none.
    asked = "\0".join(paths).encode()
    command = ["git", "-C", str(tmp_path), "-c", "core.excludesFile=", "check-ignore", "--no-index", "-z", "--stdin"]
    told = subprocess.run(command, input=asked, capture_output=True)
    assert told.returncode in {0, 1}, told.stderr
    ignored = Ignores(rules)
    assert [path for path in paths if ignored(path)] == told.stdout.decode().split("\0")[:-1]


def test_clients_are_told_what_is_left_out(http: httpx.Client, name: str) -> None:
    def left_out(**more: str) -> list[str]:
        sample = base64.b64encode(b"x").decode()
        files = [{"path": path, "size": 1, "sample": sample} for path in ("a.txt", "b.log", "c/d.tmp")]
        told = http.post(f"/api/models/{name}/preupload/main", json={"files": files, **more}).json()["files"]
        return [item["path"] for item in told if item["shouldIgnore"]]

    assert left_out() == []
    assert left_out(gitIgnore="*.log\n") == ["b.log"]
    commit(http, name, file(".gitignore", b"*.tmp\n")).raise_for_status()
    assert left_out() == ["c/d.tmp"] and left_out(gitIgnore="") == []


def test_rules_that_would_take_long_do_not() -> None:
    ignored = Ignores("\n".join(["*a" * 100 + "b"] * 50 + ["**/" * 90 + "x", "[" * 200]))
    assert not ignored("/".join(["a" * 200] * 20))

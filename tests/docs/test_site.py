"""The site: links of all pages, docstrings of all public names, and a build without a warning that needs no network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from docs.pages import ROOT, anchors, links, pages

DOCS = ROOT / "docs"
MARKDOWN = sorted({*pages(), *ROOT.glob("*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("benchmarks/**/*.md")})
NAMES = """
import inspect, json, sys
from docstrings import docstring
from names import PAGES, exports
from enfold.transformers.utils.availability import CHECKS

lacking = []
for package in sorted({name for names in PAGES.values() for name in names}):
    for name, value in exports(package).items():
        written = inspect.isroutine(value) or inspect.isclass(value) and value.__module__.startswith("enfold.")
        if written and not docstring(value):
            lacking.append(f"{package}.{name}")
print(json.dumps(lacking))
"""


@cache
def headings(page: Path) -> set[str]:
    return anchors(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of(page: Path) -> None:
    broken = []
    for link in links(page.read_text(encoding="utf-8")):
        path, _, anchor = link.target.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        known = target.exists() and target.is_relative_to(ROOT)
        if not known or (anchor and target.suffix == ".md" and anchor not in headings(target)):
            broken.append(f"{page.relative_to(ROOT)}:{link.line}: {link.target}")
    assert not broken


def test_every_library_has_its_page_of_the_api() -> None:
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        from names import PAGES
    finally:
        sys.path.remove(str(DOCS / "_ext"))
    assert {path.stem for path in DOCS.glob("api/*.md")} == {*PAGES, "cli", "index"}
    assert {path.stem for path in DOCS.glob("libraries/*.md")} == {*PAGES, "cli", "index"} - {"models"}


def test_every_public_name_has_a_docstring() -> None:
    if find_spec("tensorflow") is None:  # not imported here: its own SQLite would take the place of Python's
        pytest.skip("some names are Keras' classes, and TensorFlow is missing")
    environment = {**os.environ, "PYTHONPATH": str(DOCS / "_ext"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", NAMES], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == []


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_asks_no_other_machine(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    pytest.importorskip("furo")
    html = tmp_path / "html"
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-d", tmp_path / "trees", DOCS, html]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-6000:]
    fetched = []
    for page in html.rglob("*.html"):
        for tag in re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", page.read_text(encoding="utf-8")):
            if re.search(r"""(?:src|href)=["'](?:https?:)?//""", tag):
                fetched.append((page.name, tag))
    for style in html.rglob("*.css"):
        fetched += [
            (style.name, found)
            for found in re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)]*", style.read_text())
        ]
    assert not fetched
    assert (html / "searchindex.js").stat().st_size > 100_000
    shown = (html / "api" / "transformers.html").read_text(encoding="utf-8")
    assert 'id="enfold.transformers.TrainingArguments"' in shown
    assert "enfold hub serve" in (html / "api" / "cli.html").read_text(encoding="utf-8")

"""Real text for benchmarks: English, Chinese and code, from what is installed and from packages, cut into documents.

``documents("english", 12_000_000)`` returns at most that many characters in documents of up to 4,000. English is web
text out of the ``evals`` wheel, code is Python's own library, Chinese is manual and help pages out of Debian's packages
(what is mostly ideographs: under six megabytes; absent without ``apt-get``).
"""

from __future__ import annotations

import gzip
import html
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "packages"
EVALS = "evals==3.0.1.post1"
CHINESE = ("libreoffice-help-zh-cn", "manpages-zh")
LENGTH = 4000


def documents(name: str, size: int) -> list[str]:
    """Return documents of one corpus, about ``size`` characters in all or what there is."""
    made: list[str] = []
    count = 0
    for text in {"english": _english, "chinese": _chinese, "code": _code}[name]():
        for begin in range(0, len(text), LENGTH):
            made.append(text[begin : begin + LENGTH])
            count += len(made[-1])
            if count >= size:
                return made
    return made


def lines(texts: list[str]) -> list[str]:
    """Return the lines of documents, long ones cut at spaces to about seventy characters."""
    return [piece for text in texts for piece in re.findall(r".{1,70}(?:\s|$)|\S{70,200}", text) if piece.strip()]


def _english() -> list[str]:
    texts = []
    with zipfile.ZipFile(_wheel()) as archive:
        for part in ("owt_5", "wikipedia_5"):
            with archive.open(f"evals/registry/data/schelling_point/{part}.jsonl") as file:
                texts += [" ".join(json.loads(line).values()) for line in file]
    return texts


def _wheel() -> Path:
    name, version = EVALS.split("==")
    if not list(CACHE.glob(f"{name}-{version}-*.whl")):
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*command, "-d", CACHE, EVALS], check=True)
    return next(CACHE.glob(f"{name}-{version}-*.whl"))


def _code() -> list[str]:
    paths = sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"))
    return [path.read_text("utf-8", "ignore") for path in paths if "site-packages" not in path.parts]


def _chinese() -> list[str]:
    target = CACHE / "chinese.txt"
    if not target.exists():
        if not shutil.which("apt-get"):
            return []
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["apt-get", "download", "-qq", *CHINESE], cwd=folder, check=True, capture_output=True)
            for package in sorted(Path(folder).glob("*.deb")):
                subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
            paragraphs: list[str] = []
            for page in sorted(Path(folder).rglob("*.html")):
                text = re.sub(r"<(script|style).*?</\1>", "", page.read_text("utf-8", "ignore"), flags=re.S)
                blocks = re.split(r"</(?:p|li|h\d|td|div)>", text)
                paragraphs += [html.unescape(re.sub(r"<[^>]+>", "", block)).strip() for block in blocks]
            for page in sorted(Path(folder).glob("usr/share/man/zh_*/**/*.gz")):
                paragraphs += gzip.decompress(page.read_bytes()).decode("utf-8", "ignore").splitlines()
            chosen = [part for part in paragraphs if len(part) > 20 and _ideographs(part) > 0.4 * len(part)]
            target.write_text("\n".join(dict.fromkeys(chosen)), encoding="utf-8")
    return [target.read_text(encoding="utf-8")]


def _ideographs(text: str) -> int:
    return sum("\u4e00" <= character <= "\u9fff" for character in text)

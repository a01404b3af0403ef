"""The demo from end to end with few headlines, twice, and interrupted; in full in the slow tests."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHEELS = ROOT / ".cache" / "packages"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's folder, with the packages that earlier runs have fetched."""
    home = tmp_path_factory.mktemp("demo")
    WHEELS.mkdir(parents=True, exist_ok=True)
    (home / "packages").symlink_to(WHEELS)
    return home


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if key not in {"OMP_NUM_THREADS", "HF_HOME"}}
    command = [sys.executable, "-c", "from enfold.cli import main; main()", "demo", "--folder", str(folder), *options]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, "PYTHONUNBUFFERED": "1"},
    )


def finish(process: subprocess.Popen[str]) -> str:
    out = process.communicate(timeout=500)[0]
    assert process.returncode == 0, out
    return out


def test_the_demo_walks_from_packages_to_a_served_page(folder: Path) -> None:
    out = finish(start(folder, "--rows", "500"))
    for part in ("Share the model", "500 headlines to train on, 2,862 held out", "trainable params: 676,610"):
        assert part in out
    counts = [int(number) for line in re.findall(r"really .*", out) for number in re.findall(r"\d+", line)]
    accuracy = float(re.findall(r"accuracy ([\d.]+)", out)[0])
    assert sum(counts) == 2862
    assert accuracy == pytest.approx((counts[0] + counts[3]) / 2862, abs=1e-4)
    assert "Where the time went" in out and "the web demo on" in out


def test_a_second_run_takes_what_it_can_from_caches_and_says_so(folder: Path) -> None:
    out = finish(start(folder, "--rows", "500"))
    for part in ("already here", "already on the Hub", "tokenized by an earlier run", "the adapter of an earlier run"):
        assert part in out
    assert "training " not in out


def test_an_interrupted_run_goes_on_from_its_checkpoint(folder: Path) -> None:
    process = start(folder, "--rows", "4000")
    deadline = time.monotonic() + 300
    while not list((folder / "runs" / "rows-4000-seed-42").glob("checkpoint-*")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and "enfold: stopped" in out and "Traceback" not in out, out
    out = finish(start(folder, "--rows", "4000"))
    assert "going on from the checkpoint" in out
    assert float(re.findall(r"accuracy ([\d.]+)", out)[0]) > 0.75


@pytest.mark.slow
def test_the_whole_demo_reaches_its_accuracy_in_its_time(folder: Path) -> None:
    out = finish(start(folder))
    assert float(re.findall(r"accuracy ([\d.]+)", out)[0]) >= 0.85
    assert float(re.findall(r"fine-tune with LoRA\s+([\d.]+) s", out)[0]) <= 300

"""Options of the csv builder that other programs' files need."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pyarrow as pa
import pytest

from enfold.datasets import load_dataset


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def test_european_numbers_and_footers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n;x\n1;1,5\n2;2,25\nsum;3,75\n")
    path = str(tmp_path / "a.csv")
    rows = load_dataset("csv", data_files=path, sep=";", decimal=",", skipfooter=1, split="train", engine="python")
    assert rows["x"][:] == [1.5, 2.25] and rows["n"][:] == ["1", "2"]


@pytest.mark.parametrize("threads", [1, 2])
def test_values_in_quotes_may_hold_lines_wherever_the_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    from enfold.datasets.builders import csv_files

    monkeypatch.setattr(csv_files, "_BLOCK", 200)
    before = pa.cpu_count()
    pa.set_cpu_count(threads)
    try:
        for seed in range(12):
            draw = random.Random(seed)
            texts = [
                "".join(draw.choice(["a", "\n", '"', ",", "\n\n", "x" * 20]) for _ in range(draw.randint(1, 6)))
                for _ in range(draw.randint(1, 150))
            ]
            path = tmp_path / f"{seed}.csv"
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([("n", "t"), *enumerate(texts)])
            rows = load_dataset("csv", data_files=str(path), split="train")
            assert rows["n"][:] == list(range(len(texts))) and rows["t"][:] == texts
    finally:
        pa.set_cpu_count(before)

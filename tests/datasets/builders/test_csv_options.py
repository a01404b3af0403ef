"""Options of the csv builder that other programs' files need."""

from __future__ import annotations

from pathlib import Path

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

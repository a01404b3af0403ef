"""Flagging: visitors' inputs and the function's outputs, written down for a later look."""

from __future__ import annotations

import csv
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from enfold.gradio.block import Block

__all__ = ["CSVLogger", "FlaggingCallback", "SimpleCSVLogger"]


class FlaggingCallback(ABC):
    """What is done with flagged data; subclass it to store them elsewhere."""

    @abstractmethod
    def setup(self, components: Sequence[Block], flagging_dir: str) -> None:
        """Prepare for data of these components; called once, when the page is made."""

    @abstractmethod
    def flag(self, flag_data: list[Any], flag_option: str | None = None, username: str | None = None) -> int:
        """Store one row of payloads; returns how many are stored."""


class CSVLogger(FlaggingCallback):
    """Append to ``dataset1.csv`` in the folder, with the label of the button, the visitor's name and the time.

    When the columns change, the next number begins a new file: rows of two shapes never mix.

    Args:
        simplify_file_data: accepted; there are no files among the data.
        verbose: accepted; nothing is printed.
        dataset_file_name: another name for the file.
    """

    simple = False

    def __init__(
        self, simplify_file_data: bool = True, verbose: bool = True, dataset_file_name: str | None = None
    ) -> None:
        self.file_name = dataset_file_name
        self._lock = threading.Lock()

    def setup(self, components: Sequence[Block], flagging_dir: str) -> None:
        self.folder = Path(flagging_dir)
        labels = [component.__dict__.get("label") or f"component {n}" for n, component in enumerate(components)]
        self.header = [*labels] if self.simple else [*labels, "flag", "username", "timestamp"]

    def _file(self) -> Path:
        if self.file_name or self.simple:
            return self.folder / (self.file_name or "log.csv")
        number = 1
        while True:
            path = self.folder / f"dataset{number}.csv"
            if not path.exists():
                return path
            with path.open(newline="", encoding="utf-8") as file:
                if next(csv.reader(file), None) == self.header:
                    return path
            number += 1

    def flag(self, flag_data: list[Any], flag_option: str | None = None, username: str | None = None) -> int:
        row = [_cell(value) for value in flag_data]
        if not self.simple:
            row += [_cell(flag_option or ""), _cell(username or ""), datetime.now().isoformat(sep=" ")]
        with self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self._file()
            fresh = not path.exists()
            with path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                if fresh and not self.simple:
                    writer.writerow(self.header)
                writer.writerow(row)
            with path.open(newline="", encoding="utf-8") as file:
                return sum(1 for _ in csv.reader(file)) - (not self.simple)


class SimpleCSVLogger(CSVLogger):
    """Append the bare values to ``log.csv``."""

    simple = True


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # Spreadsheets run cells that begin like a formula (CWE-1236).
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

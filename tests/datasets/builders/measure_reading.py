"""Make a dataset of a file, and print by how many MB the process's own memory grew meanwhile; run by a test.

``python measure_reading.py BUILDER PATH FIELD SHRINK`` prints the growth and the number of rows; what is read and
written at a time is divided by SHRINK. The memory that counts is what the process holds of its own (RssAnon), at its
highest: pages of mapped files can be dropped at any time.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from enfold.datasets import load_dataset_builder, writer
from enfold.datasets.builders import json_files, text_files


def held() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def main(kind: str, path: str, field: str, shrink: str) -> None:
    writer.FLUSH_BYTES //= int(shrink)
    json_files._PART //= int(shrink)
    text_files._BLOCK //= int(shrink)
    options = {"field": field} if field else {}
    Path(f"{path}.small.jsonl").write_text('{"a": 1}\n')  # what the readers load when they are first used
    load_dataset_builder("json", data_files=f"{path}.small.jsonl").download_and_prepare()
    builder = load_dataset_builder(kind, data_files=path, **options)
    highest, over, before = [0.0], threading.Event(), held()

    def watch() -> None:
        while not over.wait(0.002):
            highest[0] = max(highest[0], held())

    watcher = threading.Thread(target=watch)
    watcher.start()
    builder.download_and_prepare()
    over.set()
    watcher.join()
    print(max(highest[0] - before, 0.0), builder.info.splits["train"].num_examples)


if __name__ == "__main__":
    main(*sys.argv[1:])

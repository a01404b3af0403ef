"""The Hub server's figures, each against its target.

``python benchmarks/hub.py [PART …]`` — parts are the names of the functions in ``PARTS``; all of them by default.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import _hub_transfers

_OWNERS = 20_000
_TASKS = ("text-generation", "text-classification", "fill-mask", "image-classification", "translation", "summarization")
_STEMS = ("bert", "llama", "qwen", "mistral", "t5", "gpt2", "whisper", "vit", "gemma", "phi", "falcon", "roberta")
_ENDS = ("base", "large", "small", "instruct", "chat", "it", "7b", "13b", "lora", "gguf", "awq", "v2", "finetuned")


def search(rows: int = 1_000_000, turns: int = 15) -> None:
    """Search and list a million repositories: the whole request's work but HTTP, in milliseconds."""
    from sqlalchemy import insert

    from enfold.hubserver import database as db
    from enfold.hubserver import search as index
    from enfold.hubserver.hub import Hub
    from enfold.hubserver.search import Wanted
    from enfold.hubserver.settings import Settings

    dice = random.Random(0)
    languages = [f"{one}{other}" for one in "abcdefghij" for other in "aeiou"]
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(Settings(Path(folder), durable=False))
        begin = time.perf_counter()
        for start in range(1, rows + 1, 20_000):
            keys = range(start, min(start + 20_000, rows + 1))
            repos, tags = [], []
            for key in keys:
                owner = f"owner{int(dice.paretovariate(0.6)) % _OWNERS}"
                name = f"{owner}/{dice.choice(_STEMS)}-{dice.choice(_ENDS)}-{dice.choice(_ENDS)}-{key:x}"
                said = {dice.choice(_TASKS), dice.choice(languages), f"license:{dice.choice(['mit', 'apache-2.0'])}"}
                said |= {"transformers"} if dice.random() < 0.6 else {"diffusers"}
                said |= {f"dataset:owner{dice.randrange(5000)}/data", f"base_model:owner{dice.randrange(50000)}/m"}
                tags += [{"repo_id": key, "tag": tag, "position": at} for at, tag in enumerate(sorted(said))]
                counts = {"downloads": int(dice.paretovariate(0.5)), "likes": int(dice.paretovariate(0.9)) - 1}
                times = {"created": key * 100.0, "modified": key * 100.0 + dice.expovariate(1e-6)}
                repos.append(
                    {"id": key, "kind": "models", "name": name, "key": name, "namespace": owner, **counts, **times}
                )
            with hub.database.write() as connection:
                connection.execute(insert(db.repo), repos)
                connection.execute(insert(db.repo_tag), tags)
                for at in range(0, len(keys), 500):
                    index.note(connection, keys[at : at + 500])
        size = sum(file.stat().st_size for file in Path(folder).glob("hub.sqlite*"))
        print(f"{rows:,} repositories made in {time.perf_counter() - begin:.0f} s, {size / rows:.0f} bytes each")

        def first(wanted: Wanted) -> float:
            begin = time.perf_counter()
            with hub.database.read() as connection:
                found = hub.repositories.page(
                    connection,
                    "models",
                    None,
                    words=wanted.search,
                    author=wanted.author,
                    tags=wanted.tags,
                    sort=wanted.sort,
                    limit=61,
                    after=wanted.after,
                )
                hub.repositories.tags(connection, [row.id for row in found])
            return (time.perf_counter() - begin) * 1000

        sorts = ("lastModified", "downloads", "createdAt", "likes")
        kinds: dict[str, Callable[[], Wanted]] = {
            "everything": lambda: Wanted("models"),
            "everything, from the middle on": lambda: Wanted("models", after=(rows * 50.0, rows // 2)),
            "a common word": lambda: Wanted("models", (dice.choice(_STEMS),)),
            "two common words": lambda: Wanted("models", (dice.choice(_STEMS), dice.choice(_ENDS))),
            "three words": lambda: Wanted("models", (dice.choice(_STEMS), dice.choice(_ENDS), f"{dice.randrange(99)}")),
            "a rare word": lambda: Wanted("models", (f"{dice.randrange(rows):x}",)),
            "a word that is nowhere": lambda: Wanted("models", ("xylophone",)),
            "an author": lambda: Wanted("models", author=f"owner{int(dice.paretovariate(0.6)) % _OWNERS}"),
            "a common tag": lambda: Wanted("models", tags=(dice.choice(_TASKS),)),
            "three tags": lambda: Wanted("models", tags=("transformers", dice.choice(_TASKS), dice.choice(languages))),
            "a rare tag": lambda: Wanted("models", tags=(f"base_model:owner{dice.randrange(50000)}/m",)),
            "a rare tag and a common one": lambda: Wanted(
                "models", tags=("transformers", f"dataset:owner{dice.randrange(5000)}/data")
            ),
            "a word and two tags": lambda: Wanted(
                "models", (dice.choice(_STEMS),), tags=(dice.choice(_TASKS), dice.choice(languages))
            ),
        }
        every = []
        for name, make in kinds.items():
            times = [first(make()._replace(sort=sort)) for _ in range(turns) for sort in sorts if "from" not in name]
            times = times or [first(make()) for _ in range(turns * len(sorts))]
            every += times
            print(f"  {name:34} p50 {statistics.median(times):7.2f} ms   p99 {_p99(times):7.2f} ms")
        print(f"  {'all':34} p50 {statistics.median(every):7.2f} ms   p99 {_p99(every):7.2f} ms   (p50 ≤ 20 ms)")
        hub.close()


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


PARTS: dict[str, Callable[[], None]] = {
    "search": search,
    "download": _hub_transfers.download,
    "upload": _hub_transfers.upload,
    "insertion": _hub_transfers.insertion,
    "head": _hub_transfers.head,
    "commit": _hub_transfers.commit,
    "snapshot": _hub_transfers.snapshot,
    "start": _hub_transfers.start,
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART")
    for part in parser.parse_args().parts or PARTS:
        PARTS[part]()

"""One tokenizer of benchmarks/tokenizers.py in a process of its own: reads commands, answers with seconds.

``python _tokenizer_worker.py PEER TOKENIZER_FOLDER TEXTS_FILE``. Every line of the standard input is a JSON command;
every answer is one JSON line. Each peer is asked in the way that serves it best: its fastest batch call without special
tokens, results left in the peer's own objects. Time is the process's own, so that a busy machine does not count.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Texts = list[str]
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


class Peer:
    """A tokenizer under test; ``encode`` returns what the peer returns, ``rows`` its ids."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "tokenizer.json")
        self.load()

    def load(self) -> None:
        from tokenizers import Tokenizer

        self.made: Any = Tokenizer.from_file(self.path)
        self.made.no_padding()
        self.made.no_truncation()

    def encode(self, texts: Texts) -> Any:
        return self.made.encode_batch_fast(texts, add_special_tokens=False)

    def rows(self, result: Any) -> Iterable[Any]:
        return (encoding.ids for encoding in result)

    def objects(self, texts: Texts) -> Any:
        return [
            (encoding.ids, encoding.offsets) for encoding in self.made.encode_batch(texts, add_special_tokens=False)
        ]

    def decode(self, rows: list[list[int]]) -> Any:
        return self.made.decode_batch(rows, skip_special_tokens=False)


class Ours(Peer):
    def load(self) -> None:
        from enfold.tokenizers import Tokenizer

        self.made = Tokenizer.from_file(self.path)
        self.made.no_padding()
        self.made.no_truncation()

    def encode(self, texts: Texts) -> Any:
        return self.made.encode_arrow(texts, add_special_tokens=False, fields=["input_ids"])["input_ids"]

    def rows(self, result: Any) -> Iterable[Any]:
        return result.tolist()


class Candidate(Peer):
    """tokenizers 1.0: encodings have no offsets."""

    def load(self) -> None:
        from tokenizers import Tokenizer

        self.made = Tokenizer.from_file(self.path)
        self.made.padding = None
        self.made.truncation = None

    def encode(self, texts: Texts) -> Any:
        return self.made.encode_batch(texts, add_special_tokens=False)

    def decode(self, rows: list[list[int]]) -> Any:
        return [self.made.decode(row, skip_special_tokens=False) for row in rows]


class Gigatoken(Peer):
    def load(self) -> None:
        from gigatoken import Tokenizer

        self.made = Tokenizer(self.path)

    def encode(self, texts: Texts) -> Any:
        return self.made.encode_batch(texts)

    def rows(self, result: Any) -> Iterable[Any]:
        return result.to_list()


class Tokie(Peer):
    def load(self) -> None:
        from tokie import Tokenizer

        self.made = Tokenizer.from_json(self.path)
        self.made.no_padding()
        self.made.no_truncation()

    def encode(self, texts: Texts) -> Any:
        return self.made.encode_batch(texts, add_special_tokens=False)


class Fastokens(Peer):
    def load(self) -> None:
        from fastokens import Tokenizer

        self.made = Tokenizer.from_file(self.path)

    def encode(self, texts: Texts) -> Any:
        return self.made.encode_batch(texts, add_special_tokens=False)


class Kitoken(Peer):
    def load(self) -> None:
        from kitoken import Kitoken as Made

        self.made = Made.from_tokenizers_file(self.path)

    def encode(self, texts: Texts) -> Any:
        return self.made.encode_all(texts)

    def rows(self, result: Any) -> Iterable[Any]:
        return result


class Tiktoken(Peer):
    """tiktoken over the vocabulary of a byte-level tokenizer.json: its ranks are the ids."""

    def load(self) -> None:
        import tiktoken

        spec = json.loads(Path(self.path).read_text("utf-8"))
        visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
        table = {chr(byte): byte for byte in visible}
        table |= {chr(256 + i): byte for i, byte in enumerate(b for b in range(256) if b not in visible)}
        special = {token["content"]: token["id"] for token in spec["added_tokens"]}
        ranks = {
            bytes(table[character] for character in token): id
            for token, id in spec["model"]["vocab"].items()
            if token not in special
        }
        steps = (spec["pre_tokenizer"] or {}).get("pretokenizers", [])
        patterns = [step["pattern"]["Regex"] for step in steps if step["type"] == "Split"]
        self.made = tiktoken.Encoding(
            "benchmark", pat_str=patterns[0] if patterns else GPT2, mergeable_ranks=ranks, special_tokens=special
        )

    def encode(self, texts: Texts) -> Any:
        return self.made.encode_ordinary_batch(texts, num_threads=1)

    def rows(self, result: Any) -> Iterable[Any]:
        return result


class Transformers:
    """The whole call: ``AutoTokenizer(...)(texts, padding, truncation, return_tensors="pt")``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.load()

    def load(self) -> None:
        from transformers import AutoTokenizer

        self.made: Any = AutoTokenizer.from_pretrained(str(self.folder))

    def encode(self, texts: Texts) -> Any:
        return self.made(texts, padding=True, truncation=True, max_length=512, return_tensors="pt")

    def rows(self, result: Any) -> Iterable[Any]:
        return result["input_ids"].tolist()


class OurTransformers(Transformers):
    def load(self) -> None:
        from enfold.transformers import AutoTokenizer

        self.made = AutoTokenizer.from_pretrained(str(self.folder))


PEERS: dict[str, Callable[[Path], Any]] = {
    "enfold": Ours,
    "tokenizers 0.23": Peer,
    "tokenizers 1.0rc": Candidate,
    "gigatoken": Gigatoken,
    "tokie": Tokie,
    "fastokens": Fastokens,
    "kitoken": Kitoken,
    "tiktoken": Tiktoken,
    "enfold.transformers": OurTransformers,
    "transformers": Transformers,
}


def digests(rows: Iterable[Any]) -> str:
    """Return eight bytes for every row, joined."""
    made = [hashlib.blake2b(repr([int(id) for id in row]).encode(), digest_size=8).digest() for row in rows]
    return base64.b64encode(b"".join(made)).decode()


def main(name: str, folder: Path, texts_file: Path) -> None:
    """Answer commands until the input ends."""
    texts: dict[str, Texts] = json.loads(texts_file.read_text("utf-8"))
    clock = {"cpu": time.process_time, "wall": time.perf_counter}
    peer = PEERS[name](folder)
    decoded: list[list[int]] = []
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, corpus, timer = json.loads(line)
        now = clock[timer]
        answer: Any
        start = now()
        if command == "load":
            peer.load()
            answer = now() - start
        elif command == "encode":
            kept = peer.encode(texts[corpus])
            answer = now() - start
            del kept
        elif command == "digests":
            answer = digests(peer.rows(peer.encode(texts[corpus])))
        elif command == "ids":
            decoded = [list(map(int, row)) for row in peer.rows(peer.encode(texts[corpus]))]
            answer = sum(map(len, decoded))
        elif command == "decode":
            kept = peer.decode(decoded)
            answer = now() - start
            del kept
        elif command == "decoded":
            answer = hashlib.sha256("\0".join(peer.decode(decoded)).encode()).hexdigest()
        elif command == "objects":
            kept = peer.objects(texts[corpus])
            answer = now() - start
            del kept
        else:
            raise SystemExit(f"unknown command {command!r}")
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))

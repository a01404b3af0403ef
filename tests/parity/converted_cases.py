"""What sentencepiece and tiktoken make of texts; run by the peers' Python.

python converted_cases.py TESTS JOBS OUT
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any


def texts(count: int) -> list[str]:
    """Sentences, odd characters and short alphabets, without the names of special pieces."""
    from parity import tokenizer_cases

    made = tokenizer_cases.texts(count, 21)
    return [
        text for text in made if not any(mark in text for mark in ("<s>", "</s>", "<unk>", "[MASK]", "[CLS]", "<|"))
    ]


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    jobs: dict[str, Any] = json.loads(sys.argv[2])
    made: dict[str, Any] = {}
    for name, (kind, path, count) in jobs.items():
        given = texts(count)
        if kind == "sentencepiece":
            import sentencepiece

            model = sentencepiece.SentencePieceProcessor(model_file=path)
            made[name] = [[model.encode(text), model.decode(model.encode(text))] for text in given]
        elif kind == "tekken":
            import tiktoken

            spec = json.loads(Path(path).read_text())
            config = spec["config"]
            kept = config["default_vocab_size"] - config["default_num_special_tokens"]
            ranks = {base64.b64decode(item["token_bytes"]): item["rank"] for item in spec["vocab"][:kept]}
            encoding = tiktoken.Encoding("tekken", pat_str=config["pattern"], mergeable_ranks=ranks, special_tokens={})
            shift = config["default_num_special_tokens"]
            made[name] = [[[id + shift for id in encoding.encode_ordinary(text)], text] for text in given]
        else:
            import tiktoken
            from tiktoken.load import load_tiktoken_bpe

            ranks = load_tiktoken_bpe(path)
            encoding = tiktoken.Encoding("ranks", pat_str=kind, mergeable_ranks=ranks, special_tokens={})
            made[name] = [[encoding.encode_ordinary(text), text] for text in given]
    Path(sys.argv[3]).write_text(json.dumps(made))
    print("{}")


if __name__ == "__main__":
    main()

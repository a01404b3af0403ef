"""Run by both libraries: tokenizers of several families trained anew, printed as JSON on the last line."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from pathlib import Path
from typing import Any

from family_cases import TEXTS, plain

CORPUS = [
    "Hello world, it is 2,024 and the lower newest widest thing. A second text for the lower part, don't you see?",
    "héllo wörld naïve café 東京 tower. The quick brown fox jumps over the lazy dog. abc123 numbers 10, 20 and 9, too.",
    "Machine translation of spoken language is hard; summaries are short, questions are long.",
] * 20
NEW = {"new_special_tokens": ["<new>", "<other>"]}
CASES: list[tuple[str, str, int, dict[str, Any], dict[str, Any]]] = [
    ("BertTokenizer", "wordpiece", 150, {}, {}),
    ("BertTokenizer", "wordpiece", 170, {}, {"special_tokens_map": {"[CLS]": "[START]", "[UNK]": "[WHAT]"}, **NEW}),
    ("GPT2Tokenizer", "bytes", 320, {}, {}),
    ("GPT2Tokenizer", "bytes", 330, {"pad_token": "<pad>"}, {**NEW, "min_frequency": 3}),
    ("RobertaTokenizer", "bytes-roberta", 320, {}, {"special_tokens_map": {"<s>": "<begin>"}}),
    ("Qwen2Tokenizer", "bytes", 300, {}, NEW),
    ("CLIPTokenizer", "endings-clip", 330, {}, {}),
    ("LlamaTokenizer", "llama", 400, {}, {}),
    ("T5Tokenizer", "t5", 230, {}, {}),
    ("T5Tokenizer", "t5", 240, {"extra_ids": 5}, NEW),
    ("AlbertTokenizer", "albert", 130, {}, {"special_tokens_map": {"[MASK]": "[BLANK]"}}),
    ("XLMRobertaTokenizer", "fairseq", 130, {}, {}),
]


def main(name: str, folders: Path) -> dict[str, Any]:
    library = importlib.import_module(name)
    found: dict[str, Any] = {}
    for index, (kind, folder, size, settings, options) in enumerate(CASES):
        case = f"{index} {kind}"
        try:
            made = (getattr(library, kind + "Fast", None) or getattr(library, kind)).from_pretrained(
                str(folders / folder), **settings
            )
            new = made.train_new_from_iterator(iter([CORPUS[:20], CORPUS[20:]]), size, **options)
            found[case] = {
                "vocabulary": sorted(new.get_vocab()),
                "tokens": [new.convert_ids_to_tokens(row) for row in new(TEXTS)["input_ids"]],
                "special": {key: str(value) for key, value in new.special_tokens_map.items() if isinstance(value, str)},
                "extra": sorted(new.all_special_tokens),
                "pairs": [new.convert_ids_to_tokens(new(TEXTS[0], TEXTS[1])["input_ids"])],
                "ids": plain(new.get_vocab()),
            }
        except Exception:
            found[case] = traceback.format_exc()[-1500:]
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))

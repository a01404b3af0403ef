"""Run by both libraries: tokenizers with arguments or arrangements of their own, printed as JSON on the last line."""

from __future__ import annotations

import importlib
import json
import pickle
import random
import re
import shutil
import sys
import traceback
import types
from pathlib import Path
from typing import Any

from family_cases import PAIRS, TEXTS, describe, fast, plain


def byt5(library: Any, folders: Path, saved: Path) -> Any:
    tokenizer = library.ByT5Tokenizer()
    tokenizer.save_pretrained(saved / "byt5")
    return [describe(tokenizer), describe(library.AutoTokenizer.from_pretrained(saved / "byt5"))]


def canine(library: Any, folders: Path, saved: Path) -> Any:
    tokenizer = library.CanineTokenizer()
    rows = tokenizer(TEXTS)["input_ids"]
    return {
        "batch": tokenizer(TEXTS, return_special_tokens_mask=True),
        "pairs": tokenizer(TEXTS, PAIRS),
        "decode": [tokenizer.decode(row) for row in rows],
        "skip": [tokenizer.decode(row, skip_special_tokens=True) for row in rows],
        "padded": tokenizer(TEXTS, padding=True, truncation=True, max_length=9),
    }


def siglip(library: Any, folders: Path, saved: Path) -> Any:
    (saved / "siglip").mkdir()
    shutil.copy(folders / "t5.model", saved / "siglip" / "spiece.model")
    return describe(library.SiglipTokenizer.from_pretrained(saved / "siglip"))


def roformer(library: Any, folders: Path, saved: Path) -> Any:
    def tokenize(text: str, hmm: bool) -> list[tuple[str, int, int]]:
        """Cut Chinese two characters at a time, and the rest at blanks, as a dictionary might."""
        return [(part.group(), *part.span()) for part in re.finditer("[一-龥]{1,2}|[^一-龥 ]+| +", text)]

    stand_in = types.ModuleType("rjieba")
    stand_in.tokenize = tokenize  # type: ignore[attr-defined]
    sys.modules["rjieba"] = stand_in
    (saved / "roformer").mkdir()
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "今天",
        "今",
        "天",
        "气",
        "非常",
        "好",
        "。",
        "hello",
        "##s",
        "world",
        ",",
    ]
    (saved / "roformer" / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    tokenizer = fast(library, "RoFormerTokenizer").from_pretrained(saved / "roformer")
    texts = ["今天天气非常好。", "Hellos, world 今天好", "气气气", ""]
    called = tokenizer(texts, return_offsets_mapping=True)
    tokens, pairs = [tokenizer.tokenize(text) for text in texts], tokenizer(texts, texts[::-1])

    def spec() -> list[Any]:
        tokenizer.save_pretrained(saved / "roformer" / "again")
        found = json.loads((saved / "roformer" / "again" / "tokenizer.json").read_text(encoding="utf-8"))
        return [found["pre_tokenizer"], found["normalizer"]]

    return {
        "called": called,
        "copied": attempt(lambda: pickle.loads(pickle.dumps(tokenizer))(texts)),
        "tokens": tokens,
        "pairs": pairs,
        "saved": attempt(spec),
    }


def seamless(library: Any, folders: Path, saved: Path) -> Any:
    languages = {"additional_special_tokens": ["__eng__", "__fra__", "__deu__"]}
    tokenizer = fast(library, "SeamlessM4TTokenizer").from_pretrained(folders / "seamless", **languages)
    found = {"english": tokenizer(TEXTS[0]), "pair": tokenizer(TEXTS[0], PAIRS[0])}
    found["both"] = tokenizer(TEXTS[0], text_target=PAIRS[0], tgt_lang="deu")
    found["german"] = tokenizer([TEXTS[0], TEXTS[5]], src_lang="deu", padding=True)
    tokenizer.src_lang = "__fra__"
    found["french"] = [tokenizer(TEXTS[0]), tokenizer.src_lang, tokenizer.tgt_lang]
    found["target"] = tokenizer(text_target=TEXTS[0])
    found["translation"] = tokenizer._build_translation_inputs(
        "hello", return_tensors="np", src_lang="eng", tgt_lang="fra"
    )
    return found


def newest(library: Any, folders: Path, saved: Path) -> Any:
    """Classes of transformers 5, made from vocabularies in memory."""
    vocab = json.loads((folders / "bytes" / "vocab.json").read_text(encoding="utf-8"))
    lines = (folders / "bytes" / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    merges = [tuple(line.split(" ")) for line in lines]
    texts = [*TEXTS, "e\u0301te\u0301 हिन्दी 12"]
    qwen = library.Qwen3_5Tokenizer(vocab=vocab, merges=merges)
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    pieces += [*"abcdefghijklmnopqrstuvwxyz", "he", "hel", "lo"]
    table = {piece: id for id, piece in enumerate(pieces)}
    siglip = library.Siglip2Tokenizer(vocab=table, merges=[("h", "e"), ("he", "l"), ("l", "o")])
    heard = library.ParakeetTokenizer(tokenizer_file=str(folders / "bytes-file" / "tokenizer.json"), pad_token="<pad>")
    frames = [3, 20, 20, 3, 20, 21, 21, 3, 3, 40]
    return {
        "qwen": describe(qwen),
        "marks": [qwen.tokenize(text) for text in texts],
        "siglip": [siglip(texts)["input_ids"], [siglip.tokenize(text) for text in texts], siglip.padding_side],
        "heard": [
            heard.decode(frames),
            heard.decode(frames, group_tokens=False),
            heard.batch_decode([frames, frames[:2]]),
        ],
    }


def small(library: Any, folders: Path, saved: Path) -> Any:
    """Bytes and characters."""
    bytes_ = library.PerceiverTokenizer()
    bytes_.save_pretrained(saved / "perceiver")
    (saved / "mgp").mkdir()
    table = {
        "[GO]": 0,
        "[s]": 1,
        **{letter: 2 + id for id, letter in enumerate("0123456789abcdefghijklmnopqrstuvwxyz")},
    }
    (saved / "mgp" / "vocab.json").write_text(json.dumps(table), encoding="utf-8")
    letters = library.MgpstrTokenizer.from_pretrained(saved / "mgp")
    letters.save_pretrained(saved / "mgp again")
    again = library.AutoTokenizer.from_pretrained(saved / "perceiver")
    odd = [[4, 72, 201, 5], [4, 3, 260, 5], [0, 1, 2]]
    return {
        "bytes": describe(bytes_),
        "again": again(TEXTS)["input_ids"],
        "odd": [bytes_.decode(row) for row in odd],
        "letters": describe(letters),
        "letters again": library.MgpstrTokenizer.from_pretrained(saved / "mgp again")(TEXTS)["input_ids"],
    }


def basic(library: Any, folders: Path, saved: Path) -> Any:
    texts = [*TEXTS, "[CLS]héllo[MASK] [MASK] 今天 x\u0000y\u200b don't-stop!", "A" * 120 + " unbelievable newest"]
    options: list[dict[str, Any]] = [
        {},
        {"do_lower_case": False},
        {"never_split": ["[MASK]"]},
        {"strip_accents": False},
    ]
    options += [{"tokenize_chinese_chars": False}, {"do_split_on_punc": False}]
    words = (folders / "wordpiece" / "vocab.txt").read_text(encoding="utf-8").splitlines()
    pieces = library.WordpieceTokenizer({word: id for id, word in enumerate(words)}, "[UNK]")
    few = library.WordpieceTokenizer(["a", "##b"], unk_token="?", max_input_chars_per_word=3)
    return {
        "words": [[library.BasicTokenizer(**one).tokenize(text) for text in texts] for one in options],
        "kept": library.BasicTokenizer().tokenize("A [X] b", never_split=["[X]"]),
        "pieces": [pieces.tokenize(text.lower()) for text in texts],
        "few": few.tokenize("a ab abb abbb ba"),
    }


def older(library: Any, folders: Path, saved: Path) -> Any:
    """Methods that newer versions renamed or dropped."""
    tokenizer = fast(library, "BertTokenizer").from_pretrained(folders / "wordpiece")
    token = library.AddedToken("<x>", lstrip=True, special=True)
    nested = {"a": [token, 1], "b": {"c": token}}
    saved_tokens = tokenizer.convert_added_tokens(nested, save=True)
    plain_tokens = tokenizer.convert_added_tokens(nested, save=True, add_type_field=False)
    again = tokenizer.convert_added_tokens(json.loads(json.dumps(saved_tokens)))
    tokenizer.chat_template = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }} {% endfor %}"
    chat = [{"role": "user", "content": "hello there"}, {"role": "assistant", "content": "the answer"}]
    return {
        "tokens": [saved_tokens, plain_tokens, repr(again)],
        "first message": tokenizer.encode_message_with_chat_template(chat[0]),
        "second message": tokenizer.encode_message_with_chat_template(chat[1], chat[:1]),
        "tidy": tokenizer.clean_up_tokenization("Hello , it 's n't ."),
        "map": tokenizer.pretrained_vocab_files_map,
    }


def dpr(library: Any, folders: Path, saved: Path) -> Any:
    tokenizer = library.DPRReaderTokenizer.from_pretrained(folders / "wordpiece")
    titles, texts = ["Title", "Other long"], ["a text here", "more and more and more"]
    found = {
        "each": tokenizer(["what is it?", "who"], titles, texts),
        "cut": tokenizer("what", titles, texts, padding=True, truncation=True, max_length=8),
        "question": tokenizer("what"),
        "text": tokenizer("what", texts="a b"),
    }
    inputs = tokenizer("what is", titles, texts, padding=True)
    draw = random.Random(0).gauss
    length = len(inputs["input_ids"][0])
    logits = [[[draw(0, 1) for _ in range(length)] for _ in titles] for _ in range(2)]
    spans = tokenizer.decode_best_spans(inputs, (*logits, [0.1, 0.7]), num_spans=7, max_answer_length=3)
    return {**found, "spans": [tuple(span) for span in spans]}


def code_llama(library: Any, folders: Path, saved: Path) -> Any:
    tokenizer = library.CodeLlamaTokenizerFast.from_pretrained(folders / "llama")
    found: dict[str, Any] = {
        "plain": tokenizer("hello world"),
        "ids": [tokenizer.prefix_id, tokenizer.middle_id, tokenizer.suffix_id, tokenizer.eot_id],
    }
    for first in (False, True):
        found[f"mark {first}"] = tokenizer("def f(x): <FILL_ME> return x", suffix_first=first)
        found[f"suffix {first}"] = tokenizer("hello", suffix=" world", suffix_first=first)
        found[f"joined {first}"] = tokenizer("hello", suffix="world", suffix_first=first)
        found[f"bare {first}"] = tokenizer("hello", suffix="world", suffix_first=first, add_special_tokens=False)
    return {**found, "again": tokenizer("hello world")}


def attempt(make: Any, *arguments: Any) -> Any:
    try:
        return plain(make(*arguments))
    except Exception:
        return traceback.format_exc()[-1500:]


def main(name: str, folders: Path, saved: Path) -> dict[str, Any]:
    library = importlib.import_module(name)
    cases = (byt5, canine, siglip, dpr, code_llama, roformer, seamless, older, newest, basic, small)
    return {case.__name__: attempt(case, library, folders, saved) for case in cases}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))

"""Run by both libraries: tokenizer families built from small vocabulary files, printed as JSON on the last line."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from pathlib import Path
from typing import Any

TEXTS = [
    "Hello world, it's 2,024 and the lower newest widest!",
    "héllo wörld ÀÉ 東京 😀",
    "  two  spaces\tand\n\nlines  ",
    "<mask> [MASK] </s> a<mask>b",
    "",
    "abc123 ABC don't",
]
PAIRS = ["a second text", "the lower", "x", "y", "z", ""]
# class, its folder, further arguments
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("BertTokenizer", "wordpiece", {}),
    ("BertTokenizer", "wordpiece", {"do_lower_case": False}),
    ("BertTokenizer", "wordpiece", {"strip_accents": False, "tokenize_chinese_chars": False}),
    ("ElectraTokenizer", "wordpiece", {}),
    ("DistilBertTokenizer", "wordpiece", {}),
    ("FunnelTokenizer", "wordpiece-funnel", {}),
    ("MPNetTokenizer", "wordpiece-mpnet", {}),
    ("LxmertTokenizer", "wordpiece", {}),
    ("MobileBertTokenizer", "wordpiece", {}),
    ("GPT2Tokenizer", "bytes", {}),
    ("GPT2Tokenizer", "bytes", {"add_prefix_space": True}),
    ("GPT2Tokenizer", "bytes", {"add_bos_token": True}),
    ("RobertaTokenizer", "bytes-roberta", {}),
    ("RobertaTokenizer", "bytes-roberta", {"add_prefix_space": True, "trim_offsets": False}),
    ("BartTokenizer", "bytes-roberta", {}),
    ("LEDTokenizer", "bytes-roberta", {}),
    ("LongformerTokenizer", "bytes-roberta", {}),
    ("BlenderbotTokenizer", "bytes-roberta", {"add_prefix_space": True}),
    ("DebertaTokenizer", "bytes-deberta", {}),
    ("GPTNeoXTokenizer", "bytes", {"pad_token": "<|endoftext|>"}),
    ("Qwen2Tokenizer", "bytes", {}),
    ("CLIPTokenizer", "endings-clip", {}),
    ("OpenAIGPTTokenizer", "endings-gpt", {}),
    ("HerbertTokenizer", "endings-herbert", {}),
    ("WhisperTokenizer", "bytes-whisper", {}),
    ("WhisperTokenizer", "bytes-whisper", {"language": "french", "task": "transcribe"}),
    ("CodeGenTokenizer", "bytes", {}),
    ("T5Tokenizer", "t5", {}),
    ("T5Tokenizer", "t5", {"extra_ids": 5}),
    ("AlbertTokenizer", "albert", {}),
    ("AlbertTokenizer", "albert", {"do_lower_case": False, "keep_accents": True}),
    ("XLNetTokenizer", "xlnet", {}),
    ("DebertaV2Tokenizer", "deberta", {}),
    ("BigBirdTokenizer", "big_bird", {}),
    ("ReformerTokenizer", "reformer", {}),
    ("XLMRobertaTokenizer", "fairseq", {}),
    ("CamembertTokenizer", "fairseq", {}),
    ("XGLMTokenizer", "fairseq", {}),
    ("MBartTokenizer", "fairseq", {"src_lang": "de_DE"}),
    ("MBart50Tokenizer", "fairseq", {"src_lang": "de_DE"}),
    ("NllbTokenizer", "fairseq", {}),
    ("NllbTokenizer", "fairseq", {"src_lang": "fra_Latn", "legacy_behaviour": True}),
    ("PegasusTokenizer", "t5", {}),
    ("LlamaTokenizer", "llama", {}),
    ("LlamaTokenizer", "llama", {"legacy": False, "add_eos_token": True}),
    ("GemmaTokenizer", "gemma", {}),
    ("RemBertTokenizer", "albert-rembert", {}),
    ("M2M100Tokenizer", "m2m100", {"src_lang": "de"}),
    ("MarianTokenizer", "marian", {}),
    ("SpeechT5Tokenizer", "letters", {}),
    ("Wav2Vec2CTCTokenizer", "ctc", {}),
    ("Wav2Vec2CTCTokenizer", "ctc", {"do_lower_case": True}),
    ("SplinterTokenizer", "wordpiece-splinter", {}),
    ("PLBartTokenizer", "fairseq", {"src_lang": "java"}),
    ("PLBartTokenizer", "fairseq", {"language_codes": "multi", "src_lang": "__ruby__"}),
    ("BarthezTokenizer", "fairseq", {}),
    ("FNetTokenizer", "albert", {}),
    ("CohereTokenizer", "bytes-cohere", {}),
    ("BloomTokenizer", "bytes-file", {}),
    ("CTRLTokenizer", "endings-ctrl", {}),
    ("BlenderbotSmallTokenizer", "endings-small", {}),
    ("SeamlessM4TTokenizer", "seamless", {}),
    ("EsmTokenizer", "letters-esm", {}),
    ("BertGenerationTokenizer", "t5", {}),
    ("VideoPrismTokenizer", "t5", {}),
]
# the words of pages, with boxes
PAGES: list[tuple[str, str, dict[str, Any]]] = [
    ("LayoutLMv2Tokenizer", "wordpiece", {}),
    ("LayoutLMv2Tokenizer", "wordpiece", {"only_label_first_subword": False, "sep_token_box": [1, 2, 3, 4]}),
    ("LayoutLMv3Tokenizer", "bytes-roberta", {}),
    ("LayoutXLMTokenizer", "fairseq", {}),
    ("UdopTokenizer", "t5", {}),
]
WORDS = ["Total", "amount:", "12,345.67", "unbelievable", "newest"]


def plain(value: Any) -> Any:
    if hasattr(value, "items"):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def attempt(make: Any) -> Any:
    try:
        return plain(make())
    except Exception as error:
        return "error: " + type(error).__name__


def describe(tokenizer: Any) -> dict[str, Any]:
    """Return what a tokenizer makes of the texts."""
    found: dict[str, Any] = {}
    batch = tokenizer(TEXTS, return_special_tokens_mask=True)
    found["batch"] = plain(batch)
    found["pairs"] = plain(tokenizer(TEXTS, PAIRS))
    if tokenizer.is_fast:
        found["offsets"] = plain(tokenizer(TEXTS, return_offsets_mapping=True)["offset_mapping"])
    found["decode"] = [tokenizer.decode(row) for row in batch["input_ids"]]
    found["decode skip"] = tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)
    found["tokens"] = [tokenizer.tokenize(text) for text in TEXTS]
    found["string"] = attempt(lambda: tokenizer.convert_tokens_to_string(tokenizer.tokenize(TEXTS[0])))
    if tokenizer.pad_token is not None:
        found["padded"] = plain(tokenizer(TEXTS, padding=True, truncation=True, max_length=9))
    found["special"] = {
        name: str(getattr(tokenizer, name))
        for name in ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
    }
    found["special ids"] = sorted(set(tokenizer.all_special_ids))
    found["sizes"] = [len(tokenizer), tokenizer.vocab_size]
    found["names"] = [tokenizer.model_input_names, tokenizer.padding_side, tokenizer.pad_token_type_id]
    found["added"] = [tokenizer.num_special_tokens_to_add(), tokenizer.num_special_tokens_to_add(True)]
    return found


def pages(tokenizer: Any) -> dict[str, Any]:
    """Return what a tokenizer makes of words with boxes."""
    boxes = [[at, at + 1, at + 10, at + 20] for at in range(len(WORDS))]
    labels = list(range(len(WORDS)))
    several, more = [WORDS, WORDS[:2]], [boxes, boxes[:2]]
    calls: dict[str, Any] = {
        "page": lambda: tokenizer(WORDS, boxes=boxes),
        "labels": lambda: tokenizer(WORDS, boxes=boxes, word_labels=labels),
        "question": lambda: tokenizer("What is it?", WORDS, boxes),
        "pages": lambda: tokenizer(several, boxes=more, padding=True),
        "labels of pages": lambda: tokenizer(several, boxes=more, word_labels=[labels, labels[:2]], padding="longest"),
        "questions": lambda: tokenizer(["one", "the other"], several, boxes=more, padding=True),
        "cut": lambda: tokenizer(WORDS, boxes=boxes, truncation=True, max_length=6, return_offsets_mapping=True),
        "overflow": lambda: tokenizer(
            WORDS, boxes=boxes, truncation=True, max_length=8, stride=2, return_overflowing_tokens=True
        ),
        "arrays": lambda: tokenizer(several, boxes=more, padding=True, return_tensors="np"),
        "padded later": lambda: tokenizer.pad({"input_ids": [[1, 2], [3]], "bbox": [boxes[:2], boxes[:1]]}),
        "no boxes": lambda: tokenizer(WORDS),
        "too few boxes": lambda: tokenizer(WORDS, boxes=boxes[:2]),
    }
    if "Udop" in type(tokenizer).__name__:
        calls["target"] = lambda: tokenizer(text_target="the answer")
    return {name: attempt(call) for name, call in calls.items()}


def fast(library: Any, kind: str) -> Any:
    """Return the class that is not written in Python, where there are two."""
    return getattr(library, kind + "Fast", None) or getattr(library, kind)


def main(name: str, folders: Path, saved: Path, foreign: Path | None) -> dict[str, Any]:
    library = importlib.import_module(name)
    found: dict[str, Any] = {}
    for index, (kind, folder, options) in enumerate(CASES):
        case = f"{index} {kind} {options}"
        try:
            made = fast(library, kind).from_pretrained(str(folders / folder), **options)
            found[case] = describe(made)
            made.save_pretrained(str(saved / str(index)))
            if foreign is not None:
                found["foreign " + case] = describe(library.AutoTokenizer.from_pretrained(str(foreign / str(index))))
        except Exception:
            found.setdefault(case, traceback.format_exc()[-1500:])
            found.setdefault("foreign " + case, traceback.format_exc()[-1500:])
    for index, (kind, folder, options) in enumerate(PAGES):
        case = f"page {index} {kind} {options}"
        try:
            found[case] = pages(fast(library, kind).from_pretrained(str(folders / folder), **options))
        except Exception:
            found[case] = traceback.format_exc()[-1500:]
    return found


if __name__ == "__main__":
    extra = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), extra), default=plain))

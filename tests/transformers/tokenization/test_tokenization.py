"""Tokenizers: lazy, unchanged by calls, on Arrow, with files and templates."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from enfold.errors import MissingExtra
from enfold.transformers import AutoTokenizer, BatchEncoding, BertTokenizer, GPT2Tokenizer, LlamaTokenizer
from processor import slowness

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "##s", "a", "b", "c", ",", "!"]
TEXTS = ["Hello worlds!", "a", "a b c, hello", "", "nosuch world"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of before tokenizer.json."""
    made = tmp_path / "bert"
    made.mkdir()
    (made / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    (made / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (made / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "model_max_length": 16}))
    return made


@pytest.fixture
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.alone
def test_loading_and_calling_is_quick_and_loads_neither_torch_nor_numpy(folder: Path) -> None:
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    script = (
        "import sys, time\nbegin = time.process_time()\nfrom enfold.transformers import AutoTokenizer\n"
        "made = AutoTokenizer.from_pretrained(sys.argv[1])\nspent = time.process_time() - begin\n"
        "made(['a b', 'c'], padding=True, truncation=True)\n"
        "made('a', return_offsets_mapping=True)\nmade.decode([5, 6])\n"
        "assert not {'torch', 'numpy', 'jinja2', 'yaml', 'pyarrow'} & set(sys.modules)\nprint(spent)\n"
    )
    times = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        times.append(float(done.stdout))
    assert min(times) <= 0.3 * slowness()


def test_vocabulary_files_make_the_familys_tokenizer(tokenizer: Any) -> None:
    assert type(tokenizer) is BertTokenizer
    assert tokenizer.tokenize("Hello, worlds!") == ["hello", ",", "world", "##s", "!"]
    assert tokenizer("a", "b")["token_type_ids"] == [0, 0, 0, 1, 1]


def test_calls_leave_the_tokenizer_as_it_was(tokenizer: Any) -> None:
    before = tokenizer.__fingerprint__(), tokenizer.backend_tokenizer.to_str()
    tokenizer(TEXTS, padding=True, truncation=True, max_length=4, return_overflowing_tokens=True, stride=1)
    tokenizer(TEXTS, truncation=True, max_length=3, truncation_side="left", split_special_tokens=True)
    tokenizer(TEXTS, padding="max_length", return_tensors="np")
    assert (tokenizer.__fingerprint__(), tokenizer.backend_tokenizer.to_str()) == before


def test_the_flat_path_equals_the_one_with_offsets(tokenizer: Any) -> None:
    for options in ({}, {"padding": True}, {"truncation": True, "max_length": 4}, {"padding": "max_length"}):
        slow = tokenizer(TEXTS, return_offsets_mapping=True, return_special_tokens_mask=True, **options)
        flat = tokenizer(TEXTS, return_special_tokens_mask=True, **options)
        assert {key: slow[key] for key in flat} == dict(flat)
        assert flat.tokens(0) == slow.tokens(0)


def test_a_column_of_a_data_set_comes_back_as_arrow(tokenizer: Any) -> None:
    column = pa.array(TEXTS)
    lists = tokenizer(TEXTS)
    plain = tokenizer(column)
    assert pa.array(plain["input_ids"]).to_pylist() == lists["input_ids"]
    assert list(plain["attention_mask"]) == lists["attention_mask"]
    padded = tokenizer(column, padding="max_length", truncation=True, max_length=6)
    assert (
        pa.array(padded["input_ids"]).to_pylist()
        == tokenizer(TEXTS, padding="max_length", truncation=True, max_length=6)["input_ids"]
    )


def test_a_changed_core_is_noticed(tokenizer: Any) -> None:
    options = {"truncation": True, "max_length": 3, "return_offsets_mapping": True}
    assert tokenizer("Hello", **options).tokens() == ["[CLS]", "hello", "[SEP]"]
    tokenizer.add_tokens(["Hello"])
    assert tokenizer("Hello", **options)["input_ids"] == [2, len(WORDS), 3]
    tokenizer.backend_tokenizer.post_processor = None
    assert tokenizer("Hello", **options)["input_ids"] == [len(WORDS)]


def test_special_tokens_are_attributes(tokenizer: Any) -> None:
    tokenizer.pad_token = tokenizer.sep_token
    assert tokenizer.pad_token_id == tokenizer.sep_token_id == 3
    tokenizer.pad_token_id = 0
    assert tokenizer.pad_token == "[PAD]"
    assert tokenizer.bos_token is None and tokenizer.bos_token_id is None
    with pytest.raises(AttributeError, match="vocab_size"):
        tokenizer.vocab_sise
    with pytest.raises(ValueError, match="pad_token"):
        tokenizer.add_special_tokens({"pad_tokn_": "x"})


def test_padding_without_a_padding_token_says_how_to_get_one() -> None:
    made = GPT2Tokenizer({"a": 0, "b": 1, "<|endoftext|>": 2}, [])
    with pytest.raises(ValueError, match="pad_token = tokenizer"):
        made(["a", "b"], padding=True)


def test_wrong_inputs_are_named(tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="int"):
        tokenizer(["a", 3])
    with pytest.raises(ValueError, match="2 texts and 1"):
        tokenizer(["a", "b"], ["c"])
    with pytest.raises(ValueError, match="longest_first"):
        tokenizer("a", truncation="longest")
    with pytest.raises(ValueError, match="padding=True"):
        tokenizer(TEXTS, return_tensors="pt")


@pytest.mark.skipif("tensorflow" in sys.modules, reason="tensorflow is here")
def test_a_missing_array_library_names_its_extra(tokenizer: Any) -> None:
    pytest.importorskip("numpy")
    try:
        import tensorflow  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match="tf"):
            tokenizer("a", return_tensors="tf")


def test_copies_and_pickles_work(tokenizer: Any) -> None:
    for made in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert made.__fingerprint__() == tokenizer.__fingerprint__()
        made.add_tokens(["new"])
        assert len(made) == len(tokenizer) + 1
    batch = tokenizer(TEXTS[:2], padding=True)
    assert pickle.loads(pickle.dumps(batch)).input_ids == batch.input_ids


def test_saved_tokenizers_load_again(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.add_special_tokens({"additional_special_tokens": ["<x>"]})
    tokenizer.chat_template = {"default": "d", "tool_use": "t"}
    tokenizer.padding_side = "left"
    tokenizer.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again.__fingerprint__() == tokenizer.__fingerprint__()
    assert again("a <x>").tokens() == ["[CLS]", "a", "<x>", "[SEP]"]
    assert not list((tmp_path / "saved").glob("*.part"))


def test_a_folder_without_a_tokenizer_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"tokenizer\.json, vocab\.txt"):
        AutoTokenizer.from_pretrained(tmp_path)


def test_templates_run_in_a_sandbox(tokenizer: Any) -> None:
    for attack in (
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__subclasses__() }}",
        "{{ messages.append(1) }}",
    ):
        with pytest.raises(ValueError, match=r"unsafe|not safely|append"):
            tokenizer.apply_chat_template([{"role": "user", "content": "a"}], chat_template=attack, tokenize=False)
    with pytest.raises(ValueError, match="no thanks"):
        tokenizer.apply_chat_template(
            [{"role": "user", "content": "a"}], chat_template="{{ raise_exception('no thanks') }}", tokenize=False
        )
    with pytest.raises(ValueError, match="no chat template"):
        tokenizer.apply_chat_template([{"role": "user", "content": "a"}])


def _piece(text: str, score: float, kind: int) -> bytes:
    import struct

    raw = text.encode()
    body = b"\x0a" + bytes([len(raw)]) + raw + b"\x15" + struct.pack("<f", score) + b"\x18" + bytes([kind])
    return b"\x0a" + bytes([len(body)]) + body


def test_a_sentencepiece_model_makes_a_llama_tokenizer(tmp_path: Path) -> None:
    pieces = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), *((f"<0x{n:02X}>", 0.0, 6) for n in range(256))]
    pieces += [("▁a", -1.0, 1), ("ab", -2.0, 1), ("▁ab", -3.0, 1), ("▁", -4.0, 1), ("a", -5.0, 1), ("b", -6.0, 1)]
    trainer = b"\x12\x02\x18\x02"  # TrainerSpec.model_type: BPE
    (tmp_path / "tokenizer.model").write_bytes(b"".join(_piece(*piece) for piece in pieces) + trainer)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    made = AutoTokenizer.from_pretrained(tmp_path)
    assert type(made) is LlamaTokenizer and made.padding_side == "left"
    assert made("ab é").tokens() == ["<s>", "▁ab", "▁", "<0xC3>", "<0xA9>"]
    assert made.decode(made("ab é")["input_ids"], skip_special_tokens=True) == "ab é"
    (tmp_path / "tokenizer.model").write_bytes(b"\xff" * 40)
    with pytest.raises(ValueError, match="not a SentencePiece model"):
        AutoTokenizer.from_pretrained(tmp_path)


def test_batches_convert_and_move() -> None:
    batch = BatchEncoding({"input_ids": [[1, 2], [3, 4]], "labels": [0, 1]})
    moved = batch.convert_to_tensors("pt").to("cpu")
    assert moved is batch and tuple(batch.input_ids.shape) == (2, 2) and batch["labels"].tolist() == [0, 1]
    with pytest.raises(AttributeError, match="nosuch"):
        batch.nosuch

"""Folders whose only vocabulary is a SentencePiece model, a list of ranks or a tekken.json."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

import real_vocabularies
from enfold.transformers import AutoTokenizer, LlamaTokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer, WhisperTokenizer
from enfold.transformers.remote import RemoteCodeError
from enfold.transformers.tokenization.vocabularies import BadVocabulary


@pytest.fixture(scope="session")
def ranks() -> bytes:
    learnt = [bytes([byte]) for byte in range(256)] + [b"he", b"ll", b"hell", b"hello", b" w", b"12"]
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(learnt))


def put(folder: Path, **files: object) -> Path:
    for name, content in files.items():
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def test_a_sentencepiece_model_alone_makes_a_tokenizer(tmp_path: Path) -> None:
    model = (real_vocabularies.folder("mistral-spm") / "tokenizer.model").read_bytes()
    tokenizer = AutoTokenizer.from_pretrained(put(tmp_path, tokenizer__model=model))
    assert type(tokenizer) is PreTrainedTokenizerFast
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token) == ("<s>", "</s>", "<unk>")
    ids = tokenizer("Hello world")["input_ids"]
    assert tokenizer.tokenize("Hello world") == ["▁Hello", "▁world"]
    assert tokenizer.decode(ids) == "Hello world"
    named = put(tmp_path, config__json={"model_type": "mistral"})
    llama = AutoTokenizer.from_pretrained(named)
    assert type(llama) is LlamaTokenizer
    assert llama("Hello world")["input_ids"] == [1, *ids]
    tokenizer.save_pretrained(tmp_path / "saved")
    assert AutoTokenizer.from_pretrained(tmp_path / "saved")("Hello world")["input_ids"] == ids


def test_a_tekken_file_makes_a_tokenizer(tmp_path: Path) -> None:
    data = (real_vocabularies.folder("tekken") / "tekken.json").read_bytes()
    for config in ({}, {"config__json": {"model_type": "mistral"}}):
        tokenizer = AutoTokenizer.from_pretrained(put(tmp_path, tekken__json=data, **config))
        assert type(tokenizer) is PreTrainedTokenizerFast
        assert tokenizer.bos_token_id == 1
        assert tokenizer.decode(tokenizer("[INST] Grüße 東京 [/INST]")["input_ids"]) == "[INST] Grüße 東京 [/INST]"
        assert tokenizer.convert_tokens_to_ids("[INST]") == 3
    with_bos = AutoTokenizer.from_pretrained(tmp_path, add_bos_token=True)
    assert with_bos("a")["input_ids"][0] == 1


def test_ranks_are_read_with_the_pattern_of_their_model(tmp_path: Path, ranks: bytes) -> None:
    folder = put(tmp_path, qwen__tiktoken=ranks, tokenizer_config__json={"tokenizer_class": "QWenTokenizer"})
    qwen = AutoTokenizer.from_pretrained(folder)
    assert qwen.tokenize("hello w12<|im_end|>") == ["hello", "Ġw", "1", "2", "<|im_end|>"]
    assert qwen.convert_tokens_to_ids("<|endoftext|>") == 262
    folder = put(tmp_path / "..", cl100k_base__tiktoken=ranks)
    (tmp_path / "plain").mkdir()
    (folder / "cl100k_base.tiktoken").rename(tmp_path / "plain" / "cl100k_base.tiktoken")
    plain = AutoTokenizer.from_pretrained(tmp_path / "plain")
    assert plain.tokenize("hello w12") == ["hello", "Ġw", "12"]


def test_ranks_named_like_a_sentencepiece_model_are_recognised(tmp_path: Path, ranks: bytes) -> None:
    listed = {"262": {"content": "<|begin_of_text|>", "special": True}, "300": {"content": "<|eot_id|>"}}
    settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<|begin_of_text|>", "added_tokens_decoder": listed}
    folder = put(tmp_path, tokenizer__model=ranks, tokenizer_config__json=settings)
    tokenizer = AutoTokenizer.from_pretrained(folder, add_bos_token=True)
    assert tokenizer.tokenize("hello<|eot_id|>") == ["hello", "<|eot_id|>"]
    assert tokenizer("hello")["input_ids"] == [262, 259]
    assert tokenizer.convert_tokens_to_ids("<|eot_id|>") == 300


def test_whispers_ranks_bring_languages_and_timestamps(tmp_path: Path, ranks: bytes) -> None:
    folder = put(tmp_path, multilingual__tiktoken=ranks)
    tokenizer = WhisperTokenizer.from_pretrained(folder, language="french", task="transcribe")
    assert tokenizer("hello").tokens() == [
        *("<|startoftranscript|>", "<|fr|>", "<|transcribe|>", "<|notimestamps|>"),
        *("hello", "<|endoftext|>"),
    ]
    begin = tokenizer.convert_tokens_to_ids("<|0.00|>")
    assert tokenizer.convert_tokens_to_ids("<|30.00|>") == begin + 1500
    assert begin == tokenizer.convert_tokens_to_ids("<|notimestamps|>") + 1


def test_qwens_class_reads_ranks(tmp_path: Path, ranks: bytes) -> None:
    assert Qwen2Tokenizer.from_pretrained(put(tmp_path, qwen__tiktoken=ranks)).tokenize("12") == ["1", "2"]


def test_a_file_alone_is_read(tmp_path: Path, ranks: bytes) -> None:
    put(tmp_path, cl100k_base__tiktoken=ranks, bad__model=b"\x00nothing")
    assert AutoTokenizer.from_pretrained(tmp_path / "cl100k_base.tiktoken").tokenize("hello") == ["hello"]
    with pytest.raises(BadVocabulary, match="neither a SentencePiece model nor"):
        AutoTokenizer.from_pretrained(tmp_path / "bad.model")


def test_code_in_a_repository_is_named_and_not_run(tmp_path: Path) -> None:
    settings = {"tokenizer_class": "OddTokenizer", "auto_map": {"AutoTokenizer": ["odd.OddTokenizer", None]}}
    with pytest.raises(RemoteCodeError, match=r"odd\.OddTokenizer.*only with trust_remote_code=True"):
        AutoTokenizer.from_pretrained(put(tmp_path, tokenizer_config__json=settings))

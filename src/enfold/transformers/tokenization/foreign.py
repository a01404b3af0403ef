"""Vocabulary files of no family's own: SentencePiece models, tiktoken's ranks and Mistral's tekken.json."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from enfold.tokenizers import Tokenizer
from enfold.transformers.tokenization.vocabularies import BadVocabulary

__all__ = ["choose", "find", "is_ranks", "is_tekken", "read"]

# the names that repositories use, in the order in which they are looked for
NAMES = (
    "tekken.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "spm.model",
    "tiktoken.model",
    "qwen.tiktoken",
    "tokenizer.tiktoken",
)
_RANK = re.compile(rb"[A-Za-z0-9+/]+=* \d+\r?\n")
# how Qwen cuts words: as cl100k does, but every digit alone
_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_QWEN_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{number}|>" for number in range(205)))


def is_tekken(path: str | os.PathLike[str]) -> bool:
    """Whether a file is one of Mistral's by its name."""
    name = os.path.basename(path)
    return "tekken" in name and name.endswith(".json")


def is_ranks(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a list of tokens in base64 and ranks, as tiktoken's are, whatever its name."""
    with open(path, "rb") as file:
        return _RANK.match(file.read(4096)) is not None


def find(source: Any) -> str | None:
    """Return the path of such a file in a folder or a repository, or None.

    Args:
        source: a ``files.Source``; of a folder, any ``*.tiktoken`` and ``*.model`` is found.
    """
    for name in NAMES:
        path = source.find(name)
        if path is not None:
            return path
    root = os.path.join(source.name, source.where.get("subfolder") or "")
    if not os.path.isdir(root):
        return None
    found = [name for name in sorted(os.listdir(root)) if name.endswith((".tiktoken", ".model"))]
    return os.path.join(root, found[0]) if found else None


def choose(cls: Any, source: Any, own: Mapping[str, str | None]) -> str | None:
    """Return the file that a tokenizer of class ``cls`` is read from here, or None where it reads its own.

    Args:
        cls: the class.
        source: the folder or repository.
        own: the paths of the class's own vocabulary files, None for those that are missing.
    """
    if "tokenizer_file" not in cls.vocab_files_names:
        return None
    if not own:
        return find(source)
    if not cls.needed_files:
        return None
    path = own.get("vocab_file")
    if path is None:
        path = find(source)
        # a SentencePiece model under another name is the family's own to read, with its own ids
        return path if path is not None and (is_tekken(path) or is_ranks(path)) else None
    return path if path.endswith(".model") and is_ranks(path) else None


def read(path: str | os.PathLike[str], settings: Mapping[str, Any] = {}) -> tuple[Tokenizer, dict[str, Any]]:
    """Read a vocabulary file.

    Args:
        path: the file.
        settings: of the checkpoint: ``added_tokens_decoder`` (id → special token of a rank file), ``pattern`` (how a
            rank file's words are cut: a regular expression, or a name such as "cl100k_base"), ``model_type``.

    Returns:
        The core tokenizer, and the special tokens by role that the file names.

    Raises:
        BadVocabulary: the file is none of these.

    Example:
        >>> core, tokens = read("tokenizer.model")  # doctest: +SKIP
        >>> tokens["bos_token"]  # doctest: +SKIP
        '<s>'
    """
    if is_tekken(path):
        from enfold.tokenizers.tiktoken import from_tekken

        roles = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
        core = from_tekken(path)
        return core, {role: token for role, token in roles.items() if core.token_to_id(token) is not None}
    return _ranks(path, settings) if is_ranks(path) else _pieces(path)


def _pieces(path: str | os.PathLike[str]) -> tuple[Tokenizer, dict[str, Any]]:
    from enfold.tokenizers.sentencepiece import BadModel, from_sentencepiece, read_model

    try:
        model = read_model(path)
    except BadModel as error:
        raise BadVocabulary(f"{os.fspath(path)!r} is neither a SentencePiece model nor a list of ranks") from error
    tokens = {}
    for role in ("bos", "eos", "unk", "pad"):
        id = getattr(model, f"{role}_id")
        if 0 <= id < len(model.pieces):
            tokens[f"{role}_token"] = model.pieces[id].text
    return from_sentencepiece(model), tokens


def _ranks(path: str | os.PathLike[str], settings: Mapping[str, Any]) -> tuple[Tokenizer, dict[str, Any]]:
    from enfold.tokenizers import normalizers
    from enfold.tokenizers.tiktoken import PATTERNS, from_tiktoken, read_ranks
    from enfold.transformers.tokenization.special import as_token

    ranks = read_ranks(path)
    stem = os.path.basename(path).split(".")[0]
    kind = str(settings.get("model_type") or "")
    listed = settings.get("added_tokens_decoder") or {}
    special = {str(getattr(as_token(token), "content", token)): int(id) for id, token in listed.items()}
    if stem == "qwen" or kind.startswith("qwen"):
        if not special:
            special = {token: len(ranks) + place for place, token in enumerate(_QWEN_TOKENS)}
        core = from_tiktoken(ranks, settings.get("pattern") or _QWEN, special)
        core.normalizer = normalizers.NFC()
        return core, {} if "<|endoftext|>" not in special else dict.fromkeys(
            ("eos_token", "pad_token"), _QWEN_TOKENS[0]
        )
    if kind == "whisper" or stem == "multilingual":
        return _whisper(ranks, settings)
    pattern = settings.get("pattern") or (stem if stem in PATTERNS else kind if kind in PATTERNS else "cl100k_base")
    if not special and pattern in ("gpt2", "r50k_base"):
        special = {"<|endoftext|>": len(ranks)}
    tokens = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"} if "<|endoftext|>" in special else {}
    return from_tiktoken(ranks, pattern, special), tokens


def _whisper(ranks: dict[bytes, int], settings: Mapping[str, Any]) -> tuple[Tokenizer, dict[str, Any]]:
    from enfold.tokenizers import AddedToken
    from enfold.tokenizers.tiktoken import from_tiktoken
    from enfold.transformers.tokenization.whisper import LANGUAGES

    # large-v3 brought the hundredth language
    count = settings.get("num_languages") or (100 if settings.get("vocab_size") == 51866 else 99)
    tail = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
    names = ["endoftext", "startoftranscript", *list(LANGUAGES)[:count], *tail]
    first = max(ranks.values()) + 1
    core = from_tiktoken(ranks, "whisper", {f"<|{name}|>": first + place for place, name in enumerate(names)})
    core.add_tokens([AddedToken(f"<|{step * 0.02:.2f}|>", normalized=False) for step in range(1501)])
    return core, dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), "<|endoftext|>")

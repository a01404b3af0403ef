"""Tokenizers out of GGUF files."""

from __future__ import annotations

from typing import Any

from enfold.checkpoints.gguf import GGUF
from enfold.errors import nearest
from enfold.tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from enfold.transformers.tokenization.fast import PreTrainedTokenizerFast
from enfold.transformers.tokenization.files import NoTokenizer
from enfold.transformers.tokenization.llama import GemmaTokenizer, LlamaTokenizer
from enfold.transformers.tokenization.vocabularies import merges_of, read_merges

__all__ = ["tokenizer_of"]

CONTROL, USER_DEFINED, UNUSED = 3, 4, 5  # kinds of tokens, as SentencePiece numbers them
# the ways to cut a text before byte-level BPE, and the names that files give to them
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CUTS = {
    "gpt-2": None,
    "default": None,
    "smollm": "digits",
    "llama-bpe": LLAMA3,
    "llama3": LLAMA3,
    "llama-v3": LLAMA3,
    "qwen2": QWEN2,
}


def tokenizer_of(file: GGUF, **settings: Any) -> PreTrainedTokenizerFast:
    """Return the tokenizer that a GGUF file holds.

    Args:
        file: the file.
        settings: override its own, as for every tokenizer.

    Raises:
        NoTokenizer: it holds none, or one of a kind that is not read here.
    """
    data = {key.removeprefix("tokenizer.ggml."): value for key, value in file.metadata.items()}
    kind, tokens = data.get("model"), data.get("tokens")
    if kind is None or tokens is None:
        raise NoTokenizer(f"{file.path} holds no tokenizer")
    own: dict[str, Any] = {}
    for role in ("bos", "eos", "unknown", "padding"):
        number = data.get(f"{role}_token_id")
        if number is not None:
            own[{"unknown": "unk", "padding": "pad"}.get(role, role) + "_token"] = tokens[number]
    if data.get("tokenizer.chat_template"):
        own["chat_template"] = data["tokenizer.chat_template"]
    for name in ("add_bos_token", "add_eos_token"):
        if data.get(name) is not None:
            own[name] = data[name]
    context = data.get(f"{data.get('general.architecture')}.context_length")
    if context:
        own["model_max_length"] = context
    own.update(settings)
    if kind == "gpt2":
        made = PreTrainedTokenizerFast(tokenizer_object=_byte_level(file, data), **own)
    elif kind == "llama":
        pieces = list(zip(tokens, data.get("scores") or [0.0] * len(tokens), strict=True))
        family = GemmaTokenizer if str(data["general.architecture"]).startswith("gemma") else LlamaTokenizer
        ids = {token: id for id, token in enumerate(tokens)}
        spaced = data.get("add_space_prefix")
        made = family(vocab=ids, merges=merges_of(pieces), add_prefix_space=spaced, **own)
    else:
        raise NoTokenizer(f"{file.path} holds a tokenizer of the kind {kind!r}; 'gpt2' and 'llama' are read here")
    kinds = data.get("token_type") or []
    added = [
        AddedToken(token, normalized=False, special=sort == CONTROL)
        for token, sort in zip(tokens, kinds, strict=False)
        if sort in (CONTROL, USER_DEFINED)
    ]
    made.add_tokens([token for token in added if not token.special])
    made.add_tokens([token for token in added if token.special], special_tokens=True)
    return made


def _byte_level(file: GGUF, data: dict[str, Any]) -> Tokenizer:
    name = data.get("pre", "default")
    if name not in CUTS:
        raise NoTokenizer(
            f"{file.path} cuts texts as {name!r} does, which is not known here{nearest(name, CUTS)}; known are "
            f"{', '.join(CUTS)}"
        )
    cut = CUTS[name]
    ids = {token: id for id, token in enumerate(data["tokens"])}
    core = Tokenizer(models.BPE(ids, read_merges(data.get("merges") or []), ignore_merges=cut == LLAMA3))
    steps: list[Any] = []
    if cut == "digits":
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    elif cut is not None:
        steps.append(pre_tokenizers.Split(Regex(cut), behavior="isolated"))
    whole = cut is None or cut == "digits"
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=whole))
    core.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
    core.decoder = decoders.ByteLevel()
    return core

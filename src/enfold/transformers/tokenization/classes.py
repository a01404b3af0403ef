"""The named tokenizers: what a family builds from its vocabulary files, and the special tokens it starts from."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from enfold.tokenizers import Tokenizer
from enfold.transformers.tokenization.base import PreTrainedTokenizerBase

__all__ = [
    "BertTokenizer",
    "BertTokenizerFast",
    "DistilBertTokenizer",
    "DistilBertTokenizerFast",
    "GPT2Tokenizer",
    "GPT2TokenizerFast",
    "LlamaTokenizer",
    "LlamaTokenizerFast",
    "PreTrainedTokenizer",
    "PreTrainedTokenizerFast",
    "TokenizersBackend",
]


class PreTrainedTokenizerFast(PreTrainedTokenizerBase):
    """A tokenizer of no named family: everything is in its tokenizer.json.

    Example:
        >>> from enfold.tokenizers import Tokenizer, models
        >>> PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))).vocab_size
        1
    """

    needed_files: ClassVar[tuple[str, ...]] = ()


PreTrainedTokenizer = PreTrainedTokenizerFast
TokenizersBackend = PreTrainedTokenizerFast


class BertTokenizer(PreTrainedTokenizerFast):
    """BERT's WordPiece.

    Args:
        vocab: vocab.txt, or token → id, or a list of tokens.
        do_lower_case: lower-case the text (and, unless told otherwise, strip its accents).
        tokenize_chinese_chars: put spaces around Chinese characters.
        strip_accents: strip accents; by default when lower-casing.
        kwargs: as for every tokenizer.
    """

    vocab_files_names = {"vocab_file": "vocab.txt", "tokenizer_file": "tokenizer.json"}
    needed_files = ("vocab_file",)
    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    default_tokens = {
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }

    def _build(self, vocab: Any = None, *_: Any, **settings: Any) -> Tokenizer:
        from enfold.transformers.tokenization.build import read_vocabulary, word_piece

        vocab = vocab if vocab is not None else settings.get("vocab_file") or settings.get("vocab")
        names = [
            str(getattr(settings[key], "content", settings[key])) for key in ("unk_token", "sep_token", "cls_token")
        ]
        tokens = (
            read_vocabulary(vocab) if vocab is not None else {t: i for i, t in enumerate(self.default_tokens.values())}
        )
        return word_piece(
            tokens,
            unk=names[0],
            sep=names[1],
            cls=names[2],
            lower=settings.get("do_lower_case", True),
            chinese=settings.get("tokenize_chinese_chars", True),
            accents=settings.get("strip_accents"),
        )

    def _adapt(self, settings: dict[str, Any]) -> None:
        self.do_lower_case = settings.get("do_lower_case", True)
        normalizer = self._tokenizer.normalizer
        if type(normalizer).__name__ != "BertNormalizer":
            return
        names = {
            "lowercase": "do_lower_case",
            "strip_accents": "strip_accents",
            "handle_chinese_chars": "tokenize_chinese_chars",
        }
        wanted = {ours: settings[theirs] for ours, theirs in names.items() if theirs in settings}
        if any(getattr(normalizer, name) != value for name, value in wanted.items()):
            for name, value in wanted.items():
                setattr(normalizer, name, value)
            self._tokenizer.normalizer = normalizer


class DistilBertTokenizer(BertTokenizer):
    """DistilBERT's WordPiece: BERT's, for a model without token types."""

    model_input_names = ["input_ids", "attention_mask"]


class GPT2Tokenizer(PreTrainedTokenizerFast):
    """GPT-2's byte-level BPE.

    Args:
        vocab: vocab.json, or token → id.
        merges: merges.txt, or a list of pairs.
        add_prefix_space: treat the first word like every other, with a space before it.
        kwargs: as for every tokenizer.
    """

    vocab_files_names = {"vocab_file": "vocab.json", "merges_file": "merges.txt", "tokenizer_file": "tokenizer.json"}
    needed_files = ("vocab_file", "merges_file")
    default_tokens = {"unk_token": "<|endoftext|>", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}

    def _build(self, vocab: Any = None, merges: Any = None, *_: Any, **settings: Any) -> Tokenizer:
        from enfold.transformers.tokenization.build import byte_level_bpe, read_merges, read_vocabulary

        vocab = vocab if vocab is not None else settings.get("vocab_file") or settings.get("vocab") or {}
        merges = merges if merges is not None else settings.get("merges_file") or settings.get("merges") or []
        return byte_level_bpe(read_vocabulary(vocab), read_merges(merges), settings.get("add_prefix_space", False))

    def _adapt(self, settings: dict[str, Any]) -> None:
        self.add_prefix_space = settings.get("add_prefix_space", False)
        step = self._tokenizer.pre_tokenizer
        if "add_prefix_space" in settings and getattr(step, "add_prefix_space", None) not in (
            None,
            self.add_prefix_space,
        ):
            step.add_prefix_space = self.add_prefix_space
            self._tokenizer.pre_tokenizer = step
        if settings.get("add_bos_token"):
            _surround(self, True, False)


class LlamaTokenizer(PreTrainedTokenizerFast):
    """Llama's BPE over SentencePiece pieces, falling back to bytes.

    Args:
        vocab: tokenizer.model, or token → id.
        merges: a list of pairs, with a vocabulary given as a dictionary.
        add_bos_token: begin with the beginning token (default True for vocabulary files; tokenizer.json says itself).
        add_eos_token: end with the end token.
        add_prefix_space: treat the first word like every other, with a space before it.
        kwargs: as for every tokenizer.
    """

    vocab_files_names = {"vocab_file": "tokenizer.model", "tokenizer_file": "tokenizer.json"}
    needed_files = ("vocab_file",)
    padding_side = "left"
    default_tokens = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}

    def _build(self, vocab: Any = None, merges: Any = None, *_: Any, **settings: Any) -> Tokenizer:
        from enfold.transformers.tokenization.build import read_merges, read_sentencepiece, sentencepiece_bpe

        vocab = vocab if vocab is not None else settings.get("vocab_file") or settings.get("vocab")
        merges = merges if merges is not None else settings.get("merges")
        unk = str(getattr(settings["unk_token"], "content", settings["unk_token"]))
        space = settings.get("add_prefix_space")
        space = True if space is None else space
        self.__dict__["_built"] = True
        if isinstance(vocab, str | os.PathLike):
            pieces, pairs, controls = read_sentencepiece(vocab)
            core = sentencepiece_bpe(pieces, pairs, unk, space)
            core.add_special_tokens(controls)
            return core
        pieces = dict(vocab) if vocab else {token: id for id, token in enumerate(self.default_tokens.values())}
        return sentencepiece_bpe(pieces, read_merges(merges or []), unk, space)

    def _adapt(self, settings: dict[str, Any]) -> None:
        built = self.__dict__.pop("_built", False)
        self.add_bos_token = settings.get("add_bos_token", True)
        self.add_eos_token = settings.get("add_eos_token", False)
        if built or "add_bos_token" in settings or "add_eos_token" in settings:
            _surround(self, bool(self.add_bos_token), bool(self.add_eos_token))

    def update_post_processor(self) -> None:
        """Put the beginning and end tokens around texts as ``add_bos_token`` and ``add_eos_token`` say now."""
        _surround(self, bool(self.add_bos_token), bool(self.add_eos_token))
        self._changed()


def _surround(tokenizer: Any, begin: bool, end: bool) -> None:
    """Make texts begin with the beginning token and end with the end token."""
    from enfold.tokenizers import processors

    first = f"{tokenizer.bos_token}:0 " if begin and tokenizer.bos_token else ""
    last = f" {tokenizer.eos_token}:0" if end and tokenizer.eos_token else ""
    used = ([tokenizer.bos_token] if first else []) + ([tokenizer.eos_token] if last else [])
    single = f"{first}$A:0{last}"
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single,
        pair=f"{single} {single.replace('$A', '$B').replace(':0', ':1')}",
        special_tokens=[(token, tokenizer.convert_tokens_to_ids(token)) for token in used],
    )


BertTokenizerFast = BertTokenizer
DistilBertTokenizerFast = DistilBertTokenizer
GPT2TokenizerFast = GPT2Tokenizer
LlamaTokenizerFast = LlamaTokenizer

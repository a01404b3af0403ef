"""The families of BPE over SentencePiece pieces: Llama, Gemma and Code Llama."""

from __future__ import annotations

import copy
import os
from typing import Any

from enfold.tokenizers import Tokenizer
from enfold.transformers.tokenization.unigram import SentencePieceTokenizer
from enfold.transformers.tokenization.vocabularies import Pieces, read_merges

__all__ = ["CodeLlamaTokenizer", "GemmaTokenizer", "LlamaTokenizer"]


class LlamaTokenizer(SentencePieceTokenizer):
    """Llama's BPE over SentencePiece pieces, falling back to bytes.

    Args:
        vocab: tokenizer.model, or token → id.
        merges: a list of pairs, with a vocabulary given as a dictionary.
        add_bos_token: begin with the beginning token (default True for vocabulary files; tokenizer.json says itself).
        add_eos_token: end with the end token.
        add_prefix_space: treat the first word like every other, with a space before it.
        legacy: False puts that space only before the very first word, not after special tokens.
        kwargs: as for every tokenizer.
    """

    vocab_files_names = {"vocab_file": "tokenizer.model", "tokenizer_file": "tokenizer.json"}
    padding_side = "left"
    default_tokens = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    default_add_bos = True

    def _build(self, vocab: Any = None, merges: Any = None, *_: Any, **settings: Any) -> Tokenizer:
        vocab = vocab if vocab is not None else settings.get("vocab_file") or settings.get("vocab")
        merges = merges if merges is not None else settings.get("merges")
        if isinstance(vocab, str | os.PathLike):
            return super()._build(vocab, **settings)
        from enfold.tokenizers import models

        ids = dict(vocab) if vocab else {token: id for id, token in enumerate(map(str, self.default_tokens.values()))}
        model = models.BPE(
            ids, read_merges(merges or []), unk_token=str(settings["unk_token"]), fuse_unk=True, byte_fallback=True
        )
        core = Tokenizer(model)
        core.normalizer = self._normalizer(Pieces([], []), settings)
        core.pre_tokenizer = self._pre_tokenizer(settings)
        core.decoder = self._decoder(settings)
        return core

    def _model(self, model: Pieces) -> Any:
        return super()._model(model._replace(byte_fallback=True))

    def _prefixed(self, settings: dict[str, Any]) -> bool:
        return settings.get("add_prefix_space") is not False

    def _normalizer(self, model: Pieces, settings: dict[str, Any]) -> Any:
        from enfold.tokenizers import normalizers

        if settings.get("legacy") is False:
            return None
        first = [normalizers.Prepend("▁")] if self._prefixed(settings) else []
        return normalizers.Sequence([*first, normalizers.Replace(" ", "▁")])

    def _pre_tokenizer(self, settings: dict[str, Any]) -> Any:
        from enfold.tokenizers import pre_tokenizers

        if settings.get("legacy") is not False:
            return None
        return pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=self._scheme(settings), split=False)

    def _decoder(self, settings: dict[str, Any]) -> Any:
        from enfold.tokenizers import decoders

        tail = [decoders.Strip(content=" ", left=1)] if self._prefixed(settings) else []
        return decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *tail])


class GemmaTokenizer(LlamaTokenizer):
    """Gemma's BPE over SentencePiece pieces: no space is put before a text."""

    default_tokens = {"unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}

    def _arrange(self, model: Pieces, settings: dict[str, Any]) -> list[tuple[str, float]]:
        pieces = super()._arrange(model, settings)
        texts = [text for text, _ in pieces]
        if "\t" not in texts and "<0x09>" in texts:
            pieces[texts.index("<0x09>")] = ("\t", 0.0)
        return pieces

    def _prefixed(self, settings: dict[str, Any]) -> bool:
        return False

    def _normalizer(self, model: Pieces, settings: dict[str, Any]) -> Any:
        from enfold.tokenizers import normalizers

        return normalizers.Replace(" ", "▁")

    def _pre_tokenizer(self, settings: dict[str, Any]) -> Any:
        from enfold.tokenizers import pre_tokenizers

        return pre_tokenizers.Split(" ", behavior="merged_with_previous")


class Siglip2Tokenizer(GemmaTokenizer):
    """SigLIP 2's BPE: Gemma's, in lower case."""

    default_tokens = {**GemmaTokenizer.default_tokens, "mask_token": "<mask>"}
    padding_side = "left"
    default_add_bos = False

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        from enfold.tokenizers import normalizers

        super()._adapt(settings, built)
        normalizer = self._tokenizer.normalizer
        if "Lowercase" not in repr(normalizer):
            steps = [normalizers.Lowercase(), *([normalizer] if normalizer is not None else [])]
            self._tokenizer.normalizer = normalizers.Sequence(steps)


class CodeLlamaTokenizer(LlamaTokenizer):
    """Code Llama's BPE: Llama's, with the tokens for filling in the middle.

    A text with ``<FILL_ME>`` in it is cut there into prefix and suffix, and the model writes what lies between.

    Args:
        prefix_token: begins the prefix.
        middle_token: begins what is to be written.
        suffix_token: begins the suffix.
        eot_token: ends what is written.
        fill_token: the place to fill.
        suffix_first: put the suffix before the prefix.
        kwargs: as for ``LlamaTokenizer``.
    """

    default_tokens = {
        **LlamaTokenizer.default_tokens,
        "prefix_token": "▁<PRE>",
        "middle_token": "▁<MID>",
        "suffix_token": "▁<SUF>",
        "eot_token": "▁<EOT>",
        "fill_token": "<FILL_ME>",
    }

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)
        self.suffix_first = bool(settings.get("suffix_first", False))

    @property
    def prefix_id(self) -> int | None:
        """The id of what begins the prefix."""
        return self.prefix_token_id

    @property
    def middle_id(self) -> int | None:
        """The id of what begins the middle."""
        return self.middle_token_id

    @property
    def suffix_id(self) -> int | None:
        """The id of what begins the suffix."""
        return self.suffix_token_id

    @property
    def eot_id(self) -> int | None:
        """The id of what ends the middle."""
        return self.eot_token_id

    def __call__(  # type: ignore[override]
        self,
        text: Any = None,
        text_pair: Any = None,
        *,
        suffix: Any = None,
        suffix_first: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Turn texts into model inputs, to be filled in where a suffix, or ``<FILL_ME>`` in one text, says so.

        Args:
            text: a text or several; with a suffix, what comes before the place to fill.
            text_pair: as for every tokenizer.
            suffix: what comes after the place to fill, shaped as ``text``.
            suffix_first: put the suffix before the prefix; the tokenizer's ``suffix_first`` by default.
            kwargs: as for every tokenizer.

        Raises:
            ValueError: the tokenizer lacks a token for filling in.
        """
        mark = self.fill_token
        if suffix is None and text_pair is None and mark and isinstance(text, str) and text.count(mark) == 1:
            text, suffix = text.split(mark)
        if not suffix:
            return super().__call__(text, text_pair, **kwargs)
        if None in (self.prefix_id, self.middle_id, self.suffix_id):
            raise ValueError("filling in needs prefix_token, middle_token and suffix_token")
        last = self.suffix_first if suffix_first is None else suffix_first
        twin = self._filling(last, bool(kwargs.pop("add_special_tokens", True)))
        spaced = f" {text}" if isinstance(text, str) else [f" {each}" for each in text]
        return super(CodeLlamaTokenizer, twin).__call__(spaced, suffix, **kwargs)

    def _filling(self, suffix_first: bool, special: bool) -> CodeLlamaTokenizer:
        """Return a tokenizer that arranges pairs of prefix and suffix."""
        from enfold.tokenizers import normalizers

        key = ("filling", suffix_first, special)
        held = self._variants.get(key)
        if held is None or held[0] != self._tokenizer.revision:
            twin = copy.copy(self)
            twin.__dict__["_tokenizer"], twin.__dict__["_variants"] = copy.deepcopy(self._tokenizer), {}
            # no space before the suffix, which goes on in the middle of a line
            twin._tokenizer.normalizer = normalizers.Replace(" ", "▁")
            twin._tokenizer.pre_tokenizer = None
            parts = (
                "{prefix}:0 {suffix}:0 $B:0 {middle}:0 $A:0"
                if suffix_first
                else "{prefix}:0 $A:0 {suffix}:0 $B:0 {middle}:0"
            )
            begin, end = "{bos}:0 " * (special and self.add_bos_token), " {eos}:0" * (special and self.add_eos_token)
            twin._surround("$A:0", f"{begin}{parts}{end}")
            held = self._variants[key] = (self._tokenizer.revision, twin)
        return held[1]

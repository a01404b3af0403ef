"""The families built from SentencePiece models: T5, ALBERT, XLNet, XLM-RoBERTa and theirs."""

from __future__ import annotations

import base64
import os
from typing import Any, ClassVar

from enfold.tokenizers import AddedToken, Tokenizer
from enfold.transformers.tokenization.fast import PreTrainedTokenizerFast, mask
from enfold.transformers.tokenization.vocabularies import Pieces, merges_of, read_sentencepiece

__all__ = [
    "AlbertTokenizer",
    "BarthezTokenizer",
    "BertGenerationTokenizer",
    "BigBirdTokenizer",
    "CamembertTokenizer",
    "DebertaV2Tokenizer",
    "FNetTokenizer",
    "MT5Tokenizer",
    "PegasusTokenizer",
    "ReformerTokenizer",
    "RemBertTokenizer",
    "SentencePieceTokenizer",
    "SiglipTokenizer",
    "T5Tokenizer",
    "VideoPrismTokenizer",
    "XGLMTokenizer",
    "XLMRobertaTokenizer",
    "XLNetTokenizer",
]

# fairseq's dictionaries begin with these, whatever the SentencePiece model begins with
FAIRSEQ = ("<s>", "<pad>", "</s>", "<unk>")
_BART = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "cls_token": "<s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
}
_ALBERT = {
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    "unk_token": "<unk>",
    "sep_token": "[SEP]",
    "pad_token": "<pad>",
    "cls_token": "[CLS]",
    "mask_token": mask("[MASK]"),
}


def _precompiled(model: Pieces) -> Any:
    from enfold.tokenizers import normalizers

    return normalizers.Precompiled(model.charsmap)  # type: ignore[attr-defined,unused-ignore]


class SentencePieceTokenizer(PreTrainedTokenizerFast):
    """What is built from a SentencePiece model file.

    Args:
        vocab: the model file; or the pieces with their scores, by id, as they stand in the finished vocabulary.
        add_prefix_space: treat the first word like every other, with a space before it.
        legacy: False puts that space only before the very first word, not after special tokens.
        kwargs: as for every tokenizer.
    """

    vocab_files_names = {"vocab_file": "spiece.model", "tokenizer_file": "tokenizer.json"}
    needed_files = ("vocab_file",)
    # pieces that come before the file's, how many of the file's they replace, and pieces that come after
    head: ClassVar[tuple[str, ...]] = ()
    replaced: ClassVar[int] = 0
    tail: ClassVar[tuple[str, ...]] = ()
    unk_id: ClassVar[int | None] = None

    def _build(self, vocab: Any = None, *_: Any, **settings: Any) -> Tokenizer:
        vocab = vocab if vocab is not None else settings.get("vocab_file") or settings.get("vocab")
        if vocab is None:
            vocab = [(str(token), 0.0) for token in dict.fromkeys(map(str, self.default_tokens.values()))]
        if isinstance(vocab, str | os.PathLike):
            model = read_sentencepiece(vocab)
            added = model.added()
            model = model._replace(pieces=self._arrange(model, settings), unk_id=self._unk(model))
        else:
            model, added = self._given(vocab, settings), []
        core = Tokenizer(self._model(model))
        core.add_tokens(added)
        core.normalizer = self._normalizer(model, settings)
        core.pre_tokenizer = self._pre_tokenizer(settings)
        core.decoder = self._decoder(settings)
        return core

    def _given(self, vocab: Any, settings: dict[str, Any]) -> Pieces:
        pieces = [(text, float(score)) for text, score in (vocab.items() if isinstance(vocab, dict) else vocab)]
        unk = str(settings["unk_token"])
        charsmap = settings.get("_spm_precompiled_charsmap") or b""
        return Pieces(
            pieces,
            [1] * len(pieces),
            unk_id=next((id for id, (text, _) in enumerate(pieces) if text == unk), 0),
            unk_piece=unk,
            charsmap=base64.b64decode(charsmap) if isinstance(charsmap, str) else charsmap,
        )

    def _model(self, model: Pieces) -> Any:
        from enfold.tokenizers import models

        if model.algorithm == 1:
            return models.Unigram(  # type: ignore[attr-defined,unused-ignore]
                model.pieces, model.unk_id, model.byte_fallback
            )
        ids = {text: id for id, (text, _) in enumerate(model.pieces)}
        return models.BPE(
            ids, merges_of(model.pieces), unk_token=model.unk_piece, fuse_unk=True, byte_fallback=model.byte_fallback
        )

    def _arrange(self, model: Pieces, settings: dict[str, Any]) -> list[tuple[str, float]]:
        """Return the finished vocabulary: the file's pieces with those that the family puts around them."""
        head, tail = [(text, 0.0) for text in self.head], [(text, 0.0) for text in self.tail]
        return [*head, *model.pieces[self.replaced :], *tail]

    def _unk(self, model: Pieces) -> int:
        return model.unk_id if self.unk_id is None else self.unk_id

    def _normalizer(self, model: Pieces, settings: dict[str, Any]) -> Any:
        from enfold.tokenizers import Regex, normalizers

        first = [_precompiled(model)] if model.charsmap else []
        rest = [normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")]
        return normalizers.Sequence([*first, *rest])

    def _scheme(self, settings: dict[str, Any]) -> str:
        space = settings.get("add_prefix_space")
        if space is not None and not space:
            return "never"
        return "first" if settings.get("legacy") is False else "always"

    def _pre_tokenizer(self, settings: dict[str, Any]) -> Any:
        from enfold.tokenizers import pre_tokenizers

        return pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=self._scheme(settings))

    def _decoder(self, settings: dict[str, Any]) -> Any:
        from enfold.tokenizers import decoders

        return decoders.Metaspace(replacement="▁", prepend_scheme=self._scheme(settings))


class T5Tokenizer(SentencePieceTokenizer):
    """T5's Unigram with its sentinel tokens.

    Args:
        extra_ids: how many ``<extra_id_N>`` there are; the first has the highest id.
        kwargs: as for ``SentencePieceTokenizer``.

    Raises:
        ValueError: ``additional_special_tokens`` name other sentinels than ``extra_ids`` counts.
    """

    default_tokens = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    single = "$A:0 {eos}:0"
    pair = "$A:0 {eos}:0 $B:0 {eos}:0"

    def __init__(self, *args: Any, extra_ids: int = 100, **kwargs: Any) -> None:
        given = kwargs.pop("additional_special_tokens", None) or kwargs.pop("extra_special_tokens", None) or []
        sentinels = [token for token in given if "<extra_id_" in str(token)]
        if not sentinels:
            given = [*given, *(f"<extra_id_{number}>" for number in range(extra_ids))]
        elif extra_ids and extra_ids != len(sentinels):
            raise ValueError(f"extra_ids is {extra_ids}, but additional_special_tokens name {len(sentinels)} sentinels")
        self.__dict__["_extra_ids"] = extra_ids
        super().__init__(*args, extra_ids=extra_ids, additional_special_tokens=given, **kwargs)

    def _arrange(self, model: Pieces, settings: dict[str, Any]) -> list[tuple[str, float]]:
        count = self.__dict__["_extra_ids"]
        return [*model.pieces, *((f"<extra_id_{number}>", 0.0) for number in range(count - 1, -1, -1))]

    def get_sentinel_tokens(self) -> list[str]:
        """Return the sentinel tokens."""
        return list(dict.fromkeys(token for token in self.additional_special_tokens if "<extra_id_" in token))

    def get_sentinel_token_ids(self) -> list[int]:
        """Return the sentinel tokens' ids."""
        return [self.convert_tokens_to_ids(token) for token in self.get_sentinel_tokens()]


class MT5Tokenizer(T5Tokenizer):
    """mT5's Unigram, which is T5's with a vocabulary of its own."""


class VideoPrismTokenizer(T5Tokenizer):
    """VideoPrism's Unigram: T5's, with nothing behind texts."""

    single = pair = ""


class _AlbertLike(SentencePieceTokenizer):
    """What normalizes quotation marks, accents and case before SentencePiece.

    Args:
        do_lower_case: lower-case the text.
        keep_accents: leave accents.
        kwargs: as for ``SentencePieceTokenizer``.
    """

    lower: ClassVar[bool] = True
    accents: ClassVar[bool] = False

    def _normalizer(self, model: Pieces, settings: dict[str, Any]) -> Any:
        from enfold.tokenizers import Regex, normalizers

        steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
        if not settings.get("keep_accents", self.accents):
            steps += [normalizers.NFKD(), normalizers.StripAccents()]
        if settings.get("do_lower_case", self.lower):
            steps.append(normalizers.Lowercase())
        if model.charsmap:
            steps.append(_precompiled(model))
        return normalizers.Sequence([*steps, normalizers.Replace(Regex(" {2,}"), " ")])

    def _arrange(self, model: Pieces, settings: dict[str, Any]) -> list[tuple[str, float]]:
        # a piece such as "9," would keep a number from its own pieces: it gives way to all others
        def commas(text: str) -> bool:
            return len(text) > 1 and text[-1] == "," and text[-2].isdigit()

        return [(text, score - 100 if commas(text) else score) for text, score in model.pieces]


class AlbertTokenizer(_AlbertLike):
    """ALBERT's Unigram, with BERT's special tokens around."""

    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    default_tokens = _ALBERT
    single = "{cls}:0 $A:0 {sep}:0"
    pair = "{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1"


class FNetTokenizer(AlbertTokenizer):
    """FNet's Unigram: ALBERT's, with case and accents kept."""

    model_input_names = ["input_ids", "token_type_ids"]
    default_tokens = {key: value for key, value in _ALBERT.items() if key not in ("bos_token", "eos_token")}
    lower = False
    accents = True


class RemBertTokenizer(AlbertTokenizer):
    """RemBERT's Unigram, with BERT's special tokens around; case and accents stay."""

    default_tokens = {**_ALBERT, "unk_token": "[UNK]", "pad_token": "[PAD]"}
    lower = False
    accents = True
    vocab_files_names = {"vocab_file": "sentencepiece.model", "tokenizer_file": "tokenizer.json"}

    def _arrange(self, model: Pieces, settings: dict[str, Any]) -> list[tuple[str, float]]:
        return model.pieces

    def _normalizer(self, model: Pieces, settings: dict[str, Any]) -> Any:
        from enfold.tokenizers import normalizers

        steps = list(super()._normalizer(model, settings))
        return normalizers.Sequence([*steps[:2], steps[-1], *steps[2:-1]])


class XLNetTokenizer(_AlbertLike):
    """XLNet's Unigram, with its special tokens at the end and padding at the beginning."""

    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    padding_side = "left"
    pad_token_type_id = 3
    lower = False
    default_tokens = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "sep_token": "<sep>",
        "pad_token": "<pad>",
        "cls_token": "<cls>",
        "mask_token": mask("<mask>"),
    }
    default_extra = ("<eop>", "<eod>")
    single = "$A:0 {sep}:0 {cls}:2"
    pair = "$A:0 {sep}:0 $B:1 {sep}:1 {cls}:2"


class BigBirdTokenizer(SentencePieceTokenizer):
    """BigBird's SentencePiece, with BERT's special tokens around."""

    default_tokens = {
        **_BART,
        "sep_token": "[SEP]",
        "mask_token": mask("[MASK]"),
        "cls_token": "[CLS]",
    }
    single = "{cls}:0 $A:0 {sep}:0"
    pair = "{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1"


class ReformerTokenizer(SentencePieceTokenizer):
    """Reformer's SentencePiece, with nothing around."""

    default_tokens = {"eos_token": "</s>", "unk_token": "<unk>"}


class BertGenerationTokenizer(SentencePieceTokenizer):
    """The SentencePiece of BERT for generation, with nothing around."""

    default_tokens = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "sep_token": "<::::>",
    }


class DebertaV2Tokenizer(SentencePieceTokenizer):
    """DeBERTa-v2's and v3's Unigram, with BERT's special tokens around.

    Args:
        do_lower_case: lower-case the text.
        split_by_punct: cut at punctuation first.
        kwargs: as for ``SentencePieceTokenizer``.
    """

    vocab_files_names = {"vocab_file": "spm.model", "tokenizer_file": "tokenizer.json"}
    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    default_tokens = {
        "bos_token": "[CLS]",
        "eos_token": "[SEP]",
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    single = "{cls}:0 $A:0 {sep}:0"
    pair = "{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1"

    def _normalizer(self, model: Pieces, settings: dict[str, Any]) -> Any:
        from enfold.tokenizers import Regex, normalizers

        steps: list[Any] = [normalizers.Lowercase()] if settings.get("do_lower_case") else []
        steps.append(normalizers.Strip())
        if model.charsmap:
            steps.append(_precompiled(model))
        return normalizers.Sequence([*steps, normalizers.Replace(Regex(" {2,}"), " ")])

    def _pre_tokenizer(self, settings: dict[str, Any]) -> Any:
        from enfold.tokenizers import pre_tokenizers

        cut = [pre_tokenizers.Punctuation(behavior="isolated")] if settings.get("split_by_punct") else []
        return pre_tokenizers.Sequence([*cut, super()._pre_tokenizer(settings)])


def _apart(content: str) -> AddedToken:
    """Return a special token that takes the white space around it with it."""
    return AddedToken(content, lstrip=True, rstrip=True, normalized=False, special=True)


class SiglipTokenizer(SentencePieceTokenizer):
    """SigLIP's SentencePiece: texts without punctuation in lower case, the end token after them, which also pads.

    Args:
        do_lower_case: lower-case the text.
        model_max_length: longest input in tokens, 64 by default.
        kwargs: as for ``SentencePieceTokenizer``.
    """

    default_tokens = {"eos_token": _apart("</s>"), "unk_token": _apart("<unk>"), "pad_token": _apart("</s>")}
    # in the ecosystem this class reads no tokenizer.json
    saved_class = "PreTrainedTokenizerFast"
    single = "$A:0 {eos}:0"
    pair = "$A:0 {eos}:0 $B:0 {eos}:0"

    def __init__(self, *args: Any, model_max_length: int | None = 64, **kwargs: Any) -> None:
        super().__init__(*args, model_max_length=model_max_length, **kwargs)

    def _normalizer(self, model: Pieces, settings: dict[str, Any]) -> Any:
        from enfold.tokenizers import Regex, normalizers

        steps: list[Any] = [normalizers.Lowercase()] if settings.get("do_lower_case", True) else []
        steps += [normalizers.Replace(Regex(r"[!-/:-@\[-`{-~]"), ""), normalizers.Replace(Regex(r"\s+"), " ")]
        steps += [normalizers.Strip(), *([_precompiled(model)] if model.charsmap else [])]
        return normalizers.Sequence([*steps, normalizers.Replace(Regex(" {2,}"), " ")])


class PegasusTokenizer(SentencePieceTokenizer):
    """PEGASUS's Unigram: 103 special ids first, the end token after texts.

    Args:
        mask_token_sent: the token for a masked sentence.
        offset: how many ids are special before the pieces of the file.
        kwargs: as for ``SentencePieceTokenizer``.
    """

    default_tokens = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask_2>"}
    single = "$A:0 {eos}:0"
    pair = "$A:0 $B:0 {eos}:0"

    def __init__(self, *args: Any, mask_token_sent: Any = "<mask_1>", offset: int = 103, **kwargs: Any) -> None:
        given = kwargs.pop("additional_special_tokens", None) or kwargs.pop("extra_special_tokens", None)
        if given is not None:
            sent = [] if mask_token_sent is None or mask_token_sent in given else [mask_token_sent]
            given = [*sent, *given]
            given += [f"<unk_{number}>" for number in range(len(given), offset - 1)]
        else:
            given = [] if mask_token_sent is None else [mask_token_sent]
            given += [f"<unk_{number}>" for number in range(2, offset)]
        self.offset, self.mask_token_sent = offset, mask_token_sent
        super().__init__(
            *args, mask_token_sent=mask_token_sent, offset=offset, additional_special_tokens=given, **kwargs
        )

    def _arrange(self, model: Pieces, settings: dict[str, Any]) -> list[tuple[str, float]]:
        names = [str(settings["pad_token"]), str(settings["eos_token"])]
        if self.mask_token_sent is not None:
            names.append(self.mask_token_sent)
            names.append(str(settings["mask_token"]))
        head = [(text, 0.0) for text in names]
        head += [(f"<unk_{number}>", -100.0) for number in range(2, self.offset)]
        return [*head, *model.pieces[2:]]

    def _unk(self, model: Pieces) -> int:
        return model.unk_id + self.offset

    def _pre_tokenizer(self, settings: dict[str, Any]) -> Any:
        from enfold.tokenizers import pre_tokenizers

        return pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), super()._pre_tokenizer(settings)])


class XLMRobertaTokenizer(SentencePieceTokenizer):
    """XLM-RoBERTa's Unigram: fairseq's ids, RoBERTa's special tokens around."""

    vocab_files_names = {"vocab_file": "sentencepiece.bpe.model", "tokenizer_file": "tokenizer.json"}
    default_tokens = {**_BART, "mask_token": mask("<mask>")}
    head: ClassVar[tuple[str, ...]] = FAIRSEQ
    replaced = 3
    tail: ClassVar[tuple[str, ...]] = ("<mask>",)
    unk_id = 3
    single = "{bos}:0 $A:0 {eos}:0"
    pair = "{bos}:0 $A:0 {eos}:0 {eos}:0 $B:0 {eos}:0"


class XGLMTokenizer(XLMRobertaTokenizer):
    """XGLM's Unigram: fairseq's ids, the end token before every text."""

    default_tokens = _BART
    tail = tuple(f"<madeupword{number}>" for number in range(7))
    default_extra = tail
    single = "{eos}:0 $A:0"
    pair = "{eos}:0 $A:0 {eos}:0 {eos}:0 $B:0"


class BarthezTokenizer(XLMRobertaTokenizer):
    """BARThez's Unigram, with RoBERTa's special tokens around."""

    head = ()
    replaced = 0
    tail = ()


class CamembertTokenizer(XLMRobertaTokenizer):
    """CamemBERT's Unigram: fairseq's ids of its own kind, RoBERTa's special tokens around."""

    default_extra = ("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED")
    head = ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED")
    replaced = 1

    def _arrange(self, model: Pieces, settings: dict[str, Any]) -> list[tuple[str, float]]:
        made = super()._arrange(model, settings)
        made[4] = (made[4][0], -100.0)
        return made

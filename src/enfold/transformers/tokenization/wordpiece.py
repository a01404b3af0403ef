"""BERT's family: words at spaces and punctuation, then WordPiece."""

from __future__ import annotations

from typing import Any

from enfold.tokenizers import Tokenizer
from enfold.transformers.tokenization.fast import PreTrainedTokenizerFast, mask
from enfold.transformers.tokenization.vocabularies import read_vocabulary

__all__ = [
    "BertTokenizer",
    "ConvBertTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "FunnelTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MPNetTokenizer",
    "MobileBertTokenizer",
    "RealmTokenizer",
    "RetriBertTokenizer",
    "SplinterTokenizer",
    "SqueezeBertTokenizer",
]

# arguments of the tokenizers → options of the normalizer
_NORMALIZER = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


class BertTokenizer(PreTrainedTokenizerFast):
    """BERT's WordPiece.

    Args:
        vocab: vocab.txt, or token → id, or a list of tokens.
        do_lower_case: lower-case the text (and, unless told otherwise, strip its accents).
        tokenize_chinese_chars: put spaces around Chinese characters.
        strip_accents: strip accents; by default when lower-casing.
        kwargs: as for every tokenizer.

    Example:
        >>> tokenizer = BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "##s"])
        >>> tokenizer("Hellos").tokens()
        ['[CLS]', 'hello', '##s', '[SEP]']
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
    single = "{cls}:0 $A:0 {sep}:0"
    pair = "{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1"

    def _build(self, vocab: Any = None, *_: Any, **settings: Any) -> Tokenizer:
        from enfold.tokenizers import decoders, models, normalizers, pre_tokenizers

        vocab = vocab if vocab is not None else settings.get("vocab_file") or settings.get("vocab")
        if vocab is None:
            names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
            vocab = list(dict.fromkeys(str(settings[name]) for name in names))
        core = Tokenizer(models.WordPiece(read_vocabulary(vocab), unk_token=str(settings["unk_token"])))
        core.normalizer = normalizers.BertNormalizer(
            clean_text=settings.get("clean_text", True),
            handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
            strip_accents=settings.get("strip_accents"),
            lowercase=settings.get("do_lower_case", True),
        )
        core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        core.decoder = decoders.WordPiece(prefix=settings.get("wordpieces_prefix", "##"))
        return core

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)
        self.do_lower_case = settings.get("do_lower_case", True)
        normalizer = self._tokenizer.normalizer
        if built or type(normalizer).__name__ != "BertNormalizer":
            return
        wanted = {ours: settings[theirs] for theirs, ours in _NORMALIZER.items() if theirs in settings}
        if any(getattr(normalizer, name) != value for name, value in wanted.items()):
            for name, value in wanted.items():
                setattr(normalizer, name, value)
            self._tokenizer.normalizer = normalizer


class DistilBertTokenizer(BertTokenizer):
    """DistilBERT's WordPiece: BERT's, for a model without token types."""

    model_input_names = ["input_ids", "attention_mask"]


class ElectraTokenizer(BertTokenizer):
    """ELECTRA's WordPiece, which is BERT's."""


class MobileBertTokenizer(BertTokenizer):
    """MobileBERT's WordPiece, which is BERT's."""


class SqueezeBertTokenizer(BertTokenizer):
    """SqueezeBERT's WordPiece, which is BERT's."""


class ConvBertTokenizer(BertTokenizer):
    """ConvBERT's WordPiece, which is BERT's."""


class LayoutLMTokenizer(BertTokenizer):
    """LayoutLM's WordPiece, which is BERT's; boxes are the caller's."""


class LxmertTokenizer(BertTokenizer):
    """LXMERT's WordPiece, which is BERT's."""


class RealmTokenizer(BertTokenizer):
    """REALM's WordPiece, which is BERT's."""


class RetriBertTokenizer(DistilBertTokenizer):
    """RetriBERT's WordPiece: BERT's, for a model without token types."""


class DPRQuestionEncoderTokenizer(BertTokenizer):
    """DPR's WordPiece for questions, which is BERT's."""


class DPRContextEncoderTokenizer(BertTokenizer):
    """DPR's WordPiece for passages, which is BERT's."""


class FunnelTokenizer(BertTokenizer):
    """Funnel Transformer's WordPiece: BERT's with other special tokens, and a token type of its own for the first."""

    default_tokens = {
        "unk_token": "<unk>",
        "sep_token": "<sep>",
        "pad_token": "<pad>",
        "cls_token": "<cls>",
        "mask_token": "<mask>",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    single = "{cls}:2 $A:0 {sep}:0"
    pair = "{cls}:2 $A:0 {sep}:0 $B:1 {sep}:1"


class MPNetTokenizer(DistilBertTokenizer):
    """MPNet's WordPiece: BERT's with RoBERTa's special tokens around."""

    default_tokens = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "cls_token": "<s>",
        "unk_token": "[UNK]",
        "pad_token": "<pad>",
        "mask_token": mask("<mask>"),
    }
    pair = "{cls}:0 $A:0 {sep}:0 {sep}:0 $B:1 {sep}:1"


class SplinterTokenizer(BertTokenizer):
    """Splinter's WordPiece: BERT's, with a question token between a question and its passage.

    Args:
        question_token: the token whose place the answer's start and end are predicted from.
        kwargs: as for ``BertTokenizer``.
    """

    default_tokens = {**BertTokenizer.default_tokens, "question_token": "[QUESTION]"}

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)
        if built:
            between = "{question}:0 .:0 {sep}:0"
            right = f"{{cls}}:0 $A:0 {between} $B:1 {{sep}}:1"
            left = f"{{cls}}:0 $A:0 {{sep}}:0 $B:1 {between.replace(':0', ':1')}"
            self._surround(self.single, right if self.padding_side == "right" else left)

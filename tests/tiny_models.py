"""Tiny models with a tokenizer of a dozen words, in local folders."""

from __future__ import annotations

from pathlib import Path

import torch

from enfold.tokenizers import Tokenizer, models, pre_tokenizers
from enfold.transformers import PreTrainedTokenizerFast

WORDS = "[PAD] [CLS] [SEP] [UNK] the cat sat on a mat dog".split()


def folder(path: Path, model: torch.nn.Module) -> str:
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", bos_token="[CLS]", cls_token="[CLS]",
        sep_token="[SEP]",
    )  # fmt: skip
    fast.save_pretrained(path)
    model.save_pretrained(path)
    return str(path)

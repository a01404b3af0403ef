"""A tiny tokenizer with a chat template, and tiny models, for alignment trainings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from enfold.tokenizers import Tokenizer, models, pre_tokenizers
from enfold.transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))
from trl_runs import COMMON, LLAMA, TEMPLATE, WORDS


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a language model, a reward model beside it in ``judge``, and the tokenizer in both."""
    root = tmp_path_factory.mktemp("tiny")
    words = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", eos_token="[END]")
    made.chat_template = TEMPLATE
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**LLAMA)).save_pretrained(root)
    LlamaForSequenceClassification(LlamaConfig(**LLAMA, num_labels=1)).save_pretrained(root / "judge")
    made.save_pretrained(root)
    made.save_pretrained(root / "judge")
    return root


@pytest.fixture
def tokenizer(tokenizer_folder: Path) -> Any:
    return PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)


@pytest.fixture
def model(tokenizer_folder: Path) -> Any:
    return LlamaForCausalLM.from_pretrained(tokenizer_folder)


@pytest.fixture
def judge(tokenizer_folder: Path) -> Any:
    return LlamaForSequenceClassification.from_pretrained(tokenizer_folder / "judge")


@pytest.fixture
def common(tmp_path: Path) -> dict[str, Any]:
    return {**COMMON, "output_dir": str(tmp_path / "out"), "max_steps": 2}

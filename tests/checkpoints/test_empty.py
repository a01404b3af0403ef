"""Modules made without memory: nothing is drawn there, and nothing else of torch's behaviour changes."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from enfold.checkpoints import without_weights


def test_modules_have_shapes_and_no_memory() -> None:
    with without_weights():
        parts = [nn.Embedding(50, 8), nn.Linear(8, 6), nn.LayerNorm(6), nn.Conv2d(3, 4, 2), nn.LSTM(4, 5)]
    tensors = [tensor for part in parts for tensor in part.parameters()]
    assert all(tensor.is_meta and tensor.requires_grad for tensor in tensors)
    assert [tuple(tensor.shape) for tensor in tensors[:3]] == [(50, 8), (6, 8), (6,)]


def test_the_generator_of_the_user_is_not_moved() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with without_weights():
        nn.Linear(4, 4)
    assert torch.equal(torch.rand(3), expected)


def test_what_is_made_with_memory_is_filled_as_always() -> None:
    with without_weights():
        table = torch.zeros(4, device="cpu").fill_(3.0)
        layer = nn.Linear(2, 2, device="cpu")
    assert table.tolist() == [3.0] * 4
    assert not layer.weight.is_meta and bool(layer.weight.abs().sum() > 0)


def test_it_ends_when_an_error_does() -> None:
    with pytest.raises(ZeroDivisionError), without_weights():
        raise ZeroDivisionError
    assert not nn.Linear(2, 2).weight.is_meta


def test_loading_a_model_imports_no_compiler(tmp_path: object) -> None:
    code = (
        "import sys; from enfold import transformers as tf\n"
        "config = tf.BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, "
        "intermediate_size=8)\n"
        f"tf.BertModel(config).save_pretrained({str(tmp_path)!r})\n"
        f"model = tf.AutoModel.from_pretrained({str(tmp_path)!r})\n"
        "import torch\n"
        "with torch.no_grad(): model(torch.ones(1, 2, dtype=torch.long))\n"
        "assert not {'torch._dynamo', 'sympy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

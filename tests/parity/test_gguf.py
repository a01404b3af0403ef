"""GGUF files as the format's own package and transformers read them: the same numbers, logits and tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as tf
from enfold.checkpoints import GGUF

pytestmark = pytest.mark.peer

HERE = Path(__file__).resolve().parent
IDS = [[3, 17, 5, 40, 11, 8, 2], [60, 1, 2, 3, 4, 5, 6]]
TYPES = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4")


@pytest.fixture(scope="module")
def both(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The files, and what the peers make of them."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("gguf")
    return folder, peer(HERE / "peer_gguf.py", folder)


@pytest.mark.parametrize("kind", [*TYPES, "F32", "F16", "F64", "I32"])
def test_every_type_of_block_gives_the_same_numbers(both: Any, kind: str) -> None:
    file = GGUF(both[0] / "blocks.gguf")
    assert file.metadata["some.words"] == ["a", "b c"] and file.metadata["some.numbers"] == [1, 2, 3]
    found, expected = file.tensor(kind).numpy(), both[1][f"block|{kind}"]
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("arch", ["llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "gpt2"])
def test_a_model_gives_the_same_logits(both: Any, arch: str) -> None:
    folder, peers = both
    model, info = tf.AutoModelForCausalLM.from_pretrained(folder, gguf_file=f"{arch}.gguf", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and model.dtype == torch.float32
    with torch.no_grad():
        found = model(torch.tensor(IDS)).logits.numpy()
    np.testing.assert_allclose(found, peers[f"model|{arch}"], rtol=1e-4, atol=1e-4)


def test_a_tokenizer_of_pieces_gives_the_same_tokens(both: Any) -> None:
    folder, peers = both
    tokenizer = tf.AutoTokenizer.from_pretrained(folder, gguf_file="llama.gguf")
    assert tokenizer(["abc ab a", "b  é", "a!?c"])["input_ids"] == peers["ids"]
    assert tokenizer.bos_token == "<s>" and tokenizer.model_max_length == 1024

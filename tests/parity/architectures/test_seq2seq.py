"""T5, BART, and what is built like them, beside transformers'."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as tf
from enfold.nn.cache import EncoderDecoderCache
from parity.architectures.comparing import Both, Comparison
from parity.architectures.harness import scramble
from parity.architectures.seq2seq import GATED, pairs

# What transformers says about a folder's T5, and how it saves it.
SAVE_AGAIN = """
import json, sys, torch
from transformers import T5ForConditionalGeneration
model = T5ForConditionalGeneration.from_pretrained(sys.argv[1])
model.save_pretrained(sys.argv[2])
with torch.no_grad():
    logits = model(**{name: torch.tensor(value) for name, value in json.loads(sys.argv[3]).items()}).logits
print(json.dumps(logits.tolist()))
"""


def given(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return inputs as lists."""
    return {name: value.tolist() for name, value in inputs.items()}


class TestSeq2Seq(Comparison):
    """Text to text."""

    group = "seq2seq"

    @pytest.mark.parametrize("name", ["t5-writes", "bart-writes", "mbart-writes", "m2m-writes", "marian-writes"])
    def test_writing_in_pieces_equals_writing_at_once(self, both: Both, name: str) -> None:
        model, _ = both.load(both.theirs, name)
        given = pairs("")("right")
        mask = given.pop("decoder_attention_mask")
        ids = given.pop("decoder_input_ids").clamp(min=1)
        with torch.no_grad():
            whole = model(**given, decoder_input_ids=ids).logits
            read = model.get_encoder()(given["input_ids"], attention_mask=given["attention_mask"])
            draw = random.Random(name)
            drawn = [sorted(draw.sample(range(1, ids.shape[1]), draw.randint(1, 4))) for _ in range(4)]
            for cuts in ([2, 3], [1, 6], [1, 2, 3, 4, 5, 6], *drawn):
                cache, found, start = EncoderDecoderCache(), [], 0
                for stop in [*cuts, ids.shape[1]]:
                    output = model(
                        encoder_outputs=read,
                        attention_mask=given["attention_mask"],
                        decoder_input_ids=ids[:, start:stop],
                        decoder_attention_mask=torch.ones_like(mask[:, :stop]),
                        past_key_values=cache,
                        use_cache=True,
                    )
                    found.append(output.logits)
                    start = stop
                torch.testing.assert_close(torch.cat(found, 1), whole, rtol=1e-5, atol=1e-5)

    def test_a_head_of_its_own_stays_one(self, both: Both, peer: Callable[..., Any], tmp_path: Path) -> None:
        """T5 1.1's files say that the head shares the embeddings, or that it does not; the tensors count."""
        config = tf.T5Config(**GATED, tie_word_embeddings=False)
        model = tf.T5ForConditionalGeneration(config).eval()
        scramble(model)
        assert not model.config.scale_decoder_outputs
        model.save_pretrained(tmp_path / "ours")
        told = peer(SAVE_AGAIN, tmp_path / "ours", tmp_path / "theirs", given(pairs("")("right")))
        inputs = pairs("")("right")
        with torch.no_grad():
            here = model(**inputs).logits
            model, info = tf.T5ForConditionalGeneration.from_pretrained(tmp_path / "theirs", output_loading_info=True)
            assert not info["missing_keys"]
            back = model(**inputs).logits
        keep = inputs["decoder_attention_mask"].bool()
        np.testing.assert_allclose(here[keep].numpy(), np.array(told)[keep.numpy()], atol=1e-4)
        torch.testing.assert_close(back, here)
        assert model.lm_head.weight is not model.shared.weight

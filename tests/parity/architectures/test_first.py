"""BERT, DistilBERT, GPT-2 and Llama beside transformers'."""

from __future__ import annotations

import pytest
import torch

from parity.architectures.comparing import Both, Comparison


class TestFirst(Comparison):
    """The first four families."""

    group = "first"

    @pytest.mark.parametrize("name", ["bert-masked", "gpt2-causal", "llama-causal"])
    def test_attention_weights_do_not_change_the_result(self, both: Both, name: str) -> None:
        model, _ = both.load(both.theirs, name)
        ids = torch.randint(1, 90, (2, 7))
        with torch.no_grad():
            plain, explicit = model(ids).logits, model(ids, output_attentions=True)
        torch.testing.assert_close(plain, explicit.logits, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(explicit.attentions[0].sum(-1), torch.ones(2, explicit.attentions[0].shape[1], 7))

"""Text encoders beside transformers'."""

from __future__ import annotations

import pytest
import torch

from parity.architectures.comparing import Both, Comparison


class TestEncoders(Comparison):
    """RoBERTa, XLM-RoBERTa, ELECTRA, ALBERT, MPNet, and BERT with cross-attention."""

    group = "encoders"

    @pytest.mark.parametrize("name", ["bert-crossed", "roberta-crossed", "electra-crossed", "roberta-causal"])
    @pytest.mark.parametrize("split", [1, 4, 8])
    def test_a_text_read_in_pieces_equals_the_whole(self, both: Both, name: str, split: int) -> None:
        model, _ = both.load(both.theirs, name)
        given = both.cases[name].inputs("")
        memory = {key: value for key, value in given.items() if key.startswith("encoder_")}
        ids = given["input_ids"]
        with torch.no_grad():
            whole = model(ids, **memory).logits
            first = model(ids[:, :split], use_cache=True, **memory)
            rest = model(ids[:, split:], past_key_values=first.past_key_values, **memory).logits
        torch.testing.assert_close(torch.cat((first.logits, rest), 1), whole, rtol=1e-5, atol=1e-5)

"""Models of texts beside transformers': the first four families, encoders, and decoders."""

from __future__ import annotations

import pytest
import torch

from parity.architectures.comparing import Both, Comparison
from parity.architectures.pieces import Pieces


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


class TestNewerEncoders(Comparison):
    """DeBERTa-v2 and ModernBERT."""

    group = "newer_encoders"


class TestDecoders(Pieces):
    """The group."""

    group = "decoders"
    whole = ("phi3-long",)


class TestMoreDecoders(Pieces):
    """The group."""

    group = "decoders_more"

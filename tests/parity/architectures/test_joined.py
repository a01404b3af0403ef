"""Encoders and decoders of different families beside transformers'."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import enfold.transformers as tf
from enfold.errors import EnfoldError
from parity.architectures.comparing import Both, Comparison
from parity.architectures.first import BERT, GPT2
from parity.architectures.joined import pictures


class TestJoined(Comparison):
    """Two parts."""

    group = "joined"

    def test_a_picture_is_described_with_and_without_a_cache(self, both: Both) -> None:
        model, _ = both.load(both.theirs, "vit-gpt2")
        given = {"pixel_values": pictures("")["pixel_values"], "max_new_tokens": 6, "eos_token_id": 98}
        kept = model.generate(**given, num_beams=2)
        assert kept.shape == (3, 7) and (kept[:, 0] == 96).all()
        torch.testing.assert_close(model.generate(**given, num_beams=2, use_cache=False), kept)

    def test_two_checkpoints_are_put_together(self, tmp_path: Path) -> None:
        tf.BertModel(tf.BertConfig(**BERT)).save_pretrained(tmp_path / "reads")
        tf.GPT2LMHeadModel(tf.GPT2Config(**GPT2)).save_pretrained(tmp_path / "writes")
        model = tf.EncoderDecoderModel.from_encoder_decoder_pretrained(
            tmp_path / "reads", tmp_path / "writes", decoder_start_token_id=98, pad_token_id=0
        )
        model.save_pretrained(tmp_path / "both")
        back = tf.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "both")
        assert type(back) is tf.EncoderDecoderModel
        ids = torch.tensor([[5, 6, 7]])
        torch.testing.assert_close(
            back(ids, decoder_input_ids=ids).logits, model.eval()(ids, decoder_input_ids=ids).logits
        )
        with pytest.raises(EnfoldError, match="resize the parts"):
            model.resize_token_embeddings(7)

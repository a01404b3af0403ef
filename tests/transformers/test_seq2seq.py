"""Encoder-decoders: sharing, resizing, checkpointing, how generation begins, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as tf
from enfold.errors import EnfoldError
from enfold.transformers.generation.alignment import median_filter, warp
from enfold.transformers.generation.config import GenerationError
from enfold.transformers.models.bart_core import ScaledEmbedding
from enfold.transformers.tokenization.batch import BatchEncoding

BART: dict[str, Any] = {
    "vocab_size": 50,
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_ffn_dim": 20,
    "decoder_ffn_dim": 20,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "max_position_embeddings": 40,
    "init_std": 0.3,
}
T5: dict[str, Any] = {
    "vocab_size": 50,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 20,
    "num_layers": 2,
    "num_heads": 2,
    "decoder_start_token_id": 0,
}
MARIAN = {**BART, "pad_token_id": 49, "decoder_start_token_id": 49, "eos_token_id": 0, "forced_eos_token_id": 0}
IDS = torch.tensor([[5, 6, 7, 8, 2], [9, 10, 2, 1, 1]])
LABELS = torch.tensor([[11, 12, 13], [14, 15, -100]])


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


def test_embeddings_and_head_are_one_tensor_after_loading(tmp_path: Path) -> None:
    tf.BartForConditionalGeneration(tf.BartConfig(**BART)).save_pretrained(tmp_path)
    model = tf.BartForConditionalGeneration.from_pretrained(tmp_path)
    shared = model.model.shared.weight
    assert model.lm_head.weight is shared
    assert model.model.encoder.embed_tokens.weight is shared is model.model.decoder.embed_tokens.weight
    base = tf.BartModel.from_pretrained(tmp_path)
    assert base.encoder.embed_tokens.weight is base.shared.weight


@pytest.mark.parametrize("scale", [False, True])
def test_resizing_keeps_what_is_shared_and_how_it_is_scaled(scale: bool) -> None:
    model = tf.BartForConditionalGeneration(tf.BartConfig(**BART, scale_embedding=scale)).eval()
    before = model(IDS, decoder_input_ids=IDS).logits
    new = model.resize_token_embeddings(60)
    assert isinstance(new, ScaledEmbedding) and new.num_embeddings == 60 and new.scale == (4.0 if scale else 1.0)
    assert model.lm_head.weight is model.model.encoder.embed_tokens.weight is new.weight
    assert model.final_logits_bias.shape == (1, 60) and model.config.vocab_size == 60
    torch.testing.assert_close(model(IDS, decoder_input_ids=IDS).logits[..., :50], before)


def test_sides_with_words_of_their_own_are_resized_apart() -> None:
    config = tf.MarianConfig(**MARIAN, decoder_vocab_size=55, share_encoder_decoder_embeddings=False)
    model = tf.MarianMTModel(config)
    assert not hasattr(model.model, "shared") and model.lm_head.out_features == 55
    model.resize_decoder_token_embeddings(57)
    assert model.lm_head.weight is model.model.decoder.embed_tokens.weight and len(model.lm_head.weight) == 57
    assert model.model.encoder.embed_tokens.num_embeddings == 50 and model.config.decoder_vocab_size == 57
    model.resize_token_embeddings(52)
    assert model.model.encoder.embed_tokens.num_embeddings == 52 and len(model.lm_head.weight) == 57
    with pytest.raises(EnfoldError, match="share their words"):
        tf.MarianMTModel(tf.MarianConfig(**MARIAN)).resize_decoder_token_embeddings(60)


@pytest.mark.parametrize(
    "model",
    [
        lambda: tf.T5ForConditionalGeneration(tf.T5Config(**T5, dropout_rate=0.0)),
        lambda: tf.BartForConditionalGeneration(tf.BartConfig(**BART, dropout=0.0)),
    ],
)
def test_forgetting_activations_changes_no_gradient(model: Any) -> None:
    made = model().train()
    gradients = []
    for forget in (False, True):
        made.zero_grad()
        if forget:
            made.gradient_checkpointing_enable()
        made(IDS, attention_mask=(IDS != 1).long(), labels=LABELS).loss.backward()
        gradients.append([weight.grad.clone() for weight in made.parameters() if weight.grad is not None])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again, rtol=1e-5, atol=1e-6)


def test_layers_are_dropped_in_training_alone() -> None:
    model = tf.BartForConditionalGeneration(tf.BartConfig(**BART, encoder_layerdrop=1.0, decoder_layerdrop=1.0))
    output = model.train()(IDS, labels=LABELS, output_hidden_states=True)
    assert len(output.encoder_hidden_states) == 1  # nothing but the embedded text
    assert len(model.eval()(IDS, labels=LABELS, output_hidden_states=True).encoder_hidden_states) == 3


def test_mbart_writes_after_the_language_at_the_end() -> None:
    model = tf.MBartForConditionalGeneration(tf.MBartConfig(**BART))
    tokens = torch.tensor([[5, 6, 2, 40], [7, 2, 41, -100]])
    assert model.prepare_decoder_input_ids_from_labels(tokens).tolist() == [[40, 5, 6, 2], [41, 7, 2, 41]]


def test_what_was_read_once_is_written_about_again() -> None:
    model = tf.BartForConditionalGeneration(tf.BartConfig(**BART)).eval()
    mask = (IDS != 1).long()
    how = {"max_new_tokens": 6, "num_beams": 3, "num_return_sequences": 2, "do_sample": False}
    whole = model.generate(IDS, attention_mask=mask, **how)
    assert whole.shape[0] == 4
    read = model.get_encoder()(IDS, attention_mask=mask)
    torch.testing.assert_close(model.generate(encoder_outputs=read, attention_mask=mask, **how), whole)
    torch.testing.assert_close(model.generate(BatchEncoding({"input_ids": IDS, "attention_mask": mask}), **how), whole)
    torch.testing.assert_close(model.generate({"input_ids": IDS}, **how), whole)  # padding shows by its token
    embedded = model.get_input_embeddings()(IDS)
    torch.testing.assert_close(model.generate(inputs_embeds=embedded, attention_mask=mask, **how), whole)


def test_padding_of_what_is_read_changes_nothing() -> None:
    model = tf.T5ForConditionalGeneration(tf.T5Config(**T5)).eval()
    text = torch.tensor([[5, 6, 7, 1]])
    padded = torch.tensor([[5, 6, 7, 1, 0, 0], [9, 8, 7, 6, 5, 1]])
    how = {"max_new_tokens": 5, "min_new_tokens": 5}
    alone = model.generate(text, **how)
    torch.testing.assert_close(model.generate(padded, attention_mask=(padded != 0).long(), **how)[:1], alone)


def test_what_cannot_begin_is_refused() -> None:
    model = tf.T5ForConditionalGeneration(tf.T5Config(**{**T5, "decoder_start_token_id": None}))
    with pytest.raises(GenerationError, match="nothing to read: pass input_ids"):
        model.generate(max_new_tokens=3)
    with pytest.raises(GenerationError, match="nothing to begin with"):
        model.generate(IDS, max_new_tokens=3)
    with pytest.raises(GenerationError, match="has 3 tokens for 2 rows"):
        model.generate(IDS, decoder_start_token_id=[1, 2, 3], max_new_tokens=3)
    with pytest.raises(EnfoldError, match="decoder_start_token_id is not set"):
        model(IDS, labels=LABELS)
    with pytest.raises(EnfoldError, match=r"pass \(tensor,\)"):
        model(encoder_outputs=torch.zeros(1, 2, 16), decoder_input_ids=IDS)
    with pytest.raises(EnfoldError, match="every row must hold the end token 2"):
        tf.BartForSequenceClassification(tf.BartConfig(**BART))(torch.tensor([[5, 2], [5, 6]]))


WHISPER: dict[str, Any] = {
    "vocab_size": 90,
    "num_mel_bins": 4,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "max_source_positions": 10,
    "max_target_positions": 24,
    "pad_token_id": 60,
    "bos_token_id": 60,
    "eos_token_id": 60,
    "decoder_start_token_id": 61,
    "begin_suppress_tokens": None,
}


def whisper(**settings: Any) -> Any:
    """Return a tiny Whisper that knows two languages."""
    model = tf.WhisperForConditionalGeneration(tf.WhisperConfig(**WHISPER)).eval()
    known = {"lang_to_id": {"<|en|>": 62, "<|de|>": 63}, "task_to_id": {"translate": 64, "transcribe": 65}}
    tokens = {name: WHISPER[name] for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id")}
    model.generation_config = tf.GenerationConfig(**tokens, **known, no_timestamps_token_id=69, **settings)
    return model


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"language": "germane"}, "did you mean 'german'"),
        ({"language": "fr"}, "does not know <|fr|>"),
        ({"language": ["en", "de"]}, "1 names for 1 recordings"),
        ({"task": "transkribe"}, "did you mean 'transcribe'"),
        ({"return_token_timestamps": True}, "alignment_heads"),
        ({"prompt_condition_type": "all-segments"}, "condition_on_prev_tokens"),
        ({"max_new_tokens": 40}, "exceed the 24"),
    ],
)
def test_what_whisper_cannot_do_is_said(given: dict[str, Any], words: str) -> None:
    with pytest.raises(GenerationError, match=words.replace("|", r"\|")):
        whisper().generate(torch.zeros(1, 4, 20), **given)


def test_half_a_precision_hears_what_a_whole_one_is_given() -> None:
    assert whisper().to(torch.bfloat16).generate(torch.randn(1, 4, 20), language="en", max_new_tokens=3).shape[0] == 1


def test_more_than_one_window_needs_timestamps_and_ends() -> None:
    model = whisper()
    with pytest.raises(GenerationError, match="return_timestamps=True"):
        model.generate(torch.zeros(1, 4, 45), return_timestamps=False)
    with pytest.raises(GenerationError, match="attention_mask"):
        model.generate(torch.zeros(2, 4, 45))
    with pytest.raises(GenerationError, match="nothing to hear"):
        model.generate()
    seen: list[Any] = []
    model.generate(torch.randn(1, 4, 45), monitor_progress=lambda done: seen.append(done.tolist()), max_new_tokens=4)
    assert seen[0] == [[0, 45]] and all(a[0][0] < b[0][0] for a, b in pairwise(seen))


def test_a_warped_path_is_the_cheapest() -> None:
    draw = np.random.RandomState(3)
    for rows, columns in ((1, 1), (3, 4), (5, 2), (4, 7)):
        cost = draw.rand(rows, columns)

        def cheapest(i: int, j: int, cost: np.ndarray = cost) -> float:
            before = [cheapest(a, b) for a, b in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if a >= 0 and b >= 0]
            return float(cost[i, j]) + (min(before) if before else 0.0)

        tokens, places = warp(cost)
        assert (tokens[0], places[0], tokens[-1], places[-1]) == (0, 0, rows - 1, columns - 1)
        assert cost[tokens, places].sum() == pytest.approx(cheapest(rows - 1, columns - 1), rel=1e-5)


def test_a_running_median_mirrors_the_ends() -> None:
    x = torch.tensor([[[5.0, 1.0, 4.0, 2.0, 3.0]]])
    assert median_filter(x, 3).tolist() == [[[1.0, 4.0, 2.0, 3.0, 2.0]]]
    assert median_filter(x[..., :1], 3).tolist() == [[[5.0]]]
    with pytest.raises(ValueError, match="odd width"):
        median_filter(x, 4)

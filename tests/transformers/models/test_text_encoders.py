"""What text encoders can do beside their numbers: grow, recompute, export, decode, refuse what they cannot."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import enfold.transformers as tf
from enfold.errors import EnfoldError
from enfold.transformers.models.deberta_v2 import log_buckets

TINY: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 32,
}
MARKS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
DEBERTA = {
    **TINY,
    "relative_attention": True,
    "pos_att_type": "p2c|c2p",
    "position_buckets": 4,
    "share_att_key": True,
    "conv_kernel_size": 3,
}


def models() -> list[Any]:
    """One model of each family that fills masks."""
    return [
        tf.RobertaForMaskedLM(tf.RobertaConfig(**TINY)),
        tf.XLMRobertaForMaskedLM(tf.XLMRobertaConfig(**TINY)),
        tf.ElectraForMaskedLM(tf.ElectraConfig(**TINY, embedding_size=12)),
        tf.AlbertForMaskedLM(tf.AlbertConfig(**TINY, embedding_size=12)),
        tf.MPNetForMaskedLM(tf.MPNetConfig(**TINY)),
        tf.DebertaV2ForMaskedLM(tf.DebertaV2Config(**DEBERTA)),
        tf.DebertaV2ForMaskedLM(tf.DebertaV2Config(**DEBERTA, legacy=False)),
        tf.ModernBertForMaskedLM(tf.ModernBertConfig(**TINY, **MARKS, local_attention=4)),
    ]


IDS = torch.tensor([[1, 7, 9, 30, 2], [1, 12, 2, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
def test_recomputing_activations_gives_the_same_gradients(model: Any) -> None:
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    gradients = []
    for recompute in (False, True):
        model.train()
        if recompute:
            model.gradient_checkpointing_enable()
        model.zero_grad()
        model(IDS, attention_mask=MASK, labels=IDS).loss.backward()
        gradients.append([weight.grad.clone() for weight in model.parameters() if weight.grad is not None])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    model.gradient_checkpointing_disable()


@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
def test_words_may_be_added_and_taken_away(model: Any) -> None:
    model.eval()
    before = model(IDS, attention_mask=MASK).logits
    model.resize_token_embeddings(43)
    after = model(IDS, attention_mask=MASK).logits
    assert after.shape[-1] == model.config.vocab_size == 43
    torch.testing.assert_close(after[..., :40], before)
    model.resize_token_embeddings(40)
    torch.testing.assert_close(model(IDS, attention_mask=MASK).logits, before)


@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
def test_padding_changes_nothing_for_the_tokens_beside_it(model: Any) -> None:
    model = copy.deepcopy(model).eval()
    pad = model.config.pad_token_id
    ids = torch.where(MASK == 1, IDS.clamp(min=3), pad)
    both = model(ids, attention_mask=MASK).logits
    alone = model(ids[1:, :3]).logits
    torch.testing.assert_close(both[1, :3], alone[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
def test_tuples_and_embeddings_say_the_same(model: Any) -> None:
    model.eval()
    pad = model.config.pad_token_id
    ids = IDS[:1].clamp(min=3)
    assert pad not in ids
    wanted = model(ids).logits
    words = model.get_input_embeddings()(ids)
    torch.testing.assert_close(model(inputs_embeds=words).logits, wanted)
    torch.testing.assert_close(model(ids, return_dict=False)[0], wanted)


@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
def test_a_model_can_be_exported_with_its_mask(model: Any) -> None:
    model.eval()
    program = torch.export.export(model, (IDS,), {"attention_mask": MASK})
    full = torch.ones_like(MASK)
    for mask in (MASK, full):
        exported = program.module()(IDS, attention_mask=mask).logits
        torch.testing.assert_close(exported, model(IDS, attention_mask=mask).logits, rtol=1e-4, atol=1e-5)


def test_modernbert_is_drawn_as_published() -> None:
    config = tf.ModernBertConfig(
        **{**TINY, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 8}, **MARKS, initializer_range=0.1
    )
    model = tf.ModernBertForSequenceClassification(config)
    inner, outer = model.model.layers[0].mlp.Wi.weight, model.model.layers[0].mlp.Wo.weight
    assert inner.abs().max() <= 0.2 and outer.abs().max() <= 0.05 + 1e-6  # cut at two deviations
    assert 0.08 < inner.std() < 0.1 and 0.02 < outer.std() < 0.025
    assert model.model.layers[0].attn_norm.__class__ is torch.nn.Identity


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "Electra"])
def test_a_decoder_writes_the_same_with_and_without_a_cache(kind: str) -> None:
    torch.manual_seed(0)
    config = getattr(tf, f"{kind}Config")(**TINY, is_decoder=True, initializer_range=0.5)
    name = f"{kind}LMHeadModel" if kind == "Bert" else f"{kind}ForCausalLM"
    model = getattr(tf, name)(config).eval()
    ids = IDS[:1].clamp(min=3)
    found = [model.generate(ids, max_new_tokens=6, use_cache=use, do_sample=False) for use in (True, False)]
    assert torch.equal(*found)


def test_padding_before_a_text_does_not_change_what_is_written() -> None:
    torch.manual_seed(3)
    config = tf.RobertaConfig(**TINY, is_decoder=True, initializer_range=0.5)
    model = tf.RobertaForCausalLM(config).eval()
    ids = torch.tensor([[0, 7, 9, 30, 12], [1, 1, 0, 7, 9]])
    options = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 1}
    both = model.generate(ids, attention_mask=(ids != 1).long(), **options)
    alone = model.generate(ids[1:, 2:], **options)
    assert both[1, 2:].tolist() == alone[0].tolist()
    step = model(torch.cat((ids[1:, 2:], alone[:, 3:4]), 1)).logits[0, -1]
    assert int(step.argmax()) == int(alone[0, 4])


def test_a_decoder_keeps_what_it_read_of_an_encoder() -> None:
    torch.manual_seed(0)
    model = tf.BertLMHeadModel(tf.BertConfig(**TINY, is_decoder=True, add_cross_attention=True)).eval()
    states = torch.randn(2, 4, 16)
    cache = model(IDS, encoder_hidden_states=states, use_cache=True).past_key_values
    assert isinstance(cache, tf.EncoderDecoderCache) and cache.is_updated == {0: True, 1: True}
    assert cache.get_seq_length() == 5 and cache.cross_attention_cache.get_seq_length() == 4


def test_what_a_configuration_cannot_mean_is_refused() -> None:
    with pytest.raises(EnfoldError, match=r"needs config\.is_decoder"):
        tf.BertModel(tf.BertConfig(**TINY, add_cross_attention=True))
    with pytest.raises(EnfoldError, match="add_cross_attention=True"):
        tf.BertModel(tf.BertConfig(**TINY, is_decoder=True))(IDS, encoder_hidden_states=torch.zeros(2, 3, 16))
    with pytest.raises(EnfoldError, match="'relative_key' is not known"):
        tf.BertModel(tf.BertConfig(**TINY, position_embedding_type="relative_key"))
    with pytest.raises(EnfoldError, match="unknown classifier_pooling 'max'"):
        tf.ModernBertForSequenceClassification(tf.ModernBertConfig(**TINY, **MARKS, classifier_pooling="max"))
    with pytest.raises(EnfoldError, match=r"'frist'.*first"):
        tf.ElectraForMultipleChoice(tf.ElectraConfig(**TINY, summary_type="frist"))
    with pytest.raises(EnfoldError, match="no multiple of num_attention_heads"):
        tf.ModernBertModel(tf.ModernBertConfig(**{**TINY, "num_attention_heads": 3}, **MARKS))


def test_both_spellings_of_modernberts_layers_agree() -> None:
    older = tf.ModernBertConfig(num_hidden_layers=4, global_attn_every_n_layers=2, global_rope_theta=99.0)
    newer = tf.ModernBertConfig(
        num_hidden_layers=4, layer_types=older.layer_types, rope_parameters=copy.deepcopy(older.rope_parameters)
    )
    assert older.rope_parameters["full_attention"] == {"rope_type": "default", "rope_theta": 99.0}
    assert newer.global_rope_theta == 99.0 and newer.local_rope_theta == 10000.0
    assert tf.ModernBertConfig(sliding_window=8).local_attention == 16
    again = tf.ModernBertConfig.from_dict(older.to_dict())
    assert again.to_dict() == older.to_dict()


def test_far_distances_share_buckets() -> None:
    distance = torch.arange(-60, 61)
    bucket = log_buckets(distance, 8, 64)
    assert torch.equal(bucket, -bucket.flip(0)) and torch.equal(bucket[57:64], torch.arange(-3, 4))
    assert bucket.diff().min() >= 0 and bucket.max() <= 8

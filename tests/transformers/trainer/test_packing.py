"""Padding left out of the layers: the same losses and gradients as the padded batch gives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import enfold.transformers as tf
from enfold.transformers.trainer import Trainer, TrainingArguments
from enfold.transformers.trainer.packing import Packing

ENCODER: dict[str, Any] = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
ENCODER |= {"intermediate_size": 32, "max_position_embeddings": 64, "hidden_dropout_prob": 0.0}
ENCODER |= {"attention_probs_dropout_prob": 0.0, "pad_token_id": 0}
LLAMA: dict[str, Any] = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 4, "num_key_value_heads": 2}
LLAMA |= {"num_hidden_layers": 2, "intermediate_size": 32, "max_position_embeddings": 64}
DISTILBERT = {"vocab_size": 50, "dim": 16, "n_heads": 2, "n_layers": 2, "hidden_dim": 32, "max_position_embeddings": 64}
GPT2: dict[str, Any] = {"vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
GPT2 |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "BertForSequenceClassification": ("BertConfig", ENCODER),
    "BertForTokenClassification": ("BertConfig", ENCODER),
    "BertForMaskedLM": ("BertConfig", ENCODER),
    "RobertaForSequenceClassification": ("RobertaConfig", {**ENCODER, "pad_token_id": 1}),
    "AlbertForMaskedLM": ("AlbertConfig", {**ENCODER, "embedding_size": 8}),
    "DistilBertForSequenceClassification": (
        "DistilBertConfig",
        {**DISTILBERT, "dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0},
    ),
    "LlamaForCausalLM": ("LlamaConfig", LLAMA),
    "GPT2LMHeadModel": ("GPT2Config", GPT2),
}


def make(name: str) -> Any:
    config, values = MODELS[name]
    torch.manual_seed(0)
    return getattr(tf, name)(getattr(tf, config)(**values)).train()


def batch(name: str) -> dict[str, Tensor]:
    """Six rows of 3 to 40 tokens, padded on the right."""
    lengths = torch.tensor([3, 40, 11, 25, 7, 18])
    generator = torch.Generator().manual_seed(1)
    mask = (torch.arange(40) < lengths[:, None]).long()
    ids = torch.randint(5, 50, (6, 40), generator=generator) * mask + (1 - mask) * int("Roberta" in name)
    labels = torch.arange(6) % 2
    if not name.endswith("ForSequenceClassification"):
        classes = 2 if name.endswith("ForTokenClassification") else 50
        counts = mask.bool() & (torch.rand(6, 40, generator=generator) < 0.4)
        labels = torch.where(counts, ids % classes, -100)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("recomputed", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_losses_and_gradients_are_those_of_the_padded_batch(name: str, recomputed: bool) -> None:
    model, inputs = make(name), batch(name)
    if recomputed:
        model.gradient_checkpointing_enable()
    padded = model(**inputs)["loss"]
    padded.backward()
    wanted = gradients(model)
    model.zero_grad()
    tokens: list[int] = []
    inside = re.compile(r"layers?[._]|\.h\.")
    for path, part in model.named_modules():
        if inside.search(path) and type(part).__name__ in ("Linear", "Conv1D"):
            part.register_forward_hook(lambda module, given, out: tokens.append(given[0].shape[:-1].numel()))
    packing = Packing(model)
    assert packing.on
    with packing.active():
        packing.look_at(inputs)
        loss = packing.loss(model, inputs)
        assert (loss is None) == name.endswith(("ForSequenceClassification", "ForTokenClassification"))
        if loss is None:
            loss = model(**inputs)["loss"]
        packing.forget()
        loss.backward()
    assert set(tokens) == {int(inputs["attention_mask"].sum())} == {104}  # of 240
    torch.testing.assert_close(loss, padded, atol=1e-6, rtol=1e-5)
    found = gradients(model)
    assert found.keys() == wanted.keys()
    for key, grad in wanted.items():
        torch.testing.assert_close(found[key], grad, atol=2e-6, rtol=1e-4, msg=key)
    assert "encode" not in vars(model.base_model) and not model.base_model._forward_pre_hooks


@pytest.mark.parametrize("recomputed", [False, True])
@pytest.mark.parametrize("padding", [True, False])
@pytest.mark.parametrize("name", ["LlamaForCausalLM", "GPT2LMHeadModel"])
def test_what_rows_begin_with_alike_is_read_once(name: str, padding: bool, recomputed: bool) -> None:
    model = make(name)
    if recomputed:
        model.gradient_checkpointing_enable()
    torch.manual_seed(2)
    first, second, other = (torch.randint(5, 50, (count,)) for count in (20, 24, 12))
    longer = torch.cat((first, torch.randint(5, 50, (9,))))
    begins = [first, second, first, second, longer, longer, other, other]  # too few are alike in the last
    lengths = [33, 40, 21, 31, 40, 38, 40, 20] if padding else [40] * 8
    ids = torch.zeros(8, 40, dtype=torch.long)
    for row, (begin, length) in enumerate(zip(begins, lengths, strict=True)):
        ids[row, :length] = torch.cat((begin, torch.randint(5, 50, (length - len(begin),))))
    ids[3, :31] = ids[1, :31]  # a whole row that another begins with
    mask = (torch.arange(40) < torch.tensor(lengths)[:, None]).long()
    labels = torch.where(mask.bool() & (torch.rand(8, 40) < 0.6), ids, -100)
    inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    plain = model(**inputs)
    plain["loss"].backward()
    wanted = gradients(model)
    model.zero_grad()
    tokens: list[int] = []
    layer = model.model.layers[0].mlp.up_proj if name.startswith("Llama") else model.transformer.h[0].mlp.c_fc
    layer.register_forward_hook(lambda module, given, out: tokens.append(given[0].shape[:-1].numel()))
    packing = Packing(model)
    with packing.active():
        packing.look_at(inputs)
        out = model(**inputs)
        packing.forget()
        out["loss"].backward()
    shared = 20 + (30 if padding else 31) + 20 + 20  # the last token of a row is read for its logits
    assert set(tokens) == {sum(lengths) - shared}
    torch.testing.assert_close(out["loss"], plain["loss"], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(out["logits"][mask.bool()], plain["logits"][mask.bool()], atol=1e-5, rtol=1e-4)
    found = gradients(model)
    for key, grad in wanted.items():
        torch.testing.assert_close(found[key], grad, atol=2e-6, rtol=1e-4, msg=key)


def test_beginnings_are_read_for_each_row_where_dropout_draws() -> None:
    values = {**GPT2, "resid_pdrop": 0.1}
    model = tf.GPT2LMHeadModel(tf.GPT2Config(**values)).train()
    ids = torch.randint(5, 50, (1, 40)).expand(6, -1)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    packing = Packing(model)
    packing.look_at(inputs)
    assert packing._mask is None
    model.eval()
    packing.look_at(inputs)
    assert packing._own is not None and int(packing._own.sum()) == 45
    encoder = make("BertForMaskedLM").eval()  # which looks ahead
    packing = Packing(encoder)
    plain = encoder(**inputs)["loss"]
    with packing.active():
        packing.look_at(inputs)
        torch.testing.assert_close(encoder(**inputs)["loss"], plain)


def test_what_cannot_be_packed_is_computed_as_it_is() -> None:
    name = "BertForTokenClassification"
    model, inputs = make(name), batch(name)
    packing = Packing(model)
    padded = {**inputs, "labels": inputs["labels"].clamp(min=0)}  # padding counts
    left = {key: value.flip(1) for key, value in inputs.items()}
    whole = {**inputs, "attention_mask": torch.ones_like(inputs["attention_mask"])}
    few = {key: value[:1] for key, value in inputs.items()}
    with packing.active():
        for given in (padded, left, whole, few):
            packing.look_at(given)
            assert packing._mask is None
        packing.look_at(inputs)
        torch.testing.assert_close(model(**inputs, output_attentions=True)["attentions"][0].shape[-1], 40)

    class Foreign(tf.BertForTokenClassification):
        """May read what stands at padded places."""

    assert not Packing(Foreign(model.config)).on
    assert not Packing(tf.T5ForConditionalGeneration(tf.T5Config(d_model=8, num_layers=1, num_heads=1))).on


class Own(Trainer):
    """Weighs losses its own way."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        out = model(**inputs)
        loss = out["loss"] * 2
        return (loss, out) if return_outputs else loss


@pytest.mark.parametrize("kind", [Trainer, Own])
@pytest.mark.parametrize("name", ["BertForSequenceClassification", "LlamaForCausalLM"])
def test_training_gives_the_same_weights(name: str, kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{key: value[index].tolist() for key, value in batch(name).items()} for index in range(6)]
    moved, losses = [], []
    for packs in (True, False):
        monkeypatch.setattr(kind, "_packs", packs)
        args = TrainingArguments(
            str(tmp_path), max_steps=4, per_device_train_batch_size=6, gradient_accumulation_steps=1, use_cpu=True,
            eval_strategy="steps", eval_steps=2, logging_steps=1, save_strategy="no", optim="sgd", learning_rate=0.1,
            disable_tqdm=True,
        )  # fmt: skip
        made = kind(make(name), args, tf.default_data_collator, rows, rows)
        made.train()
        moved.append(torch.cat([p.detach().flatten() for p in made.model.parameters()]))
        losses.append([log.get("loss", log.get("eval_loss", 0.0)) for log in made.state.log_history[:-1]])
    torch.testing.assert_close(moved[0], moved[1], atol=1e-6, rtol=1e-5)
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)

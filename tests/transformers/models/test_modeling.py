"""What every model can do: load, save, share weights, grow, checkpoint its gradients, report what was missing."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import enfold.transformers as tf
from enfold.checkpoints import CheckpointError
from enfold.errors import EnfoldError
from enfold.nn import DynamicCache

BERT = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 32,
}
GPT2 = {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
LLAMA = {**BERT, "num_key_value_heads": 1}


def models() -> list[Any]:
    """One model of each family."""
    return [
        tf.BertForSequenceClassification(tf.BertConfig(**BERT)),
        tf.DistilBertForMaskedLM(tf.DistilBertConfig(vocab_size=40, dim=16, n_layers=2, n_heads=2, hidden_dim=20)),
        tf.GPT2LMHeadModel(tf.GPT2Config(**GPT2)),
        tf.LlamaForCausalLM(tf.LlamaConfig(**LLAMA)),
    ]


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Any:
    """The texts that enfold logs, whose root does not propagate."""
    root = logging.getLogger("enfold")
    root.addHandler(caplog.handler)
    yield caplog
    root.removeHandler(caplog.handler)


@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
def test_a_saved_model_comes_back_by_its_own_class_and_by_auto_classes(tmp_path: Path, model: Any) -> None:
    model.eval()
    model.save_pretrained(tmp_path)
    ids = torch.randint(1, 40, (2, 5))
    again, info = type(model).from_pretrained(str(tmp_path), output_loading_info=True)
    assert not again.training and info["missing_keys"] == info["unexpected_keys"] == []
    assert torch.equal(again(ids).logits, model(ids).logits)
    base = tf.AutoModel.from_pretrained(tmp_path)
    assert type(base) is type(model.base_model)
    expected = model.base_model(ids).last_hidden_state
    assert torch.equal(base(ids).last_hidden_state, expected)
    assert again.config.architectures == [type(model).__name__] and again.config.name_or_path == str(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "float32"


def test_a_head_that_no_file_holds_is_drawn_and_said(tmp_path: Path, warnings: Any) -> None:
    base = tf.BertModel(tf.BertConfig(**BERT))
    base.save_pretrained(tmp_path)
    warnings.clear()
    model, info = tf.AutoModelForSequenceClassification.from_pretrained(
        tmp_path, num_labels=5, output_loading_info=True
    )
    assert set(info["missing_keys"]) == {"classifier.weight", "classifier.bias"}
    assert model.classifier.weight.shape == (5, 16) and model.num_labels == model.config.num_labels == 5
    assert 0.005 < model.classifier.weight.std().item() < 0.05 and model.classifier.bias.abs().sum() == 0
    assert torch.equal(model.bert.pooler.dense.weight, base.pooler.dense.weight)
    assert "newly initialized: ['classifier.weight', 'classifier.bias']" in warnings.text


def test_half_of_a_layer_missing_leaves_the_other_half(tmp_path: Path) -> None:
    model = tf.BertForTokenClassification(tf.BertConfig(**BERT))
    model.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    del state["classifier.bias"]
    save_file(state, tmp_path / "model.safetensors")
    again, info = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert info["missing_keys"] == ["classifier.bias"]
    assert torch.equal(again.classifier.weight, model.classifier.weight) and again.classifier.bias.abs().sum() == 0


def test_other_shapes_are_an_error_or_drawn_anew(tmp_path: Path) -> None:
    tf.BertForSequenceClassification(tf.BertConfig(**BERT)).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="ignore_mismatched_sizes"):
        tf.BertForSequenceClassification.from_pretrained(tmp_path, num_labels=7)
    model, info = tf.BertForSequenceClassification.from_pretrained(
        tmp_path, num_labels=7, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert model(torch.tensor([[1, 2]])).logits.shape == (1, 7)
    assert {name for name, _, _ in info["mismatched_keys"]} == {"classifier.weight", "classifier.bias"}
    assert info["missing_keys"] == []


def test_buffers_of_old_files_are_not_strangers(tmp_path: Path) -> None:
    model = tf.GPT2LMHeadModel(tf.GPT2Config(**GPT2))
    model.save_pretrained(tmp_path)
    # The published gpt2 has no prefix, and carries the causal triangles.
    state = {name.removeprefix("transformer."): value for name, value in model.state_dict().items()}
    state["h.0.attn.bias"] = torch.ones(1, 1, 32, 32)
    state["h.1.attn.masked_bias"] = torch.tensor(-1e4)
    del state["lm_head.weight"]
    save_file({name: value.clone() for name, value in state.items()}, tmp_path / "model.safetensors")
    again, info = tf.AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert info["missing_keys"] == info["unexpected_keys"] == []
    ids = torch.randint(1, 40, (1, 5))
    assert torch.equal(again(ids).logits, model.eval()(ids).logits)


def test_shared_weights_stay_shared_and_are_saved_once(tmp_path: Path) -> None:
    for model in (models()[2], tf.BertForMaskedLM(tf.BertConfig(**BERT))):
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
        model.save_pretrained(tmp_path)
        saved = load_file(tmp_path / "model.safetensors")
        assert not set(saved) & set(model._tied_weights_keys)
        again = type(model).from_pretrained(tmp_path)
        assert again.get_output_embeddings().weight is again.get_input_embeddings().weight
        assert again.num_parameters() == model.num_parameters() == sum(tensor.numel() for tensor in saved.values())


def test_a_file_may_hold_the_other_name_of_a_shared_weight(tmp_path: Path) -> None:
    model = tf.GPT2LMHeadModel(tf.GPT2Config(**GPT2))
    model.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state["lm_head.weight"] = state.pop("transformer.wte.weight")
    save_file(state, tmp_path / "model.safetensors")
    again, info = tf.GPT2LMHeadModel.from_pretrained(tmp_path, output_loading_info=True)
    assert info["missing_keys"] == [] and torch.equal(again.transformer.wte.weight, model.transformer.wte.weight)


def test_the_type_is_that_of_the_file_or_the_one_asked_for(tmp_path: Path) -> None:
    tf.GPT2LMHeadModel(tf.GPT2Config(**GPT2)).to(torch.bfloat16).save_pretrained(tmp_path)
    kind = tf.AutoModelForCausalLM
    assert kind.from_pretrained(tmp_path).dtype == torch.bfloat16
    assert kind.from_pretrained(tmp_path, dtype="auto").dtype == torch.bfloat16
    for spelling in ({"dtype": torch.float32}, {"torch_dtype": "float32"}, {"dtype": "float32"}):
        model = kind.from_pretrained(tmp_path, **spelling)
        assert model.dtype == torch.float32 and model.config.dtype == torch.float32
    with pytest.raises(EnfoldError, match="float99"):
        kind.from_pretrained(tmp_path, dtype="float99")
    blank = tf.AutoModelForCausalLM.from_config(tf.GPT2Config(**GPT2), dtype="bfloat16")
    assert blank.dtype == torch.bfloat16


@pytest.mark.parametrize("device_map", ["cpu", {"": "cpu"}, torch.device("cpu")])
def test_a_device_map_names_one_device(tmp_path: Path, device_map: Any) -> None:
    models()[3].save_pretrained(tmp_path)
    model = tf.AutoModelForCausalLM.from_pretrained(tmp_path, device_map=device_map, low_cpu_mem_usage=True)
    assert model.device.type == "cpu" and model.hf_device_map == {"": torch.device("cpu")}
    with pytest.raises(EnfoldError, match="says nothing about"):
        tf.AutoModelForCausalLM.from_pretrained(tmp_path, device_map={"no_such_part": "cpu"})


@pytest.mark.parametrize("share", [0.85, 0.5, 0.0])
def test_a_model_larger_than_its_memory_runs_from_disk(tmp_path: Path, share: float) -> None:
    for number in (1, 3):  # tied and untied embeddings
        model, folder = models()[number].eval(), tmp_path / str(number)
        model.save_pretrained(folder)
        budget = {"cpu": int(share * sum(parameter.nbytes for parameter in model.parameters()))}
        spread = type(model).from_pretrained(
            folder, device_map="auto", max_memory=budget, offload_folder=folder / "away"
        )
        assert "disk" in spread.hf_device_map.values() and spread.device.type == "cpu"
        assert any(parameter.is_meta for parameter in spread.parameters())
        ids = torch.tensor([[5, 6, 7]])
        with torch.no_grad():
            expected, found = model(input_ids=ids), spread(input_ids=ids)
        assert torch.equal(expected[0], found[0])
        assert any(parameter.is_meta for parameter in spread.parameters())


def test_shards_and_variants_and_old_files_load(tmp_path: Path) -> None:
    model = models()[3].eval()
    ids = torch.randint(1, 40, (1, 5))
    model.save_pretrained(tmp_path / "shards", max_shard_size="4KB")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 2
    model.save_pretrained(tmp_path / "bin", safe_serialization=False)
    assert (tmp_path / "bin" / "pytorch_model.bin").exists()
    model.save_pretrained(tmp_path / "variant", variant="fp16")
    for folder, options in (("shards", {}), ("bin", {}), ("variant", {"variant": "fp16"})):
        again = tf.LlamaForCausalLM.from_pretrained(tmp_path / folder, **options)
        assert torch.equal(again(ids).logits, model(ids).logits)
    with pytest.raises(CheckpointError, match="looked for"):
        tf.LlamaForCausalLM.from_pretrained(tmp_path / "bin", use_safetensors=True)


def test_a_state_can_be_given_instead_of_files(tmp_path: Path) -> None:
    model = models()[2]
    again = tf.GPT2LMHeadModel.from_pretrained(None, config=model.config, state_dict=model.state_dict())
    assert torch.equal(again.transformer.wpe.weight, model.transformer.wpe.weight)


@pytest.mark.parametrize("option", ["quantization_config", "fusion_config"])
def test_what_is_not_here_is_said(tmp_path: Path, option: str) -> None:
    models()[2].save_pretrained(tmp_path)
    with pytest.raises(EnfoldError, match=option):
        tf.AutoModelForCausalLM.from_pretrained(tmp_path, **{option: True})


@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
def test_outputs_are_tuples_on_request_and_skip_none(model: Any) -> None:
    model.eval()
    ids = torch.randint(1, 40, (2, 5))
    plain, listed = model(ids), model(ids, return_dict=False)
    assert isinstance(listed, tuple) and torch.equal(listed[0], plain.logits) and "loss" not in plain
    full = model(ids, output_hidden_states=True, output_attentions=True)
    assert len(full.hidden_states) == 3 and len(full.attentions) == 2 and full.attentions[0].shape == (2, 2, 5, 5)
    model.config.return_dict = False
    assert isinstance(model(ids), tuple)
    model.config.return_dict = True


@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
def test_recomputing_activations_gives_the_same_gradients(model: Any) -> None:
    torch.manual_seed(0)
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "drop") and isinstance(module.drop, float):
            module.drop = 0.0
    ids = torch.randint(1, 40, (2, 5))
    labels = torch.tensor([0, 1]) if "Sequence" in type(model).__name__ else ids

    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        model(ids, labels=labels).loss.backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    plain = gradients()
    model.gradient_checkpointing_enable()
    assert model.is_gradient_checkpointing and model.base_model.gradient_checkpointing
    again = gradients()
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing and len(plain) == len(again)
    for one, other in zip(plain, again, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "model", [*models()[1:], tf.BertForMaskedLM(tf.BertConfig(**BERT))], ids=lambda model: type(model).__name__
)
def test_embeddings_grow_and_shrink_with_the_tokenizer(model: Any) -> None:
    model.eval()
    ids = torch.randint(1, 30, (1, 5))
    before = model(ids).logits
    assert model.resize_token_embeddings(45).num_embeddings == 45 and model.config.vocab_size == 45
    after = model(ids).logits
    assert after.shape[-1] == 45
    torch.testing.assert_close(after[..., :40], before)
    tied = model.config.tie_word_embeddings
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied
    model.resize_token_embeddings(30)
    torch.testing.assert_close(model(ids).logits, before[..., :30])
    assert model.resize_token_embeddings(pad_to_multiple_of=16).num_embeddings == 32
    assert model.resize_token_embeddings().num_embeddings == 32


def test_parameters_are_counted_once() -> None:
    model = models()[2]
    assert model.num_parameters() == sum(p.numel() for p in model.parameters())
    embeddings = model.transformer.wte.weight.numel() + model.transformer.wpe.weight.numel()
    assert model.num_parameters(exclude_embeddings=True) == model.num_parameters() - embeddings
    for parameter in model.transformer.parameters():
        parameter.requires_grad_(False)
    assert model.num_parameters(only_trainable=True) == 0
    assert model.get_memory_footprint() == 4 * model.num_parameters()


def test_weights_are_drawn_as_published() -> None:
    torch.manual_seed(0)
    gpt2 = tf.GPT2Model(tf.GPT2Config(vocab_size=500, n_embd=128, n_layer=8, n_head=2))
    assert gpt2.wte.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert gpt2.h[3].attn.c_attn.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert gpt2.h[3].mlp.c_proj.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)  # √(2 · 8) = 4
    assert gpt2.h[3].attn.c_attn.bias.abs().sum() == 0 and bool((gpt2.ln_f.weight == 1).all())
    bert = tf.BertModel(tf.BertConfig(**{**BERT, "hidden_size": 128, "initializer_range": 0.05}))
    assert bert.encoder.layer[0].output.dense.weight.std().item() == pytest.approx(0.05, rel=0.1)
    assert bert.embeddings.word_embeddings.weight[0].abs().sum() == 0  # the padding token
    fixed = tf.DistilBertModel(
        tf.DistilBertConfig(vocab_size=9, dim=4, n_layers=1, n_heads=1, hidden_dim=4, sinusoidal_pos_embds=True)
    )
    table = fixed.embeddings.position_embeddings.weight
    assert table[0].tolist() == [0.0, 1.0, 0.0, 1.0] and table[1, 0].item() == pytest.approx(0.841471)


@pytest.mark.parametrize("model", models()[2:], ids=lambda model: type(model).__name__)
def test_chunks_with_a_cache_equal_the_whole(model: Any) -> None:
    model.eval()
    ids = torch.randint(1, 40, (2, 9))
    mask = torch.ones(2, 9, dtype=torch.long)
    mask[1, :2] = 0
    whole = model(ids, attention_mask=mask).logits
    cache, parts, start = DynamicCache(), [], 0
    for chunk in (3, 1, 4, 1):
        end = start + chunk
        out = model(ids[:, start:end], attention_mask=mask[:, :end], past_key_values=cache)
        assert out.past_key_values is cache
        parts.append(out.logits)
        start = end
    torch.testing.assert_close(torch.cat(parts, 1)[:, 2:], whole[:, 2:], rtol=1e-4, atol=1e-5)
    legacy = model(ids[:, :4]).past_key_values.to_legacy_cache()
    after = model(ids[:, 4:5], past_key_values=legacy).logits
    torch.testing.assert_close(after[:, 0], model(ids[:, :5]).logits[:, 4], rtol=1e-4, atol=1e-5)


def test_embeddings_can_be_the_input() -> None:
    for model in models():
        model.eval()
        ids = torch.randint(1, 40, (2, 5))
        embedded = model.get_input_embeddings()(ids)
        torch.testing.assert_close(model(inputs_embeds=embedded).logits, model(ids).logits)


def test_a_decoder_needs_a_padding_token_to_classify_several_rows() -> None:
    model = tf.GPT2ForSequenceClassification(tf.GPT2Config(**GPT2)).eval()
    assert model(torch.tensor([[1, 2]])).logits.shape == (1, 2)
    with pytest.raises(EnfoldError, match="pad_token_id"):
        model(torch.tensor([[1, 2], [3, 4]]))


def test_auto_classes_say_what_they_have() -> None:
    with pytest.raises(EnfoldError, match=r"AutoModelForMaskedLM has no class for GPT2Config.*bert"):
        tf.AutoModelForMaskedLM.from_config(tf.GPT2Config(**GPT2))
    with pytest.raises(OSError, match="from_pretrained"):
        tf.AutoModel()
    assert tf.MODEL_FOR_CAUSAL_LM_MAPPING[tf.BertConfig] is tf.BertLMHeadModel
    assert tf.GPT2Config in tf.MODEL_MAPPING and tf.GPT2Config not in tf.MODEL_FOR_MASKED_LM_MAPPING
    assert len(tf.MODEL_MAPPING) == len(list(tf.MODEL_MAPPING)) >= 4


def test_every_class_of_every_auto_class_exists() -> None:
    from enfold.transformers import auto

    for name in auto.__all__:
        if name.startswith("MODEL"):
            for config in getattr(auto, name):
                model = getattr(auto, name)[config]
                assert issubclass(model, tf.PreTrainedModel) and model.config_class is config
                assert getattr(tf, model.__name__) is model


def test_a_model_of_one_s_own_loads_through_auto_classes(tmp_path: Path) -> None:
    class NewtModelConfig(tf.PretrainedConfig):
        model_type = "newt-model"
        width: int = 4

    class NewtModel(tf.PreTrainedModel):
        config_class = NewtModelConfig

        def __init__(self, config: NewtModelConfig) -> None:
            super().__init__(config)
            self.layer = torch.nn.Linear(config.width, config.width)
            self.register_buffer("steps", torch.arange(config.width), persistent=False)
            self.post_init()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) + self.steps

    tf.AutoConfig.register("newt-model", NewtModelConfig)
    tf.AutoModel.register(NewtModelConfig, NewtModel)
    model = NewtModel(NewtModelConfig(width=3))
    model.save_pretrained(tmp_path)
    again = tf.AutoModel.from_pretrained(tmp_path)
    assert type(again) is NewtModel and again.steps.tolist() == [0, 1, 2]
    assert torch.equal(again(torch.ones(3)), model(torch.ones(3)))
    with pytest.raises(ValueError, match="exist_ok"):
        tf.AutoModel.register(NewtModelConfig, NewtModel)


def test_a_model_can_be_exported_with_its_mask() -> None:
    model = tf.BertForSequenceClassification(tf.BertConfig(**BERT)).eval()
    ids, full = torch.randint(1, 40, (2, 5)), torch.ones(2, 5, dtype=torch.long)
    program = torch.export.export(model, (ids,), {"attention_mask": full, "return_dict": False})
    half = full.clone()
    half[1, 3:] = 0
    exported = program.module()(ids, attention_mask=half, return_dict=False)[0]
    torch.testing.assert_close(exported, model(ids, attention_mask=half).logits, rtol=1e-5, atol=1e-6)


def test_a_folder_with_an_adapter_alone_gives_its_base_model_with_the_adapter(tmp_path: Path) -> None:
    from enfold.peft import LoraConfig, get_peft_model

    models()[3].save_pretrained(tmp_path / "base")
    base = tf.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    tuned = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)).eval()
    tuned.save_pretrained(tmp_path / "adapter")
    again = tf.AutoModelForCausalLM.from_pretrained(tmp_path / "adapter").eval()
    ids = torch.randint(1, 40, (1, 5))
    plain = tf.AutoModelForCausalLM.from_pretrained(tmp_path / "base")(ids).logits
    torch.testing.assert_close(again(ids).logits, tuned(ids).logits)
    assert not torch.allclose(again(ids).logits, plain)
    assert again.generate(input_ids=ids, max_new_tokens=2, eos_token_id=None).shape == (1, 7)

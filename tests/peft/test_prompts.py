"""Learnt prompts and models of few bits, on small language models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import enfold.peft as peft
import enfold.transformers as transformers
from enfold.errors import EnfoldError
from enfold.peft.config import UnsupportedPeftFeature

IDS = torch.tensor([[5, 9, 3, 7], [4, 8, 2, 6]])
PROMPTS: dict[str, Any] = {
    "prefix": lambda **more: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3, **more),
    "prompt": lambda **more: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3, **more),
    "p-tuning": lambda **more: peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=3, **more),
}


def llama(**more: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=1,
        eos_token_id=None,
        **more,
    )
    return transformers.LlamaForCausalLM(config).eval()


def filled(model: Any, seed: int = 1) -> Any:
    torch.manual_seed(seed)
    with torch.no_grad():
        for part in model.parameters():
            if part.requires_grad:
                part.normal_(std=0.3)
    return model.eval()


@pytest.mark.parametrize("name", PROMPTS)
def test_only_the_prompt_trains_and_the_loss_falls(name: str) -> None:
    model = peft.get_peft_model(llama(), PROMPTS[name]())
    assert all("prompt_encoder" in key for key, part in model.named_parameters() if part.requires_grad)
    optimizer = torch.optim.AdamW([part for part in model.parameters() if part.requires_grad], lr=3e-2)
    losses = []
    for _ in range(6):
        loss = model(input_ids=IDS, attention_mask=torch.ones_like(IDS), labels=IDS).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", PROMPTS)
def test_generation_with_a_cache_is_that_of_one_forward_after_another(name: str) -> None:
    model = filled(peft.get_peft_model(llama(), PROMPTS[name]()))
    found = model.generate(input_ids=IDS, max_new_tokens=5, do_sample=False, pad_token_id=0)
    ids = IDS
    for _ in range(5):
        with torch.no_grad():
            ids = torch.cat((ids, model(input_ids=ids).logits[:, -1].argmax(-1, keepdim=True)), 1)
    assert found.tolist() == ids.tolist()
    with model.disable_adapter():
        plain = model.generate(input_ids=IDS, max_new_tokens=5, do_sample=False, pad_token_id=0)
    expected = llama().generate(input_ids=IDS, max_new_tokens=5, do_sample=False, pad_token_id=0)
    assert plain.tolist() == expected.tolist()


@pytest.mark.parametrize("name", PROMPTS)
def test_files_hold_the_prompt_alone(name: str, tmp_path: Path) -> None:
    model = filled(peft.get_peft_model(llama(), PROMPTS[name]()))
    model.save_pretrained(tmp_path)
    assert list(peft.load_peft_weights(tmp_path)) == ["prompt_embeddings"]
    loaded = peft.PeftModel.from_pretrained(llama(), tmp_path)
    assert type(loaded) is peft.PeftModelForCausalLM
    torch.testing.assert_close(loaded(input_ids=IDS).logits, model(input_ids=IDS).logits)


def test_a_network_that_made_a_prompt_is_not_in_files(tmp_path: Path) -> None:
    peft.get_peft_model(llama(), PROMPTS["p-tuning"]()).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedPeftFeature, match="is_trainable=False"):
        peft.PeftModel.from_pretrained(llama(), tmp_path, is_trainable=True)


def test_several_prompts_are_switched_and_deleted() -> None:
    model = filled(peft.get_peft_model(llama(), PROMPTS["prompt"]()))
    first = model(input_ids=IDS).logits
    model.add_adapter("other", PROMPTS["prefix"]())
    model.set_adapter("other")
    filled(model, 2)
    assert not torch.allclose(model(input_ids=IDS).logits[:, -4:], first[:, -4:])
    model.delete_adapter("other")
    assert torch.equal(model(input_ids=IDS).logits, first)
    with pytest.raises(ValueError, match="only prompt"):
        model.delete_adapter("default")
    with pytest.raises(UnsupportedPeftFeature, match="unload"):
        model.merge_and_unload()
    assert type(model.unload()) is transformers.LlamaForCausalLM


def test_a_prompt_of_several_tasks_takes_the_task_of_each_row(tmp_path: Path) -> None:
    config = peft.MultitaskPromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3, num_tasks=2)
    model = filled(peft.get_peft_model(llama(), config))
    both = model(input_ids=IDS, task_ids=torch.tensor([0, 1])).logits
    other = model(input_ids=IDS, task_ids=torch.tensor([1, 1])).logits
    assert torch.allclose(both[1], other[1], atol=1e-6) and not torch.allclose(both[0], other[0])
    with pytest.raises(ValueError, match="task_ids"):
        model(input_ids=IDS)
    model.save_pretrained(tmp_path)
    loaded = peft.PeftModel.from_pretrained(llama(), tmp_path)
    torch.testing.assert_close(loaded(input_ids=IDS, task_ids=torch.tensor([0, 1])).logits, both)
    one = peft.MultitaskPromptTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=3,
        prompt_tuning_init="EXACT_SOURCE_TASK",
        prompt_tuning_init_task=1,
        prompt_tuning_init_state_dict_path=str(tmp_path / "adapter_model.safetensors"),
    )
    begun = peft.get_peft_model(llama(), one).eval()
    torch.testing.assert_close(begun(input_ids=IDS, task_ids=torch.tensor([0, 0])).logits, other)


def test_mistakes_are_explained() -> None:
    with pytest.raises(ValueError, match="num_virtual_tokens"):
        peft.get_peft_model(llama(), peft.PromptTuningConfig(task_type="CAUSAL_LM"))
    with pytest.raises(ValueError, match="did you mean 'RANDOM'"):
        peft.PromptTuningConfig(prompt_tuning_init="RANDON")
    with pytest.raises(ValueError, match="tokenizer_name_or_path"):
        peft.PromptTuningConfig(prompt_tuning_init="TEXT", prompt_tuning_init_text="a")
    with pytest.raises(ValueError, match="learnt prompt"):
        peft.get_peft_model(llama(), PROMPTS["prompt"]()).add_adapter("x", peft.LoraConfig())


@pytest.mark.parametrize(
    "options",
    [
        {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
        {"load_in_4bit": True, "bnb_4bit_compute_dtype": torch.bfloat16},
        {"load_in_8bit": True},
    ],
)
def test_adapters_train_on_models_of_few_bits(options: dict[str, Any], tmp_path: Path) -> None:
    plain = llama()
    plain.save_pretrained(tmp_path / "base")
    config = transformers.BitsAndBytesConfig(**options)
    load = transformers.AutoModelForCausalLM.from_pretrained
    base = load(tmp_path / "base", quantization_config=config)
    assert base.is_loaded_in_4bit is options.get("load_in_4bit", False) and base.is_quantized
    assert (base(input_ids=IDS).logits - plain(input_ids=IDS).logits).norm() < 0.4 * plain(input_ids=IDS).logits.norm()
    with pytest.raises(EnfoldError, match="bits is not saved"):
        base.save_pretrained(tmp_path / "few")
    assert not (tmp_path / "few").exists()
    model = peft.get_peft_model(peft.prepare_model_for_kbit_training(base), peft.LoraConfig(r=4, alpha=16))
    exact = peft.get_peft_model(llama(), peft.LoraConfig(r=4))
    assert model.get_nb_trainable_parameters() == exact.get_nb_trainable_parameters()
    model.train()
    optimizer = torch.optim.AdamW([part for part in model.parameters() if part.requires_grad], lr=2e-2)
    losses = []
    for _ in range(8):
        loss = model(input_ids=IDS, labels=IDS).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    assert all(part.grad is None for part in model.parameters() if not part.requires_grad)
    model.eval().save_pretrained(tmp_path / "adapter")
    again = peft.PeftModel.from_pretrained(load(tmp_path / "base", quantization_config=config), tmp_path / "adapter")
    torch.testing.assert_close(again(input_ids=IDS).logits, model(input_ids=IDS).logits, atol=1e-4, rtol=1e-4)


def test_factors_that_make_up_for_four_bits_come_from_the_files(tmp_path: Path) -> None:
    plain = llama()
    plain.save_pretrained(tmp_path)
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, load_in_4bit=True)
    model = peft.get_peft_model(base, peft.LoraConfig(r=8, lora_alpha=8, target_modules="all-linear")).eval()
    expected = plain(input_ids=IDS).logits
    before = (model(input_ids=IDS).logits - expected).norm()
    peft.replace_lora_weights_loftq(model)
    assert (model(input_ids=IDS).logits - expected).norm() < 0.8 * before


def test_what_trains_stays_exact_when_the_rest_is_halved() -> None:
    model = peft.get_peft_model(llama(), peft.LoraConfig(r=2))
    peft.cast_mixed_precision_params(model, torch.bfloat16)
    types = {part.requires_grad: part.dtype for part in model.parameters()}
    assert types == {True: torch.float32, False: torch.bfloat16}


@pytest.mark.parametrize("kind", ["PromptTuningConfig", "PrefixTuningConfig"])
def test_padding_that_no_mask_marks_is_found_behind_a_prompt_too(kind: str) -> None:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        pad_token_id=0, initializer_range=0.6,
    )  # fmt: skip
    given = getattr(peft, kind)(task_type="CAUSAL_LM", num_virtual_tokens=3)
    model = peft.get_peft_model(transformers.LlamaForCausalLM(config), given).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_()
    ids = torch.tensor([[0, 0, 0, 0, 0, 0, 5, 6], [3, 4, 5, 6, 7, 8, 9, 4]])
    how = {"max_new_tokens": 4, "do_sample": False, "return_dict_in_generate": True, "output_logits": True}
    marked, whole = (ids != 0).long(), torch.ones_like(ids)
    found = [model.generate(input_ids=ids, attention_mask=mask, **how).logits[0] for mask in (None, marked, whole)]
    assert torch.equal(found[0], found[1]) and not torch.allclose(found[1][0], found[2][0])

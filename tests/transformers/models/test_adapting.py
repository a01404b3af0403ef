"""Adapters inside plain models: added, read, switched, written, and told apart from models."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import enfold.transformers as tf
from enfold.checkpoints import tensor_names
from enfold.peft import LoraConfig, PeftModel, get_peft_model
from enfold.transformers.adapting import AdapterError

IDS = torch.tensor([[3, 1, 4, 1, 5]])


def tiny() -> Any:
    torch.manual_seed(0)
    numbers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return tf.LlamaForCausalLM(tf.LlamaConfig(vocab_size=40, **numbers)).eval()


def lora(**options: Any) -> LoraConfig:
    return LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False, **options)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A model, and an adapter for it that its wrapper wrote."""
    tiny().save_pretrained(tmp_path / "base")
    base = tf.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    get_peft_model(base, lora()).save_pretrained(tmp_path / "adapter")
    return tmp_path


def wrapped(folders: Path) -> torch.Tensor:
    base = tf.AutoModelForCausalLM.from_pretrained(folders / "base")
    return PeftModel.from_pretrained(base, folders / "adapter")(IDS).logits


def test_an_added_adapter_trains_and_the_model_does_not() -> None:
    model = tiny()
    plain = model(IDS).logits
    model.add_adapter(lora())
    assert model.active_adapters() == ["default"] and type(model) is tf.LlamaForCausalLM
    assert not torch.allclose(model(IDS).logits, plain)
    trained = {name for name, part in model.named_parameters() if part.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    model(IDS, labels=IDS).loss.backward()
    assert all((part.grad is not None) == part.requires_grad for part in model.parameters())
    model.disable_adapters()
    torch.testing.assert_close(model(IDS).logits, plain)
    model.enable_adapters()
    assert not torch.allclose(model(IDS).logits, plain)
    assert model.generate(IDS, max_new_tokens=2, do_sample=False, eos_token_id=None).shape == (1, 7)


def test_adapters_are_switched_added_up_and_removed() -> None:
    model = tiny()
    plain = model(IDS).logits
    torch.manual_seed(1)
    model.add_adapter(lora())
    one = model(IDS).logits
    model.add_adapter(lora(), "other")
    other = model(IDS).logits
    assert model.active_adapters() == ["other"] and not torch.allclose(one, other)
    model.set_adapter(["default", "other"])
    both = model(IDS).logits
    assert model.active_adapters() == ["default", "other"]
    assert not torch.allclose(both, one) and not torch.allclose(both, other)
    model.set_adapter("default")
    torch.testing.assert_close(model(IDS).logits, one)
    with pytest.raises(ValueError, match="no adapter named 'othr'; did you mean 'other'"):
        model.delete_adapter(["default", "othr"])
    model.delete_adapter("other")
    torch.testing.assert_close(model(IDS).logits, one)
    model.delete_adapter(["default"])
    torch.testing.assert_close(model(IDS).logits, plain)
    with pytest.raises(AdapterError, match="the model has no adapter"):
        model.active_adapters()
    model.add_adapter(lora())
    assert model.active_adapters() == ["default"]


def test_an_adapter_is_read_into_a_plain_model(folders: Path) -> None:
    model = tf.AutoModelForCausalLM.from_pretrained(folders / "base")
    result = model.load_adapter(folders / "adapter")
    assert result.missing_keys == result.unexpected_keys == []
    torch.testing.assert_close(model(IDS).logits, wrapped(folders))
    assert not any(part.requires_grad for part in model.parameters()) and not model.training
    with pytest.raises(AdapterError, match="an adapter named 'default' already"):
        model.load_adapter(folders / "adapter")
    model.load_adapter(folders / "adapter", "mine", is_trainable=True)
    assert model.active_adapters() == ["mine"]
    assert {name.rpartition(".lora_")[2][0] for name, part in model.named_parameters() if part.requires_grad} == {
        "A",
        "B",
    }


def test_an_adapter_is_read_from_tensors_and_swapped_in_place(folders: Path) -> None:
    model, again = tiny(), tiny()
    model.add_adapter(lora())
    tensors = model.get_adapter_state_dict()
    assert all(name.startswith("model.layers.") and "lora_" in name for name in tensors)
    again.load_adapter(peft_config=lora().to_dict(), adapter_state_dict=tensors, adapter_name="given")
    torch.testing.assert_close(again(IDS).logits, model(IDS).logits)
    again.load_adapter(folders / "adapter", "given", hotswap=True)
    assert again.active_adapters() == ["given"]
    torch.testing.assert_close(again(IDS).logits, wrapped(folders))
    with pytest.raises(AdapterError, match="there is none named 'nobody'"):
        again.load_adapter(folders / "adapter", "nobody", hotswap=True)
    with pytest.raises(AdapterError, match="peft_model_id, or from peft_config with adapter_state_dict"):
        again.load_adapter(peft_config=lora())


def test_a_folder_with_an_adapter_gives_its_model_with_it(folders: Path) -> None:
    expected = wrapped(folders)
    for kind in (tf.AutoModelForCausalLM, tf.LlamaForCausalLM):
        model, info = kind.from_pretrained(folders / "adapter", output_loading_info=True, dtype="float32")
        assert type(model) is tf.LlamaForCausalLM and info["missing_keys"] == []
        torch.testing.assert_close(model(IDS).logits, expected)
    shutil.copytree(folders / "base", folders / "both")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(folders / "adapter" / name, folders / "both")
    for kind in (tf.AutoModelForCausalLM, tf.LlamaForCausalLM):
        model = kind.from_pretrained(folders / "both")
        torch.testing.assert_close(model(IDS).logits, expected)
        assert model.active_adapters() == ["default"]
    text = folders / "adapter" / "adapter_config.json"
    text.write_text(json.dumps({**json.loads(text.read_text()), "base_model_name_or_path": None}))
    with pytest.raises(AdapterError, match="does not say for which model"):
        tf.AutoModelForCausalLM.from_pretrained(folders / "adapter")


def test_the_adapter_in_use_is_saved_and_nothing_else(folders: Path) -> None:
    model = tf.AutoModelForCausalLM.from_pretrained(folders / "base")
    model.add_adapter(lora())
    expected = model(IDS).logits
    model.save_pretrained(folders / "mine")
    assert {path.name for path in (folders / "mine").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    names = tensor_names(folders / "mine" / "adapter_model.safetensors")
    assert all(name.startswith("base_model.model.model.layers.") for name in names)
    torch.testing.assert_close(tf.AutoModelForCausalLM.from_pretrained(folders / "mine")(IDS).logits, expected)
    model.add_adapter(lora(), "other")
    model.set_adapter(["default", "other"])
    with pytest.raises(AdapterError, match="in use: default, other"):
        model.save_pretrained(folders / "two")
    assert not (folders / "two").exists()


def test_what_is_no_adapter_is_refused() -> None:
    model = tiny()
    with pytest.raises(TypeError, match="from a PeftConfig, not from dict"):
        model.add_adapter({"r": 2})
    for method in ("disable_adapters", "enable_adapters", "active_adapters", "get_adapter_state_dict"):
        with pytest.raises(AdapterError, match="the model has no adapter"):
            getattr(model, method)()
    model.add_adapter(lora())
    with pytest.raises(AdapterError, match="an adapter named 'default' already"):
        model.add_adapter(lora())


def test_a_copy_of_the_model_has_adapters_of_its_own() -> None:
    model = tiny()
    model.add_adapter(lora())
    other = copy.deepcopy(model)
    other.disable_adapters()
    assert not torch.allclose(model(IDS).logits, other(IDS).logits)


def test_training_resumes_with_an_adapter_in_a_plain_model(tmp_path: Path) -> None:
    rows = [{"input_ids": [3, 1, 4, n], "labels": [3, 1, 4, n]} for n in range(8)]

    def trained(resume: bool = False) -> Any:
        model = tiny()
        model.add_adapter(lora(lora_dropout=0.0))
        options = {"save_steps": 2, "report_to": [], "use_cpu": True, "per_device_train_batch_size": 2}
        arguments = tf.TrainingArguments(str(tmp_path / "run"), max_steps=4, learning_rate=1e-2, **options)
        tf.Trainer(model, arguments, train_dataset=rows).train(resume_from_checkpoint=resume)
        return model.get_adapter_state_dict()

    straight = trained()
    shutil.rmtree(tmp_path / "run" / "checkpoint-4")
    assert (tmp_path / "run" / "checkpoint-2" / "adapter_model.safetensors").is_file()
    assert not (tmp_path / "run" / "checkpoint-2" / "model.safetensors").exists()
    resumed = trained(resume=True)
    torch.testing.assert_close(resumed, straight)


PEER = """
import sys
import numpy, os, torch
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
ids = torch.tensor([[3, 1, 4, 1, 5]])
found = {"ours": model(ids).logits.detach().numpy()}
other = AutoModelForCausalLM.from_pretrained(sys.argv[2])
from peft import LoraConfig
torch.manual_seed(3)
other.add_adapter(LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
other.save_pretrained(sys.argv[3])
found["theirs"] = other(ids).logits.detach().numpy()
numpy.savez(os.environ["PEER_NPZ"], **found)
"""


@pytest.mark.peer
def test_adapters_of_plain_models_are_exchanged_with_transformers(peer: Callable[..., Any], folders: Path) -> None:
    model = tf.AutoModelForCausalLM.from_pretrained(folders / "base")
    model.add_adapter(lora())
    model.save_pretrained(folders / "mine")
    theirs = peer(PEER, folders / "mine", folders / "base", folders / "theirs")
    torch.testing.assert_close(model(IDS).logits.detach(), torch.from_numpy(theirs["ours"]), rtol=1e-5, atol=1e-5)
    read = tf.AutoModelForCausalLM.from_pretrained(folders / "theirs")
    torch.testing.assert_close(read(IDS).logits, torch.from_numpy(theirs["theirs"]), rtol=1e-5, atol=1e-5)

"""Every argument that ``from_pretrained`` takes in transformers 4.57 and 5.23: obeyed, of no effect, or refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import enfold.transformers as tf
from enfold import peft
from enfold.errors import EnfoldError

GPT2 = {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}

# argument → a value under which the model is the same as without it
SAME: dict[str, Any] = {
    "_adapter_model_path": None,
    "_commit_hash": None,
    "_fast_init": True,
    "_from_auto": True,
    "_from_pipeline": None,
    "adapter_kwargs": {},
    "adapter_name": "default",
    "allow_all_kernels": False,
    "attn_implementation": "eager",
    "cache_dir": None,
    "code_revision": "main",
    "config": None,
    "device_map": "cpu",
    "device_mesh": None,
    "disable_mmap": True,
    "distributed_config": None,
    "dtype": "float32",
    "experts_implementation": "eager",
    "force_download": False,
    "from_flax": False,
    "from_tf": False,
    "fusion_config": None,
    "generation_config": None,
    "gguf_file": None,
    "ignore_mismatched_sizes": True,
    "kernel_config": None,
    "key_mapping": {},
    "load_in_4bit": False,
    "load_in_8bit": False,
    "local_files_only": True,
    "low_cpu_mem_usage": True,
    "max_memory": None,
    "mirror": None,
    "offload_buffers": False,
    "offload_folder": None,
    "offload_state_dict": True,
    "output_loading_info": False,
    "proxies": {},
    "quantization_config": None,
    "resume_download": True,
    "revision": "main",
    "state_dict": None,
    "subfolder": "",
    "token": None,
    "torch_dtype": torch.float32,
    "tp_plan": None,
    "tp_size": None,
    "tqdm_class": None,
    "trust_remote_code": False,
    "use_auth_token": None,
    "use_kernels": False,
    "use_safetensors": True,
    "variant": None,
    "weights_only": True,
}
# argument → a value that asks for what is not here
REFUSED: dict[str, Any] = {
    "device_mesh": object(),
    "distributed_config": {"tp_size": 2},
    "fusion_config": {"mlp": True},
    "tp_size": 2,
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tf.GPT2LMHeadModel]:
    """A model and its folder."""
    folder = tmp_path_factory.mktemp("arguments")
    torch.manual_seed(0)
    model = tf.GPT2LMHeadModel(tf.GPT2Config(**GPT2)).eval()
    model.save_pretrained(folder)
    return folder, model


@pytest.mark.parametrize("kind", [tf.AutoModelForCausalLM, tf.GPT2LMHeadModel], ids=["auto", "own"])
@pytest.mark.parametrize("name", SAME)
def test_the_model_is_the_same(saved: tuple[Path, Any], kind: Any, name: str) -> None:
    folder, model = saved
    again, ids = kind.from_pretrained(folder, **{name: SAME[name]}), torch.arange(5)[None]
    assert torch.allclose(again(ids).logits, model(ids).logits, atol=1e-6)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_here_is_named(saved: tuple[Path, Any], name: str) -> None:
    with pytest.raises(EnfoldError, match=f"{name}=…"):
        tf.AutoModelForCausalLM.from_pretrained(saved[0], **{name: REFUSED[name]})


def test_a_name_that_nobody_has_is_refused_with_the_nearest(saved: tuple[Path, Any]) -> None:
    with pytest.raises(TypeError, match="ignore_mismatched_sizes"):
        tf.AutoModelForCausalLM.from_pretrained(saved[0], ignore_mismatched_size=True)


def test_names_of_other_code_are_mapped_to_the_models(saved: tuple[Path, Any], tmp_path: Path) -> None:
    folder, model = saved
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    state = load_file(folder / "model.safetensors")
    save_file(
        {f"net.{name}".replace(".h.", ".blocks."): tensor for name, tensor in state.items()},
        tmp_path / "model.safetensors",
    )
    mapping, ids = {r"^net\.": "", r"\.blocks\.": ".h."}, torch.arange(5)[None]
    for kind in (tf.AutoModelForCausalLM, tf.GPT2LMHeadModel):
        again, told = kind.from_pretrained(tmp_path, key_mapping=mapping, output_loading_info=True)
        assert told == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": []}
        assert torch.equal(again(ids).logits, model(ids).logits)
    _, told = tf.GPT2LMHeadModel.from_pretrained(tmp_path, output_loading_info=True)
    assert set(told["missing_keys"]) == set(state)
    assert told["unexpected_keys"] and all(name.startswith("net.") for name in told["unexpected_keys"])


def test_values_of_the_configuration_are_overridden(saved: tuple[Path, Any]) -> None:
    folder, model = saved
    for kind in (tf.AutoModelForCausalLM, tf.GPT2LMHeadModel):
        again = kind.from_pretrained(
            folder, resid_pdrop=0.5, output_hidden_states=True, id2label={0: "a", 1: "b", 2: "c"}
        )
        assert (again.config.resid_pdrop, again.config.num_labels) == (0.5, 3)
        assert len(again(torch.arange(5)[None]).hidden_states) == 3
        assert again.transformer.h[0].attn.resid_dropout.p == 0.5
    given = tf.GPT2Config.from_pretrained(folder)
    again = tf.GPT2LMHeadModel.from_pretrained(folder, config=given, attn_pdrop=0.25)
    assert again.config.attn_pdrop == 0.25 and given.attn_pdrop == model.config.attn_pdrop  # the given one stays


def test_an_adapter_gets_the_name_that_is_asked_for(saved: tuple[Path, Any], tmp_path: Path) -> None:
    base = tf.AutoModelForCausalLM.from_pretrained(saved[0])
    peft.get_peft_model(base, peft.LoraConfig(target_modules=["c_attn"])).save_pretrained(tmp_path)
    model = tf.AutoModelForCausalLM.from_pretrained(tmp_path, adapter_name="mine")
    assert model.active_adapters() == ["mine"]

"""Adapters: where they go, how they add up, merge, switch, and come back from files."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from enfold.peft import (
    LoraConfig,
    PeftConfig,
    PeftModel,
    PeftModelForSequenceClassification,
    get_peft_model,
    get_peft_model_state_dict,
    inject_adapter_in_model,
    set_peft_model_state_dict,
)
from enfold.peft.config import UnsupportedPeftFeature
from enfold.peft.lora import LoraLayer
from enfold.peft.weights import AdapterMismatch


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.v_proj = nn.Linear(8, 8), nn.Linear(8, 8, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.v_proj(torch.tanh(self.q_proj(x)))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(10, 8, padding_idx=0)
        self.layers = nn.ModuleList([Block(), Block()])
        self.score = nn.Linear(8, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.score(x.mean(1))


IDS = torch.tensor([[1, 2, 3], [4, 5, 0]])


def net() -> Net:
    torch.manual_seed(0)
    return Net()


def filled(model: nn.Module, seed: int = 1) -> Any:
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3)
    return model.eval()


def adapted(**options: Any) -> PeftModel:
    return get_peft_model(net(), LoraConfig(**{"r": 2, "target_modules": ["q_proj", "v_proj"], **options}))


def targets(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, LoraLayer)]


def test_a_fresh_adapter_changes_nothing_and_alone_trains() -> None:
    plain, model = net(), adapted()
    assert torch.equal(model(IDS), plain(IDS))
    assert {name.split(".")[-3] for name, p in model.named_parameters() if p.requires_grad} == {"lora_A", "lora_B"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"target_modules": ["q_proj"]}, ["layers.0.q_proj", "layers.1.q_proj"]),
        ({"target_modules": r".*\.1\.[qv]_proj"}, ["layers.1.q_proj", "layers.1.v_proj"]),
        ({"target_modules": ["q_proj"], "layers_to_transform": [1]}, ["layers.1.q_proj"]),
        ({"target_modules": ["q_proj"], "layers_to_transform": 0, "layers_pattern": "layers"}, ["layers.0.q_proj"]),
        ({"target_modules": ["v_proj", "q_proj"], "exclude_modules": r".*0\.q_proj|.*v_proj"}, ["layers.1.q_proj"]),
        ({"target_modules": ["score", "q_proj"], "modules_to_save": ["score"]}, ["layers.0.q_proj", "layers.1.q_proj"]),
        (
            {"target_modules": "all-linear", "task_type": "SEQ_CLS"},
            ["layers.0.q_proj", "layers.0.v_proj", "layers.1.q_proj", "layers.1.v_proj"],
        ),
        ({"target_modules": ["embed_tokens"]}, ["embed_tokens"]),
    ],
)
def test_targets(options: dict[str, Any], expected: list[str]) -> None:
    assert targets(adapted(**options).get_base_model()) == expected


def test_patterns_set_rank_and_alpha_of_single_layers() -> None:
    model = adapted(rank_pattern={"0.q_proj": 5}, alpha_pattern={r"layers\.1\.v_proj": 20}, lora_alpha=4)
    assert model.layers[0].q_proj.r["default"] == 5
    assert model.layers[0].q_proj.scaling["default"] == 4 / 5
    assert model.layers[1].v_proj.scaling["default"] == 10


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize("target", [["q_proj", "v_proj"], ["embed_tokens"]])
def test_merging_and_unloading_keep_the_result(rslora: bool, target: list[str]) -> None:
    model = filled(adapted(target_modules=target, use_rslora=rslora))
    expected = model(IDS)
    assert not torch.allclose(expected, net()(IDS))
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    model.merge_adapter()
    torch.testing.assert_close(model(IDS), expected)
    model.unmerge_adapter()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, weights[name], atol=1e-6, rtol=1e-6)
    merged = copy.deepcopy(model).merge_and_unload()
    assert type(merged) is Net and not any("lora" in name for name, _ in merged.named_parameters())
    torch.testing.assert_close(merged(IDS), expected)
    torch.testing.assert_close(model.unload()(IDS), net()(IDS))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 6), st.integers(1, 32), st.booleans())
def test_the_forward_is_the_merged_matrix(rank: int, alpha: int, transposed: bool) -> None:
    class Conv1D(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.randn(5, 7)), nn.Parameter(torch.randn(7))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.weight + self.bias

    model = nn.Sequential(Conv1D() if transposed else nn.Linear(5, 7))
    wrapped = filled(get_peft_model(model, LoraConfig(r=rank, lora_alpha=alpha, target_modules=["0"])))
    x = torch.randn(2, 3, 5)
    first, second = wrapped.base_model.model[0].factors("default")
    base = wrapped.base_model.model[0].base_layer(x)
    torch.testing.assert_close(wrapped(x), base + alpha / rank * (x @ first.T @ second.T), atol=1e-5, rtol=1e-4)
    expected = wrapped(x)
    torch.testing.assert_close(wrapped.merge_and_unload()(x), expected, atol=1e-5, rtol=1e-4)


def test_a_merge_that_is_not_finite_is_refused_before_anything_changes() -> None:
    model = filled(adapted())
    before = model.layers[0].q_proj.weight.clone()
    model.layers[1].v_proj.lora_B["default"].weight.data.fill_(float("inf"))
    with pytest.raises(ValueError, match="finite"):
        model.merge_and_unload(safe_merge=True)
    assert torch.equal(model.layers[0].q_proj.weight, before)


def test_disabling_computes_as_the_base_does() -> None:
    model = filled(adapted(task_type="SEQ_CLS"))
    with model.disable_adapter():
        assert torch.equal(model(IDS), net()(IDS))
    assert not torch.equal(model(IDS), net()(IDS))


def test_several_adapters_are_switched_added_up_and_deleted() -> None:
    model = filled(adapted())
    first = model(IDS)
    model.add_adapter("other", LoraConfig(r=3, target_modules=["v_proj"]))
    assert torch.equal(model(IDS), first)
    model.set_adapter("other")
    assert torch.equal(model(IDS), net()(IDS))
    assert {name.split(".")[-2] for name, p in model.named_parameters() if p.requires_grad} == {"other"}
    filled(model, 2)
    second = model(IDS)
    model.set_adapter("default")
    assert torch.equal(model(IDS), first)
    model.base_model.set_adapter(["default", "other"])
    assert not torch.equal(model(IDS), first) and not torch.equal(model(IDS), second)
    model.delete_adapter("default")
    assert model.active_adapter == "other"
    assert torch.equal(model(IDS), second)
    with pytest.raises(ValueError, match="no adapter named 'defaul'"):
        model.set_adapter("defaul")


def test_the_head_of_a_classifier_trains_and_is_saved(tmp_path: Path) -> None:
    model = adapted(task_type="SEQ_CLS")
    assert isinstance(model, PeftModelForSequenceClassification)
    filled(model)
    model.save_pretrained(tmp_path)
    assert "base_model.model.score.weight" in get_peft_model_state_dict(model)
    loaded = PeftModel.from_pretrained(net(), tmp_path)
    assert type(loaded) is PeftModelForSequenceClassification
    torch.testing.assert_close(loaded(IDS), model(IDS), atol=0, rtol=0)
    assert not any(p.requires_grad for p in loaded.parameters()) and not loaded.training
    again = PeftModel.from_pretrained(net(), tmp_path, is_trainable=True)
    assert again.get_nb_trainable_parameters() == model.get_nb_trainable_parameters()
    torch.testing.assert_close(loaded.merge_and_unload()(IDS), model(IDS))


def test_files_of_several_adapters(tmp_path: Path) -> None:
    model = filled(adapted())
    model.add_adapter("other", LoraConfig(r=3, target_modules=["v_proj"]))
    model.set_adapter("other")
    filled(model, 3)
    model.save_pretrained(tmp_path)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    pair = ["adapter_config.json", "adapter_model.safetensors"]
    assert files == {"README.md", *pair, *(f"other/{name}" for name in pair)}
    loaded = PeftModel.from_pretrained(net(), tmp_path)
    loaded.load_adapter(tmp_path / "other", "second")
    loaded.set_adapter("second")
    torch.testing.assert_close(loaded(IDS), model(IDS), atol=0, rtol=0)
    assert json.loads((tmp_path / pair[0]).read_text())["inference_mode"] is True


@pytest.mark.parametrize("bias", ["all", "lora_only"])
def test_biases_train_and_come_back_from_a_file(tmp_path: Path, bias: str) -> None:
    model = filled(adapted(bias=bias))
    trained = [name for name, p in model.named_parameters() if p.requires_grad and name.endswith("bias")]
    assert len(trained) == (3 if bias == "all" else 2)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(PeftModel.from_pretrained(net(), tmp_path)(IDS), model(IDS), atol=0, rtol=0)


def test_old_bin_files_are_read(tmp_path: Path) -> None:
    model = filled(adapted())
    model.save_pretrained(tmp_path, safe_serialization=False)
    assert (tmp_path / "adapter_model.bin").exists()
    torch.testing.assert_close(PeftModel.from_pretrained(net(), tmp_path)(IDS), model(IDS), atol=0, rtol=0)


def test_weights_of_another_shape_are_named_and_nothing_changes() -> None:
    model = filled(adapted())
    before = copy.deepcopy(model.state_dict())
    wrong = {key: torch.zeros(3, 3) for key in get_peft_model_state_dict(model)}
    with pytest.raises(AdapterMismatch, match=r"q_proj\.lora_A"):
        set_peft_model_state_dict(model, wrong)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    result = set_peft_model_state_dict(model, {"elsewhere": torch.zeros(1)})
    assert result.unexpected_keys == ["elsewhere"] and len(result.missing_keys) == 8


def test_a_file_from_a_newer_version_is_read(tmp_path: Path, caplog: Any) -> None:
    LoraConfig(r=3, target_modules=["q_proj"]).save_pretrained(tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "field_of_tomorrow": 1}))
    config = PeftConfig.from_pretrained(tmp_path)
    assert isinstance(config, LoraConfig) and config.r == 3


@pytest.mark.parametrize("option", ["use_qalora", "ensure_weight_tying", "use_bdlora"])
def test_a_feature_that_is_absent_is_refused_and_the_model_stays(option: str) -> None:
    model = net()
    with pytest.raises(UnsupportedPeftFeature, match=option):
        get_peft_model(model, LoraConfig(target_modules=["q_proj"], **{option: True}))
    assert not targets(model) and all(p.requires_grad for p in model.parameters())


def test_mistakes_are_explained() -> None:
    with pytest.raises(ValueError, match="did you mean 'q_proj'"):
        adapted(target_modules=["q_prj"])
    with pytest.raises(ValueError, match="target_modules"):
        get_peft_model(net(), LoraConfig())
    with pytest.raises(UnsupportedPeftFeature, match="Block"):
        adapted(target_modules=["0"])
    with pytest.raises(TypeError, match="did you mean 'lora_alpha'"):
        LoraConfig(lora_alph=3)
    with pytest.raises(TypeError, match="another spelling"):
        LoraConfig(alpha=3, lora_alpha=4)


def test_alpha_is_another_name_of_lora_alpha() -> None:
    config = LoraConfig(alpha=16)
    assert (config.lora_alpha, config.alpha) == (16, 16)  # type: ignore[attr-defined]
    assert "alpha" not in config.to_dict()


def test_attributes_and_generate_go_through_to_the_model() -> None:
    class Talker(Net):
        config = type("Config", (), {"model_type": "llama"})()

        def generate(self, length: int) -> str:
            return "a" * length

    model = get_peft_model(Talker(), LoraConfig(r=2))
    assert model.generate(3) == "aaa"
    assert model.config.model_type == "llama"
    assert targets(model.get_base_model()) == [f"layers.{i}.{name}_proj" for i in (0, 1) for name in "qv"]
    with pytest.raises(AttributeError):
        model.no_such_thing


def test_adapters_can_go_into_a_model_without_a_wrapper() -> None:
    model = inject_adapter_in_model(LoraConfig(r=2, target_modules=["q_proj"]), net())
    assert type(model) is Net and len(targets(model)) == 2
    assert sorted(get_peft_model_state_dict(model))[0] == "layers.0.q_proj.lora_A.weight"


def test_adapters_stay_in_float32_on_a_half_precision_base() -> None:
    model = get_peft_model(net().bfloat16(), LoraConfig(r=2, target_modules=["q_proj"]))
    assert model.layers[0].q_proj.lora_A["default"].weight.dtype == torch.float32
    filled(model)
    assert model(IDS).dtype == torch.bfloat16
    expected = model(IDS).float()
    torch.testing.assert_close(model.merge_and_unload()(IDS).float(), expected, atol=0.05, rtol=0.05)


def test_dropout_acts_in_training_only() -> None:
    model = filled(adapted(lora_dropout=0.5))
    assert torch.equal(model(IDS), model(IDS))
    model.train()
    assert not torch.equal(model(IDS), model(IDS))

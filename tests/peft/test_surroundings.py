"""What programs reach for around adapters: switches, deep names, tables, adapters put in by their file's keys."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import enfold.peft as peft
from enfold.addresses import locate
from enfold.peft import import_utils
from enfold.peft.config import KINDS
from enfold.peft.layer import AdapterLayer
from enfold.peft.tuner import LAYERS as LAYERED
from peft_kinds import CONFIGS, IDS, LAYERS, filled, net


def lora(**more: object) -> peft.PeftModel:
    return filled(peft.get_peft_model(net(), peft.LoraConfig(r=2, **LAYERS, **more)))  # type: ignore[no-any-return]


@torch.no_grad()
def test_adapters_that_are_off_stay_off_after_a_block_without_them() -> None:
    model = lora().eval()
    with_adapter = model(IDS)
    assert model.has_active_enabled_adapter
    trained = [part for part in model.parameters() if part.requires_grad]
    with model.disable_adapter():
        assert trained and not any(part.requires_grad for part in model.parameters())
        plain = model(IDS)
        with model.disable_adapter():
            pass
        torch.testing.assert_close(model(IDS), plain)
        assert not model.has_active_enabled_adapter
    torch.testing.assert_close(model(IDS), with_adapter)
    assert all(part.requires_grad for part in trained)
    model.disable_adapter_layers()
    with model.disable_adapter():
        pass
    torch.testing.assert_close(model(IDS), plain)
    model.enable_adapter_layers()
    model.base_model.model.first.enable_adapters(False)
    half = model(IDS)
    with model.disable_adapter():
        torch.testing.assert_close(model(IDS), plain)
    torch.testing.assert_close(model(IDS), half)


def test_a_layer_is_merged_by_hand_and_a_broken_adapter_leaves_it_alone() -> None:
    model = lora()
    model.add_adapter("broken", peft.LoraConfig(r=2, **LAYERS))
    layer = model.base_model.model.first
    before = layer.weight.clone()
    layer.lora_B["broken"].weight.data.fill_(torch.inf)
    with pytest.raises(ValueError, match="not finite"):
        layer.merge(safe_merge=True, adapter_names=["broken"])
    assert torch.equal(layer.weight, before) and layer.merged_adapters == []
    layer.merge(safe_merge=True)
    assert layer.merged_adapters == ["default"] and not torch.equal(layer.weight, before)


def test_two_adapters_that_train_one_module_whole_are_not_used_together() -> None:
    model = lora(modules_to_save=["norm"])
    model.add_adapter("other", peft.LoraConfig(r=2, modules_to_save=["norm"], **LAYERS))
    with pytest.raises(ValueError, match="each train norm whole"):
        model.set_adapter(["default", "other"])
    assert model.active_adapters == ["default"]


def test_adapters_on_adapters_are_warned_of() -> None:
    model = net()
    peft.get_peft_model(model, peft.LoraConfig(target_modules=["first"]))
    with pytest.warns(peft.PeftWarning, match="add_adapter"):
        peft.get_peft_model(model, peft.LoraConfig(target_modules=["second"]))


@pytest.mark.parametrize("name", ["lora", "ia3", "lokr", "road"])
def test_keys_of_a_file_say_where_adapters_go(name: str) -> None:
    config = CONFIGS[name]()
    wrapped = peft.get_peft_model(net(), config)
    tensors = peft.get_peft_model_state_dict(wrapped)
    other = CONFIGS[name]()
    other.target_modules, other.feedforward_modules = {"embed"}, {"second"}
    model = peft.inject_adapter_in_model(other, net(), state_dict=tensors)
    found = [key for key, module in model.named_modules() if isinstance(module, AdapterLayer)]
    assert found == ["first", "second"]
    assert not peft.set_peft_model_state_dict(model, tensors).unexpected_keys
    with pytest.raises(ValueError, match="no weights of"):
        peft.inject_adapter_in_model(other, net(), state_dict={"first.weight": torch.zeros(1)})


@pytest.mark.parametrize("name", sorted(set(CONFIGS) - {"ln-tuning"}))
def test_every_kind_waits_for_its_file_without_memory(name: str, tmp_path: Path) -> None:
    first = filled(peft.get_peft_model(net(), CONFIGS[name]())).eval()
    first.save_pretrained(tmp_path)
    if name in ("vera", "vblora"):
        with pytest.raises(ValueError, match="shared state"):
            peft.inject_adapter_in_model(CONFIGS[name](), net())
    waiting = peft.get_peft_model(net(), CONFIGS[name](), low_cpu_mem_usage=True)
    assert "meta" in {part.device.type for part in waiting.parameters()}
    read = peft.PeftModel.from_pretrained(net(), tmp_path, low_cpu_mem_usage=True).eval()
    assert {part.device.type for part in read.parameters()} == {"cpu"}
    torch.testing.assert_close(read(IDS), first(IDS))


def test_vera_adapters_of_one_seed_share_their_matrices() -> None:
    model = peft.get_peft_model(net(), peft.VeraConfig(r=4, **LAYERS))
    model.add_adapter("other", peft.VeraConfig(r=4, **LAYERS))
    first, second = model.base_model.model.first, model.base_model.model.second
    assert first.vera_A["default"] is first.vera_A["other"] is second.vera_A["default"]
    model.delete_adapter("default")
    assert "default" not in first.vera_B and "other" in first.vera_B


def test_tables_and_deep_names() -> None:
    assert peft.PEFT_TYPE_TO_CONFIG_MAPPING[peft.PeftType.LORA] is peft.LoraConfig
    assert set(peft.PEFT_TYPE_TO_CONFIG_MAPPING) == {peft.PeftType(kind) for kind in KINDS}
    assert peft.PEFT_TYPE_TO_TUNER_MAPPING["IA3"].__name__ == "IA3Model"
    prefixes = peft.PEFT_TYPE_TO_PREFIX_MAPPING
    assert set(prefixes) == set(LAYERED) and prefixes["LOHA"] == "hada_" and prefixes["VERA"] == "vera_lambda_"
    from enfold.peft.tuners import LoraModel
    from enfold.peft.tuners import lora as deep

    model = lora()
    assert isinstance(model.base_model, LoraModel) and model.prefix == "lora_"
    assert repr(model.base_model.model.first).startswith("lora.Linear(")
    assert peft.get_layer_status(model)[0].module_type == "lora.Linear"
    assert isinstance(model.base_model.model.first, deep.Linear) and deep.LoraConfig is peft.LoraConfig
    assert locate("peft.tuners.lora.layer") == "enfold.peft.tuners.lora"
    assert locate("peft.tuners.ia3.layer") == "enfold.peft"
    assert issubclass(deep.Linear, peft.BaseTunerLayer)


def test_questions_after_packages() -> None:
    assert import_utils.is_transformers_ge_v5() and not import_utils.is_transformers_ge_v99_1_0()
    assert import_utils.is_diffusers_available() and not import_utils.is_no_such_package_available()
    with pytest.raises(AttributeError):
        import_utils.is_it


def test_a_folder_is_an_adapter_or_not(tmp_path: Path) -> None:
    assert not peft.check_if_peft_model(tmp_path)
    lora().save_pretrained(tmp_path)
    assert peft.check_if_peft_model(tmp_path)
    assert torch.device(peft.infer_device()).type == peft.infer_device()


@pytest.mark.parametrize("name", ["lora", "lora-embedding", "tokens", "ln-tuning", "vera"])
def test_weights_of_the_base_model_keep_their_names(name: str) -> None:
    plain = net()
    before = {key: value.clone() for key, value in plain.state_dict().items()}
    model = filled(peft.get_peft_model(plain, CONFIGS[name]()))
    found = peft.get_base_model_state_dict(model)
    assert found.keys() == before.keys()
    for key, value in before.items():
        assert torch.equal(found[key], value)
    adapter = {key: value.clone() for key, value in peft.get_peft_model_state_dict(model).items()}
    assert not any(peft.set_base_model_state_dict(model, {key: value + 1 for key, value in before.items()}))
    assert all(torch.equal(found[key], value + 1) for key, value in before.items())
    assert all(torch.equal(value, adapter[key]) for key, value in peft.get_peft_model_state_dict(model).items())
    with pytest.raises(RuntimeError, match=r"first\.bias: missing"):
        peft.set_base_model_state_dict(model, {"first.weight": before["first.weight"]})
    assert peft.set_base_model_state_dict(model, {"new": torch.ones(1)}, strict=False).unexpected_keys == ["new"]


def test_tensors_of_another_shape_are_left_out_on_request(tmp_path: Path) -> None:
    lora().save_pretrained(tmp_path)
    other = net()
    other.second = torch.nn.Linear(16, 6)
    with pytest.raises(RuntimeError, match="another shape"):
        peft.PeftModel.from_pretrained(other, tmp_path)
    other = net()
    other.second = torch.nn.Linear(16, 6)
    read = peft.PeftModel.from_pretrained(other, tmp_path, ignore_mismatched_sizes=True)
    assert not read.base_model.model.second.lora_B["default"].weight.any()
    read.delete_adapter("default")
    assert read.modules_to_save is None


@torch.no_grad()
@pytest.mark.parametrize("below", ["loha", "adalora", "hra"])
def test_low_rank_adapters_stand_on_any_other_kind(below: str) -> None:
    model = peft.get_peft_model(net(), CONFIGS[below](), "below", mixed=True)
    model.add_adapter("above", peft.LoraConfig(r=2, init_lora_weights=False, **LAYERS))
    model.set_adapter(["below", "above"])
    filled(model)
    both = model(IDS)
    model.set_adapter("below")
    assert not torch.allclose(model(IDS), both)
    model.set_adapter(["below", "above"])
    torch.testing.assert_close(model.merge_and_unload()(IDS), both, atol=1e-5, rtol=1e-5)


def test_several_adapters_are_deleted_at_once() -> None:
    model = lora()
    for name in ("second", "third"):
        model.add_adapter(name, peft.LoraConfig(r=2, **LAYERS))
    model.delete_adapter(["default", "second"])
    assert list(model.peft_config) == model.active_adapters == ["third"]

"""What holds for every kind of adapter: starts, merges, files, rows of a batch, half precision."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import enfold.peft as peft
from enfold.peft.config import KINDS, PeftConfig, UnsupportedPeftFeature
from enfold.peft.layer import AdapterLayer
from enfold.peft.weights import AdapterMismatch
from peft_kinds import CONFIGS, IDS, LAYERS, RANDOM, UNMERGED, Image, Net, filled, net


def adapted(name: str) -> Any:
    return peft.get_peft_model(net(), CONFIGS[name]())


@pytest.mark.parametrize("name", CONFIGS)
def test_a_fresh_adapter_changes_nothing_and_alone_trains(name: str) -> None:
    model = adapted(name).eval()
    if name not in RANDOM:
        torch.testing.assert_close(model(IDS), net()(IDS), atol=1e-6, rtol=1e-6)
    ours = {id(part) for layer in model.modules() if isinstance(layer, AdapterLayer) for part in layer.parts("default")}
    shared = {id(part) for key, part in model.named_parameters() if "vector_bank" in key}
    trained = {id(part) for part in model.parameters() if part.requires_grad}
    assert trained == ours | shared
    filled(model)
    model.train()
    model(IDS).square().sum().backward()
    assert all(part.grad is not None for part in model.parameters() if part.requires_grad)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in UNMERGED])
def test_merged_weights_compute_the_same_and_come_apart_again(name: str) -> None:
    model = filled(adapted(name))
    expected = model(IDS)
    assert not torch.allclose(expected, net()(IDS), atol=1e-3)
    weights = copy.deepcopy({key: value for key, value in model.state_dict().items() if "base_layer" in key})
    model.merge_adapter(safe_merge=True)
    torch.testing.assert_close(model(IDS), expected, atol=1e-5, rtol=1e-5)
    model.unmerge_adapter()
    for key, value in weights.items():
        torch.testing.assert_close(model.state_dict()[key], value, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model(IDS), expected, atol=1e-5, rtol=1e-5)
    plain = model.merge_and_unload()
    assert type(plain) is Net and not any(isinstance(module, AdapterLayer) for module in plain.modules())
    torch.testing.assert_close(plain(IDS), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", UNMERGED)
def test_networks_cannot_be_merged_and_are_taken_out(name: str) -> None:
    model = filled(adapted(name))
    with pytest.raises(UnsupportedPeftFeature, match="bend"):
        model.merge_and_unload()
    assert type(model.unload()) is Net


@pytest.mark.parametrize("name", CONFIGS)
def test_files_bring_back_what_was_trained(name: str, tmp_path: Path) -> None:
    model = filled(adapted(name))
    model.save_pretrained(tmp_path)
    loaded = peft.PeftModel.from_pretrained(net(), tmp_path)
    assert torch.equal(loaded(IDS), model(IDS))
    assert type(loaded.peft_config["default"]) is type(CONFIGS[name]())
    with loaded.disable_adapter():
        assert torch.equal(loaded(IDS), net()(IDS))


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "adalora"])
def test_rows_with_adapters_of_their_own_compute_as_each_alone(name: str) -> None:
    model = filled(adapted(name))
    model.add_adapter("other", CONFIGS[name]())
    model.set_adapter("other")
    filled(model, 2)
    names = ["default", "other", "__base__", "default"]
    expected = []
    for row, chosen in enumerate(names):
        if chosen == "__base__":
            expected.append(net()(IDS[row : row + 1]))
        else:
            model.set_adapter(chosen)
            expected.append(model(IDS[row : row + 1]))
    torch.testing.assert_close(model(IDS, adapter_names=names), torch.cat(expected), atol=1e-6, rtol=1e-5)
    model.delete_adapter("other")
    assert list(model.peft_config) == ["default"]
    with pytest.raises(ValueError, match="no adapter named 'other'"):
        model(IDS, adapter_names=["other"] * 4)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in ("ln-tuning", "tokens")])
def test_adapters_stay_in_float32_on_a_half_precision_base(name: str) -> None:
    model = peft.get_peft_model(net().bfloat16(), CONFIGS[name]())
    filled(model)
    assert {part.dtype for part in model.parameters() if part.requires_grad} == {torch.float32}
    exact = filled(adapted(name))
    assert model(IDS).dtype == torch.bfloat16
    torch.testing.assert_close(model(IDS).float(), exact(IDS), atol=0.15, rtol=0.15)


@pytest.mark.parametrize("name", ["lora", "dora", "ia3", "loha", "oft", "hra", "vera", "bottleneck"])
def test_quantised_layers_take_adapters(name: str) -> None:
    from enfold.nn.quantized import to_4bit

    base = net()
    to_4bit(base)
    model = filled(peft.get_peft_model(base, CONFIGS[name]()))
    out = model(IDS)
    out.square().sum().backward()
    assert all(part.grad is not None for part in model.parameters() if part.requires_grad)
    if name in ("lora", "dora"):
        # What comes out of merging is rounded to four bits again: near, and in four bits.
        merged = model.merge_and_unload()
        assert type(merged.first).__name__ == "Linear4bit"
        assert (merged(IDS) - out).norm() < 0.35 * out.norm()


@pytest.mark.parametrize(
    "config",
    [
        lambda: peft.LoraConfig(r=2, target_modules=["conv", "line"]),
        lambda: peft.LoraConfig(r=2, use_dora=True, target_modules=["conv", "line"]),
        lambda: peft.LoHaConfig(r=2, use_effective_conv2d=True, target_modules=["conv", "line"]),
        lambda: peft.LoHaConfig(r=2, target_modules=["conv", "line"]),
        lambda: peft.LoKrConfig(r=1, use_effective_conv2d=True, target_modules=["conv", "line"]),
        lambda: peft.LoKrConfig(r=1, target_modules=["conv", "line"]),
        lambda: peft.IA3Config(target_modules=["conv"], feedforward_modules=[]),
        lambda: peft.IA3Config(target_modules=["conv"], feedforward_modules=["conv"]),
        lambda: peft.HRAConfig(r=2, target_modules=["conv"]),
        lambda: peft.BOFTConfig(boft_block_size=3, target_modules=["conv"]),
    ],
)
def test_convolutions_take_adapters(config: Any) -> None:
    torch.manual_seed(0)
    plain = Image().eval()
    x = torch.randn(2, 3, 8, 8)
    before = plain(x)
    model = peft.get_peft_model(plain, config()).eval()
    torch.testing.assert_close(model(x), before, atol=1e-6, rtol=1e-6)
    expected = filled(model)(x)
    assert not torch.allclose(expected, before, atol=1e-3)
    torch.testing.assert_close(model.merge_and_unload(safe_merge=True)(x), expected, atol=1e-5, rtol=1e-5)


def test_butterflies_turn_and_stretch_nothing() -> None:
    model = filled(peft.get_peft_model(net(), peft.BOFTConfig(boft_block_size=2, boft_n_butterfly_factor=3, **LAYERS)))
    matrix = model.base_model.model.second.matrix("default")
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(16), atol=1e-5, rtol=1e-5)
    assert (matrix.abs() > 1e-6).sum(1).max() > 2  # blocks of two reach further through the permutations


def test_gradients_of_circulant_blocks_are_the_derivative() -> None:
    model = filled(adapted("c3a")).double()
    layer = model.base_model.model.first
    x = torch.randn(2, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


@pytest.mark.parametrize("kind", ["pissa", "pissa_niter_4", "olora", "orthogonal", "loftq", "gaussian", "mica"])
def test_starts_keep_what_the_model_computes(kind: str) -> None:
    model = peft.get_peft_model(net(), peft.LoraConfig(r=4, lora_alpha=4, init_lora_weights=kind, **LAYERS)).eval()
    room = 0.2 if kind == "loftq" else 1e-5  # what four bits and rank four leave of random weights
    torch.testing.assert_close(model(IDS), net()(IDS), atol=room, rtol=room)
    first, second = model.base_model.model.first.factors("default")
    assert bool(first.any()) or bool(second.any())


def test_a_mask_of_ones_own_is_given_by_a_function_or_by_a_file(tmp_path: Path) -> None:
    config = peft.ShiraConfig(r=1, mask_type="corner", **LAYERS)
    with pytest.raises(ValueError, match="'default' has no mask: set mask_fn"):
        peft.get_peft_model(net(), config)(IDS)

    def corner(base_layer: nn.Linear, r: int, **_: Any) -> torch.Tensor:
        mask = torch.zeros(base_layer.weight.numel())
        mask[: r * sum(base_layer.weight.shape)] = 1
        return mask.view(base_layer.weight.shape)

    config.mask_fn = corner
    model = filled(peft.get_peft_model(net(), config))
    model.save_pretrained(tmp_path)
    for trained in (False, True):
        loaded = peft.PeftModel.from_pretrained(net(), tmp_path, is_trainable=trained)
        assert torch.equal(loaded(IDS), model(IDS))


def test_loftq_is_nearer_to_the_model_than_four_bits_alone() -> None:
    from enfold.nn.quantized import quantize_4bit

    model = peft.get_peft_model(net(), peft.LoraConfig(r=4, lora_alpha=4, init_lora_weights="loftq", **LAYERS))
    layer, exact = model.base_model.model.second, net().second.weight
    made = layer.weight + layer.delta("default")
    assert (made - exact).norm() < 0.8 * (quantize_4bit(exact).dequantize() - exact).norm()


def test_eva_begins_with_where_inputs_vary_and_moves_ranks_there() -> None:
    model = peft.get_peft_model(net(), peft.LoraConfig(r=2, init_lora_weights="eva", **LAYERS))
    batches = [{"ids": torch.randint(0, 20, (4, 5))} for _ in range(4)]
    peft.initialize_lora_eva_weights(model, batches, show_progress_bar=False)
    config: Any = model.peft_config["default"]
    layers = [layer for layer in model.modules() if isinstance(layer, AdapterLayer)]
    assert sum(layer.r["default"] for layer in layers if layer.has_adapter("default")) == 4  # type: ignore[attr-defined]
    rows = net().embed(torch.cat([batch["ids"].flatten() for batch in batches]))
    top = torch.linalg.svd(rows, full_matrices=False)[2][0]
    first = model.base_model.model.first.factors("default")[0]
    assert float((first[0] @ top).detach().abs()) > 0.95
    assert set(config.rank_pattern) <= {"first", "second"}
    torch.testing.assert_close(model.eval()(IDS), net()(IDS))


def test_an_adapter_for_another_base_names_each_weight_with_both_shapes(tmp_path: Path) -> None:
    filled(adapted("lora")).save_pretrained(tmp_path)
    wide = net()
    wide.first = nn.Linear(8, 12)
    wide.second = nn.Linear(12, 8, bias=False)
    with pytest.raises(AdapterMismatch) as error:
        peft.PeftModel.from_pretrained(wide, tmp_path)
    assert "another base model" in str(error.value)
    assert "first.lora_B.weight: (16, 2) in the file, (12, 2) in the model" in str(error.value)
    assert "second.lora_A.weight: (2, 16) in the file, (2, 12) in the model" in str(error.value)


def test_unknown_kinds_and_layers_are_explained() -> None:
    with pytest.raises(UnsupportedPeftFeature, match="did you mean 'LOKR'"):
        PeftConfig.from_dict({"peft_type": "LOKRR"})
    with pytest.raises(ValueError, match="did you mean 'second'"):
        peft.get_peft_model(net(), peft.LoHaConfig(target_modules=["secnd"]))
    with pytest.raises(TypeError, match="did you mean 'oft_block_size'"):
        peft.OFTConfig(oft_block_sise=4)
    model = adapted("lora")
    with pytest.raises(ValueError, match="mixed=True"):
        model.add_adapter("other", CONFIGS["loha"]())
    with pytest.raises(UnsupportedPeftFeature, match=r"'norm'.*LayerNorm"):
        peft.get_peft_model(net(), peft.VeraConfig(target_modules=["norm"]))


def test_every_kind_has_a_configuration_that_names_it() -> None:
    for kind, (module, name) in KINDS.items():
        assert getattr(__import__(f"enfold.peft.{module}", fromlist=[name]), name).kind == kind


def test_the_status_says_what_is_on_and_trains() -> None:
    model = adapted("lora")
    model.add_adapter("other", peft.LoraConfig(r=2, target_modules=["first"]))
    status = model.get_model_status()
    assert (status.base_model_type, status.adapter_model_type) == ("Net", "LoraModel")
    assert status.available_adapters == ["default", "other"] and status.active_adapters == ["default"]
    assert status.requires_grad == {"default": True, "other": False} and status.num_adapter_layers == 2
    model.merge_adapter()
    first = model.get_layer_status()[0]
    assert (first.name, first.merged_adapters, first.module_type) == ("first", ["default"], "lora.Linear")
    with pytest.raises(ValueError, match="no layers"):
        peft.get_layer_status(net())


def test_scales_are_turned_down_for_a_while() -> None:
    from enfold.peft.helpers import rescale_adapter_scale

    model = filled(adapted("lora"))
    before = model(IDS)
    with rescale_adapter_scale(model, 0.0):
        torch.testing.assert_close(model(IDS), net()(IDS))
    assert torch.equal(model(IDS), before)


def test_room_for_higher_ranks_lets_adapters_of_any_be_swapped(tmp_path: Path) -> None:
    for name, rank in (("small", 1), ("large", 4)):
        torch.manual_seed(rank)
        filled(peft.get_peft_model(net(), peft.LoraConfig(r=rank, **LAYERS)), rank).save_pretrained(tmp_path / name)
    model = peft.PeftModel.from_pretrained(net(), tmp_path / "small")
    peft.prepare_model_for_compiled_hotswap(model, target_rank=4)
    for name in ("large", "small"):
        peft.hotswap_adapter(model, tmp_path / name, "default")
        expected = peft.PeftModel.from_pretrained(net(), tmp_path / name)(IDS)
        torch.testing.assert_close(model(IDS), expected)
    with pytest.raises(ValueError, match="more than target_rank"):
        peft.prepare_model_for_compiled_hotswap(model, target_rank=1)


def test_cards_keep_what_was_written_and_gain_what_lacked(tmp_path: Path) -> None:
    from enfold.hub import ModelCard

    (tmp_path / "README.md").write_text("---\nlicense: mit\ntags:\n- mine\n---\n# My adapter\n")
    config = peft.LoraConfig(r=2, base_model_name_or_path="someone/base", **LAYERS)
    peft.get_peft_model(net(), config).save_pretrained(tmp_path)
    card = ModelCard.load(tmp_path / "README.md")
    assert (card.data.license, card.data.library_name, card.data.base_model) == ("mit", "peft", "someone/base")
    assert {"mine", "lora", "base_model:adapter:someone/base"} <= set(card.data.tags) and "# My adapter" in card.text

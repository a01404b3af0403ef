"""Models larger than a device: maps, budgets, and parts in memory and on disk that are brought when they compute."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from enfold.accelerate import (
    cpu_offload,
    cpu_offload_with_hook,
    disk_offload,
    dispatch_model,
    infer_auto_device_map,
    init_empty_weights,
    load_checkpoint_and_dispatch,
)
from enfold.accelerate.hooks import (
    LayerwiseCastingHook,
    ModelHook,
    add_hook_to_module,
    align_module_device,
    remove_hook_from_module,
    remove_hook_from_submodules,
)
from enfold.accelerate.offload import OffloadedWeightsLoader, load_offloaded_weight, offload_state_dict
from enfold.accelerate.sizes import compute_module_sizes, find_tied_parameters, set_module_tensor_to_device
from enfold.checkpoints import CheckpointError, save
from enfold.errors import EnfoldError
from parity.map_cases import BUDGETS, models


def build() -> nn.Module:
    """An embedding that the last layer shares, a block of two layers and a layer with buffers."""
    model = nn.Sequential(
        nn.Embedding(10, 8),
        nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)),
        nn.BatchNorm1d(8),
        nn.Linear(8, 10, bias=False),
    )
    model[3].weight = model[0].weight
    return model.eval()


@pytest.fixture
def whole(tmp_path: Path) -> tuple[nn.Module, Path]:
    torch.manual_seed(0)
    model = build()
    save(model, tmp_path / "weights")
    return model, tmp_path / "weights"


IDS = torch.arange(4)
BUFFERS = {f"blocks.{number}.table" for number in range(4)}


@pytest.mark.parametrize(
    "device_map",
    [
        "auto",
        {"": "disk"},
        {"0": "cpu", "1": "disk", "2": "cpu", "3": "cpu"},
        {"0": "disk", "1": "cpu", "2": "disk", "3": "disk"},
        {"0": "cpu", "1.0": "disk", "1.1": "cpu", "2": "disk", "3": "disk"},
    ],
)
@pytest.mark.parametrize("offload_buffers", [False, True])
def test_a_checkpoint_runs_from_wherever_its_parts_are(
    whole: tuple[nn.Module, Path], device_map: Any, offload_buffers: bool, tmp_path: Path
) -> None:
    model, folder = whole
    with init_empty_weights():
        empty = build()
    spread = load_checkpoint_and_dispatch(
        empty,
        folder,
        device_map,
        max_memory={"cpu": 900} if device_map == "auto" else None,
        offload_folder=tmp_path / "away",
        offload_buffers=offload_buffers,
        strict=True,
    )
    assert "disk" in spread.hf_device_map.values()
    for _ in range(2):
        assert any(parameter.is_meta for parameter in spread.parameters())
        assert torch.equal(spread(IDS), model(IDS))


def test_what_is_kept_away_comes_back_when_hooks_go(whole: tuple[nn.Module, Path], tmp_path: Path) -> None:
    model, _ = whole
    ways: list[Callable[[nn.Module], nn.Module]] = [
        cpu_offload,
        lambda module: disk_offload(module, tmp_path / "away"),
        lambda module: cpu_offload_with_hook(module)[0],
    ]
    for away in ways:
        moved = away(copy.deepcopy(model))
        assert torch.equal(moved(IDS), model(IDS))
        remove_hook_from_submodules(moved)
        assert not any(parameter.is_meta for parameter in moved.parameters())
        assert torch.equal(moved(IDS), model(IDS)) and type(moved).forward is nn.Sequential.forward


def test_a_map_must_name_everything_and_a_folder_what_goes_to_disk(whole: tuple[nn.Module, Path]) -> None:
    model, folder = whole
    with pytest.raises(EnfoldError, match=r"says nothing about 1\.0\.weight"):
        dispatch_model(model, {"0": "cpu", "2": "cpu", "3": "cpu"})
    with pytest.raises(EnfoldError, match="offload_dir"):
        dispatch_model(model, {"": "disk"})
    with pytest.raises(EnfoldError, match="neither a device nor one of auto, balanced"):
        load_checkpoint_and_dispatch(model, folder, "automatic")


def test_an_offload_folder_has_the_published_format(tmp_path: Path) -> None:
    tensors = {
        "a.weight": torch.randn(3, 2),
        "half": torch.randn(4).bfloat16(),
        "scalar": torch.tensor(3),
        "mask": torch.tensor([True, False]),
        "none": torch.empty(0, 4),
    }
    offload_state_dict(tmp_path, tensors)
    index = json.loads((tmp_path / "index.json").read_text())
    assert index["half"] == {"dtype": "bfloat16", "shape": [4]} and index["scalar"]["shape"] == []
    assert (tmp_path / "a.weight.dat").read_bytes() == tensors["a.weight"].numpy().tobytes()
    loaded = OffloadedWeightsLoader(save_folder=tmp_path)
    assert set(loaded) == set(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor) and loaded[name].dtype == tensor.dtype
    (tmp_path / "half.dat").write_bytes(b"123")
    with pytest.raises(CheckpointError, match="has 3 bytes"):
        load_offloaded_weight(tmp_path / "half.dat", index["half"])
    with pytest.raises(CheckpointError, match="cannot be the name of a file"):
        offload_state_dict(tmp_path, {"../out": torch.ones(1)})


def test_hooks_act_in_order_and_leave_no_trace() -> None:
    class Add(ModelHook):
        def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            return (args[0] + 1,), kwargs

    class Double(ModelHook):
        no_grad = True

        def post_forward(self, module: nn.Module, output: Any) -> Any:
            return output * 2

    layer = nn.Linear(1, 1)
    plain = layer(torch.ones(1))
    add_hook_to_module(layer, Add())
    add_hook_to_module(layer, Double(), append=True)
    torch.testing.assert_close(layer(torch.zeros(1)), plain * 2)
    add_hook_to_module(layer, Double())  # replaces both
    assert not layer(torch.zeros(1)).equal(plain * 2) and not layer(torch.ones(1)).requires_grad
    remove_hook_from_module(layer)
    assert layer(torch.ones(1)).equal(plain) and "forward" not in vars(layer)


def test_weights_are_stored_in_one_type_and_compute_in_another() -> None:
    layer = nn.Linear(4, 4)
    add_hook_to_module(layer, LayerwiseCastingHook(torch.float8_e4m3fn, torch.float32))
    assert layer.weight.dtype == torch.float8_e4m3fn
    assert layer(torch.ones(1, 4)).dtype == torch.float32 and layer.weight.dtype == torch.float8_e4m3fn


def test_weights_kept_away_are_at_hand_on_request() -> None:
    model = cpu_offload(nn.Sequential(nn.Linear(2, 2)))
    assert model[0].weight.is_meta
    with align_module_device(model[0]):
        assert model[0].weight.device.type == "cpu"
    assert model[0].weight.is_meta


def test_tensors_move_only_with_values_that_fit() -> None:
    layer = nn.Linear(2, 2)
    set_module_tensor_to_device(layer, "weight", "meta")
    with pytest.raises(EnfoldError, match="holds no value"):
        set_module_tensor_to_device(layer, "weight", "cpu")
    with pytest.raises(EnfoldError, match=r"of shape \(2, 2\)"):
        set_module_tensor_to_device(layer, "weight", "cpu", torch.ones(3))
    with pytest.raises(EnfoldError, match="did you mean 'weight'"):
        set_module_tensor_to_device(layer, "weigth", "cpu")
    set_module_tensor_to_device(layer, "weight", "cpu", torch.eye(2), dtype="bfloat16")
    assert layer.weight.dtype == torch.bfloat16 and isinstance(layer.weight, nn.Parameter)


PEER_MAPS = """
import json, sys, torch
from torch import nn
from accelerate import infer_auto_device_map
from accelerate.utils import compute_module_sizes, find_tied_parameters
sys.path.insert(0, sys.argv[1])
from map_cases import models, BUDGETS
print(json.dumps({
    name: {
        "sizes": compute_module_sizes(model), "half": compute_module_sizes(model, dtype="float16"),
        "tied": sorted(map(sorted, find_tied_parameters(model))),
        "maps": [infer_auto_device_map(model, {"cpu": int(size * compute_module_sizes(model)[""])}, never)
                 for size in BUDGETS],
    }
    for name, (model, never) in models().items()
}))
"""


@pytest.mark.peer
def test_maps_are_the_ecosystems(peer: Callable[..., Any]) -> None:
    theirs = peer(PEER_MAPS, Path(__file__).parents[1] / "parity")
    for name, (model, never) in models().items():
        sizes = compute_module_sizes(model)
        assert sizes == theirs[name]["sizes"]
        assert compute_module_sizes(model, dtype="float16") == theirs[name]["half"]
        assert find_tied_parameters(model) == theirs[name]["tied"]
        for budget, expected in zip(BUDGETS, theirs[name]["maps"], strict=True):
            found = infer_auto_device_map(model, {"cpu": int(budget * sizes[""])}, never)
            # The peers leave out the buffers of a module that they split.
            assert expected.items() <= found.items() and set(found) - set(expected) <= BUFFERS, (name, budget)

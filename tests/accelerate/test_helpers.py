"""The small functions of ``accelerate.utils``: on nested tensors, compiled models, versions, the environment."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from enfold.accelerate import Accelerator, utils
from enfold.accelerate.state import AcceleratorState, DistributedType, GradientState, PartialState
from enfold.accelerate.trackers import TRACKERS, GeneralTracker, register_tracker_class
from enfold.errors import EnfoldError


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def test_structures_are_described_made_again_and_turned_into_numbers() -> None:
    data = {"a": torch.ones(2, 3), "b": [torch.zeros(1, dtype=torch.int64), "text"]}
    told = utils.get_data_structure(data)
    assert told["a"] == utils.TensorInformation(torch.Size([2, 3]), torch.float32)
    made = utils.initialize_tensors(told)
    assert made["a"].shape == (2, 3) and made["b"][0].dtype == torch.int64 and made["b"][1] == "text"
    assert utils.listify(data) == {"a": [[1.0] * 3] * 2, "b": [[0], "text"]}
    assert utils.merge_dicts({"x": {"y": 1}}, {"x": {"z": 2}}) == {"x": {"y": 1, "z": 2}}


@pytest.mark.parametrize(("rows", "processes", "after"), [(1, 2, 2), (3, 2, 4), (4, 6, 6), (61, 6, 66), (4, 2, 4)])
def test_rows_are_filled_until_every_process_has_a_share(rows: int, processes: int, after: int) -> None:
    filled = utils.pad_input_tensors(torch.ones(rows, 4), rows, processes)
    assert filled.shape == (after, 4)
    assert filled.sum() == rows * 4


def test_batch_sizes_are_asked_for_strictly_and_kindly() -> None:
    assert utils.find_batch_size([{"a": torch.ones(5, 1)}]) == 5
    with pytest.raises(ValueError, match="empty"):
        utils.find_batch_size([])
    with pytest.raises(TypeError):
        utils.find_batch_size(["text"])
    assert utils.ignorant_find_batch_size(["text"]) is None
    assert utils.concatenate(["alone"]) == "alone"
    with pytest.raises(TypeError):
        utils.concatenate(["two", "texts"])


def test_a_nested_tensor_is_not_lengthened_and_axes_that_are_not_there_change_nothing() -> None:
    nested = torch.nested.nested_tensor([torch.ones(3), torch.ones(1)])
    with pytest.warns(utils.CannotPadNestedTensorWarning):
        assert utils.pad_across_processes(nested) is nested
    plain = torch.ones(2, 3)
    assert utils.pad_across_processes(plain, dim=-4) is plain


def test_outputs_in_half_precision_come_back_in_float32_and_can_be_undone() -> None:
    layer = nn.Linear(2, 2)
    usual = layer.forward
    vars(layer)["_original_forward"] = usual
    layer.forward = utils.convert_outputs_to_fp32(lambda x: usual(x).half())  # type: ignore[method-assign]
    assert layer(torch.ones(1, 2)).dtype == torch.float32
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(layer)
    plain = utils.extract_model_from_parallel(layer, keep_fp32_wrapper=False)
    assert plain is layer and "forward" not in vars(layer)
    assert pickle.loads(pickle.dumps(plain))(torch.ones(1, 2)).shape == (1, 2)


class Blocks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def test_repeated_blocks_are_compiled_one_by_one_and_the_model_stays_at_hand() -> None:
    torch.manual_seed(0)
    model = Blocks()
    compiled = utils.compile_regions(model, backend="eager")
    assert utils.has_compiled_regions(compiled) and not utils.is_compiled_module(compiled)
    assert all(utils.is_compiled_module(block) for block in compiled.layers)  # type: ignore[union-attr]
    x = torch.ones(1, 4)
    assert torch.equal(compiled(x), model(x))
    assert not utils.has_compiled_regions(model)
    assert utils.extract_model_from_parallel(compiled, keep_torch_compile=False) is model
    assert utils.extract_model_from_parallel(compiled) is compiled


def test_weights_that_share_memory_are_written_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from safetensors.torch import load_file

    layer = nn.Linear(2, 2)
    utils.save({"a": layer.weight, "b": layer.weight.detach()}, tmp_path / "w.safetensors", safe_serialization=True)
    assert list(load_file(tmp_path / "w.safetensors")) == ["a"]
    utils.save({"numbers": [1, 2], "weight": layer.weight}, tmp_path / "w.bin")
    assert utils.load(tmp_path / "w.bin")["numbers"] == [1, 2]


def test_loading_runs_no_code(tmp_path: Path) -> None:
    torch.save({"path": Path("x")}, tmp_path / "bad.bin")
    with pytest.raises(pickle.UnpicklingError):
        utils.load(tmp_path / "bad.bin", weights_only=False)


def test_versions_and_packages_are_told() -> None:
    assert utils.is_torch_version(">=", "2.0") and not utils.is_torch_version("<", "2.0")
    with pytest.raises(ValueError, match="operation"):
        utils.compare_versions("torch", "~", "2.0")
    assert utils.is_transformers_available() and utils.is_datasets_available()
    assert not utils.is_torch_xla_available(check_is_tpu=True)
    assert utils.SAFE_WEIGHTS_NAME == "model.safetensors"
    assert nn.Linear in utils.SUPPORTED_PYTORCH_LAYERS_FOR_UPCASTING


def test_the_launchers_variables_are_put_back_after_each_test_of_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_KEPT", "1")

    class Base:
        def test_one(self) -> str:
            os.environ["ACCELERATE_NEW"] = os.environ["ACCELERATE_KEPT"] = "2"
            return "ran"

    purged: Any = utils.purge_accelerate_environment(Base)

    class Inner(purged):  # type: ignore[misc]
        def test_two(self) -> None:
            os.environ["ACCELERATE_NEW"] = "3"

    assert purged().test_one() == "ran"
    Inner().test_two()
    assert "ACCELERATE_NEW" not in os.environ and os.environ["ACCELERATE_KEPT"] == "1"


def test_states_say_what_they_are_and_what_a_reset_did() -> None:
    accelerator = Accelerator(cpu=True)
    assert "Mixed precision type: no" in repr(accelerator.state)
    assert "Num processes: 1" in repr(PartialState())
    assert accelerator.distributed_type not in (DistributedType.XLA, DistributedType.MULTI_XPU)
    with pytest.raises(AttributeError, match="'AcceleratorState' object has no attribute 'absent'"):
        accelerator.state.absent  # type: ignore[attr-defined]
    AcceleratorState._reset_state()
    with pytest.raises(AttributeError, match=r"happens if `AcceleratorState._reset_state\(\)`"):
        accelerator.num_processes
    copy.copy(PartialState())


def test_values_of_a_dictionary_are_split_together() -> None:
    state = PartialState(cpu=True)
    with (
        pytest.raises(ValueError, match="split together"),
        state.split_between_processes({"a": [1, 2], "b": [1]}),
    ):
        pass


def test_a_tracker_of_ones_own_gets_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enfold.accelerate.trackers.TRACKERS", dict(TRACKERS))

    class Mine(GeneralTracker):
        name, requires_logging_directory = "mine", False

        def __init__(self, run_name: str, **_: Any) -> None:
            self.rows: list[Any] = []
            super().__init__()

        @property
        def tracker(self) -> list[Any]:
            return self.rows

        def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
            self.rows.append(values)

    assert register_tracker_class(Mine) is Mine
    accelerator = Accelerator(cpu=True, log_with="mine")
    accelerator.init_trackers("run")
    accelerator.log({"loss": 1.0})
    assert accelerator.get_tracker("mine", unwrap=True) == [{"loss": 1.0}]

    class Other(Mine):
        pass

    with pytest.raises(EnfoldError, match="stands for Mine"):
        register_tracker_class(Other)

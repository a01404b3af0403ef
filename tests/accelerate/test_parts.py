"""Trackers, batches that fit, profiles, states of one process, loaders that resume, and what is refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from enfold.accelerate import (
    Accelerator,
    DeepSpeedPlugin,
    FullyShardedDataParallelPlugin,
    ParallelismConfig,
    ProfileKwargs,
    ProjectConfiguration,
    find_executable_batch_size,
    get_logger,
    notebook_launcher,
)
from enfold.accelerate import utils as deep
from enfold.accelerate.state import AcceleratorState, GradientState
from enfold.accelerate.trackers import GeneralTracker, filter_trackers
from enfold.errors import EnfoldError


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


class Remembering(GeneralTracker):
    name, requires_logging_directory = "remembering", False

    def __init__(self) -> None:
        self.seen: list[Any] = []
        super().__init__()

    @property
    def tracker(self) -> list[Any]:
        return self.seen

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.seen.append(values)

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self.seen.append((step, values, kwargs))

    def finish(self) -> None:
        self.seen.append("end")


def test_numbers_go_to_every_tracker(tmp_path: Path) -> None:
    mine = Remembering()
    accelerator = Accelerator(cpu=True, log_with=["jsonl", mine], project_dir=tmp_path)
    accelerator.init_trackers("run", {"rate": 1})
    accelerator.log({"loss": torch.tensor(0.5)}, step=3, log_kwargs={"remembering": {"a": 1}})
    accelerator.end_training()
    assert mine.seen == [{"rate": 1}, (3, {"loss": 0.5}, {"a": 1}), "end"]
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[0]["config"] == {"rate": 1} and (rows[1]["step"], rows[1]["loss"]) == (3, 0.5)
    assert accelerator.get_tracker("remembering", unwrap=True) is mine.seen
    with pytest.raises(ValueError, match="did you mean 'jsonl'"):
        accelerator.get_tracker("json")


def test_trackers_are_asked_for_by_name(tmp_path: Path) -> None:
    assert filter_trackers(None) == [] and filter_trackers(None, tmp_path) == ["jsonl"]
    assert "jsonl" in filter_trackers("all", tmp_path) and "jsonl" not in filter_trackers("all")
    with pytest.raises(EnfoldError, match="did you mean 'wandb'"):
        filter_trackers("wandbb")
    with pytest.raises(EnfoldError, match="writes into a folder"):
        filter_trackers("jsonl")
    with pytest.raises(EnfoldError, match="pip install comet_ml"):
        filter_trackers("comet_ml")
    with pytest.raises(NotImplementedError, match="'name'"):
        type("Nameless", (GeneralTracker,), {"tracker": 1})()


def test_a_batch_shrinks_until_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    freed: list[int] = []
    # counted rather than done: among the objects of a whole run of tests a collection takes a second
    monkeypatch.setattr("enfold.accelerate.memory.gc.collect", lambda: freed.append(len(tried)))

    @find_executable_batch_size(starting_batch_size=10)
    def train(batch_size: int, limit: int) -> int:
        tried.append(batch_size)
        if batch_size > limit:
            raise torch.OutOfMemoryError("out of memory")
        return batch_size

    assert train(7) == 7 and tried == [10, 9, 8, 7]
    assert freed == [0, 1, 2, 3]  # before each
    with pytest.raises(RuntimeError, match="not even one example fits"):
        train(0)
    with pytest.raises(TypeError, match=r"call it as train\(limit=3\)"):
        train(10, 3)

    @find_executable_batch_size
    def broken(batch_size: int) -> None:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        broken()


def test_a_state_goes_on_bit_for_bit_inside_an_epoch(tmp_path: Path) -> None:
    def begin() -> tuple[Any, ...]:
        fresh_state()
        accelerator = Accelerator(
            cpu=True, dataloader_config=deep.DataLoaderConfiguration(use_stateful_dataloader=True)
        )
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.Linear(3, 1))
        rows = torch.randn(12, 3, generator=torch.manual_seed(2))
        loader = DataLoader(TensorDataset(rows), batch_size=2, shuffle=True)
        return accelerator, *accelerator.prepare(model, torch.optim.AdamW(model.parameters()), loader)

    def train(accelerator: Any, model: Any, optimizer: Any, loader: Any, save_at: int | None = None) -> list[float]:
        losses = []
        for number, (rows,) in enumerate(loader):
            loss = model(rows).square().mean()
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            if number == save_at:
                accelerator.save_state(tmp_path / "state")
        return losses

    accelerator, model, optimizer, loader = begin()
    whole = train(accelerator, model, optimizer, loader, 2)
    parts = begin()
    torch.manual_seed(99)
    parts[0].load_state(tmp_path / "state")
    assert train(*parts) == whole[3:]
    assert {path.name for path in (tmp_path / "state").iterdir()} == {
        "model.safetensors",
        "optimizer.bin",
        "sampler.bin",
        "dl_state_dict.bin",
        "random_states_0.pkl",
    }


def fresh_state() -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def test_a_killed_save_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = Accelerator(cpu=True)
    model = accelerator.prepare(nn.Linear(2, 2))
    accelerator.save_state(tmp_path / "state")
    before = {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()}
    monkeypatch.setattr(torch, "save", lambda *args, **kwargs: (_ for _ in ()).throw(KeyboardInterrupt))
    nn.init.zeros_(model.weight)
    with pytest.raises(KeyboardInterrupt):
        accelerator.save_state(tmp_path / "state")
    assert {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()} == before


def test_pickle_keeps_a_prepared_optimizer() -> None:
    model = nn.Linear(3, 2)
    optimizer = Accelerator(cpu=True).prepare(torch.optim.SGD(model.parameters(), 0.1, momentum=0.9))
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    twin = pickle.loads(pickle.dumps(optimizer))
    assert type(twin) is type(optimizer) and vars(twin.gradient_state) is vars(optimizer.gradient_state)
    assert twin.param_groups[0]["momentum"] == 0.9 and len(twin.state) == 2
    twin.zero_grad()
    assert optimizer.param_groups[0]["params"][0].grad is not None


def test_hooks_and_objects_take_part_in_a_state(tmp_path: Path) -> None:
    accelerator = Accelerator(cpu=True, project_dir=tmp_path)
    accelerator.prepare(nn.Linear(2, 2))
    said: list[str] = []
    handle = accelerator.register_save_state_pre_hook(lambda models, weights, folder: said.append("save"))
    accelerator.register_load_state_pre_hook(lambda models, folder: said.append("load"))
    accelerator.save_state(tmp_path / "one")
    handle.remove()
    accelerator.save_state(tmp_path / "two")
    accelerator.load_state(tmp_path / "two")
    assert said == ["save", "load"]
    with pytest.raises(ValueError, match="list: needs a state_dict"):
        accelerator.register_for_checkpointing([])
    with pytest.raises(EnfoldError, match="is no folder"):
        accelerator.load_state(tmp_path / "three")
    accelerator.register_for_checkpointing(nn.BatchNorm1d(1))
    with pytest.raises(EnfoldError, match="written by a training with other parts"):
        accelerator.load_state(tmp_path / "two")


def test_what_is_not_built_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="DeepSpeed, which enfold does not drive"):
        DeepSpeedPlugin(zero_stage=3)
    with pytest.raises(EnfoldError, match="cut sequences"):
        ParallelismConfig(cp_size=2)
    with pytest.raises(EnfoldError, match="sharding_strategy must be one of FULL_SHARD"):
        FullyShardedDataParallelPlugin(sharding_strategy="HALF")
    with pytest.raises(EnfoldError, match="SHARDED_STATE_DICT"):
        FullyShardedDataParallelPlugin(state_dict_type="LOCAL_STATE_DICT")
    with pytest.raises(EnfoldError, match="automatic_checkpoint_naming"):
        Accelerator(cpu=True).save_state()
    with pytest.raises(EnfoldError, match="needs a project_dir"):
        Accelerator(cpu=True, project_config=ProjectConfiguration(automatic_checkpoint_naming=True)).save_state()
    with pytest.raises(EnfoldError, match="made before the processes"):
        notebook_launcher(print, num_processes=2)


def test_what_runs_is_recorded(tmp_path: Path) -> None:
    accelerator = Accelerator(cpu=True, kwargs_handlers=[ProfileKwargs(["cpu"], output_trace_dir=str(tmp_path))])
    with accelerator.profile() as profiler:
        torch.ones(2, 2) @ torch.ones(2, 2)
    assert any("mm" in event.key for event in profiler.key_averages())
    assert json.loads((tmp_path / "profile_0.json").read_text())["traceEvents"]
    with pytest.raises(EnfoldError, match="did you mean 'cpu'"):
        ProfileKwargs(["cpus"]).build()


def test_a_logger_speaks_on_the_main_process(caplog: pytest.LogCaptureFixture) -> None:
    logger = get_logger("two.processes", "INFO")
    for _ in range(2):
        logger.warning_once("twice")
    logger.info("ordered", in_order=True)
    assert caplog.messages == ["twice", "ordered"]


def test_helpers_are_under_their_usual_address() -> None:
    assert deep.convert_file_size_to_int("1MiB") == 2**20
    for name in deep.__all__:
        assert getattr(deep, name) is not None


def test_blocks_are_compiled_one_by_one() -> None:
    class Tower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for block in self.blocks:
                x = block(x)
            return x

    plugin = deep.TorchDynamoPlugin("eager", use_regional_compilation=True)
    accelerator, model = Accelerator(cpu=True, dynamo_plugin=plugin), Tower()
    expected = model(torch.ones(1, 2))
    prepared = accelerator.prepare(model)
    assert prepared is model and all(block._compiled_call_impl is not None for block in model.blocks)
    assert torch.equal(prepared(torch.ones(1, 2)), expected)
    whole = Accelerator(cpu=True, dynamo_backend="eager").prepare(nn.Linear(2, 2))
    assert isinstance(accelerator.unwrap_model(whole, keep_torch_compile=False), nn.Linear)


def test_variables_say_yes_or_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENFOLD_SOME", "off")
    monkeypatch.setenv("ENFOLD_NUMBER", "3")
    assert deep.parse_flag_from_env("ENFOLD_SOME", True) is False
    assert deep.get_int_from_env(["ENFOLD_NONE", "ENFOLD_NUMBER"], 1) == 3
    with pytest.raises(ValueError, match="neither yes nor no"):
        deep.str_to_bool("perhaps")
    assert deep.convert_dict_to_env_variables({"A": 1, "B": "x;y"}) == ["A=1\n"]

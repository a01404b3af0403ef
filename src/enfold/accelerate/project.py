"""What an accelerator keeps of a project: checkpoints to go on from, and numbers for its trackers."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from enfold.accelerate.data import DataLoaderShard
from enfold.accelerate.facts import ProcessFacts
from enfold.accelerate.options import DataLoaderConfiguration, FullyShardedDataParallelPlugin, ProjectConfiguration
from enfold.accelerate.saving import load_state, save_state
from enfold.accelerate.storing import save
from enfold.accelerate.trackers import GeneralTracker, filter_trackers, start_trackers
from enfold.accelerate.wrappers import AcceleratedOptimizer, AcceleratedScheduler
from enfold.errors import nearest

__all__ = ["ProjectParts"]


class ProjectParts(ProcessFacts):
    """Saving, loading and logging, in the folders of ``project_configuration``."""

    project_configuration: ProjectConfiguration
    dataloader_config: DataLoaderConfiguration
    fsdp_plugin: FullyShardedDataParallelPlugin | None
    scaler: Any
    step: int
    _models: list[nn.Module]
    _optimizers: list[AcceleratedOptimizer]
    _schedulers: list[AcceleratedScheduler]
    _dataloaders: list[DataLoaderShard]

    def unwrap_model(
        self, model: nn.Module, keep_fp32_wrapper: bool = True, keep_torch_compile: bool = True
    ) -> nn.Module:
        """Return the model as it was before it was prepared."""
        raise NotImplementedError

    def get_state_dict(self, model: nn.Module, unwrap: bool = True) -> dict[str, Tensor]:
        """Return a model's weights."""
        raise NotImplementedError

    def _model_of(self, optimizer: torch.optim.Optimizer) -> nn.Module | None:
        raise NotImplementedError

    def _begin_project(
        self, folder: str | os.PathLike[str] | None, configuration: ProjectConfiguration | None, log_with: Any
    ) -> None:
        self.project_configuration = configuration or ProjectConfiguration()
        if folder is not None and self.project_configuration.project_dir is None:
            self.project_configuration.set_directories(folder)
        self.log_with = filter_trackers(log_with, self.logging_dir)
        self.trackers: list[GeneralTracker] = []
        self._custom_objects: list[Any] = []
        self._save_hooks: OrderedDict[int, Any] = OrderedDict()  # a handle cannot refer to a plain dictionary
        self._load_hooks: OrderedDict[int, Any] = OrderedDict()

    @property
    def project_dir(self) -> str | None:
        """The project's folder."""
        return self.project_configuration.project_dir

    @property
    def logging_dir(self) -> str | None:
        """The trackers' folder."""
        return self.project_configuration.logging_dir

    @property
    def save_iteration(self) -> int:
        """Number of the next checkpoint that is named automatically."""
        return self.project_configuration.iteration

    def save(self, obj: Any, f: str | os.PathLike[str], safe_serialization: bool = False) -> None:
        """Write an object with ``torch.save``, or tensors as safetensors, on the main process."""
        save(obj, f, self.project_configuration.save_on_each_node, safe_serialization)

    def register_for_checkpointing(self, *objects: Any) -> None:
        """Let objects with ``state_dict`` and ``load_state_dict`` be part of :meth:`save_state`."""
        bad = [
            type(item).__name__
            for item in objects
            if not hasattr(item, "state_dict") or not hasattr(item, "load_state_dict")
        ]
        if bad:
            raise ValueError(f"{', '.join(bad)}: needs a state_dict and a load_state_dict to be part of a checkpoint")
        self._custom_objects.extend(objects)

    def register_save_state_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call ``hook(models, weights, folder)`` before weights are written, those left in ``weights``."""
        handle = RemovableHandle(self._save_hooks)
        self._save_hooks[handle.id] = hook
        return handle

    def register_load_state_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call ``hook(models, folder)`` before weights are read."""
        handle = RemovableHandle(self._load_hooks)
        self._load_hooks[handle.id] = hook
        return handle

    def save_state(
        self, output_dir: str | os.PathLike[str] | None = None, safe_serialization: bool = True, **ignored: Any
    ) -> str:
        """Write everything prepared, registered objects and random states into a folder.

        Every process calls it. The folder gets its name when everything is in it.

        Args:
            output_dir: the folder; not needed with ``automatic_checkpoint_naming``.
            safe_serialization: write weights as safetensors.
            ignored: accepted for the ecosystem's callers.

        Returns:
            The folder.
        """
        return save_state(self, output_dir, safe_serialization)

    def load_state(
        self,
        input_dir: str | os.PathLike[str] | None = None,
        load_kwargs: Any = None,
        strict: bool = True,
        **ignored: Any,
    ) -> None:
        """Read back what :meth:`save_state` wrote, into the same objects prepared in the same order.

        Args:
            input_dir: the folder; the newest with ``automatic_checkpoint_naming``.
            load_kwargs, ignored: accepted for the ecosystem's callers.
            strict: raise for weights that are missing or not expected.
        """
        load_state(self, input_dir, strict)

    # --- numbers --------------------------------------------------------------------------------------------------

    def init_trackers(
        self, project_name: str, config: dict[str, Any] | None = None, init_kwargs: dict[str, Any] | None = None
    ) -> None:
        """Begin a run in every tracker of ``log_with``.

        Args:
            project_name: name of the run or project.
            config: its configuration.
            init_kwargs: name of a tracker → arguments of it.
        """
        self.trackers = start_trackers(self.log_with, project_name, self.logging_dir, init_kwargs or {})
        for tracker in self.trackers:
            if config is not None:
                tracker.store_init_configuration(config)

    def log(self, values: dict[str, Any], step: int | None = None, log_kwargs: dict[str, Any] | None = None) -> None:
        """Send numbers to every tracker; ``log_kwargs`` are arguments by tracker name."""
        for tracker in self.trackers:
            tracker.log(values, step=step, **(log_kwargs or {}).get(tracker.name, {}))

    def get_tracker(self, name: str, unwrap: bool = False) -> Any:
        """Return a tracker of this run by name, or with ``unwrap`` the object behind it."""
        for tracker in self.trackers:
            if tracker.name == name:
                return tracker.tracker if unwrap else tracker  # type: ignore[attr-defined]
        known = [tracker.name for tracker in self.trackers]
        raise ValueError(f"no tracker {name!r} was begun; there are {', '.join(known) or 'none'}{nearest(name, known)}")

    def end_training(self) -> None:
        """End every tracker's run and leave the process group."""
        for tracker in self.trackers:
            tracker.finish()
        self.state.destroy_process_group()

"""What every scheduler is: fields that become its configuration, a schedule of steps, and a place in it."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from enfold.diffusers.configuration import ConfigMixin, remembered
from enfold.nn.outputs import ModelOutput

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**options: Any) -> Any:
        """Say to a type checker that a class's annotated defaults are the arguments of its constructor."""
        return lambda cls: cls


__all__ = ["DiffusionScheduler", "KarrasDiffusionSchedulers", "SchedulerError", "SchedulerMixin", "SchedulerOutput"]


class KarrasDiffusionSchedulers(Enum):
    """Schedulers that replace each other in a pipeline: they read one another's configurations."""

    DDIMScheduler = 1
    DDPMScheduler = 2
    PNDMScheduler = 3
    LMSDiscreteScheduler = 4
    EulerDiscreteScheduler = 5
    HeunDiscreteScheduler = 6
    EulerAncestralDiscreteScheduler = 7
    DPMSolverMultistepScheduler = 8
    DPMSolverSinglestepScheduler = 9
    KDPM2DiscreteScheduler = 10
    KDPM2AncestralDiscreteScheduler = 11
    DEISMultistepScheduler = 12
    UniPCMultistepScheduler = 13


class SchedulerError(ValueError):
    """A scheduler was asked for a step or a schedule it does not have."""


@dataclass
class SchedulerOutput(ModelOutput):
    """What a step gives.

    Attributes:
        prev_sample: the sample at the next, less noisy, place of the schedule; shape of the sample.
        pred_original_sample: the clean sample as it is predicted now, where the scheduler computes one.
    """

    prev_sample: Tensor | None = None
    pred_original_sample: Tensor | None = None


class SchedulerMixin(ConfigMixin):
    """Base of schedulers: loading and saving of ``scheduler_config.json``."""

    config_name = "scheduler_config.json"
    has_compatibles = True
    order: ClassVar[int] = 1

    @property
    def compatibles(self) -> list[type]:
        """The classes that this scheduler's configuration builds, its own among them."""
        import enfold.diffusers as library

        return [getattr(library, name) for name in {type(self).__name__, *self._compatibles} if hasattr(library, name)]

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        subfolder: str | None = None,
        return_unused_kwargs: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Build from the file in a folder or a repository.

        Args:
            pretrained_model_name_or_path: a folder, or a repository's id.
            subfolder: a folder inside it, ``"scheduler"`` in a pipeline's.
            return_unused_kwargs: return what was not used, too.
            kwargs: arguments that replace those of the file, and where to look (revision, cache_dir, token, …).
        """
        config, rest = cls.load_config(
            pretrained_model_name_or_path, subfolder=subfolder, return_unused_kwargs=True, **kwargs
        )
        return cls.from_config(config, return_unused_kwargs=return_unused_kwargs, **rest)

    def save_pretrained(self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any) -> None:
        """Write ``scheduler_config.json`` into a folder; see ``save_config``."""
        self.save_config(save_directory, push_to_hub=push_to_hub, **kwargs)


@dataclass_transform()
class DiffusionScheduler(SchedulerMixin):
    """Base of the schedulers here.

    A class states its fields as annotated defaults, after those of its base: they are the arguments of its
    constructor, and what they were is read as ``self.<field>`` and kept in ``config``. ``_build`` computes what does
    not depend on the number of steps.
    """

    fields: ClassVar[dict[str, Any]] = {}
    timesteps: Tensor
    num_inference_steps: int | None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = {name: cls.__dict__[name] for name, kind in _annotations(cls) if name in cls.__dict__}
        for name in own:
            delattr(cls, name)  # so that an instance's value is looked up in its configuration
        cls.fields = {**cls.fields, **own}
        positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
        cls.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, positional, default=default) for name, default in cls.fields.items()]
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        private = {name: kwargs.pop(name) for name in [*kwargs] if name.startswith("_")}
        given = self.__signature__.bind(*args, **kwargs).arguments  # type: ignore[attr-defined]
        self.register_to_config(**private, **remembered({**self.fields, **given}, given))
        self.num_inference_steps = None
        self._step_index: int | None = None
        self._begin_index: int | None = None
        self._build()

    def _build(self) -> None:
        """Compute what the fields determine."""

    def __len__(self) -> int:
        return int(self.config["num_train_timesteps"])

    # The place in the schedule. A pipeline that begins in its middle says where with ``set_begin_index``; otherwise
    # the first step finds its place from its timestep.

    @property
    def step_index(self) -> int | None:
        """How many steps were made; None before the first."""
        return self._step_index

    @property
    def begin_index(self) -> int | None:
        """Where the first step is, when a pipeline has said so."""
        return self._begin_index

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Say at which place of the schedule the first step will be."""
        self._begin_index = begin_index

    def _rewind(self) -> None:
        self._step_index = self._begin_index = None

    def index_for_timestep(self, timestep: float | Tensor, schedule_timesteps: Tensor | None = None) -> int:
        """Return the place of a timestep: where it occurs twice, the second, so that no noise level is skipped.

        Raises:
            SchedulerError: the schedule has no such timestep.
        """
        schedule = self.timesteps if schedule_timesteps is None else schedule_timesteps
        places = (schedule == timestep).nonzero()
        if not len(places):
            raise SchedulerError(
                f"the schedule has no timestep {float(timestep):g}; it runs from {float(schedule[0]):g} to "
                f"{float(schedule[-1]):g} in {len(schedule)} steps: pass one of scheduler.timesteps"
            )
        return int(places[min(1, len(places) - 1)])

    def _place(self, timestep: float | Tensor) -> int:
        """Return the place of the step that is made now."""
        if self._step_index is None:
            if self._begin_index is not None:
                self._step_index = self._begin_index
            else:
                if isinstance(timestep, Tensor):
                    timestep = timestep.to(self.timesteps.device)
                self._step_index = self.index_for_timestep(timestep)
        return self._step_index

    def _places(self, timesteps: Tensor, device: torch.device) -> list[int]:
        """Return the places at which noise is added to the samples of a batch."""
        if self._begin_index is None:
            schedule = self.timesteps.to(device)
            return [self.index_for_timestep(one, schedule) for one in timesteps.to(device)]
        place = self._begin_index if self._step_index is None else self._step_index
        return [place] * timesteps.shape[0]

    def _need_schedule(self) -> int:
        if self.num_inference_steps is None:
            raise SchedulerError(
                "there is no schedule yet: call set_timesteps(num_inference_steps) before the first step"
            )
        return self.num_inference_steps

    def _refuse_index(self, timestep: Any) -> None:
        """Refuse what ``enumerate`` gives: these schedulers' timesteps are numbers with a fraction."""
        if isinstance(timestep, int) or (isinstance(timestep, Tensor) and not timestep.is_floating_point()):
            raise SchedulerError(
                f"{type(self).__name__}.step() was given the index {int(timestep)}; expected one of scheduler.timesteps"
            )

    def scale_model_input(self, sample: Tensor, timestep: float | Tensor | None = None) -> Tensor:
        """Return what the model is given for a sample; most schedulers give it as it is."""
        return sample

    def _answer(self, return_dict: bool, prev_sample: Tensor, *more: Tensor) -> Any:
        return SchedulerOutput(prev_sample, *more) if return_dict else (prev_sample, *more)


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """Give one value for each row of a batch the number of dimensions of the batch."""
    return values.flatten().reshape(-1, *[1] * (like.dim() - 1))


def _annotations(cls: type) -> list[tuple[str, Any]]:
    return [(name, kind) for name, kind in inspect.get_annotations(cls).items() if "ClassVar" not in str(kind)]

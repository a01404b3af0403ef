"""What every pipeline is: components that are loaded, moved, exchanged and saved together."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import torch
from torch import nn

from enfold.diffusers.configuration import ConfigMixin
from enfold.diffusers.image_processor import VaeImageProcessor
from enfold.diffusers.pipelines import components as parts
from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger
from enfold.nn.outputs import ModelOutput
from enfold.progress import Progress
from enfold.transformers.sharing import split_fetch_arguments

__all__ = ["DiffusionPipeline", "ImagePipelineOutput", "PipelineError"]

logger = get_logger(__name__)
IGNORED = (
    "low_cpu_mem_usage offload_state_dict offload_folder max_memory disable_mmap custom_revision provider "
    "provider_options sess_options use_onnx load_connected_pipeline mirror"
).split()


class PipelineError(EnfoldError, ValueError):
    """A pipeline lacks a component, or was called with what it does not take."""


@dataclass
class ImagePipelineOutput(ModelOutput):
    """Pictures: a list, or an array (B, H, W, C) from 0 to 1."""

    images: Any = None


class DiffusionPipeline(ConfigMixin):
    """Base of pipelines; ``from_pretrained`` of it builds whatever pipeline the folder names.

    A pipeline's constructor takes its components by name; those without a default are required. Their classes are kept
    in ``model_index.json``, each component in a folder of its name.

    Attributes:
        model_cpu_offload_seq: in which order components are used, ``"text_encoder->unet->vae"``.
    """

    config_name = "model_index.json"
    model_cpu_offload_seq: ClassVar[str | None] = None
    _optional_components: ClassVar[list[str]] = []
    _exclude_from_cpu_offload: ClassVar[list[str]] = []
    _callback_tensor_inputs: ClassVar[list[str]] = ["latents"]
    _progress_bar_config: dict[str, Any]

    # Components

    def register_modules(self, **modules: Any) -> None:
        """Take components: they become attributes, and their classes are kept in ``config``."""
        for name, module in modules.items():
            self.register_to_config(**{name: parts.class_of(module)})
            self.__dict__[name] = module

    def __setattr__(self, name: str, value: Any) -> None:
        config = self.__dict__.get("_internal_dict", {})
        if name in config and isinstance(config[name], list | tuple):
            self.register_to_config(**{name: parts.class_of(value)})
        super().__setattr__(name, value)

    @classmethod
    def _signature(cls) -> tuple[list[str], list[str]]:
        """Return the names of the components, and of the other arguments of the constructor."""
        taken = {name: one for name, one in inspect.signature(cls.__init__).parameters.items() if name != "self"}
        empty = inspect.Parameter.empty
        modules = [name for name, one in taken.items() if one.default is empty or name in cls._optional_components]
        return modules, [name for name in taken if name not in modules]

    @property
    def components(self) -> dict[str, Any]:
        """Name → component; what another pipeline of the same parts is built with."""
        return {name: getattr(self, name) for name in self._signature()[0]}

    @property
    def parameters(self) -> dict[str, Any]:
        """The other arguments of the constructor."""
        return {name: self.config[name] for name in self._signature()[1] if name in self.config}

    def _modules_(self) -> dict[str, nn.Module]:
        return {name: part for name, part in self.components.items() if isinstance(part, nn.Module)}

    @property
    def name_or_path(self) -> str | None:
        """What it was loaded from."""
        return self.config.get("_name_or_path")

    # Devices

    @property
    def device(self) -> torch.device:
        """Where the components are."""
        weights = [next(module.parameters(), None) for module in self._modules_().values()]
        places = [weight.device for weight in weights if weight is not None]
        away = [place for place in places if place.type not in ("cpu", "meta")]
        return (away or places or [torch.device("cpu")])[0]

    @property
    def dtype(self) -> torch.dtype:
        """Type of the components' weights."""
        return next((parts.dtype_of(module) for module in self._modules_().values()), torch.float32)

    @property
    def _execution_device(self) -> torch.device:
        return self.__dict__.get("_offload_device") or self.device

    def to(self, *args: Any, **kwargs: Any) -> DiffusionPipeline:
        """Move all components to a device, or to a type: ``pipe.to("cuda")``, ``pipe.to(torch.bfloat16)``.

        Raises:
            PipelineError: there is no such device here.
        """
        kwargs.pop("silence_dtype_warnings", None)
        for renamed in ("torch_device", "torch_dtype"):
            if renamed in kwargs:
                kwargs[renamed.removeprefix("torch_")] = kwargs.pop(renamed)
        for one in (*args, *kwargs.values()):
            if isinstance(one, str | torch.device):
                _check_device(torch.device(one))
        for module in self._modules_().values():
            module.to(*args, **kwargs)
        return self

    def enable_model_cpu_offload(self, gpu_id: int | None = None, device: torch.device | str | None = None) -> None:
        """Keep components in memory and move each to the accelerator only while it is used, one at a time.

        Args:
            gpu_id: which one, where there are several.
            device: which device.
        """
        from enfold.accelerate import cpu_offload_with_hook

        if self.model_cpu_offload_seq is None:
            raise PipelineError(f"{type(self).__name__} names no order in which its components are used")
        target = self._offload_target(gpu_id, device)
        modules = self._modules_()
        hook = None
        self._hooks: list[Any] = []
        for name in self.model_cpu_offload_seq.split("->"):
            if name in modules:
                modules[name].to("cpu")
                _, hook = cpu_offload_with_hook(modules.pop(name), target, prev_module_hook=hook)
                self._hooks.append(hook)
        for module in modules.values():
            module.to(target)

    def enable_sequential_cpu_offload(
        self, gpu_id: int | None = None, device: torch.device | str | None = None
    ) -> None:
        """Keep components in memory and move each layer to the accelerator only while it computes: slow, and small."""
        from enfold.accelerate import cpu_offload

        target = self._offload_target(gpu_id, device)
        for name, module in self._modules_().items():
            if name in self._exclude_from_cpu_offload:
                module.to(target)
            else:
                cpu_offload(module, target, offload_buffers=len(module._parameters) > 0)

    def _offload_target(self, gpu_id: int | None, device: torch.device | str | None) -> torch.device:
        if device is None and not torch.cuda.is_available():
            raise PipelineError("there is no accelerator here to move components to; on a processor nothing is saved")
        target = torch.device(device or "cuda")
        _check_device(target)
        if gpu_id is not None:
            target = torch.device(target.type, gpu_id)
        self.__dict__["_offload_device"] = target
        return target

    def maybe_free_model_hooks(self) -> None:
        """After a call: move the last used component back."""
        for hook in self.__dict__.get("_hooks", []):
            hook.offload()

    def remove_all_hooks(self) -> None:
        """Move nothing by itself any more."""
        from enfold.accelerate.hooks import remove_hook_from_module

        for module in self._modules_().values():
            remove_hook_from_module(module, recurse=True)
        self.__dict__.pop("_offload_device", None)
        self._hooks = []

    # Switches

    def progress_bar(self, iterable: Iterable[Any] | None = None, total: int | None = None) -> Any:
        """Return a progress bar, or an iterable that shows one."""
        options = self.__dict__.get("_progress_bar_config", {})
        bar = Bar(len(iterable) if isinstance(iterable, Sized) else total, options)
        return bar if iterable is None else bar.over(iterable)

    def set_progress_bar_config(self, **options: Any) -> None:
        """Change progress bars: ``disable=True`` shows none, ``desc`` is their label."""
        self._progress_bar_config = options

    def enable_attention_slicing(self, slice_size: Any = "auto") -> None:
        """Accepted and without effect: attention here never holds all scores at once, which is what slices spare."""

    def disable_attention_slicing(self) -> None:
        """Accepted and without effect; see ``enable_attention_slicing``."""

    def enable_xformers_memory_efficient_attention(self, attention_op: Any = None) -> None:
        """Accepted and without effect: torch's own attention takes no more memory."""

    disable_xformers_memory_efficient_attention = enable_xformers_memory_efficient_attention

    numpy_to_pil = staticmethod(VaeImageProcessor.numpy_to_pil)

    # Files

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Build a pipeline from a folder or a repository.

        Args:
            pretrained_model_name_or_path: a folder, or a repository's id.
            kwargs: components that take the place of the folder's (None: without one); ``torch_dtype`` (or ``dtype``),
                ``variant``, ``use_safetensors``; where to look (``revision``, ``cache_dir``, ``token``,
                ``local_files_only``, ``force_download``); and the constructor's other arguments.

        Raises:
            PipelineError: a component is missing, or an argument is unknown.
            OSError: there is no such folder, repository or file.

        Example:
            >>> from enfold.diffusers import StableDiffusionPipeline
            >>> pipe = StableDiffusionPipeline.from_pretrained("runwayml/stable-diffusion-v1-5")  # doctest: +SKIP
        """
        for name in IGNORED:
            kwargs.pop(name, None)
        if kwargs.pop("custom_pipeline", None) is not None:
            raise PipelineError(
                "custom_pipeline is code from a repository; import its class and call from_pretrained of it"
            )
        kwargs.pop("trust_remote_code", None)
        given: dict[str, Any] = {name: kwargs.pop(name) for name in ("variant", "use_safetensors") if name in kwargs}
        dtype = kwargs.pop("dtype", None) or kwargs.pop("torch_dtype", None)
        kwargs.pop("torch_dtype", None)
        device = kwargs.pop("device_map", None)
        where: dict[str, Any]
        where, more = split_fetch_arguments(kwargs)
        source = os.fspath(pretrained_model_name_or_path)
        index = cls.load_config(source, **where)
        kind = cls._named(index)
        modules, others = kind._signature()
        unknown = [name for name in more if name not in modules and name not in others]
        if unknown:
            raise PipelineError(
                "; ".join(f"{kind.__name__} takes no {name!r}{nearest(name, [*modules, *others])}" for name in unknown)
            )
        arguments = {name: index[name] for name in others if name in index}
        arguments |= {name: more.pop(name) for name in [*more] if name in others}
        for name in modules:
            if name in more:
                arguments[name] = more[name]
            elif isinstance(index.get(name), list | tuple):
                chosen = dtype.get(name, dtype.get("default")) if isinstance(dtype, Mapping) else dtype
                arguments[name] = parts.load(source, name, index[name], chosen, given, where)
            elif name in kind._optional_components:
                arguments[name] = None
            else:
                raise PipelineError(
                    f"{source!r} holds no {name!r}, which {kind.__name__} needs; pass {name}=… yourself"
                )
        made = kind(**arguments)
        made.register_to_config(_name_or_path=source)
        return made.to(device) if device not in (None, "balanced", "auto") else made

    @classmethod
    def _named(cls, index: Mapping[str, Any]) -> type[DiffusionPipeline]:
        """Return the class that a folder names, where this one is only the base."""
        if cls is not DiffusionPipeline:
            return cls
        import enfold.diffusers as library

        name = index.get("_class_name")
        found = getattr(library, str(name), None) if name in dir(library) else None
        if not isinstance(found, type) or not issubclass(found, DiffusionPipeline):
            known = [one for one in dir(library) if one.endswith("Pipeline")]
            raise PipelineError(f"no pipeline {name!r} here{nearest(str(name), known)}")
        return found

    @classmethod
    def from_pipe(cls, pipeline: DiffusionPipeline, **kwargs: Any) -> Any:
        """Build a pipeline from another's components, which both share from then on.

        Args:
            pipeline: where components come from.
            kwargs: components and arguments that are not that one's.
        """
        dtype = kwargs.pop("dtype", None) or kwargs.pop("torch_dtype", None)
        modules, others = cls._signature()
        arguments = {name: part for name, part in pipeline.components.items() if name in modules}
        settings = {**pipeline.config, **{name[1:]: value for name, value in pipeline.config.items() if name[0] == "_"}}
        arguments |= {name: settings[name] for name in others if name in settings} | kwargs
        for name in modules:
            if name in cls._optional_components:
                arguments.setdefault(name, None)
            elif name not in arguments:
                raise PipelineError(
                    f"{type(pipeline).__name__} has no {name!r}, which {cls.__name__} needs; pass {name}=…"
                )
        made = cls(**arguments)
        kept = {f"_{name}" if name[0] != "_" else name: value for name, value in pipeline.config.items()}
        made.register_to_config(**{name: value for name, value in kept.items() if name[1:] not in arguments})
        return made.to(dtype) if dtype is not None else made

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        safe_serialization: bool = True,
        variant: str | None = None,
        max_shard_size: int | str | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> None:
        """Write every component into a folder of its name, and ``model_index.json`` last.

        Args:
            save_directory: made when it does not exist.
            safe_serialization: False writes ``.bin`` files for very old readers.
            variant: an infix of the weights' names, such as "fp16".
            max_shard_size: larger models are written in several files.
            push_to_hub: upload the folder afterwards, to ``repo_id`` (by default the folder's name).
            kwargs: arguments of ``push_to_hub``.
        """
        options = {"safe_serialization": safe_serialization, "variant": variant, "max_shard_size": max_shard_size}
        for name, part in self.components.items():
            if part is not None:
                taken = inspect.signature(part.save_pretrained).parameters
                part.save_pretrained(
                    Path(save_directory) / name,
                    **{key: value for key, value in options.items() if key in taken and value is not None},
                )
        self.save_config(save_directory)
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", Path(save_directory).name), **kwargs)

    def to_json_string(self) -> str:
        """Return what ``model_index.json`` holds."""
        modules, others = self._signature()
        written = json.loads(super().to_json_string())
        named = {*modules, *others, "_class_name", "_diffusers_version"}
        kept = {name: value for name, value in written.items() if name in named}
        return json.dumps(kept, indent=2, sort_keys=True) + "\n"

    @classmethod
    def download(cls, pretrained_model_name: str, **kwargs: Any) -> str:
        """Download a whole repository and return its folder; see ``snapshot_download``."""
        from enfold.hub import snapshot_download

        where, _ = split_fetch_arguments(kwargs)
        return str(snapshot_download(pretrained_model_name, **where))


class Bar:
    """A progress bar with the names that code written for tqdm uses."""

    def __init__(self, total: int | None, options: Mapping[str, Any]) -> None:
        quiet = bool(options.get("disable", False)) or int(os.environ.get("RANK", "0")) > 0
        self._bar = Progress(total, str(options.get("desc", "")), quiet=quiet)

    def __enter__(self) -> Bar:
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, error, trace)

    def update(self, n: int = 1) -> None:
        """Advance by ``n`` steps."""
        self._bar.advance(n)

    def over(self, iterable: Iterable[Any]) -> Any:
        """Yield what an iterable holds, and advance with it."""
        with self:
            for item in iterable:
                yield item
                self.update()


def _check_device(device: torch.device) -> None:
    there: dict[str, Callable[[], bool]] = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if device.type in there and not there[device.type]():
        raise PipelineError(
            f'there is no {device.type!r} device here; use pipe.to("cpu"), and torch_dtype=torch.bfloat16 in '
            "from_pretrained for speed on recent processors"
        )
    if device.type == "cuda" and device.index is not None and device.index >= torch.cuda.device_count():
        raise PipelineError(f"there is no {str(device)!r} here; there are {torch.cuda.device_count()} such devices")

"""From a folder or repository to a model: built without memory, filled with mapped tensors, the rest drawn anew."""

from __future__ import annotations

import copy
import inspect
import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from enfold.checkpoints import BitsAndBytes, LoadReport, find_weights, load_into, without_weights
from enfold.checkpoints.files import BIN, SAFETENSORS
from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger
from enfold.transformers.config import PretrainedConfig
from enfold.transformers.frameworks.flax_files import FLAX, flax_state_dict
from enfold.transformers.frameworks.h5 import H5, H5Weights
from enfold.transformers.gguf import open_gguf, weights_of
from enfold.transformers.quantization import as_stored, quantization, quantize
from enfold.transformers.sharing import split_fetch_arguments

if TYPE_CHECKING:
    from enfold.transformers.modeling import PreTrainedModel

__all__ = ["from_pretrained"]

logger = get_logger("enfold.transformers.modeling")

# Accepted and without effect: how other implementations spare memory that is not taken here, and where code came from.
IGNORED = (
    "_adapter_model_path",
    "_fast_init",
    "adapter_kwargs",
    "adapter_name",
    "allow_all_kernels",
    "code_revision",
    "disable_mmap",
    "experts_implementation",
    "kernel_config",
    "low_cpu_mem_usage",
    "offload_state_dict",
    "tp_plan",
    "tqdm_class",
    "trust_remote_code",
    "use_kernels",
    "weights_only",
)
# What needs a part that is not here: said plainly rather than ignored.
_DEVICES = "a layer is not split over devices while it is read; device_map spreads whole layers"
REFUSED = {
    "tp_size": _DEVICES,
    "device_mesh": _DEVICES,
    "distributed_config": _DEVICES,
    "fusion_config": "layers are not replaced by fused ones; nn chooses how a layer is computed",
}


# What is taken besides, for the nearest name where one is misspelt.
ARGUMENTS = (
    "attn_implementation cache_dir config device_map dtype force_download from_flax from_tf generation_config "
    "gguf_file ignore_mismatched_sizes key_mapping local_files_only output_loading_info quantization_config "
    "revision state_dict subfolder token torch_dtype trust_remote_code use_safetensors variant"
).split()


def from_pretrained(cls: type[PreTrainedModel], source: Any, *model_args: Any, **kwargs: Any) -> Any:
    """See ``PreTrainedModel.from_pretrained``."""
    for name, what in REFUSED.items():
        if kwargs.pop(name, None):
            raise EnfoldError(f"from_pretrained({name}=…): {what}")
    for name in IGNORED:
        kwargs.pop(name, None)
    bits = {name: True for name in ("load_in_8bit", "load_in_4bit") if kwargs.pop(name, False)}
    fewer_bits = quantization(kwargs.pop("quantization_config", bits or None))
    state_dict = kwargs.pop("state_dict", None)
    wanted = kwargs.pop("dtype", kwargs.pop("torch_dtype", None)) or "auto"
    device_map = kwargs.pop("device_map", None)
    spreading = {name: kwargs.pop(name, None) for name in ("max_memory", "offload_folder", "offload_buffers")}
    variant, use_safetensors = kwargs.pop("variant", None), kwargs.pop("use_safetensors", None)
    ignore_mismatched = kwargs.pop("ignore_mismatched_sizes", False)
    with_info = kwargs.pop("output_loading_info", False)
    key_mapping = kwargs.pop("key_mapping", None)
    implementation = kwargs.pop("attn_implementation", None)
    generation_config = kwargs.pop("generation_config", None)
    gguf_file = kwargs.pop("gguf_file", None)
    from_tf, from_flax = kwargs.pop("from_tf", False), kwargs.pop("from_flax", False)
    config = kwargs.pop("config", None)
    where, overrides = split_fetch_arguments(kwargs)

    if isinstance(config, PretrainedConfig):
        config = copy.deepcopy(config)
        model_kwargs = {}
        for name, value in overrides.items():
            if hasattr(config, name):
                setattr(config, name, value)
            else:
                model_kwargs[name] = value
    else:
        if gguf_file is not None and config is None:
            overrides["gguf_file"] = gguf_file
        config, model_kwargs = cls.config_class.from_pretrained(
            source if config is None else config, return_unused_kwargs=True, **where, **overrides
        )
    if source is not None:
        config.name_or_path = str(source)

    files: Any = state_dict
    if gguf_file is not None and state_dict is None:
        files = weights_of(open_gguf(source, gguf_file, **where), config)
        wanted = torch.float32 if wanted == "auto" else wanted  # the file's own types are many at once
    elif state_dict is None:
        if isinstance(source, str | os.PathLike) and os.path.isfile(source):
            files = [source]
        elif from_flax:
            names = (SAFETENSORS, FLAX, BIN) if from_flax == "auto" else (FLAX,)
            files = find_weights(source, names=names, variant=variant, use_safetensors=use_safetensors, **where)
        elif from_tf:
            names = (SAFETENSORS, H5, BIN) if from_tf == "auto" else (H5,)
            files = find_weights(source, names=names, variant=variant, use_safetensors=use_safetensors, **where)
        else:
            files = find_weights(source, variant=variant, use_safetensors=use_safetensors, **where)
    if isinstance(files, list) and files and str(files[0]).endswith(".h5"):
        files = H5Weights(files)
    elif isinstance(files, list) and files and str(files[0]).endswith(".msgpack"):
        files = flax_state_dict(files)

    brought = vars(config).get("quantization_config")
    packed: BitsAndBytes | None = None
    if brought:
        method = dict(brought).get("quant_method", "unknown") if isinstance(brought, Mapping) else brought
        if method != "bitsandbytes" or isinstance(files, Mapping):
            raise EnfoldError(
                f"{source} holds quantised weights ({method}), which are not read; take the repository before it"
            )
        files = packed = BitsAndBytes(files)
        fewer_bits = fewer_bits or as_stored(brought)
    dtype = _type(wanted, config)
    _check_arguments(cls, config, model_kwargs)
    with without_weights():
        model = cls(config, *model_args, **model_kwargs)
    if isinstance(files, H5Weights):
        files = files.fitted(model, cls.base_model_prefix)
    spread = _Spread(model, device_map, dtype, **spreading)
    device = spread.device
    if implementation:
        model.set_attn_implementation(implementation)
    report = load_into(
        model,
        files,
        dtype=dtype,
        device=spread.place,
        divert=spread.divert,
        prefix=cls.base_model_prefix,
        key_mapping={**cls._old_keys, **(key_mapping or {})},
        ignore_unexpected=cls._keys_to_ignore_on_load_unexpected,
        ignore_mismatched_sizes=ignore_mismatched,
    )
    model_dtype = dtype or report.dtype or torch.float32
    missing = _complete(model, report, model_dtype, device)
    if wanted != "auto" or config.dtype is None:
        config.dtype = model_dtype
    model.eval()
    _report(cls, source, report, missing)
    if model.can_generate():
        _take_generation_config(model, source, generation_config, where)
    if fewer_bits is not None:
        quantize(model, fewer_bits, packed)
    spread.finish(model)
    if with_info:
        info = {
            "missing_keys": [name for name in missing if name not in {bad[0] for bad in report.mismatched}],
            "unexpected_keys": report.unexpected,
            "mismatched_keys": report.mismatched,
            "error_msgs": [],
        }
        return model, info
    return model


def _check_arguments(cls: type[PreTrainedModel], config: PretrainedConfig, given: Mapping[str, Any]) -> None:
    """Raise for an argument that is neither ours, nor the class's, nor a field of the configuration."""
    taken = inspect.signature(cls.__init__).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in taken.values()):
        return
    for name in given:
        if name not in taken:
            hint = nearest(name, [*ARGUMENTS, *taken, *config.declared()])
            raise TypeError(f"{cls.__name__}.from_pretrained takes no argument {name!r}{hint}")


def _type(wanted: Any, config: PretrainedConfig) -> torch.dtype | None:
    """Return the type to convert to, or None to keep what the file has."""
    if wanted == "auto":
        return config.dtype
    dtype = getattr(torch, wanted.removeprefix("torch."), None) if isinstance(wanted, str) else wanted
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise EnfoldError(f"dtype={wanted!r} is no floating-point type; expected 'auto', 'float32', 'bfloat16' …")
    return dtype


class _Spread:
    """Where ``device_map`` puts a model: on one device, or over several, memory and disk."""

    def __init__(
        self,
        model: PreTrainedModel,
        device_map: Any,
        dtype: torch.dtype | None,
        max_memory: Any = None,
        offload_folder: Any = None,
        offload_buffers: bool | None = None,
    ) -> None:
        self.device: torch.device | None = None
        self.place: Any = None
        self.divert: Any = None
        self.places: dict[str, Any] = {}
        if device_map is None:
            return
        from enfold.accelerate.dispatch import Landing, folder_of, main_device_of
        from enfold.accelerate.maps import resolve_device_map

        model.tie_weights()  # what is shared stays together
        never = model._no_split_modules
        self.buffers = bool(offload_buffers)
        self.places = resolve_device_map(model, device_map, max_memory, never, dtype, self.buffers)
        self.device = torch.device(main_device_of(self.places))
        if len({str(place) for place in self.places.values()}) == 1 and "disk" not in self.places.values():
            self.place = self.device
            self.places = {"": self.device}
            return
        self.folder = offload_folder
        if self.folder is None and "disk" in self.places.values():
            self.folder = folder_of(model)
        self.landing = Landing(model, self.places, self.folder, self.buffers)
        self.place, self.divert = self.landing.place, self.landing.divert

    def finish(self, model: PreTrainedModel) -> None:
        """Let a spread model bring its parts when they compute."""
        if not self.places:
            return
        if self.divert is None:
            model.hf_device_map = self.places
            return
        from enfold.accelerate.dispatch import dispatch_model

        self.landing.finish()
        dispatch_model(
            model,
            self.places,
            offload_dir=self.folder,
            offload_buffers=self.buffers,
            skip_keys="past_key_values",
            preload_module_classes=model._no_split_modules,
        )


def _complete(model: PreTrainedModel, report: LoadReport, dtype: torch.dtype, device: torch.device | None) -> list[str]:
    """Tie what is shared, draw what no file holds, and return the names of the latter."""
    tied = model.tied_names()
    for target, source in tied.items():
        if target in report.loaded and source in report.loaded:
            if not _alike(model.get_parameter(target), model.get_parameter(source)):
                logger.warning("%s and %s are to be one tensor, but differ in the file: they stay two", target, source)
                model.kept_apart.add(target)
        # A file may hold either name of a shared tensor; the one it holds counts.
        elif target in report.loaded:
            owner, _, leaf = source.rpartition(".")
            setattr(model.get_submodule(owner), leaf, model.get_parameter(target))
            report.loaded.add(source)
    missing = [name for name in report.missing if name not in report.loaded and name not in tied]
    drawn: dict[nn.Module, set[str]] = {}
    for name in missing:
        owner, _, leaf = name.rpartition(".")
        drawn.setdefault(model.get_submodule(owner), set()).add(leaf)
    for module, leaves in drawn.items():
        _draw(model, module, leaves, dtype, device)
    model.tie_weights()
    _rebuild_buffers(model, device)
    computed = [re.compile(pattern) for pattern in model._keys_to_ignore_on_load_missing]
    return [name for name in missing if not any(form.search(name) for form in computed)]


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.is_meta or other.is_meta:  # on disk: taken at the checkpoint's word that they are one
        return True
    return one.data_ptr() == other.data_ptr() or torch.equal(one, other)


def _draw(
    model: PreTrainedModel, module: nn.Module, leaves: set[str], dtype: torch.dtype, device: torch.device | None
) -> None:
    """Draw the named tensors of one module as the family publishes it, leaving its loaded ones as they are."""
    kept = {name: value for name, value in module._parameters.items() if value is not None and name not in leaves}
    for name, value in list(module._parameters.items()):
        if value is not None:
            fresh = torch.zeros(value.shape, dtype=torch.float32 if value.is_floating_point() else value.dtype)
            module._parameters[name] = nn.Parameter(fresh, requires_grad=value.requires_grad)
    for name in leaves & set(module._buffers):
        old = module._buffers[name]
        module._buffers[name] = None if old is None else torch.zeros(old.shape, dtype=old.dtype, device=device)
    model._init_weights(module)
    for name, value in module._parameters.items():
        if value is not None and name in leaves:
            value.data = value.data.to(dtype=dtype, device=device)
    module._parameters.update(kept)


def _rebuild_buffers(model: PreTrainedModel, device: torch.device | None) -> None:
    """Compute buffers that no file holds (position tables of models outside this package) by building once for real."""
    empty = [name for name, buffer in model.named_buffers() if buffer.is_meta]
    if not empty:
        return
    real = dict(type(model)(model.config).named_buffers())
    for name in empty:
        owner, _, leaf = name.rpartition(".")
        model.get_submodule(owner)._buffers[leaf] = real[name].to(device) if device is not None else real[name]


def _report(cls: type, source: Any, report: LoadReport, missing: Iterable[str]) -> None:
    missing = list(missing)
    if report.unexpected:
        logger.info("%s: %s has no place for %s", source, cls.__name__, report.unexpected)
    fresh = missing + [name for name, _, _ in report.mismatched if name not in missing]
    if fresh:
        logger.warning(
            "Some weights of %s were not in %s and are newly initialized: %s\n"
            "Train the model on a task before you use its predictions.",
            cls.__name__,
            source,
            fresh,
        )


def _take_generation_config(model: PreTrainedModel, source: Any, given: Any, where: dict[str, Any]) -> None:
    from enfold.transformers.generation.config import GenerationConfig

    if given is not None:
        model.generation_config = given
    elif isinstance(source, str | os.PathLike) and not os.path.isfile(source):
        found = GenerationConfig.find(source, **where)
        if found is not None:
            model.generation_config = found

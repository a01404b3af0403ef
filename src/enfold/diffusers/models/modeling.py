"""What every diffusion model has: a configuration, weights in folders, and switches over its attention."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from enfold.checkpoints import LoadReport, find_weights, load_into, save, without_weights
from enfold.diffusers.configuration import ConfigMixin, DiffusersConfigError
from enfold.diffusers.models.adapters import AdaptersMixin
from enfold.diffusers.models.attention import Attention
from enfold.errors import nearest
from enfold.log import get_logger
from enfold.transformers.sharing import split_fetch_arguments

__all__ = ["ModelMixin"]

logger = get_logger(__name__)
WEIGHTS, BIN = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"
# Accepted and without effect: how other implementations spare memory that is not taken here.
IGNORED = (
    "low_cpu_mem_usage",
    "offload_state_dict",
    "offload_folder",
    "max_memory",
    "disable_mmap",
    "trust_remote_code",
)
KNOWN = (
    "torch_dtype",
    "dtype",
    "variant",
    "use_safetensors",
    "output_loading_info",
    "ignore_mismatched_sizes",
    "device_map",
)


class ModelMixin(AdaptersMixin, nn.Module, ConfigMixin):
    """Base of the models: ``config.json`` and ``diffusion_pytorch_model.safetensors`` in a folder or a repository."""

    config_name = "config.json"
    _supports_gradient_checkpointing: ClassVar[bool] = True
    # Regular expression → replacement: names of weights in old files.
    _old_keys: ClassVar[dict[str, str]] = {}

    def __getattr__(self, name: str) -> Any:
        try:
            return nn.Module.__getattr__(self, name)
        except AttributeError:
            config = self.__dict__.get("_internal_dict") or {}
            if name in config:
                return config[name]
            known = [*config, *self._parameters, *self._modules]
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{nearest(name, known)}") from None

    @property
    def dtype(self) -> torch.dtype:
        """Type of the floating-point weights."""
        return next((weight.dtype for weight in self.parameters() if weight.is_floating_point()), torch.float32)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((weight.device for weight in self.parameters()), torch.device("cpu"))

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Return how many numbers the weights hold."""
        skipped: set[int] = set()
        if exclude_embeddings:
            tables = [module for module in self.modules() if isinstance(module, nn.Embedding)]
            skipped = {id(weight) for module in tables for weight in module.parameters()}
        return sum(
            weight.numel()
            for weight in self.parameters()
            if id(weight) not in skipped and (weight.requires_grad or not only_trainable)
        )

    # Gradient checkpointing

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether any block computes its states anew on the way back."""
        return any(getattr(module, "gradient_checkpointing", False) for module in self.modules())

    def enable_gradient_checkpointing(self, gradient_checkpointing_func: Any = None) -> None:
        """Keep no states inside blocks for the way back, but compute them anew: less memory, more time."""
        self._checkpoint(True)

    def disable_gradient_checkpointing(self) -> None:
        """Keep all states for the way back again."""
        self._checkpoint(False)

    def _checkpoint(self, value: bool) -> None:
        for module in self.modules():
            if hasattr(module, "gradient_checkpointing"):
                module.gradient_checkpointing = value  # type: ignore[assignment]

    # Attention

    def _attentions(self) -> Iterator[tuple[str, Attention]]:
        for name, module in self.named_modules():
            if isinstance(module, Attention):
                yield f"{name}.processor", module

    @property
    def attn_processors(self) -> dict[str, Any]:
        """What computes each attention, by its name."""
        return {name: attention.processor for name, attention in self._attentions()}

    def set_attn_processor(self, processor: Any) -> None:
        """Compute attention by another processor.

        Args:
            processor: one for all, or name → processor, as in ``attn_processors``.
        """
        for name, attention in self._attentions():
            if isinstance(processor, Mapping):
                if name not in processor:
                    raise ValueError(f"no processor for {name!r}; attn_processors lists the names that are needed")
                attention.set_processor(processor[name])
            else:
                attention.set_processor(processor)

    def set_default_attn_processor(self) -> None:
        """Compute attention without adapters again."""
        from enfold.diffusers.models.attention import AttnProcessor

        self.set_attn_processor(AttnProcessor())

    def set_attention_slice(self, slice_size: Any = "auto") -> None:
        """Accepted and without effect: attention here never holds all scores at once, which is what slices spare."""

    def fuse_qkv_projections(self) -> None:
        """Project to queries, keys and values by one product instead of three."""
        for _, attention in self._attentions():
            attention.fuse_projections()

    def unfuse_qkv_projections(self) -> None:
        """Project by three products again."""
        for _, attention in self._attentions():
            attention.unfuse_projections()

    def enable_xformers_memory_efficient_attention(self, attention_op: Any = None) -> None:
        """Accepted and without effect: torch's own attention takes no more memory."""

    disable_xformers_memory_efficient_attention = enable_xformers_memory_efficient_attention

    # Files

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Build a model from a folder or a repository, in evaluation mode.

        Args:
            pretrained_model_name_or_path: a folder, or a repository's id.
            kwargs: ``torch_dtype`` (or ``dtype``; float32 by default), ``variant`` ("fp16"), ``use_safetensors``,
                ``ignore_mismatched_sizes``, ``device_map`` (a device for all), ``output_loading_info``; where to look:
                ``subfolder``, ``revision``, ``cache_dir``, ``token``, ``local_files_only``, ``force_download``; and
                fields that replace those of the configuration.

        Raises:
            OSError: there is no such folder, repository or file.
            CheckpointError: weights that do not fit; it names each.

        Example:
            >>> from enfold.diffusers import UNet2DModel
            >>> UNet2DModel.from_pretrained("google/ddpm-cifar10-32")  # doctest: +SKIP
        """
        for name in IGNORED:
            kwargs.pop(name, None)
        given = {name: kwargs.pop(name) for name in KNOWN if name in kwargs}
        where, fields = split_fetch_arguments(kwargs)
        unknown = {name for name in fields if name not in cls.init_fields()}
        if unknown:
            known = [*KNOWN, *cls.init_fields(), "subfolder", "revision", "cache_dir", "token"]
            raise DiffusersConfigError(
                "; ".join(f"{cls.__name__}.from_pretrained takes no {name!r}{nearest(name, known)}" for name in unknown)
            )
        config = cls.load_config(pretrained_model_name_or_path, **where)
        with without_weights():
            model = cls.from_config(config, **fields)
        report = model.read_weights(pretrained_model_name_or_path, given, where)
        model.register_to_config(_name_or_path=str(pretrained_model_name_or_path))
        if given.get("output_loading_info"):
            return model.eval(), {
                "missing_keys": report.missing,
                "unexpected_keys": report.unexpected,
                "mismatched_keys": report.mismatched,
                "error_msgs": [],
            }
        return model.eval()

    def read_weights(self, source: Any, given: dict[str, Any], where: dict[str, Any]) -> LoadReport:
        """Fill a model without memory from a folder's or a repository's files."""
        kept = {name: given[name] for name in ("variant", "use_safetensors") if given.get(name) is not None}
        files = find_weights(source, names=(WEIGHTS, BIN), **kept, **where)
        report = self.take_weights(
            files,
            dtype=given.get("dtype", given.get("torch_dtype")) or torch.float32,
            device=_one_device(given.get("device_map")),
            ignore_mismatched_sizes=bool(given.get("ignore_mismatched_sizes")),
        )
        if report.unexpected:
            logger.warning("%s has no place for %s", type(self).__name__, _few(report.unexpected))
        if report.missing:
            logger.warning("%s: %s were in no file and are drawn anew", type(self).__name__, _few(report.missing))
        return report

    def take_weights(self, source: Any, *, dtype: torch.dtype, device: Any = None, **options: Any) -> LoadReport:
        """Fill a model without memory from files or tensors; what they lack is drawn as in a new model."""
        report = load_into(self, source, dtype=dtype, device=device, key_mapping=self._old_keys, **options)
        redrawn: dict[nn.Module, set[str]] = {}
        for name in report.missing:
            owner, _, leaf = name.rpartition(".")
            redrawn.setdefault(self.get_submodule(owner), set()).add(leaf)
        for module, leaves in redrawn.items():
            kept = {name: value for name, value in module._parameters.items() if name not in leaves}
            module.to_empty(device=device or "cpu", recurse=False)
            module.to(dtype)
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()  # type: ignore[operator]
            else:
                for leaf in leaves:
                    nn.init.normal_(getattr(module, leaf))
            module._parameters.update(kept)
        self._rebuild_buffers(device)
        return report

    def _rebuild_buffers(self, device: Any) -> None:
        """Compute buffers that no file holds; a model that has such says how."""

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        is_main_process: bool = True,
        save_function: Any = None,
        safe_serialization: bool = True,
        variant: str | None = None,
        max_shard_size: int | str = "10GB",
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> None:
        """Write configuration and weights into a folder.

        Args:
            save_directory: made when it does not exist.
            is_main_process: other processes write nothing.
            save_function: accepted and without effect.
            safe_serialization: False writes ``diffusion_pytorch_model.bin`` for very old readers.
            variant: an infix of the file's name, such as "fp16".
            max_shard_size: larger models are written in several files.
            push_to_hub: upload the folder afterwards, to ``repo_id`` (by default the folder's name).
            kwargs: arguments of ``push_to_hub``.
        """
        if not is_main_process:
            return
        self.save_config(save_directory)
        name = WEIGHTS if safe_serialization else BIN
        save(self, save_directory, name=name, variant=variant, max_shard_size=max_shard_size)
        if push_to_hub:
            repo = kwargs.pop("repo_id", os.path.basename(os.fspath(save_directory)))
            self.push_to_hub(repo, **kwargs)


def _one_device(device_map: Any) -> Any:
    if device_map is None or device_map in ("auto", "balanced"):
        return None
    if isinstance(device_map, Mapping):
        places = {*device_map.values()}
        if len(places) != 1:
            raise DiffusersConfigError(f"device_map spreads one model over {len(places)} devices; give one for all")
        device_map = places.pop()
    return torch.device(device_map)


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"

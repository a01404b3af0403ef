"""The base of every model: making, loading, saving, sharing weights, resizing."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.checkpoints import save
from enfold.errors import EnfoldError
from enfold.log import get_logger
from enfold.nn.conv import Conv1D
from enfold.nn.embedding import resize_embedding, resize_linear
from enfold.nn.int8 import Int8Linear
from enfold.nn.norm import RMSNorm
from enfold.nn.quantized import Linear4bit
from enfold.transformers.adapting import PeftAdapterMixin, load_with_adapter
from enfold.transformers.attentions import ALL_ATTENTION_FUNCTIONS, AttentionInterface, attend_as_configured, attend_by
from enfold.transformers.config import PretrainedConfig
from enfold.transformers.loading import from_pretrained
from enfold.transformers.running import RunningMixin
from enfold.transformers.sharing import PushToHubMixin

__all__ = ["ALL_ATTENTION_FUNCTIONS", "AttentionInterface", "PreTrainedModel"]

logger = get_logger(__name__)


class PreTrainedModel(RunningMixin, PeftAdapterMixin, nn.Module, PushToHubMixin):
    """Base of all models.

    A family sets ``config_class`` and ``base_model_prefix`` and ends each ``__init__`` with ``self.post_init()``.

    Args:
        config: what to build.
    """

    config_class: ClassVar[Any] = None
    _input_embed_layer: ClassVar[str | None] = None  # where the embedding is: a dotted name, of it or of a model inside
    base_model_prefix: ClassVar[str] = ""
    main_input_name: ClassVar[str] = "input_ids"
    framework: ClassVar[str] = "pt"
    # name of a tied parameter → name of the one it shares; tied when config.tie_word_embeddings says so
    _tied_weights_keys: ClassVar[dict[str, str]] = {}
    # names in checkpoints that this family does not need, as regular expressions
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = []
    _keys_to_ignore_on_load_missing: ClassVar[list[str]] = []
    # names in old checkpoints, as regular expressions → what they are now
    _old_keys: ClassVar[dict[str, str]] = {}
    # names that no checkpoint holds since they can be computed
    _keys_to_ignore_on_save: ClassVar[list[str]] = []
    _no_split_modules: ClassVar[list[str]] = []
    supports_gradient_checkpointing: ClassVar[bool] = True
    _supports_sdpa: ClassVar[bool] = False  # its layers attend by ``nn.attention.attend``, which has a fused way
    hf_device_map: dict[str, Any]

    def __init__(self, config: PretrainedConfig, *_: Any, **__: Any) -> None:
        super().__init__()
        if not isinstance(config, PretrainedConfig):
            raise TypeError(f"{type(self).__name__} is built from a configuration, not from {type(config).__name__}")
        self.config = config
        attend_as_configured(config, self._supports_sdpa)
        self.name_or_path = config.name_or_path
        self.warnings_issued: dict[str, bool] = {}
        self.gradient_checkpointing = False
        self._checkpoint_options: dict[str, Any] = {"use_reentrant": False}
        self.kept_apart: set[str] = set()  # names of shared tensors that a checkpoint holds twice, with other values
        self.generation_config: Any = None
        if self.can_generate():
            from enfold.transformers.generation.config import GenerationConfig

            self.generation_config = GenerationConfig.from_model_config(config)

    # --- making

    @classmethod
    def _from_config(cls, config: PretrainedConfig, **kwargs: Any) -> Any:
        """Return a blank model with freshly drawn weights."""
        dtype = kwargs.pop("dtype", kwargs.pop("torch_dtype", None))
        kwargs.pop("trust_remote_code", None)
        implementation = kwargs.pop("attn_implementation", None)
        model = cls(copy.deepcopy(config), **kwargs)
        if implementation:
            model.set_attn_implementation(implementation)
        return (
            model if dtype in (None, "auto") else model.to(getattr(torch, dtype) if isinstance(dtype, str) else dtype)
        )

    from_config = _from_config

    def post_init(self) -> None:
        """Draw the weights, once for each part, and tie those that are shared; a family's ``__init__`` ends with it."""
        if not any(parameter.is_meta for parameter in self.parameters()):
            self.init_weights()
        self.tie_weights()

    def init_weights(self) -> None:
        """Draw the weights of the parts that have not been drawn yet."""
        for module in reversed(list(self.modules())):  # parts first: a whole may draw some of its parts anew
            if not module.__dict__.get("_drawn"):
                self._init_weights(module)
                module.__dict__["_drawn"] = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Draw the weights of one part as published: normal with ``initializer_range``, biases zero, norms one."""
        std = getattr(self.config, "initializer_range", 0.02)
        if isinstance(module, nn.Linear | Conv1D):
            module.weight.normal_(0.0, std)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.Embedding):
            module.weight.normal_(0.0, std)
            if module.padding_idx is not None:
                module.weight[module.padding_idx].zero_()
        elif isinstance(module, nn.LayerNorm | RMSNorm):
            module.weight.fill_(1.0)
            if isinstance(module, nn.LayerNorm) and module.bias is not None:
                module.bias.zero_()

    # --- parts

    @property
    def base_model(self) -> nn.Module:
        """The model without its head."""
        return getattr(self, self.base_model_prefix, self)

    @property
    def device(self) -> torch.device:
        """Where the weights are; for a model spread over several places, where its first part computes."""
        for tensor in _tensors(self):
            if not tensor.is_meta:
                return tensor.device
        hook = vars(self).get("_hf_hook")  # everything is on disk
        return torch.device("cpu" if hook is not None else "meta")

    @property
    def dtype(self) -> torch.dtype:
        """Type of the floating-point weights."""
        return next((t.dtype for t in _tensors(self) if t.is_floating_point()), torch.float32)

    @property
    def dummy_inputs(self) -> dict[str, Tensor]:
        """A small batch that the model accepts."""
        return {"input_ids": torch.tensor([[1, 2, 3], [3, 2, 1]], device=self.device)}

    def to_bettertransformer(self) -> PreTrainedModel:
        """Return the model, made fast for inference: see ``enfold.optimum.bettertransformer``."""
        return _better().transform(self)  # type: ignore[no-any-return]

    def reverse_bettertransformer(self) -> PreTrainedModel:
        """Return the model as it was before ``to_bettertransformer``."""
        return _better().reverse(self)  # type: ignore[no-any-return]

    @classmethod
    def can_generate(cls) -> bool:
        """Return whether the class has ``generate``."""
        return hasattr(cls, "generate")

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding of tokens, patches or samples, which ``_input_embed_layer`` names."""
        owner, leaf = self._input_embedding()
        return owner.get_input_embeddings() if isinstance(owner, PreTrainedModel) and not leaf else getattr(owner, leaf)

    def set_input_embeddings(self, value: Any) -> None:
        """Replace the embedding of tokens, patches or samples."""
        owner, leaf = self._input_embedding()
        if isinstance(owner, PreTrainedModel) and not leaf:
            owner.set_input_embeddings(value)
        else:
            setattr(owner, leaf, value)

    def _input_embedding(self) -> tuple[nn.Module, str]:
        """Return the module that holds the embedding and its name there; no name for a model that knows by itself."""
        if self._input_embed_layer is not None:
            place, _, leaf = self._input_embed_layer.rpartition(".")
            owner = self.get_submodule(place)
            inside = getattr(owner, leaf)
            return (inside, "") if isinstance(inside, PreTrainedModel) else (owner, leaf)
        base = self.base_model
        if base is self or not isinstance(base, PreTrainedModel):
            raise EnfoldError(f"{type(self).__name__} does not say where its embeddings are")
        return base, ""

    def get_output_embeddings(self) -> nn.Module | None:
        """Return the layer that predicts tokens, or None."""
        return getattr(self, "lm_head", None)

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the layer that predicts tokens."""
        self.lm_head = value

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Return the number of weights, each shared one counted once."""
        skipped: set[int] = set()
        if exclude_embeddings:
            skipped = {id(part.weight) for part in self.modules() if isinstance(part, nn.Embedding)}
        return sum(
            parameter.numel()
            for parameter in self.parameters()
            if id(parameter) not in skipped and (parameter.requires_grad or not only_trainable)
        )

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """Return the bytes that the weights (and buffers) take."""
        tensors = [*self.parameters(), *(self.buffers() if return_buffers else ())]
        return sum(tensor.nbytes for tensor in tensors)

    # --- sharing weights

    def tied_names(self) -> dict[str, str]:
        """Return name → the name whose parameter it shares, as the configurations of all parts ask."""
        found: dict[str, str] = {}
        for path, part in reversed(list(self.named_modules())):  # parts first: a whole may share what they share
            if isinstance(part, PreTrainedModel):
                dot = f"{path}." if path else ""
                found.update({dot + target: dot + source for target, source in part.own_tied_names().items()})
        return {target: source for target, source in found.items() if target not in self.kept_apart}

    def own_tied_names(self) -> dict[str, str]:
        """Return what ``tied_names`` says of this model, its parts left out."""
        return dict(self._tied_weights_keys) if self.config.tie_word_embeddings else {}

    def tie_weights(self, **options: Any) -> None:
        """Make tied names one parameter."""
        for target, source in self.tied_names().items():
            owner, _, leaf = target.rpartition(".")
            setattr(self.get_submodule(owner), leaf, self.get_parameter(source))

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """Give the model as many tokens as the tokenizer has.

        Args:
            new_num_tokens: rows of the embedding; None keeps them.
            pad_to_multiple_of: round up to a multiple of this.
            mean_resizing: draw new rows around the mean of the old ones.

        Returns:
            The embedding, a new one when its size changed.
        """
        old = self.get_input_embeddings()
        assert isinstance(old, nn.Embedding)
        rows = old.num_embeddings if new_num_tokens is None else new_num_tokens
        if pad_to_multiple_of:
            rows = -(-rows // pad_to_multiple_of) * pad_to_multiple_of
        if rows == old.num_embeddings:
            return old
        std = getattr(self.config, "initializer_range", 0.02)
        new = resize_embedding(old, rows, mean_resizing=mean_resizing, std=std)
        self.set_input_embeddings(new)
        head = self.get_output_embeddings()
        if isinstance(head, nn.Linear):
            self.set_output_embeddings(resize_linear(head, rows, mean_resizing=mean_resizing, std=std))
            for target, source in self._tied_weights_keys.items():
                grown, kept = self.get_parameter(target), self.get_parameter(source)
                if grown.shape != kept.shape:  # a bias that the head keeps beside its linear layer
                    owner, _, leaf = source.rpartition(".")
                    setattr(self.get_submodule(owner), leaf, grown)
        self.config.vocab_size = rows
        self.tie_weights()
        return new

    def _models(self) -> Iterator[PreTrainedModel]:
        return (part for part in self.modules() if isinstance(part, PreTrainedModel))

    def enable_input_require_grads(self) -> None:
        """Let gradients reach the embeddings' output, which frozen models with adapters need for checkpointing."""

        def require(module: nn.Module, inputs: Any, output: Tensor) -> None:
            output.requires_grad_(True)

        self._require_grads_hook = self.get_input_embeddings().register_forward_hook(require)

    def disable_input_require_grads(self) -> None:
        """Undo ``enable_input_require_grads``."""
        self._require_grads_hook.remove()

    def set_attn_implementation(self, attn_implementation: str | Mapping[str, str]) -> None:
        """Choose how the model attends.

        Args:
            attn_implementation: ``"sdpa"``, torch's fused attention; ``"eager"``, the explicit softmax;
                ``"flex_attention"``; ``"flash_attention_2"``; a name of yours (``AttentionInterface.register``);
                or, for models of several parts, part → name, as in ``{"vision_config": "eager"}``.

        Raises:
            AttentionError: a ValueError that names the closest; nothing is changed.
        """
        attend_by(self, attn_implementation)

    # --- files

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any) -> Any:
        """Return a model with the weights of a folder or repository, in evaluation mode.

        Args:
            pretrained_model_name_or_path: a local folder, a repository's id, or None with ``config`` and
                ``state_dict``. An adapter's gives the model it is for, with the adapter in it.
            model_args: passed to the class after the configuration.
            kwargs: ``config``; ``state_dict``; ``dtype`` (or ``torch_dtype``: a type, its name, or ``"auto"``, the
                default: as in the file); ``device_map`` (``"cpu"``, ``"auto"``, a device, or name of a part → GPU
                number, ``"cpu"`` or ``"disk"``) with ``max_memory``, ``offload_folder`` and ``offload_buffers``;
                ``variant``; ``use_safetensors``; ``ignore_mismatched_sizes``; ``output_loading_info``;
                ``key_mapping``; ``attn_implementation``; ``quantization_config`` (``TorchAoConfig("int8")``: linear
                layers in eight bits, on processors) or ``load_in_8bit``; ``gguf_file``, the name of a GGUF file to
                read instead; ``from_tf=True``, read ``tf_model.h5``; ``from_flax=True``, read
                ``flax_model.msgpack``; where to look (cache_dir, revision, token, subfolder, local_files_only,
                force_download); and any value of the configuration, such as ``num_labels=2``.

        Returns:
            The model, or ``(model, information)`` with ``output_loading_info=True``.

        Example:
            >>> from enfold.transformers import BertConfig, BertModel
            >>> import tempfile
            >>> tiny = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
            ...                   intermediate_size=8)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     BertModel(tiny).save_pretrained(folder)
            ...     BertModel.from_pretrained(folder).num_parameters() == BertModel(tiny).num_parameters()
            True
        """
        return load_with_adapter(
            lambda source, **rest: from_pretrained(cls, source, *model_args, **rest),
            pretrained_model_name_or_path,
            kwargs,
        )

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        is_main_process: bool = True,
        state_dict: Mapping[str, Tensor] | None = None,
        push_to_hub: bool = False,
        max_shard_size: int | str = "5GB",
        safe_serialization: bool = True,
        variant: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Write configuration and weights into a folder that ``from_pretrained`` reads; of a model that has adapters,
        the adapter in use alone.

        Args:
            save_directory: made when it does not exist.
            is_main_process: write nothing but weights where this is False.
            state_dict: name → tensor to write instead of the model's own.
            push_to_hub: upload the folder too; ``kwargs`` are those of ``push_to_hub``.
            max_shard_size: bytes, or ``"5GB"``.
            safe_serialization: False writes ``pytorch_model.bin`` for very old readers.
            variant: an infix for the weights, such as ``"fp16"``.

        Raises:
            EnfoldError: the model's layers are in eight or four bits, or several adapters are in use; nothing is
                written.
        """
        if self._hf_peft_config_loaded:
            return self._save_adapter(os.fspath(save_directory), state_dict, safe_serialization)
        few = "eight" if any(isinstance(part, Int8Linear) for part in self.modules()) else None
        few = "four" if any(isinstance(part, Linear4bit) for part in self.modules()) else few
        if state_dict is None and few:
            raise EnfoldError(f"a model in {few} bits is not saved: save the one it was loaded from, and load that so")
        if is_main_process:
            config = copy.deepcopy(self.config)
            config.architectures = [type(self).__name__]
            config.dtype = self.dtype
            if self.generation_config is not None:
                generation = copy.deepcopy(self.generation_config)
                for name in generation.keys_of_old(vars(config)):  # an old file's: they move to a file of their own
                    if name not in config.declared():
                        value = config.__dict__.pop(name)
                        if getattr(generation, name) is None:
                            setattr(generation, name, value)
                generation.save_pretrained(save_directory)
            config.save_pretrained(save_directory)
        written = self.state_dict() if state_dict is None else state_dict
        computed = [re.compile(pattern) for pattern in self._keys_to_ignore_on_save]
        save(
            {name: tensor for name, tensor in written.items() if not any(form.search(name) for form in computed)},
            save_directory,
            max_shard_size=max_shard_size,
            variant=variant,
            tied=self.tied_names(),
            safe_serialization=safe_serialization,
        )
        if push_to_hub:
            name = os.path.basename(os.path.abspath(save_directory))
            self.push_to_hub(kwargs.pop("repo_id", name), max_shard_size=max_shard_size, **kwargs)

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoModel") -> None:
        """Accepted for the ecosystem's spelling: enfold reads registered classes from ``AutoModel.register``."""


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
    yield torch.empty(0)  # a model without weights is on the CPU


def _better() -> Any:
    """Return what lives on a higher floor, found by its name."""
    from importlib import import_module

    return import_module("enfold.optimum.bettertransformer").BetterTransformer

"""A model with learnt prompts before what it reads.

Shapes: B rows, T tokens, P tokens of the prompt, D width, H heads, d width of a head.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from enfold.log import get_logger
from enfold.nn.cache import DynamicCache, EncoderDecoderCache
from enfold.peft.config import PeftConfig, UnsupportedPeftFeature
from enfold.peft.holder import Holder
from enfold.peft.prompts import fill_numbers, make_prompt
from enfold.peft.whole import wrap_whole_modules

__all__ = ["PromptTuner"]

logger = get_logger(__name__)
_WITH_LABELS = ("CAUSAL_LM", "TOKEN_CLS")  # tasks with a label for every token, the prompt's included


class PromptTuner(Holder):
    """A model with learnt prompts.

    Args:
        model: the model, frozen.

    Attributes:
        model: the model.
        peft_config: name → configuration.
        prompt_encoder: name → what trains.
        places: module name → modules that train whole.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.prompt_encoder = nn.ModuleDict()
        self.off = False

    # --- adapters -----------------------------------------------------------------------------------------------------

    @property
    def config_in_use(self) -> Any:
        """The configuration of the prompt in use."""
        return self.peft_config[self.active_adapters[0]]

    @property
    def words(self) -> nn.Module:
        """The model's embedding of tokens."""
        return self.model.get_input_embeddings()  # type: ignore[operator,no-any-return]

    def add_adapter(
        self,
        name: str,
        config: PeftConfig,
        autocast_adapter_dtype: bool = True,
        empty: bool = False,
        low_cpu_mem_usage: bool = False,
    ) -> None:
        """Put another prompt before the model; the first one is made active.

        Raises:
            ValueError: the name is taken, or the model's configuration lacks a number that the prompt needs.
            UnsupportedPeftFeature: the model has adapters in its layers too, or activations that are computed twice.
        """
        asked: Any = config
        if not config.is_prompt_learning:
            raise ValueError(f"the model has a learnt prompt, and {name!r} is of kind {config.kind}")
        self.check_name(name)
        if not asked.num_virtual_tokens:
            raise ValueError(f"{type(config).__name__} needs num_virtual_tokens, the length of the prompt")
        if config.kind == "PREFIX_TUNING" and getattr(self.model, "gradient_checkpointing", False):
            raise UnsupportedPeftFeature("keys and values of a prefix do not survive gradient checkpointing")
        fill_numbers(asked, self.model.config)
        if not self.peft_config:
            self.model.requires_grad_(False)
        encoder = make_prompt(asked, self.words)
        device = next(self.model.parameters()).device
        self.prompt_encoder[name] = encoder.to(device).requires_grad_(not config.inference_mode)
        self.peft_config[name] = config
        if asked.modules_to_save:
            self.places.update(wrap_whole_modules(self.model, list(asked.modules_to_save), name))
        if not self.active_adapters:
            self.set_adapter(name, inference_mode=config.inference_mode)

    def set_adapter(self, adapter_name: str | list[str], inference_mode: bool = False) -> None:
        """Use one prompt from now on, and make it trainable unless ``inference_mode``."""
        names = [adapter_name] if isinstance(adapter_name, str) else list(adapter_name)
        self._check_names(names)
        if len(names) != 1:
            raise ValueError(f"one prompt stands before a model, not {', '.join(names)}")
        for name, encoder in self.prompt_encoder.items():
            encoder.requires_grad_(name in names and not inference_mode)
        for place in self.places.values():
            place.set_adapter(names, trainable=not inference_mode)
        self.active_adapters = names

    def delete_adapter(self, adapter_name: str) -> None:
        """Remove a prompt; when it was in use, the first of those left is."""
        self._check_names([adapter_name])
        if len(self.peft_config) == 1:
            raise ValueError("this is the model's only prompt: use get_base_model() instead")
        del self.prompt_encoder[adapter_name], self.peft_config[adapter_name]
        for place in self.places.values():
            if place.has_adapter(adapter_name):
                place.delete_adapter(adapter_name)
        if adapter_name in self.active_adapters:
            self.set_adapter(next(iter(self.peft_config)))

    @property
    def has_active_enabled_adapter(self) -> bool:
        """Whether a prompt is in use and goes before the text."""
        return bool(self.active_adapters) and not self.off

    @contextlib.contextmanager
    def disabled(self) -> Iterator[None]:
        before = self.off
        try:
            with super().disabled():
                yield
        finally:
            self.off = before

    def _switch(self, off: bool) -> None:
        super()._switch(off)
        self.off = off

    def merge_and_unload(self, *args: Any, **kwargs: Any) -> nn.Module:
        """Refuse: a prompt is no part of any weight."""
        raise UnsupportedPeftFeature("a prompt cannot be merged into weights: use unload() to take it away")

    merge_adapter = unmerge_adapter = merge_and_unload

    def unload(self) -> nn.Module:
        """Return the plain model."""
        for key, place in self.places.items():
            parent, _, last = key.rpartition(".")
            setattr(self.model.get_submodule(parent), last, place.unwrapped([]))  # type: ignore[operator]
        return self.model

    # --- files --------------------------------------------------------------------------------------------------------

    def state(self, adapter: str) -> dict[str, Tensor]:
        """Return file key → tensor of a prompt: what the encoder makes, not what it is made of."""
        encoder: Any = self.prompt_encoder[adapter]
        config: Any = self.peft_config[adapter]
        if config.kind == "MULTITASK_PROMPT_TUNING":
            tensors = {name: getattr(encoder, name) for name in ("prefix_task_cols", "prefix_task_rows")}
            return {**tensors, "prompt_embeddings": encoder.embedding.weight}
        with torch.no_grad():
            places = torch.arange(encoder.embedding.num_embeddings, device=encoder.embedding.weight.device)
            return {"prompt_embeddings": encoder(places[None])[0]}

    def own(self, adapter: str) -> Iterator[tuple[str, Tensor]]:
        """Yield file key and tensor to write into, of a prompt that is read from a file.

        Raises:
            UnsupportedPeftFeature: a network made the prompt, and files do not hold it.
        """
        encoder: Any = self.prompt_encoder[adapter]
        if getattr(encoder, "mlp_head", None) is not None or getattr(encoder, "transform", None) is not None:
            raise UnsupportedPeftFeature(
                "files hold the prompt and not the network that made it: load it with is_trainable=False"
            )
        yield "prompt_embeddings", encoder.embedding.weight
        if self.peft_config[adapter].kind == "MULTITASK_PROMPT_TUNING":
            yield "prefix_task_cols", encoder.prefix_task_cols
            yield "prefix_task_rows", encoder.prefix_task_rows

    # --- computing ----------------------------------------------------------------------------------------------------

    def get_prompt(self, batch_size: int, task_ids: Tensor | None = None, max_cache_len: int | None = None) -> Any:
        """Return the prompt for a batch: (B, P, D), or a cache of keys and values."""
        config = self.config_in_use
        encoder: Any = self.prompt_encoder[self.active_adapters[0]]
        weight = encoder.embedding.weight
        rows = batch_size if config.kind == "MULTITASK_PROMPT_TUNING" else 1
        places = torch.arange(weight.shape[0], device=weight.device).expand(rows, -1)
        made = encoder(places, task_ids).expand(batch_size, -1, -1)
        if config.kind != "PREFIX_TUNING":
            return made
        heads = config.num_attention_heads
        made = made.to(next(self.model.parameters()).dtype)
        parts = made.view(batch_size, config.num_virtual_tokens, config.num_layers * 2, heads, -1)
        parts = parts.permute(2, 0, 3, 1, 4)  # (layers · 2, B, H, P, d)
        settings = getattr(self.model, "config", None)
        # Beside an encoder a layer has four tensors, taken in turn from the list and the list again. Two of them are
        # for the encoder's states, where nothing is put; trained prefixes expect to be read that way.
        step = 4 if config.num_transformer_submodules == 2 else 2
        firsts = [index * step % len(parts) for index in range(config.num_layers)]
        cache = DynamicCache([(parts[first], parts[first + 1]) for first in firsts], config=settings)
        cache.virtual = config.num_virtual_tokens
        return EncoderDecoderCache(cache) if config.num_transformer_submodules == 2 else cache

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.off:
            kwargs.pop("task_ids", None)
            return self.model(*args, **kwargs)
        if args:
            kwargs["input_ids"], *left = args
            if left:
                raise TypeError("give everything but input_ids by name: the prompt changes what stands where")
        if self.config_in_use.kind == "CPT":
            return self._in_context(**kwargs)
        return self.model(**self.inputs(**kwargs))

    def _in_context(self, labels: Tensor | None = None, input_type_mask: Tensor | None = None, **kwargs: Any) -> Any:
        """Compute after examples, whose answers count for the loss too; ``input_type_mask`` (B, T) has the types."""
        from enfold.peft.cpt import context_loss

        output = self.model(**self.inputs(**kwargs))
        if labels is None:
            return output
        config = self.config_in_use
        ids, kinds = (
            torch.tensor(given, device=labels.device).expand(len(labels), -1)
            for given in (config.cpt_token_ids, config.cpt_tokens_type_mask)
        )
        own = torch.full_like(labels, 4) if input_type_mask is None else input_type_mask.to(labels.device)
        kinds = torch.cat((kinds, torch.where(own > 0, own + max(config.cpt_tokens_type_mask), own).to(kinds)), 1)
        answers = (kinds > 0) & (kinds % 4 == 0)
        labels = torch.cat((ids, labels), 1).masked_fill(~answers, -100)
        output.loss = context_loss(output.logits, labels.to(output.logits.device), kinds, config)
        return output

    def inputs(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        task_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the arguments of the model's forward pass, with the prompt among them."""
        config = self.config_in_use
        given = input_ids if inputs_embeds is None else inputs_embeds
        assert given is not None
        batch, count, device = given.shape[0], config.num_virtual_tokens, given.device
        prefix, crossed = config.kind == "PREFIX_TUNING", config.task_type == "SEQ_2_SEQ_LM"
        if kwargs.get("position_ids") is not None:
            if prefix:
                kwargs["position_ids"] = kwargs["position_ids"] + count
            else:
                logger.warning("position_ids are left out: they do not count the prompt")
                kwargs.pop("position_ids")
        if kwargs.get("token_type_ids") is not None and (crossed or config.task_type in (None, "CAUSAL_LM")):
            logger.warning("token_type_ids are left out: the prompt is of no type")
            kwargs.pop("token_type_ids")
        if prefix:
            side = "decoder_attention_mask" if crossed else "attention_mask"
            masks = {"attention_mask": attention_mask, **kwargs}
            kwargs.update(masks, labels=labels, past_key_values=self.get_prompt(batch, task_ids))
            kwargs[side] = _after(masks.get(side), count, 1)
            return {"input_ids": input_ids, "inputs_embeds": inputs_embeds, **_without_none(kwargs)}
        embeds = self.words(input_ids) if inputs_embeds is None else inputs_embeds
        prompt = self.get_prompt(batch, task_ids).to(embeds.dtype)
        if kwargs.get("token_type_ids") is not None:
            kwargs["token_type_ids"] = _after(kwargs["token_type_ids"], count, 0)
        kwargs["inputs_embeds"] = torch.cat((prompt[:, :count], embeds), 1)
        kwargs["attention_mask"] = _after(attention_mask, count, 1)
        twice = config.num_transformer_submodules == 2 and config.kind == "MULTITASK_PROMPT_TUNING"
        if labels is not None and (config.task_type in _WITH_LABELS or twice):
            labels = torch.cat((torch.full((batch, count), -100, device=device), labels), 1)
        if twice:
            kwargs["decoder_inputs_embeds"] = torch.cat((prompt[:, count:], self._decoded(kwargs, labels, count)), 1)
        return _without_none({**kwargs, "labels": labels})

    def _decoded(self, kwargs: dict[str, Any], labels: Tensor | None, count: int) -> Tensor:
        """Return the embeddings of what the decoder reads, from its ids or from the labels, one place later."""
        ids, embeds = kwargs.pop("decoder_input_ids", None), kwargs.pop("decoder_inputs_embeds", None)
        if embeds is None and ids is None:
            if labels is None:
                raise ValueError("the decoder needs decoder_input_ids or labels")
            settings: Any = self.model.config
            shifted = labels[:, count:].roll(1, 1)
            shifted[:, 0] = settings.decoder_start_token_id
            ids = shifted.masked_fill(shifted == -100, settings.pad_token_id)
        return self.words(ids) if embeds is None else embeds

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Generate as the model does after the prompt; arguments are those of the model's ``generate``.

        What is returned begins with the given ids, as without a prompt.
        """
        model: Any = self.model
        if self.off:
            return model.generate(*args, **kwargs)
        config = self.config_in_use
        ids = args[0] if args else kwargs.pop("inputs", kwargs.pop("input_ids", None))
        if ids is None:
            raise ValueError("generate needs input_ids: the prompt stands before them")
        task_ids, count = kwargs.pop("task_ids", None), config.num_virtual_tokens
        crossed = config.task_type == "SEQ_2_SEQ_LM"
        kwargs.pop("token_type_ids", None)
        kwargs.pop("position_ids", None)
        if not crossed and kwargs.get("attention_mask") is None:
            kwargs["attention_mask"] = self._padding(ids, kwargs)
        if config.kind == "PREFIX_TUNING":
            kwargs["past_key_values"] = self.get_prompt(ids.shape[0], task_ids)
            if not crossed:
                kwargs["attention_mask"] = _after(kwargs.get("attention_mask"), count, 1)
            return model.generate(ids, **_without_none(kwargs))
        embeds = self.words(ids)
        embeds = torch.cat((self.get_prompt(ids.shape[0], task_ids)[:, :count].to(embeds.dtype), embeds), 1)
        mask = _after(kwargs.pop("attention_mask", None), count, 1)
        kwargs = _without_none({**kwargs, "attention_mask": mask})
        if crossed:
            return model.generate(inputs_embeds=embeds, **kwargs)
        # Positions count everything, padding too, as they do in training.
        places = torch.arange(embeds.shape[1], device=ids.device)[None]
        limits = [kwargs, vars(kwargs.get("generation_config") or model.generation_config)]
        asked = next((given["max_length"] for given in limits if given.get("max_length") is not None), None)
        if asked is not None and kwargs.get("max_new_tokens") is None:
            kwargs["max_length"] = asked + embeds.shape[1]  # which takes the embeddings off again
        return model.generate(ids, inputs_embeds=embeds, position_ids=places, **kwargs)

    def _padding(self, ids: Tensor, given: dict[str, Any]) -> Tensor | None:
        """Return the mask (B, T) that ``generate`` would find in the ids, before anything stands in front of them."""
        config: Any = given.get("generation_config") or self.model.generation_config
        pad, ends = (
            given[name] if given.get(name) is not None else getattr(config, name, None)
            for name in ("pad_token_id", "eos_token_id")
        )
        if pad is None or pad in (ends if isinstance(ends, (list, tuple)) else [ends]):
            return None  # padding shows only where its token means nothing else
        mask = (ids != pad).long()
        return None if bool(mask.all()) else mask


def _after(given: Tensor | None, count: int, value: int) -> Tensor | None:
    """Return (B, count + T): ``count`` numbers before a mask (B, T), or None without one."""
    if given is None:
        return None
    return torch.cat((given.new_full((given.shape[0], count), value), given), 1)


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}

"""``AlignmentTrainer``: what all trainers of this package share around their losses."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.accelerate.operations import gather
from enfold.accelerate.seeds import set_seed
from enfold.transformers.trainer import Trainer, TrainerCallback
from enfold.transformers.trainer.losses import bare_model
from enfold.transformers.trainer.packing import Packing
from enfold.trl.logprobs import Scores, score
from enfold.trl.preparing import (
    AlignmentError,
    adapted,
    as_dataset,
    create_model_from_path,
    disable_dropout_in_model,
    frozen_copy,
    name_of,
    settle_tokens,
    settled,
    tokenizer_of,
    use_adapter,
)
from enfold.trl.settings import AlignmentConfig

__all__ = ["AlignmentTrainer", "ReferenceTrainer"]


class AlignmentTrainer(Trainer):
    """A trainer whose loss is an alignment method's.

    It loads a model that is given by name, puts an adapter into it, turns rows into token ids, leaves padding out of
    the layers and prompts out of the output layer, and logs what a method measures beside its loss.

    Args:
        model: a model, with adapters or without, or the name of one.
        args: of the trainer's own kind; plain training arguments are turned into it.
        data_collator: rows of token ids → batch.
        train_dataset, eval_dataset: rows in a shape that the method takes.
        processing_class: tokenizer or processor; the model's own by default (``tokenizer`` is accepted too).
        peft_config: adapter to train instead of the whole model.
        quantization_config: how to load a model that is given by name.
        kwargs: further arguments of :class:`Trainer`.
    """

    train_dataset: Any
    eval_dataset: Any
    config_class: ClassVar[type[Any]] = AlignmentConfig
    columns: ClassVar[Sequence[str]] = ()  # what of a prepared row reaches the collator
    architecture: ClassVar[str | None] = None  # class to load a model with; the checkpoint's own by default
    method: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    _packs: ClassVar[bool] = False  # `scored` does it, for every model that a method reads
    _tag_names: ClassVar[Sequence[str]] = ()

    def __init__(
        self,
        model: Any = None,
        args: Any = None,
        data_collator: Callable[..., Any] | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        *,
        peft_config: Any = None,
        quantization_config: Any = None,
        tokenizer: Any = None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        if model is None and kwargs.get("model_init") is None:
            raise AlignmentError(f"{name} needs a model, or the name of one")
        if model is None:
            model = kwargs.pop("model_init")()
        args = settled(args, self.config_class, model, self.method)
        set_seed(args.seed)  # an adapter's weights are drawn
        model = self._loaded(model, args, quantization_config)
        if processing_class is not None and tokenizer is not None and tokenizer is not processing_class:
            raise AlignmentError("tokenizer is another name of processing_class: give one of them")
        processing_class = processing_class if processing_class is not None else tokenizer
        if processing_class is None:
            processing_class = tokenizer_of(model, args)
        self.processing_class = processing_class
        settle_tokens(self.text_tokenizer, model, args)
        if args.chat_template_path is not None:
            from enfold.trl.templates import read_chat_template

            model = read_chat_template(model, processing_class, args.chat_template_path)
        model = adapted(model, peft_config, args)
        if args.disable_dropout:
            disable_dropout_in_model(model)
        self.args = args
        self._packed: dict[int, Packing] = {}
        if train_dataset is not None:
            train_dataset = self._prepared(as_dataset(train_dataset, name), "train")
        eval_dataset = self._prepared_eval(eval_dataset)
        self._measured: dict[str, dict[str, list[float]]] = {"train": defaultdict(list), "eval": defaultdict(list)}
        self._total_train_tokens = 0
        super().__init__(
            model,
            args,
            data_collator if data_collator is not None else self._collator(),
            train_dataset,
            eval_dataset,
            processing_class,
            **kwargs,
        )

    # --- what it is made of ---------------------------------------------------------------------------------------

    def _loaded(self, model: Any, args: Any, quantization_config: Any) -> nn.Module:
        if not isinstance(model, str):
            return model  # type: ignore[no-any-return]
        import enfold.transformers as library

        options = dict(args.model_init_kwargs or {})
        options.setdefault("trust_remote_code", args.trust_remote_code)
        if quantization_config is not None:
            options["quantization_config"] = quantization_config
        kind = getattr(library, self.architecture) if self.architecture else None
        return create_model_from_path(model, kind, **options)

    @property
    def text_tokenizer(self) -> Any:
        """The tokenizer, or the one inside a processor."""
        return getattr(self.processing_class, "tokenizer", self.processing_class)

    @property
    def pad_token_id(self) -> int:
        """What gaps are filled with."""
        return int(self.text_tokenizer.pad_token_id)

    def _collator(self) -> Callable[..., Any] | None:
        """Return what makes a batch of prepared rows."""
        return None

    def _prepared(self, dataset: Any, name: str) -> Any:
        """Return a data set with token ids."""
        return dataset

    def _prepared_eval(self, dataset: Any) -> Any:
        if dataset is None or isinstance(dataset, str):
            return dataset
        if isinstance(dataset, dict):
            return {name: self._prepared(as_dataset(part, type(self).__name__), name) for name, part in dataset.items()}
        return self._prepared(as_dataset(dataset, type(self).__name__), "eval")

    def _signature_columns(self) -> list[str]:
        return [*self.columns] or super()._signature_columns()

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Evaluate; a data set given here is prepared as the trainer's own were.

        Args:
            eval_dataset: rows, or a mapping of names to them; by default the trainer's own.
            ignore_keys: outputs of the model to leave out.
            metric_key_prefix: prefix of the metrics' names.
        """
        own = self.eval_dataset
        parts = list(own.values()) if isinstance(own, dict) else [own]
        fresh = eval_dataset is not None and not any(eval_dataset is part for part in [own, *parts])
        if fresh and metric_key_prefix == "eval":
            eval_dataset = self._prepared_eval(eval_dataset)
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)

    # --- one step -------------------------------------------------------------------------------------------------

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Return the method's loss of a batch, and measure what belongs to it; every trainer's own."""
        raise AlignmentError(f"{type(self).__name__} has no loss: override batch_loss")

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the loss of a batch; with ``return_outputs``, the model's logits come from a pass of their own."""
        loss = self.batch_loss(model, inputs)
        if not return_outputs:
            return loss
        named = {name: inputs[name] for name in ("input_ids", "attention_mask", "position_ids") if name in inputs}
        with torch.no_grad():
            return loss, model(**named)

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Tensor | None, Any, Any]:
        """Return the loss of a batch, and logits and labels where they are wanted."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            found = self.compute_loss(model, inputs, return_outputs=not prediction_loss_only)
        if prediction_loss_only:
            return found.detach().float(), None, None
        loss, outputs = found
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        return loss.detach().float(), logits, inputs.get("labels", inputs.get("input_ids"))

    @contextlib.contextmanager
    def packed(
        self, model: nn.Module, mask: Tensor | None, labels: Tensor, ids: Tensor | None = None
    ) -> Iterator[None]:
        """Leave padding, and what rows of ``ids`` begin with alike, out of a model's layers, where that is possible."""
        args = self.args
        alone = args.world_size == 1 and args.device.type == "cpu" and not args.torch_compile
        held = self._packed.get(id(model))
        if held is None:
            held = self._packed[id(model)] = Packing(model, alone)
        held.look_at({"attention_mask": mask, "labels": labels, "input_ids": ids})
        with held.active():
            try:
                yield
            finally:
                held.forget()

    def scored(
        self,
        model: nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        labels: Tensor,
        temperature: float = 1.0,
        **inputs: Any,
    ) -> Scores:
        """Return what a model says about the labels of a batch; see :func:`enfold.trl.logprobs.score`."""
        with self.packed(model, attention_mask, labels, None if inputs else input_ids):
            return score(model, input_ids, labels, attention_mask, temperature, **inputs)

    # --- what is measured -----------------------------------------------------------------------------------------

    @property
    def mode(self) -> str:
        """``"train"`` or ``"eval"``."""
        return "train" if self.model.training else "eval"

    def measure(self, **values: Any) -> None:
        """Note values of a batch; their means are logged with the loss. Names are written with ``__`` for ``/``."""
        into = self._measured[self.mode]
        for name, value in values.items():
            if isinstance(value, Tensor):
                value = value.detach().float()
                value = gather(value.reshape(-1)).mean() if self.args.world_size > 1 else value.mean()
            into[name.replace("__", "/")].append(float(value))

    def count_tokens(self, tokens: int) -> None:
        """Note how many tokens a batch has; the sum so far is logged as ``num_tokens``."""
        if self.mode == "train":
            self._total_train_tokens += tokens * self.args.world_size
        self._measured[self.mode]["num_tokens"] = [float(self._total_train_tokens)]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means of what was measured since the last log, and log."""
        mode = self.mode
        prefix = "" if mode == "train" else "eval_"
        logs |= {prefix + name: sum(values) / len(values) for name, values in self._measured[mode].items()}
        super().log(logs, start_time)
        self._measured[mode].clear()

    def create_model_card(self, **kwargs: Any) -> None:
        """Write ``README.md``: what was trained, and by which method."""
        tags = kwargs.pop("tags", None)
        tags = [tags] if isinstance(tags, str) else list(tags or ())
        super().create_model_card(tags=[*tags, "trl", self.method.lower().replace(" ", "-")], **kwargs)


class ReferenceTrainer(AlignmentTrainer):
    """A trainer that compares its model with a frozen one: a copy, or the same model without its adapter.

    Args:
        model: the policy.
        ref_model: what it is compared with; by default the policy as it is now.
        args, kwargs: as of :class:`AlignmentTrainer`.
    """

    def __init__(self, model: Any = None, ref_model: Any = None, args: Any = None, **kwargs: Any) -> None:
        callbacks: list[TrainerCallback | type[TrainerCallback]] = list(kwargs.pop("callbacks", None) or ())
        if ref_model is not None and ref_model is model and not isinstance(model, str):
            raise AlignmentError("ref_model is the model itself; leave it out, and a copy is made")
        super().__init__(model, args, callbacks=callbacks, **kwargs)
        args = self.args
        adapters = getattr(self.model, "peft_config", None)
        self._start_adapter: str | None = None
        if isinstance(ref_model, str):
            ref_model = self._loaded(ref_model, args, None)
        if ref_model is None and self.needs_reference():
            if adapters is None:
                ref_model = frozen_copy(self.model)
            elif kwargs.get("peft_config") is None:
                self._start_adapter = self._copied_adapter()
        self.ref_model: nn.Module | None = ref_model
        if ref_model is not None:
            ref_model.requires_grad_(False).eval().to(args.device)
            if args.disable_dropout:
                disable_dropout_in_model(ref_model)
        if getattr(args, "sync_ref_model", False):
            from enfold.trl.callbacks import SyncRefModelCallback

            if self.ref_model is None:
                raise AlignmentError(
                    "sync_ref_model moves a reference model, and there is none: the adapter is left off"
                )
            self.add_callback(SyncRefModelCallback(self.ref_model, self.accelerator))

    def needs_reference(self) -> bool:
        """Whether the loss reads a reference at all."""
        return True

    def _copied_adapter(self) -> str:
        """Keep a frozen copy of an adapter that was trained before, and return its name."""
        model: Any = self.model
        active = model.active_adapters[0]
        if "ref" not in model.peft_config:
            model.add_adapter("ref", model.peft_config[active])
        named = dict(model.named_parameters())
        for name, parameter in named.items():
            if f".{active}." in name:
                named[name.replace(f".{active}.", ".ref.")].data.copy_(parameter.data)
        for name, parameter in named.items():
            if ".ref." in name:
                parameter.requires_grad_(False)
        return "ref"

    @contextlib.contextmanager
    def reference(self) -> Iterator[nn.Module]:
        """Give the reference, without gradients, inside the block."""
        with torch.no_grad():
            if self.ref_model is not None:
                yield self.ref_model
                return
            model = self.accelerator.unwrap_model(self.model)
            if not hasattr(model, "peft_config"):
                raise AlignmentError(f"{type(self).__name__} needs a ref_model, or a model with an adapter")
            training = model.training
            with use_adapter(model, self._start_adapter):
                yield model
            model.train(training)

    def _model_name(self) -> str:
        return name_of(bare_model(self.model))

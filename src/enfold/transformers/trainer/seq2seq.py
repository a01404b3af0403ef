"""``Seq2SeqTrainer``: evaluation by what an encoder-decoder writes."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enfold.transformers.trainer import evaluation
from enfold.transformers.trainer.arguments import TrainingArguments
from enfold.transformers.trainer.outcomes import PredictionOutput
from enfold.transformers.trainer.parts import TrainerError
from enfold.transformers.trainer.spellings import spelled
from enfold.transformers.trainer.trainer import Trainer

__all__ = ["Seq2SeqTrainer", "Seq2SeqTrainingArguments"]


@spelled
@dataclass
class Seq2SeqTrainingArguments(TrainingArguments):
    """How a :class:`Seq2SeqTrainer` trains and evaluates.

    Args:
        predict_with_generate: evaluate what the model writes, instead of what it says about the labels.
        generation_max_length, generation_num_beams: of that; by default as the model's generation configuration says.
        generation_config: a configuration to use instead of the model's, or its folder, file or repository.
        sortish_sampler: rows of similar length together, as ``train_sampling_strategy="group_by_length"`` does.

    Example:
        >>> Seq2SeqTrainingArguments("out", predict_with_generate=True, generation_num_beams=4).generation_num_beams
        4
    """

    sortish_sampler: bool = False
    predict_with_generate: bool = False
    generation_max_length: int | None = None
    generation_num_beams: int | None = None
    generation_config: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sortish_sampler and self.train_sampling_strategy == "random":
            self.train_sampling_strategy = "group_by_length"

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as plain values, tokens left out."""
        values = super().to_dict()
        if hasattr(values["generation_config"], "to_dict"):
            values["generation_config"] = values["generation_config"].to_dict()
        return values


class Seq2SeqTrainer(Trainer):
    """A trainer whose evaluations and predictions may be what the model writes.

    With ``args.predict_with_generate``, ``compute_metrics`` and :meth:`predict` get token ids, rows filled up with the
    padding token. Keyword arguments of :meth:`evaluate` and :meth:`predict` go to ``generate``.

    Args:
        args, kwargs: as of :class:`Trainer`.
    """

    args: Seq2SeqTrainingArguments

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gen_kwargs: dict[str, Any] = {}
        given = getattr(self.args, "generation_config", None)
        if given is not None:
            self.model.generation_config = self.load_generation_config(given)  # type: ignore[assignment]

    @staticmethod
    def load_generation_config(gen_config_arg: Any) -> Any:
        """Return the generation configuration: the object given, or that of a file, folder or repository."""
        from enfold.transformers.generation.config import GenerationConfig

        if isinstance(gen_config_arg, GenerationConfig):
            return copy.deepcopy(gen_config_arg)
        place = os.fspath(gen_config_arg)
        if os.path.isfile(place):
            return GenerationConfig.from_pretrained(os.path.dirname(place) or ".", os.path.basename(place))
        return GenerationConfig.from_pretrained(place)

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
        **gen_kwargs: Any,
    ) -> dict[str, float]:
        """Evaluate; ``gen_kwargs`` go to ``generate``."""
        self._gen_kwargs = self._generation(gen_kwargs)
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)

    def predict(
        self,
        test_dataset: Any,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "test",
        **gen_kwargs: Any,
    ) -> PredictionOutput:
        """Predict; ``gen_kwargs`` go to ``generate``."""
        self._gen_kwargs = self._generation(gen_kwargs)
        return super().predict(test_dataset, ignore_keys, metric_key_prefix)

    def _generation(self, given: dict[str, Any]) -> dict[str, Any]:
        chosen = {name: value for name, value in given.items() if value is not None}
        if "max_length" not in chosen and "max_new_tokens" not in chosen and self.args.generation_max_length:
            chosen["max_length"] = self.args.generation_max_length
        if "num_beams" not in chosen and self.args.generation_num_beams:
            chosen["num_beams"] = self.args.generation_num_beams
        return chosen

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
        **gen_kwargs: Any,
    ) -> tuple[Tensor | None, Any, Any]:
        """Return the loss, what the model writes, and the labels; both filled up with the padding token."""
        if not self.args.predict_with_generate or prediction_loss_only:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        inputs = self._prepare_inputs(inputs)
        asked = gen_kwargs or self._gen_kwargs
        prompt = dict(inputs)
        labels, started = prompt.get("labels"), prompt.get("decoder_input_ids")
        if labels is not None and started is not None and labels.shape == started.shape:
            # The collator made them of the labels: they would give the answer away.
            prompt = {
                name: value
                for name, value in prompt.items()
                if name not in ("decoder_input_ids", "decoder_attention_mask")
            }
        prompt.pop("labels", None)
        writer: Any = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        with torch.inference_mode(), self.compute_loss_context_manager():
            written = writer.generate(**prompt, **asked)
        loss = None
        if labels is not None:
            loss, _, _ = evaluation.prediction_step(self, model, inputs, True, ignore_keys)
        width = self._width(writer, asked)
        return loss, self._pad_tensors_to_max_len(written, width), self._pad_tensors_to_max_len(labels, width)

    @staticmethod
    def _width(writer: Any, asked: dict[str, Any]) -> int:
        """The longest that rows can be written, in tokens, so that all batches are as wide."""
        config = writer.generation_config
        length = asked.get("max_length") or getattr(config, "max_length", None) or 0
        new = asked.get("max_new_tokens") or getattr(config, "max_new_tokens", None) or 0
        return new + 1 if new else length

    def _pad_tensors_to_max_len(self, tensor: Any, max_length: int) -> Any:
        if tensor is None or tensor.shape[-1] >= max_length:
            return tensor
        fill = self._padding()
        return nn.functional.pad(tensor, (0, max_length - tensor.shape[-1]), value=fill)

    def _padding(self) -> int:
        tokenizer = getattr(self.processing_class, "tokenizer", self.processing_class)
        config = getattr(self.model, "config", None)
        for holder, name in ((tokenizer, "pad_token_id"), (tokenizer, "eos_token_id"), (config, "pad_token_id")):
            value = getattr(holder, name, None)
            if value is not None:
                return int(value)
        raise TrainerError("what is written cannot be batched: neither tokenizer nor configuration has a padding token")

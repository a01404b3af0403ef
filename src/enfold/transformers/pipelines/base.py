"""Pipeline: from raw input through a model to a finished answer, for one input, many, or a stream of them."""

from __future__ import annotations

import os
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import torch

from enfold.errors import EnfoldError
from enfold.transformers.pipelines.custom import save_code
from enfold.transformers.sharing import PushToHubMixin

__all__ = ["ChunkPipeline", "Pipeline", "PipelineException", "length_batches"]

# Tokens that one forward pass of an automatically made batch holds, padding included: enough for products at full
# speed, and few enough that what lies between layers is memory used before rather than fresh pages from the system.
TOKEN_BUDGET = 2048
# Rows of a data set that are read ahead, so that texts of one length share a batch.
WINDOW = 256


class PipelineException(EnfoldError, RuntimeError):
    """A pipeline could not do what it was asked."""

    def __init__(self, task: str, model: str, reason: str) -> None:
        super().__init__(reason)
        self.task = task
        self.model = model


def length_batches(lengths: Sequence[int], batch_size: int | None, budget: int = TOKEN_BUDGET) -> list[list[int]]:
    """Return the places of the inputs, sorted by length and cut into batches of at most ``budget`` padded tokens.

    Args:
        lengths: tokens of each input.
        batch_size: at most this many inputs a batch; None leaves it to the budget.
        budget: tokens a batch, counting padding; a longer input has a batch of its own.

    Example:
        >>> length_batches([5, 1, 5, 2], None, budget=10)
        [[0, 2], [3, 1]]
    """
    batches: list[list[int]] = []
    longest = 0
    for place in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        full = not batches or (
            len(batches[-1]) >= batch_size if batch_size else (len(batches[-1]) + 1) * max(longest, 1) > budget
        )
        if full:
            batches.append([])
            longest = lengths[place]
        batches[-1].append(place)
    return batches


class Pipeline(PushToHubMixin):
    """Base of all pipelines.

    A task says what it does in ``preprocess``, ``_forward`` and ``postprocess``, and in ``_sanitize_parameters`` which
    arguments go to which of them. A task that can do many inputs at once overrides ``run_many``.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        feature_extractor: its feature extractor, for sound.
        image_processor: its image processor.
        processor: its processor, for several kinds of input.
        task: the name of the task.
        device: a number (-1 is the CPU), a name or a ``torch.device``; where the model is, by default.
        batch_size: inputs a batch; chosen by length by default.
        num_workers: accepted; the core tokenizes on several threads.
        kwargs: arguments of the task, as defaults for every call.
    """

    default_input_names: Any = None
    # Which parts the task needs (True), has no use for (False), or takes where a repository has them (None).
    _load_tokenizer: ClassVar[bool | None] = None
    _load_feature_extractor: ClassVar[bool | None] = None
    _load_image_processor: ClassVar[bool | None] = None
    _load_processor: ClassVar[bool | None] = None

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        feature_extractor: Any = None,
        image_processor: Any = None,
        processor: Any = None,
        modelcard: Any = None,
        task: str = "",
        device: int | str | torch.device | None = None,
        batch_size: int | None = None,
        num_workers: int | None = None,
        binary_output: bool = False,
        framework: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.feature_extractor = feature_extractor
        self.image_processor = image_processor
        self.processor = processor
        self.modelcard = modelcard
        self.task = task
        self.framework = "pt"
        self.binary_output = binary_output
        self.device = _as_device(device, model)
        if getattr(model, "hf_device_map", None) is None and isinstance(model, torch.nn.Module):
            model.to(self.device)
        if hasattr(model, "eval"):
            model.eval()
        self.call_count = 0
        self._batch_size = batch_size
        self._num_workers = num_workers
        self._preprocess_params, self._forward_params, self._postprocess_params = self._sanitize_parameters(**kwargs)

    @property
    def dtype(self) -> Any:
        """The type of the model's weights."""
        return getattr(self.model, "dtype", None)

    torch_dtype = dtype

    def _sanitize_parameters(self, **pipeline_parameters: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Sort arguments into those of ``preprocess``, ``_forward`` and ``postprocess``."""
        raise NotImplementedError(f"{type(self).__name__} must define _sanitize_parameters")

    def preprocess(self, input_: Any, **preprocess_parameters: Any) -> Any:
        """Turn a raw input into model inputs."""
        raise NotImplementedError(f"{type(self).__name__} must define preprocess")

    def _forward(self, input_tensors: Any, **forward_parameters: Any) -> Any:
        """Run the model."""
        raise NotImplementedError(f"{type(self).__name__} must define _forward")

    def postprocess(self, model_outputs: Any, **postprocess_parameters: Any) -> Any:
        """Turn the model's output into the answer."""
        raise NotImplementedError(f"{type(self).__name__} must define postprocess")

    def ensure_tensor_on_device(self, **inputs: Any) -> dict[str, Any]:
        """Return the inputs with every tensor on the pipeline's device."""
        return {name: self._moved(value, self.device) for name, value in inputs.items()}

    def _moved(self, value: Any, device: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.to(device)
        if isinstance(value, list | tuple):
            return type(value)(self._moved(item, device) for item in value)
        if isinstance(value, dict) or (hasattr(value, "data") and hasattr(value, "items")):
            for key, item in list(value.items()):
                value[key] = self._moved(item, device)
        return value

    def forward(self, model_inputs: Any, **forward_params: Any) -> Any:
        """Run ``_forward`` without gradients, inputs on the pipeline's device, outputs on the CPU."""
        with torch.inference_mode():
            inputs = self._moved(model_inputs, self.device)
            return self._moved(self._forward(inputs, **forward_params), "cpu")

    def __call__(
        self, inputs: Any, *args: Any, num_workers: int | None = None, batch_size: int | None = None, **kwargs: Any
    ) -> Any:
        """Answer one input, a list (a list comes back), or a generator or data set (an iterator comes back).

        Args:
            inputs: what the task takes, one or many.
            num_workers: accepted; the core tokenizes on several threads.
            batch_size: inputs a batch; chosen by length by default. A generator is read one input at a time unless
                this says otherwise, so that it may wait for answers.
            kwargs: arguments of the task for this call.
        """
        own = (self._preprocess_params, self._forward_params, self._postprocess_params)
        steps = tuple({**mine, **given} for mine, given in zip(own, self._sanitize_parameters(**kwargs), strict=True))
        size = self._batch_size if batch_size is None else batch_size
        self.call_count += 1
        if isinstance(inputs, types.GeneratorType) or (isinstance(inputs, Iterator) and not hasattr(inputs, "keys")):
            return self._stream(inputs, 4 * size if size and size > 1 else 1, size, steps)
        if isinstance(inputs, list):
            return self.run_many(inputs, size, *steps) if inputs else []
        if (
            (
                hasattr(inputs, "__getitem__")
                and hasattr(inputs, "__len__")
                and not isinstance(inputs, str | dict | tuple | bytes)
            )
            and not hasattr(inputs, "dtype")
            and not hasattr(inputs, "keys")
            and not hasattr(inputs, "messages")
        ):
            return self._stream((inputs[place] for place in range(len(inputs))), WINDOW, size, steps)
        return self.run_single(inputs, *steps)

    def _stream(self, inputs: Iterable[Any], window: int, batch_size: int | None, steps: Any) -> Iterator[Any]:
        held: list[Any] = []
        for item in inputs:
            held.append(item)
            if len(held) >= window:
                yield from self.run_many(held, batch_size, *steps)
                held = []
        if held:
            yield from self.run_many(held, batch_size, *steps)

    def run_single(self, inputs: Any, preprocess_params: Any, forward_params: Any, postprocess_params: Any) -> Any:
        """Answer one input."""
        model_inputs = self.preprocess(inputs, **preprocess_params)
        return self.postprocess(self.forward(model_inputs, **forward_params), **postprocess_params)

    def run_many(
        self,
        inputs: list[Any],
        batch_size: int | None,
        preprocess_params: Any,
        forward_params: Any,
        postprocess_params: Any,
    ) -> list[Any]:
        """Answer several inputs, in order; one after the other unless a task knows better."""
        return [self.run_single(item, preprocess_params, forward_params, postprocess_params) for item in inputs]

    def save_pretrained(self, save_directory: str, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write the model and its tokenizer or processors into a folder that ``pipeline`` reads, and the code of a
        pipeline that you registered."""
        save_code(self, os.fspath(save_directory))
        self.model.save_pretrained(save_directory, safe_serialization=safe_serialization, **kwargs)
        for part in (self.tokenizer, self.feature_extractor, self.image_processor, self.processor):
            if part is not None:
                part.save_pretrained(save_directory)

    def check_model_type(self, supported_models: Any) -> None:
        """Accepted for pipelines written for the ecosystem: a model without the task's output fails by itself."""

    def transform(self, X: Any) -> Any:
        """Answer ``X``: the name that scikit-learn uses."""
        return self(X)

    predict = transform


class ChunkPipeline(Pipeline):
    """Base of pipelines whose ``preprocess`` yields several model inputs for one input.

    ``postprocess`` is given the list of what ``_forward`` returned for them.
    """

    def run_single(self, inputs: Any, preprocess_params: Any, forward_params: Any, postprocess_params: Any) -> Any:
        """Answer one input."""
        parts = self.preprocess(inputs, **preprocess_params)
        return self.postprocess([self.forward(part, **forward_params) for part in parts], **postprocess_params)


def _as_device(device: Any, model: Any) -> torch.device:
    if isinstance(device, torch.device):
        return device
    if device is None:
        if getattr(model, "hf_device_map", None) is None and torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device(getattr(model, "device", "cpu"))
    if isinstance(device, int):
        return torch.device("cpu") if device < 0 else torch.device(f"cuda:{device}")
    return torch.device(device)

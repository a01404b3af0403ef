"""Our models as Keras models: the weights are TensorFlow's variables, the computation is the torch model's program.

``TFBertForSequenceClassification`` and every other ``TF…`` class is made from the torch class of that name by one rule
(``tf_class``); ``TFAutoModelFor…`` from the auto classes. Torch builds and exports a model; from then on TensorFlow
computes, learns and saves. See docs/tensorflow.md.
"""

from __future__ import annotations

import copy
import os
import re
import sqlite3  # noqa: F401  # first: TensorFlow brings an SQLite of its own, which would take the place of Python's
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
import torch

from enfold.errors import EnfoldError, nearest
from enfold.nn.outputs import ModelOutput
from enfold.transformers.config import PretrainedConfig
from enfold.transformers.frameworks.behind import array, emptied, torch_input
from enfold.transformers.frameworks.graph import Program, Programs, Spec, aliases, leaves, run
from enfold.transformers.frameworks.names import Classes
from enfold.transformers.frameworks.tensorflow_ops import TABLE
from enfold.transformers.frameworks.tensorflow_serving import ServingMixin
from enfold.transformers.frameworks.tensorflow_training import IGNORED
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.sharing import PushToHubMixin

__all__ = ["TFPreTrainedModel", "tf_class"]

# What a call may ask for that is no tensor; the rest of what torch's models take has no meaning here.
_OPTIONS = ("output_attentions", "output_hidden_states", "interpolate_pos_encoding", "return_loss")


class Part(keras.layers.Layer):
    """The weights of one part of a model, so that ``model.layers`` shows it and ``trainable = False`` freezes it."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.built = True

    def take(self, name: str, value: np.ndarray, trainable: bool) -> Any:
        """Return a new variable of this part."""
        return _variable(self, name, value, trainable)


def _variable(owner: Any, name: str, value: np.ndarray, trainable: bool) -> Any:
    return owner.add_weight(
        name=name,
        shape=value.shape,
        dtype=str(value.dtype),
        initializer=lambda shape, dtype=None: tf.constant(value),
        trainable=trainable,
        autocast=False,
    )


class TFPreTrainedModel(ServingMixin, PushToHubMixin):
    """Base of all models in TensorFlow.

    Args:
        config: what to build; the weights are drawn as the torch class draws them.
        inputs: of the torch class, after the configuration.
        torch_model: take the weights of this model instead of drawing any.
        name: of the Keras model.

    Example:
        >>> from enfold.transformers import BertConfig, TFBertModel  # doctest: +SKIP
        >>> model = TFBertModel(BertConfig())  # doctest: +SKIP
        >>> model({"input_ids": [[101, 102]]}).last_hidden_state.shape  # doctest: +SKIP
        TensorShape([1, 2, 768])
    """

    config_class: ClassVar[Any] = None
    base_model_prefix: ClassVar[str] = ""
    framework: ClassVar[str] = "tf"

    def __init__(self, config: PretrainedConfig, *inputs: Any, torch_model: Any = None, **kwargs: Any) -> None:
        if self.torch_class is None:
            raise TypeError(f"{type(self).__name__} is a base; build a model of a kind, such as TFBertModel(config)")
        super().__init__(name=kwargs.pop("name", None) or _snake(self.torch_class.__name__))
        if torch_model is None:
            torch_model = self.torch_class(copy.deepcopy(config), *inputs, **kwargs)
        self.supports_jit = False  # sizes are open, and a compiler would begin anew for each
        self._adopt(torch_model)
        self.built = True

    def _adopt(self, model: PreTrainedModel) -> None:
        """Take a torch model's weights as variables, and keep the model without them to export programs."""
        _hide(self, config=model.config, generation_config=model.generation_config)
        _hide(self, programs=Programs(model), running={}, skeleton=model)
        held = set(model.state_dict(keep_vars=True))
        trained = dict(model.named_parameters())
        _hide(self, variables_of={}, constants={}, parts={}, other_names=aliases(model))
        for name, tensor in leaves(model).items():
            value = array(tensor, tf.bfloat16.as_numpy_dtype)
            if name not in held:
                self.constants[name] = tf.constant(value)
                continue
            owner, _, rest = name.partition(".")
            trainable = name in trained and trained[name].requires_grad
            if rest:
                self.variables_of[name] = self._part(owner).take(rest, value, trainable)
            else:
                self.variables_of[name] = _variable(self, name, value, trainable)
        emptied(model)

    def _part(self, name: str) -> Part:
        if name not in self.parts:
            kind = type(getattr(self.skeleton, name)).__name__
            part = type(kind, (Part,), {"__module__": __name__})(name)
            self.parts[name] = part
            public = name if not hasattr(type(self), name) else f"{name}_part"
            setattr(self, public, part)
        return self.parts[name]

    # --- computing

    def _inputs(self, given: Any, named: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what a call gives as name → tensor, and what it asks for besides."""
        known = self._arguments
        found: dict[str, Any] = {}
        if isinstance(given, Mapping) or hasattr(given, "keys"):
            found.update({name: given[name] for name in given})
        elif isinstance(given, tuple | list) and given and not isinstance(given[0], int | float | list):
            found.update(zip(known, given, strict=False))
        elif given is not None:
            found[self.main_input_name] = given
        found.update(named)
        options = {}
        for name in [*_OPTIONS, "return_dict", "training", *IGNORED]:
            if name in found:
                value = found.pop(name)
                if name in IGNORED and value not in (None, False) and name == "past_key_values":
                    raise EnfoldError("TensorFlow's models take no past_key_values; generate() keeps a cache by itself")
                if name not in IGNORED and value is not None:
                    options[name] = value
        tensors = {}
        for name, value in found.items():
            if name not in known:
                raise TypeError(f"{type(self).__name__} takes no {name!r}{nearest(name, known)}; it takes {known}")
            if value is not None:
                tensors[name] = _tensor(value)
        return tensors, options

    def __call__(self, inputs: Any = None, *more: Any, training: bool | None = None, **named: Any) -> Any:
        """Compute.

        Args:
            inputs: a batch (dictionary, ``BatchEncoding``), the main input alone, or inputs in the order of the torch
                model's ``forward``; TensorFlow tensors, arrays or lists.
            training: with dropout.
            named: more inputs; ``labels``, which give a loss; ``output_attentions``, ``output_hidden_states``,
                ``return_dict``.

        Returns:
            The torch model's output class with TensorFlow's tensors, or a tuple with ``return_dict=False``.
        """
        if more:
            inputs = [inputs, *more]
        as_part = named.pop("plain", False)
        tensors, options = self._inputs(inputs, named)
        training = bool(options.pop("training", training) or False)
        as_dict = options.pop("return_dict", True)
        if as_part or any(keras.backend.is_keras_tensor(one) for one in tensors.values()):
            options["plain"] = True  # Keras calls a part of another model again as it was called first
        fields = super().__call__(tensors, training=training, **options)
        if as_part:
            return fields
        if not as_dict:
            return tuple(fields.values())
        return self._output_class(fields)

    def call(self, inputs: Any, training: bool = False, **options: Any) -> dict[str, Any]:
        """Return the output's fields for inputs by name; Keras calls it."""
        for name in ("output_attentions", "output_hidden_states"):
            if getattr(self.config, name, False):
                options.setdefault(name, True)
        inputs = {name: _tensor(value) for name, value in inputs.items()}
        specs = {name: Spec(tuple(value.shape), value.dtype.name) for name, value in inputs.items()}
        options = {name: value for name, value in options.items() if name in self._arguments}
        program = self.programs.fitting(specs, train=training, **options)
        _hide(self, output_class=program.output_class)
        if tf.executing_eagerly():
            fields, updates = self._compiled(program)(inputs)
        else:
            fields, updates = self._run(program, inputs)
        for name, value in updates.items():
            self.variables_of[name].assign(value)
        return fields

    def _output_class(self, fields: Mapping[str, Any]) -> Any:
        kind = self.output_class
        return kind(**fields) if kind is not ModelOutput else next(iter(fields.values()))

    def _run(self, program: Program, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        weights = {name: tf.convert_to_tensor(variable.value) for name, variable in self.variables_of.items()}
        result = run(program, TABLE, {**self.constants, **weights}, inputs)
        return result.output, result.updates

    def _compiled(self, program: Program) -> Callable[..., Any]:
        """Return a program as one TensorFlow function for all sizes that it serves."""
        if id(program) not in self.running:
            signature = {
                one.name: tf.TensorSpec([size if isinstance(size, int) else None for size in one.shape], one.dtype)
                for one in program.inputs
            }
            whole = tf.function(lambda inputs: self._run(program, inputs), input_signature=[signature], autograph=False)
            self.running[id(program)] = whole.get_concrete_function()
        return self.running[id(program)]

    # --- parts

    def get_input_embeddings(self) -> Any:
        """Return the variable of the tokens' embedding."""
        return self.variables_of[self._embedding_name()]

    def _embedding_name(self) -> str:
        module = self.skeleton.get_input_embeddings()
        for name, part in self.skeleton.named_modules():
            if part is module:
                full = f"{name}.weight"
                return self.other_names.get(full, full)
        raise EnfoldError(f"{type(self).__name__} has no embedding of tokens")

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Return the number of weights, each shared one counted once."""
        held = dict(self.skeleton.named_parameters())
        chosen = {name: one for name, one in self.variables_of.items() if name in held}
        if exclude_embeddings:
            tables = {
                f"{name}.weight" for name, part in self.skeleton.named_modules() if isinstance(part, torch.nn.Embedding)
            }
            chosen = {name: one for name, one in chosen.items() if name not in tables}
        return sum(int(np.prod(one.shape)) for one in chosen.values() if one.trainable or not only_trainable)

    def resize_token_embeddings(self, new_num_tokens: int | None = None, **options: Any) -> Any:
        """Give the model as many tokens as the tokenizer has; arguments as the torch model's.

        Returns:
            The variable of the embedding. Variables are made anew: compile a model after it.
        """
        model = self.to_torch()
        model.resize_token_embeddings(new_num_tokens, **options)
        self._renew(model)
        return self.get_input_embeddings()

    def _renew(self, model: PreTrainedModel) -> None:
        """Take another torch model's weights: those of another shape get new variables."""
        frozen = {name for name, one in self.variables_of.items() if not one.trainable}
        changed = {
            name: array(tensor, tf.bfloat16.as_numpy_dtype)
            for name, tensor in leaves(model).items()
            if name in self.variables_of and tuple(self.variables_of[name].shape) != tuple(tensor.shape)
        }
        for name, value in changed.items():
            owner, _, rest = name.partition(".")
            part, old = (self.parts[owner] if rest else self), self.variables_of[name]
            part._tracker.unlock()
            for kept in (part._trainable_variables, part._non_trainable_variables):
                for at, one in enumerate(list(kept)):
                    if one is old:
                        kept.pop(at)
            self.variables_of[name] = _variable(part, rest or name, value, name not in frozen)
        _hide(self, programs=Programs(model), running={}, skeleton=model, config=model.config)
        emptied(model)

    def to_torch(self) -> PreTrainedModel:
        """Return the torch model with these weights (a copy)."""
        model = copy.deepcopy(self.skeleton)
        owners = dict(model.named_modules())
        for name, variable in self.variables_of.items():
            path, _, leaf = name.rpartition(".")
            value = torch.from_numpy(np.array(tf.cast(variable.value, _plain(variable.dtype)).numpy()))
            held = getattr(owners[path], leaf)
            value = value.to(held.dtype)
            if leaf in owners[path]._parameters:
                owners[path]._parameters[leaf] = torch.nn.Parameter(value, requires_grad=held.requires_grad)
            else:
                owners[path]._buffers[leaf] = value
        for other, first in self.other_names.items():
            path, _, leaf = other.rpartition(".")
            source, _, end = first.rpartition(".")
            holder = owners[path]._parameters if leaf in owners[path]._parameters else owners[path]._buffers
            holder[leaf] = getattr(owners[source], end)
        return model.eval()

    @classmethod
    def can_generate(cls) -> bool:
        """Return whether the class has ``generate``."""
        return cls.torch_class is not None and cls.torch_class.can_generate()

    def generate(self, inputs: Any = None, **options: Any) -> Any:
        """Continue a text: by the torch model with these weights, with TensorFlow's tensors in and out.

        Args:
            inputs: as the torch model's ``generate``.
            options: likewise.
        """
        if not self.can_generate():
            raise EnfoldError(f"{type(self).__name__} does not generate; a class with a language head does")
        given = {name: torch_input(value) for name, value in options.items()}
        if inputs is not None and (isinstance(inputs, Mapping) or hasattr(inputs, "keys")):
            given = {**{name: torch_input(inputs[name]) for name in inputs}, **given}
            inputs = None
        model: Any = self.to_torch()
        model.generation_config = self.generation_config
        made = model.generate(torch_input(inputs), **given) if inputs is not None else model.generate(**given)
        return torch.utils._pytree.tree_map(
            lambda one: (
                tf.constant(one.numpy(), tf.int32 if one.dtype == torch.int64 else None)
                if isinstance(one, torch.Tensor)
                else one
            ),
            made,
        )

    # --- files

    @classmethod
    def _from_config(cls, config: PretrainedConfig, **kwargs: Any) -> Any:
        """Return a blank model."""
        kwargs.pop("trust_remote_code", None)
        model = cls.torch_class._from_config(config, **kwargs)
        return cls(model.config, torch_model=model)

    from_config = _from_config

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any) -> Any:
        """Return a model with the weights of a folder or repository.

        Args:
            pretrained_model_name_or_path: a folder, or a repository's id.
            model_args: of the torch class, after the configuration.
            kwargs: as the torch class's ``from_pretrained``. Weights are ``float32`` unless ``dtype`` says otherwise.
                Files are looked for in this order: safetensors, ``tf_model.h5``, ``pytorch_model.bin``;
                ``from_pt=True`` leaves out the second.

        Returns:
            The model, or ``(model, information)`` with ``output_loading_info=True``.
        """
        kwargs.setdefault("dtype", kwargs.pop("torch_dtype", None) or torch.float32)
        if not kwargs.pop("from_pt", False):
            kwargs.setdefault("from_tf", "auto")
        made = cls.torch_class.from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
        model, *information = made if isinstance(made, tuple) else (made,)
        whole = cls(model.config, torch_model=model)
        return (whole, *information) if information else whole

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return name → torch tensor of every weight that a checkpoint holds."""
        return {name: tensor.detach() for name, tensor in self.to_torch().state_dict().items()}

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        saved_model: bool = False,
        version: int = 1,
        push_to_hub: bool = False,
        signatures: Mapping[str, Any] | None = None,
        max_shard_size: int | str = "5GB",
        safe_serialization: bool = True,
        **kwargs: Any,
    ) -> None:
        """Write configuration and weights into a folder that both frameworks read.

        Args:
            save_directory: made when it does not exist.
            saved_model: also write a SavedModel into ``saved_model/<version>``.
            version: of it.
            push_to_hub: upload the folder too; ``kwargs`` are those of ``push_to_hub``.
            signatures: name → ``tf.TensorSpec`` of the SavedModel's inputs.
            max_shard_size: bytes, or ``"5GB"``.
            safe_serialization: False writes ``tf_model.h5`` for readers of TensorFlow's own files.
        """
        model = self.to_torch()
        if safe_serialization:
            model.save_pretrained(save_directory, max_shard_size=max_shard_size)
        else:
            from enfold.transformers.frameworks.h5 import save_h5

            save_h5(model, save_directory, max_shard_size=max_shard_size)
        if saved_model:
            self.export(os.path.join(save_directory, "saved_model", str(version)), input_signature=signatures)
        if push_to_hub:
            name = os.path.basename(os.path.abspath(save_directory))
            self.push_to_hub(kwargs.pop("repo_id", name), max_shard_size=max_shard_size, **kwargs)


def _hide(owner: Any, **values: Any) -> None:
    """Set attributes that Keras is not to look into."""
    for name, value in values.items():
        object.__setattr__(owner, name, value)


def _snake(name: str) -> str:
    return "tf_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _plain(dtype: str) -> str:
    return "float32" if dtype == "bfloat16" else dtype


def _tensor(value: Any) -> Any:
    """Return a tensor of the type that programs take: whole numbers have 64 bits; a placeholder of Keras stays."""
    if keras.backend.is_keras_tensor(value):
        return value
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    made = value if tf.is_tensor(value) else tf.convert_to_tensor(np.asarray(value) if _rows(value) else value)
    if made.dtype.is_integer and made.dtype != tf.int64:
        return tf.cast(made, tf.int64)
    return tf.cast(made, tf.float32) if made.dtype == tf.float64 else made


def _rows(value: Any) -> bool:
    return isinstance(value, list | tuple) and not any(tf.is_tensor(one) for one in value)


# --- every class

_CLASSES = Classes(TFPreTrainedModel, "TF", "TensorFlow")
__getattr__ = _CLASSES.named  # ``TF…``


def tf_class(torch_class: type[PreTrainedModel]) -> type[TFPreTrainedModel]:
    """Return the class in TensorFlow that belongs to a torch class.

    Example:
        >>> from enfold.transformers import BertModel  # doctest: +SKIP
        >>> tf_class(BertModel).__name__  # doctest: +SKIP
        'TFBertModel'
    """
    made: type[TFPreTrainedModel] = _CLASSES.of(torch_class)
    return made

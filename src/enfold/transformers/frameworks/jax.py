"""Models in JAX: ``FlaxBertModel`` and every other ``Flax…`` class is made from the torch class by one rule.

The computation is the torch model's, exported to a program (``graph``) and run with ``jax.numpy`` (``jax_ops``); a call
compiles it once for each shape. Weights are a tree of JAX arrays under Flax's names and in Flax's layout
(``flax_names``), which is also what ``flax_model.msgpack`` holds; there is no Flax here.
"""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import torch

from enfold.errors import EnfoldError, nearest
from enfold.nn.outputs import ModelOutput
from enfold.transformers.config import PretrainedConfig
from enfold.transformers.frameworks.behind import array, emptied, torch_input
from enfold.transformers.frameworks.flax_files import save_flax
from enfold.transformers.frameworks.flax_names import flat, flax_places, nested, to_torch
from enfold.transformers.frameworks.graph import Program, Programs, Spec, run
from enfold.transformers.frameworks.jax_arrays import (
    Tree,
    as_input,
    computing,
    in_type,
    plain,
    registered,
    seed_of,
    tensor_of,
    tree_of,
)
from enfold.transformers.frameworks.jax_ops import with_key
from enfold.transformers.frameworks.names import Classes
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.sharing import PushToHubMixin

__all__ = ["FlaxPreTrainedModel", "Module", "flax_class"]

# Arguments of the torch class that do not apply: caches, and positions in them.
_UNUSED = ("past_key_values", "use_cache", "return_dict", "cache_position", "self")
_BOOLEANS = ("output_attentions", "output_hidden_states", "output_router_logits", "interpolate_pos_encoding")


class Module:
    """The pure function of a model, called as a Flax module is: ``module.apply({"params": params}, input_ids, …)``."""

    def __init__(self, model: FlaxPreTrainedModel) -> None:
        self._model = model

    def apply(
        self,
        variables: Tree,
        *args: Any,
        rngs: Any = None,
        deterministic: bool = True,
        mutable: Any = False,
        **inputs: Any,
    ) -> Any:
        """Return the model's output for weights and inputs.

        Args:
            variables: ``{"params": …}``, and ``"batch_stats"`` where the model has some.
            args: the model's inputs in the order of its torch class.
            rngs: ``{"dropout": key}``, for ``deterministic=False``.
            deterministic: without dropout.
            mutable: ``["batch_stats"]`` returns ``(output, {"batch_stats": new})``.
            inputs: the model's inputs by name.
        """
        params = variables if "batch_stats" in variables else variables["params"]
        key = rngs.get("dropout") if isinstance(rngs, Mapping) else rngs
        output, statistics = self._model._computed(params, args, inputs, not deterministic, key)
        return (output, {"batch_stats": statistics}) if mutable else output


class FlaxPreTrainedModel(PushToHubMixin):
    """Base of all models in JAX.

    Args:
        config: what to build; weights are drawn as the torch class draws them.
        input_shape: accepted as Flax models take it; no shape is needed here, every call may have its own.
        seed: of the weights.
        dtype: of the computation; the weights stay what they are, ``float32`` as a rule (see ``to_bf16``).
        torch_model: take the weights of this model instead of drawing any.
        _do_init: False keeps no weights in the model: pass ``params=`` to every call, ``init_weights`` draws some.
        kwargs: of the torch class, after the configuration.

    Example:
        >>> from enfold.transformers import BertConfig, FlaxBertModel  # doctest: +SKIP
        >>> model = FlaxBertModel(BertConfig(), seed=0)  # doctest: +SKIP
        >>> model(jnp.array([[101, 102]])).last_hidden_state.shape  # doctest: +SKIP
        (1, 2, 768)
    """

    torch_class: ClassVar[Any] = None
    config_class: ClassVar[Any] = None
    base_model_prefix: ClassVar[str] = ""
    main_input_name: ClassVar[str] = "input_ids"
    framework: ClassVar[str] = "flax"

    def __init__(
        self,
        config: PretrainedConfig,
        input_shape: tuple[int, ...] = (1, 1),
        seed: int = 0,
        dtype: Any = jnp.float32,
        _do_init: bool = True,
        *,
        torch_model: PreTrainedModel | None = None,
        **kwargs: Any,
    ) -> None:
        if self.torch_class is None:
            raise TypeError(f"{type(self).__name__} is a base; build a model of a kind, such as FlaxBertModel(config)")
        kwargs.pop("gradient_checkpointing", None)
        self.input_shape, self.dtype, self._options = tuple(input_shape), jnp.dtype(dtype), kwargs
        if torch_model is None:
            torch_model = self._drawn(copy.deepcopy(config), seed)
        self.config = torch_model.config
        self.generation_config = torch_model.generation_config
        self.module = Module(self)
        self._places = flax_places(torch_model)
        drawn = tree_of(torch_model, self._places)
        # what no checkpoint holds: tables of positions
        self._tables = {
            name: jnp.asarray(array(buffer, jnp.bfloat16))
            for name, buffer in torch_model.named_buffers()
            if name not in self._places
        }
        self._skeleton = emptied(torch_model, getattr(torch, self.dtype.name)).eval()
        self._programs = Programs(self._skeleton)
        self._running: dict[int, tuple[Program, Callable[..., Any]]] = {}
        self._params: Any = drawn if _do_init else None
        self._shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), drawn)
        self._arguments = _arguments(self._skeleton)

    def _drawn(self, config: Any, seed: int) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.torch_class(config, **self._options)

    # --- weights

    @property
    def params(self) -> Any:
        """The weights: nested dictionaries of arrays under Flax's names; of a model with batch norms, ``params`` and
        ``batch_stats`` in one."""
        if self._params is None:
            raise ValueError(
                "a model made with _do_init=False keeps no weights: pass params= to its calls, which from_pretrained "
                "returns beside it, or model.init_weights(jax.random.key(0)) draws"
            )
        return self._params

    @params.setter
    def params(self, params: Tree) -> None:
        given, wanted = set(flat(plain(params))), set(flat(self._shapes))
        if given != wanted:
            missing = ["/".join(path) for path in sorted(wanted - given)]
            extra = ["/".join(path) for path in sorted(given - wanted)]
            raise ValueError(f"these are not the model's weights: missing {missing[:5]}, unknown {extra[:5]}")
        self._params = plain(params)

    @property
    def required_params(self) -> set[tuple[str, ...]]:
        """The paths of all weights."""
        return set(flat(self._shapes))

    @property
    def params_shape_tree(self) -> Any:
        """The tree of weights with ``jax.ShapeDtypeStruct`` in their places."""
        return self._shapes

    def init_weights(self, rng: Any, input_shape: Any = None, params: Tree | None = None) -> Any:
        """Return freshly drawn weights.

        Args:
            rng: a key of ``jax.random``, or a whole number.
            input_shape: accepted as Flax models take it.
            params: weights to keep: only others are drawn.
        """
        fresh = flat(tree_of(self._drawn(copy.deepcopy(self.config), seed_of(rng)), self._places))
        return nested({**fresh, **(flat(plain(params)) if params else {})})

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Return the number of weights, each shared one counted once."""
        return sum(
            leaf.size
            for path, leaf in flat(self._shapes).items()
            if path[0] != "batch_stats" and not (exclude_embeddings and path[-1] == "embedding")
        )

    def to_bf16(self, params: Tree, mask: Any = None) -> Any:
        """Return weights in bfloat16, those alone where ``mask``, a tree of booleans, is True."""
        return in_type(params, jnp.bfloat16, mask)

    def to_fp16(self, params: Tree, mask: Any = None) -> Any:
        """Return weights in float16; ``mask`` as ``to_bf16``."""
        return in_type(params, jnp.float16, mask)

    def to_fp32(self, params: Tree, mask: Any = None) -> Any:
        """Return weights in float32; ``mask`` as ``to_bf16``."""
        return in_type(params, jnp.float32, mask)

    def to_torch(self, params: Tree | None = None) -> Any:
        """Return the torch model with these weights, ``self.params`` by default."""
        model = self._drawn(copy.deepcopy(self.config), 0)
        values = flat(plain(self.params if params is None else params))
        named = {name: tensor_of(to_torch(values[place.path], place.turned)) for name, place in self._places.items()}
        shared = dict(model.named_parameters())
        with torch.no_grad():
            for name, tensor in [*shared.items(), *model.named_buffers()]:
                if name in named:
                    tensor.data = named[name].to(tensor.dtype)
        if self.generation_config is not None:
            model.generation_config = self.generation_config
        return model.eval()

    # --- computing

    def __call__(
        self,
        *args: Any,
        params: Tree | None = None,
        dropout_rng: Any = None,
        train: bool = False,
        return_dict: bool | None = None,
        **inputs: Any,
    ) -> Any:
        """Return the model's output with JAX's arrays.

        Args:
            args: the inputs in the order of the torch class: ``input_ids``, ``attention_mask`` …
            params: weights to compute with instead of ``self.params``.
            dropout_rng: a key of ``jax.random`` for dropout, with ``train=True``.
            train: as in training.
            return_dict: False returns a tuple.
            inputs: the torch class's arguments by name, arrays or lists; ``labels`` give a loss. Switches such as
                ``output_attentions`` are Python's booleans.

        Returns:
            The torch class's output class, registered as a JAX tree: a jitted function may return it.

        Raises:
            TypeError: an argument that the model does not take; it names the nearest.
            EnfoldError: the model cannot be exported for these inputs.
        """
        output, _ = self._computed(self.params if params is None else params, args, inputs, train, dropout_rng)
        as_output = self.config.return_dict if return_dict is None else return_dict
        return output if as_output else output.to_tuple()

    def apply(self, params: Tree, *args: Any, rng: Any = None, train: bool = False, **inputs: Any) -> Any:
        """Return the output for weights and inputs: a pure function, for ``jax.jit``, ``jax.grad`` and ``jax.vmap``.

        Example:
            >>> loss = lambda params, batch: model.apply(params, **batch).loss  # doctest: +SKIP
            >>> gradients = jax.grad(loss)(model.params, batch)  # doctest: +SKIP
        """
        return self._computed(params, args, inputs, train, rng)[0]

    def _computed(
        self, params: Tree, args: tuple[Any, ...], inputs: Mapping[str, Any], train: bool, key: Any
    ) -> tuple[Any, Any]:
        """Return the output and, of a model with batch norms, its statistics after the call."""
        given, options = self._sorted(args, inputs)
        specs = {name: Spec(tuple(x.shape), x.dtype.name) for name, x in given.items()}
        program = self._programs.fitting(specs, train=train, **options)
        if id(program) not in self._running:
            self._running[id(program)] = program, jax.jit(partial(self._run, program))
        output, updates = self._running[id(program)][1](plain(params), given, key if train else None)
        kind = registered(program.output_class)
        return kind(**output), updates

    def _run(self, program: Program, params: Tree, inputs: Mapping[str, Any], key: Any) -> Any:
        values = flat(params)
        weights = {f"constant:{name}": jnp.asarray(value) for name, value in program.constants.items()} | self._tables
        for name in (*program.parameters, *program.buffers):
            if name in self._places:
                place = self._places[name]
                weights[name] = computing(to_torch(values[place.path], place.turned), self.dtype)
        result = run(program, with_key(key), weights, inputs)
        statistics = {self._places[name].path: value for name, value in result.updates.items() if name in self._places}
        made = nested({**{p: x for p, x in values.items() if p[0] == "batch_stats"}, **statistics})
        return result.output, made.get("batch_stats", {})

    def _sorted(self, args: tuple[Any, ...], inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a call's arguments as name → array, and its switches."""
        if len(args) > len(self._arguments):
            raise TypeError(f"{type(self).__name__} takes {len(self._arguments)} inputs, not {len(args)}")
        named = {**dict(zip(self._arguments, args, strict=False)), **inputs}
        given, options = {}, {}
        for name, value in named.items():
            if value is None or name in ("deterministic", "init_cache"):
                continue
            if name in _BOOLEANS or isinstance(value, bool):
                options[name] = bool(value)
            elif name in ("head_mask", "past_key_values", "encoder_outputs"):
                raise EnfoldError(f"{type(self).__name__} does not take {name} in JAX")
            elif name not in self._arguments:
                raise TypeError(f"{type(self).__name__} takes no {name!r}{nearest(name, self._arguments)}")
            else:
                given[name] = as_input(value)
        if not given:
            raise EnfoldError(f"{type(self).__name__} needs {self.main_input_name}")
        return given, options

    @classmethod
    def can_generate(cls) -> bool:
        """Return whether the class has ``generate``."""
        return cls.torch_class is not None and cls.torch_class.can_generate()

    def generate(self, inputs: Any = None, params: Tree | None = None, prng_key: Any = None, **options: Any) -> Any:
        """Continue a text: by the torch model with these weights, which are copied to it, with arrays in and out.

        Args:
            inputs: as the torch model's ``generate``.
            params: weights instead of ``self.params``.
            prng_key: a key of ``jax.random`` that sampling starts from.
            options: as the torch model's ``generate``.

        Returns:
            An output with ``sequences`` (B, T).
        """
        if not self.can_generate():
            raise EnfoldError(f"{type(self).__name__} does not generate; a class with a language head does")
        options.pop("trace", None)
        model = self.to_torch(params)
        given = {name: torch_input(value) for name, value in options.items()}
        if inputs is not None:
            given["inputs"] = torch_input(inputs)
        with torch.random.fork_rng(devices=[]):
            if prng_key is not None:
                torch.manual_seed(seed_of(prng_key))
            made = model.generate(**given)
        fields = dict(made) if isinstance(made, Mapping) else {"sequences": made}
        tensors = {name: fields.get(name) for name in ("sequences", "scores")}
        arrays = {name: jnp.asarray(x.numpy()) for name, x in tensors.items() if isinstance(x, torch.Tensor)}
        return registered(_Generated)(**arrays)

    # --- files

    @classmethod
    def _from_config(cls, config: PretrainedConfig, **kwargs: Any) -> Any:
        """Return a blank model; arguments as the class's."""
        kwargs.pop("trust_remote_code", None)
        return cls(config, **kwargs)

    from_config = _from_config

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Any, dtype: Any = jnp.float32, *model_args: Any, **kwargs: Any
    ) -> Any:
        """Return a model with the weights of a folder or repository.

        Args:
            pretrained_model_name_or_path: a folder, or a repository's id.
            dtype: of the computation.
            model_args: of the torch class, after the configuration.
            kwargs: as the torch class's ``from_pretrained``. Files are looked for in this order: safetensors,
                ``flax_model.msgpack``, ``pytorch_model.bin``; ``from_pt=True`` leaves out the second.
                ``_do_init=False`` returns ``(model, params)``.

        Returns:
            The model.
        """
        ours = {name: kwargs.pop(name) for name in ("input_shape", "seed", "_do_init") if name in kwargs}
        kwargs.pop("gradient_checkpointing", None)
        if not kwargs.pop("from_pt", False):
            kwargs.setdefault("from_flax", "auto")
        kwargs["dtype"] = torch.float32
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(ours.get("seed", 0))  # of heads that the file does not have
            made = cls.torch_class.from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
        model, *information = made if isinstance(made, tuple) else (made,)
        kept = ours.pop("_do_init", True)
        whole = cls(model.config, dtype=dtype, torch_model=model, **ours)
        if not kept:
            params, whole._params = whole._params, None
            return whole, params
        return (whole, *information) if information else whole

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        params: Tree | None = None,
        push_to_hub: bool = False,
        max_shard_size: int | str = "10GB",
        safe_serialization: bool = False,
        **kwargs: Any,
    ) -> None:
        """Write configuration and weights into a folder.

        Args:
            save_directory: made when it does not exist.
            params: weights instead of ``self.params``.
            push_to_hub: upload the folder too; ``kwargs`` are those of ``push_to_hub``.
            max_shard_size: of safetensors files; a Flax file is one.
            safe_serialization: write ``model.safetensors`` with torch's names, which every class here reads, instead
                of ``flax_model.msgpack``.
        """
        chosen = self.params if params is None else params
        if safe_serialization:
            self.to_torch(chosen).save_pretrained(save_directory, max_shard_size=max_shard_size)
        else:
            config = copy.deepcopy(self.config)
            config.architectures = [self.torch_class.__name__]
            config.save_pretrained(save_directory)
            if self.generation_config is not None:
                self.generation_config.save_pretrained(save_directory)
            save_flax(jax.tree.map(np.asarray, plain(chosen)), save_directory)
        if push_to_hub:
            name = os.path.basename(os.path.abspath(save_directory))
            self.push_to_hub(kwargs.pop("repo_id", name), params=chosen, **kwargs)


class _Generated(ModelOutput):
    """What ``generate`` returns."""


def _arguments(model: Any) -> list[str]:
    """Return what a model takes, in order; where it passes on whatever it is given, also what its base takes."""
    found: list[str] = []
    for part in dict.fromkeys((model, model.base_model)):
        parameters = inspect.signature(part.forward).parameters
        named = [name for name, one in parameters.items() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        found += [name for name in named if name not in (*_UNUSED, *found)]
        if len(named) == len(parameters):
            break
    return found


# --- every class

_CLASSES = Classes(FlaxPreTrainedModel, "Flax", "JAX")
__getattr__ = _CLASSES.named  # ``Flax…``


def flax_class(torch_class: type[PreTrainedModel]) -> type[FlaxPreTrainedModel]:
    """Return the class in JAX that belongs to a torch class.

    Example:
        >>> from enfold.transformers import BertModel  # doctest: +SKIP
        >>> flax_class(BertModel).__name__  # doctest: +SKIP
        'FlaxBertModel'
    """
    made: type[FlaxPreTrainedModel] = _CLASSES.of(torch_class)
    return made

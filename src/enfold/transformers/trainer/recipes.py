"""What each name of an optimizer stands for: a class, and its options from the training's arguments."""

from __future__ import annotations

import ast
import inspect
from typing import Any, NamedTuple

import torch
from torch.optim import Optimizer

from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger
from enfold.transformers.trainer.arguments import TrainingArguments, UnsupportedArgument
from enfold.transformers.trainer.optimization.adafactor import Adafactor, AdaLomo, Lomo
from enfold.transformers.trainer.optimization.adam import AdamW, AnyPrecisionAdamW, GrokAdamW, StableAdamW
from enfold.transformers.trainer.optimization.low_rank import Apollo, GaLoreAdafactor, GaLoreAdamW
from enfold.transformers.trainer.optimization.momentum import AdEMAMix, Lion, RMSprop
from enfold.transformers.trainer.optimization.schedule_free import (
    AdamWScheduleFree,
    RAdamScheduleFree,
    SGDScheduleFree,
)
from enfold.transformers.trainer.optimizer_names import algorithm_of, moves_in_backward, projects

__all__ = ["Recipe", "UnknownOption", "check_optimizer", "recipe_of"]

logger = get_logger(__name__)


class UnknownOption(ValueError, EnfoldError):
    """``optim_args`` has an option that the optimizer does not take."""


class Recipe(NamedTuple):
    """A class of optimizers and its options.

    Attributes:
        kind: the class.
        options: of its constructor.
        target: options of the group of projected matrices; empty where none are.
        whole_embeddings: whether embeddings keep their state in 32 bits where others do not.
    """

    kind: type[Optimizer]
    options: dict[str, Any]
    target: dict[str, Any] = {}
    whole_embeddings: bool = False


def recipe_of(args: TrainingArguments) -> Recipe:
    """Return what ``optim`` and ``optim_args`` stand for.

    Raises:
        UnknownOption: an option of ``optim_args`` is unknown.
    """
    name = algorithm_of(args.optim)
    kind, options, target = _usual(name, args)
    if moves_in_backward(name):
        options["in_backward"] = True
    given = parse(args.optim_args)
    target = {key: given.pop(key, value) for key, value in target.items()}
    beta = {f"beta{place}": value for place, value in enumerate(options.get("betas", ()), start=1)}
    if beta and beta.keys() & given.keys():
        options["betas"] = tuple(float(given.pop(key, value)) for key, value in beta.items())
    known = {**_parameters(kind), **(_KEEPING if options.get("optim_bits") else {})}
    for key, value in given.items():
        if key not in known:
            every = [*known, *target, *beta]
            raise UnknownOption(f"optim_args of optim={args.optim!r} has no option {key!r}{nearest(key, every)}")
        options[key] = _as(value, known[key])
    eight = name in ("adamw_8bit", "ademamix_8bit", "lion_8bit", "rmsprop_bnb_8bit")
    return Recipe(kind, {"lr": args.learning_rate, **options}, target, whole_embeddings=eight)


def check_optimizer(args: TrainingArguments) -> None:
    """Raise where an optimizer does not go with other arguments.

    Raises:
        UnknownOption: an option of ``optim_args`` is unknown.
        UnsupportedArgument: two arguments exclude each other.
    """
    recipe_of(args)
    name = args.optim
    if projects(name):
        if args.optim_target_modules is None:
            raise UnsupportedArgument(
                f"optim={name!r} projects gradients of matrices: say which by optim_target_modules, 'all-linear' or "
                "names such as ['attn', 'mlp']"
            )
        if args.fsdp:
            raise UnsupportedArgument(f"optim={name!r} needs whole matrices, which fsdp cuts: choose one of them")
    elif args.optim_target_modules is not None:
        logger.warning("optim_target_modules has no effect: optim=%r projects nothing", name)
    if not moves_in_backward(name):
        return
    for wrong, why in (
        (args.gradient_accumulation_steps > 1, "gradient_accumulation_steps must be 1"),
        (args.world_size > 1, "there can be one process only"),
        (args.fp16, "fp16 scales the loss: use bf16"),
        (args.auto_find_batch_size, "auto_find_batch_size would move weights twice"),
        (bool(args.fsdp), "fsdp cuts the gradients"),
    ):
        if wrong:
            raise UnsupportedArgument(f"optim={name!r} moves weights inside the backward pass: {why}")
    if args.max_grad_norm:
        logger.info("optim=%r moves weights inside the backward pass: max_grad_norm has no effect", name)


# Options of the state, which no constructor names by itself.
_KEEPING: dict[str, Any] = {"block_size": 256, "min_8bit_size": 4096, "bf16_stochastic_round": False}
_RANK: dict[str, Any] = {"rank": 128, "update_proj_gap": 200, "proj_type": "std"}


def _usual(name: str, args: TrainingArguments) -> tuple[type[Optimizer], dict[str, Any], dict[str, Any]]:
    betas, decay = (args.adam_beta1, args.adam_beta2), {"weight_decay": args.weight_decay}
    adam: dict[str, Any] = {"betas": betas, "eps": args.adam_epsilon}
    # GaLore and APOLLO have an eps of their own unless one is asked for.
    own = {**adam, "eps": 1e-6 if args.adam_epsilon == 1e-8 else args.adam_epsilon}
    plain = {"scale_parameter": False, "relative_step": False}
    mix = {"betas": (*betas, 0.9999), "eps": args.adam_epsilon}
    warm = {**decay, "warmup_steps": int(args.warmup_steps)}
    galore, apollo = {**_RANK, "scale": 0.25}, {**_RANK, "scale": 1.0, "proj": "random", "scale_type": "channel"}
    bits = {"optim_bits": 4 if "4bit" in name else 8}
    table: dict[str, tuple[type[Optimizer], dict[str, Any], dict[str, Any]]] = {
        "adamw_torch": (torch.optim.AdamW, adam, {}),
        "adamw_torch_fused": (torch.optim.AdamW, {**adam, "fused": True}, {}),
        "adamw_8bit": (AdamW, {**adam, **bits}, {}),
        "adamw_torch_8bit": (AdamW, {**adam, **bits}, {}),
        "adamw_torch_4bit": (AdamW, {**adam, **bits}, {}),
        "adamw_anyprecision": (
            AnyPrecisionAdamW,
            {**adam, "momentum_dtype": torch.float32, "variance_dtype": torch.float32},
            {},
        ),
        "stable_adamw": (StableAdamW, {**adam, **decay}, {}),
        "grokadamw": (GrokAdamW, adam, {}),
        "adafactor": (Adafactor, plain, {}),
        "ademamix": (AdEMAMix, mix, {}),
        "ademamix_8bit": (AdEMAMix, {**mix, **bits}, {}),
        "lion_32bit": (Lion, {"betas": betas}, {}),
        "lion_8bit": (Lion, {"betas": betas, **bits}, {}),
        "sgd": (torch.optim.SGD, {}, {}),
        "adagrad": (torch.optim.Adagrad, {}, {}),
        "rmsprop": (torch.optim.RMSprop, {}, {}),
        "rmsprop_bnb_8bit": (RMSprop, bits, {}),
        "galore_adamw": (GaLoreAdamW, own, galore),
        "galore_adamw_8bit": (GaLoreAdamW, {**own, **bits}, galore),
        "galore_adafactor": (GaLoreAdafactor, plain, galore),
        "apollo_adamw": (Apollo, own, apollo),
        "lomo": (Lomo, {}, {}),
        "adalomo": (AdaLomo, {}, {}),
        "schedule_free_adamw": (AdamWScheduleFree, {**adam, **warm}, {}),
        "schedule_free_radam": (RAdamScheduleFree, {**adam, **decay}, {}),
        "schedule_free_sgd": (SGDScheduleFree, warm, {}),
    }
    kind, options, target = table[name.removesuffix("_layerwise")]
    return kind, dict(options), dict(target)


def _parameters(kind: type[Optimizer]) -> dict[str, Any]:
    """The options of a class that a program may name, with their defaults."""
    found = inspect.signature(kind.__init__).parameters.values()
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {item.name: item.default for item in found if item.kind not in variable and item.name not in _TAKEN}


_TAKEN = ("self", "params", "grokking_signal_fns")


def _as(value: Any, default: Any) -> Any:
    """Read a word as what an option is: a truth, or a type of tensors."""
    if isinstance(default, bool) and not isinstance(value, bool):
        return str(value).lower() in ("true", "1", "yes", "y", "on", "t")
    if isinstance(default, torch.dtype) and isinstance(value, str):
        found = getattr(torch, value.removeprefix("torch."), None)
        if not isinstance(found, torch.dtype):
            raise UnknownOption(f"torch has no type {value!r}")
        return found
    return value


def parse(text: str | None) -> dict[str, Any]:
    """Read ``"momentum=0.9,nesterov=True"``.

    Example:
        >>> parse("rank=64, proj_type=std")
        {'rank': 64, 'proj_type': 'std'}
    """
    values: dict[str, Any] = {}
    for part in (text or "").replace(" ", "").split(","):
        if part:
            name, _, value = part.partition("=")
            try:
                values[name] = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                values[name] = value
    return values

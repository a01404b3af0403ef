"""Training from a command line: what is trained, on what, and how, as dataclasses; and running it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from enfold.errors import nearest
from enfold.transformers.hf_argparser import HfArgumentParser
from enfold.trl.preparing import AlignmentError

__all__ = [
    "METHODS",
    "DatasetConfig",
    "DatasetMixtureConfig",
    "ModelConfig",
    "RewardArguments",
    "ScriptArguments",
    "TrlParser",
    "get_dataset",
    "get_kbit_device_map",
    "get_peft_config",
    "get_quantization_config",
    "init_zero_verbose",
    "train",
]

# Command → the trainer's name without "Trainer".
METHODS = {
    "sft": "SFT",
    "dpo": "DPO",
    "reward": "Reward",
    "grpo": "GRPO",
    "rloo": "RLOO",
    "kto": "KTO",
    "bco": "BCO",
    "orpo": "ORPO",
    "cpo": "CPO",
}
REWARDED = ("grpo", "rloo")


@dataclass
class ScriptArguments:
    """The data of a training.

    Args:
        dataset_name: repository or folder; or a kind of file, such as ``json``, with ``dataset_config`` its path.
        dataset_config: name of a configuration.
        dataset_train_split, dataset_test_split: names of splits.
        dataset_streaming: read it as it comes.
    """

    dataset_name: str | None = None
    dataset_config: str | None = None
    dataset_train_split: str = "train"
    dataset_test_split: str = "test"
    dataset_streaming: bool = False
    ignore_bias_buffers: bool = False


@dataclass
class RewardArguments:
    """The rewards of a training.

    Args:
        reward_model_name_or_path: a reward model.
        reward_funcs: names in :mod:`enfold.trl.rewards`, or ``module.function`` of your own.
    """

    reward_model_name_or_path: str | None = None
    reward_funcs: list[str] | None = None


@dataclass
class ModelConfig:
    """The model of a training, and the adapter that is trained in it.

    Args:
        model_name_or_path, model_revision, dtype, attn_implementation: for ``from_pretrained``.
        use_peft: train an adapter; ``lora_…``, ``use_rslora`` and ``use_dora`` are LoRA's.
        load_in_8bit, load_in_4bit, bnb_4bit_quant_type, use_bnb_nested_quant, bnb_4bit_quant_storage: weights of fewer
            bits.
    """

    model_name_or_path: str | None = None
    model_revision: str = "main"
    dtype: str | None = "float32"
    attn_implementation: str | None = None
    use_peft: bool = False
    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.05
    lora_target_modules: list[str] | None = None
    lora_target_parameters: list[str] | None = None
    lora_modules_to_save: list[str] | None = None
    lora_task_type: str = "CAUSAL_LM"
    use_rslora: bool = False
    use_dora: bool = False
    load_in_8bit: bool = False
    load_in_4bit: bool = False
    bnb_4bit_quant_type: str = "nf4"
    use_bnb_nested_quant: bool = False
    bnb_4bit_quant_storage: str | None = None

    def __post_init__(self) -> None:
        if self.load_in_8bit and self.load_in_4bit:
            raise ValueError("choose one of load_in_8bit and load_in_4bit")
        names = self.lora_target_modules
        if isinstance(names, list) and len(names) == 1 and not names[0].isidentifier():  # "all-linear", or a pattern
            self.lora_target_modules = names[0]  # type: ignore[assignment]

    @property
    def torch_dtype(self) -> str | None:
        """Another name of ``dtype``."""
        return self.dtype


@dataclass
class DatasetConfig:
    """One data set of a mixture; its fields are the arguments of ``load_dataset``.

    Args:
        path, name, data_dir, data_files, split: what is loaded.
        columns: those that are kept; all by default.
        fraction: its share of the mixture.
    """

    path: str
    name: str | None = None
    data_dir: str | None = None
    data_files: Any = None
    split: str = "train"
    columns: list[str] | None = None
    fraction: float | None = None


@dataclass
class DatasetMixtureConfig:
    """Several data sets as one.

    Args:
        datasets: each a :class:`DatasetConfig`, or a mapping of its fields.
        streaming: read them as they come.
        test_split_size: share of the rows that is set apart for evaluation.
    """

    datasets: list[Any] = field(default_factory=list)
    streaming: bool = False
    test_split_size: float | None = None

    def __post_init__(self) -> None:
        self.datasets = [DatasetConfig(**item) if isinstance(item, dict) else item for item in self.datasets]


class TrlParser(HfArgumentParser):
    """A parser of dataclasses that reads a YAML file too, ``--config FILE``; the command line wins.

    Args:
        dataclass_types: the dataclasses, one or several; none may have a field called ``config``.
        kwargs: of ``argparse.ArgumentParser``.
    """

    def __init__(self, dataclass_types: Any = None, **kwargs: Any) -> None:
        kinds = [] if dataclass_types is None else dataclass_types
        kinds = list(kinds) if isinstance(kinds, Iterable) else [kinds]
        for kind in kinds:
            if "config" in kind.__dataclass_fields__:
                raise ValueError(f"{kind.__name__} has a field called 'config', which names the file of settings")
        super().__init__(kinds, **kwargs)

    def parse_args_and_config(
        self,
        args: Iterable[str] | None = None,
        return_remaining_strings: bool = False,
        fail_with_unknown_args: bool = True,
        separate_remaining_strings: bool = False,
    ) -> tuple[Any, ...]:
        """Return the dataclasses, filled from a file and from the command line.

        Args:
            args: of the command line; the process's by default.
            return_remaining_strings: return what was not understood too.
            fail_with_unknown_args: raise where the file has something that is not understood.
            separate_remaining_strings: the file's and the command line's apart.

        Raises:
            ValueError: the file is no mapping, or holds an unknown name.
        """
        import sys

        import yaml

        given = list(args) if args is not None else sys.argv[1:]
        left: list[str] = []
        if "--config" in given:
            place = given.index("--config")
            if place + 1 >= len(given):
                raise ValueError("--config needs the path of a file")
            path = given[place + 1]
            del given[place : place + 2]
            with open(path, encoding="utf-8") as file:
                stored = yaml.safe_load(file)
            if not isinstance(stored, dict):
                raise ValueError(f"{path} holds {type(stored).__name__}, not a mapping of settings")
            env = stored.pop("env", None) or {}
            if not isinstance(env, dict):
                raise ValueError(f"'env' in {path} is a mapping of names to values")
            os.environ.update({name: str(value) for name, value in env.items()})
            left = self.set_defaults_with_config(**stored)
            if left and fail_with_unknown_args and not return_remaining_strings:
                known = [action.dest for action in self._actions]
                names = [item[2:] for item in left[::2]]
                raise ValueError(f"{path} has unknown settings: {', '.join(names)}{nearest(names[0], known)}")
        found = self.parse_args_into_dataclasses(args=given, return_remaining_strings=return_remaining_strings)
        if not return_remaining_strings:
            return found
        if separate_remaining_strings:
            return (*found[:-1], left, found[-1])
        return (*found[:-1], left + list(found[-1]))

    def set_defaults_with_config(self, **kwargs: Any) -> list[str]:
        """Take these values for defaults; return those that no field takes, as words of a command line."""
        taken = set()
        for action in self._actions:
            if action.dest in kwargs:
                action.default, action.required = kwargs[action.dest], False
                taken.add(action.dest)
        return [word for name, value in kwargs.items() if name not in taken for word in (f"--{name}", str(value))]


def get_peft_config(model_args: ModelConfig) -> Any:
    """Return the adapter that a :class:`ModelConfig` asks for, or None."""
    if not model_args.use_peft:
        return None
    from enfold.peft import LoraConfig

    given = {"target_parameters": model_args.lora_target_parameters} if model_args.lora_target_parameters else {}
    return LoraConfig(
        task_type=model_args.lora_task_type,
        r=model_args.lora_r,
        lora_alpha=model_args.lora_alpha,
        lora_dropout=model_args.lora_dropout,
        target_modules=model_args.lora_target_modules,
        modules_to_save=model_args.lora_modules_to_save,
        use_rslora=model_args.use_rslora,
        use_dora=model_args.use_dora,
        bias="none",
        **given,
    )


def get_quantization_config(model_args: ModelConfig) -> Any:
    """Return how a :class:`ModelConfig` asks for weights to be held, or None."""
    from enfold.transformers import BitsAndBytesConfig

    if model_args.load_in_4bit:
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_compute_dtype=model_args.dtype,
            bnb_4bit_quant_type=model_args.bnb_4bit_quant_type,
            bnb_4bit_use_double_quant=model_args.use_bnb_nested_quant,
            bnb_4bit_quant_storage=model_args.bnb_4bit_quant_storage,
        )
    return BitsAndBytesConfig(load_in_8bit=True) if model_args.load_in_8bit else None


def get_kbit_device_map() -> dict[str, int] | None:
    """Return where a quantized model goes in this process: its own GPU, or None on a processor."""
    import torch

    return {"": int(os.environ.get("LOCAL_RANK", 0))} if torch.cuda.is_available() else None


def init_zero_verbose() -> None:
    """Log warnings through rich, each on its own line."""
    import logging
    import warnings

    from rich.logging import RichHandler

    logging.basicConfig(format="%(message)s", datefmt="[%X]", handlers=[RichHandler()], level=logging.ERROR)
    warnings.showwarning = lambda message, category, filename, lineno, file=None, line=None: logging.warning(
        "%s:%s: %s: %s", filename, lineno, category.__name__, message
    )


def get_dataset(mixture_config: DatasetMixtureConfig) -> Any:
    """Return a mixture of data sets, with a ``test`` split if one is set apart.

    Raises:
        AlignmentError: there is none, or some have a ``fraction`` and some have not.
    """
    from enfold.datasets import DatasetDict, concatenate_datasets, load_dataset

    parts, shares = [], [item.fraction for item in mixture_config.datasets]
    if not shares:
        raise AlignmentError("the mixture has no datasets")
    for item in mixture_config.datasets:
        rows = load_dataset(
            item.path,
            name=item.name,
            data_dir=item.data_dir,
            data_files=item.data_files,
            split=item.split,
            streaming=mixture_config.streaming,
        )
        parts.append(rows if item.columns is None else rows.select_columns(item.columns))
    if any(share is not None for share in shares):
        if None in shares or mixture_config.streaming:
            raise AlignmentError("fraction is given for every data set of a mixture that is not streamed, or for none")
        weights = [share / sum(shares) for share in shares]
        total = min(len(rows) / weight for rows, weight in zip(parts, weights, strict=True) if weight > 0)
        parts = [rows.select(range(round(weight * total))) for rows, weight in zip(parts, weights, strict=True)]
    whole = concatenate_datasets(parts)
    if mixture_config.test_split_size is not None:
        return whole.train_test_split(test_size=mixture_config.test_split_size)
    return DatasetDict({"train": whole})


def _rewards(given: RewardArguments) -> list[Any]:
    import importlib

    from enfold.trl import rewards

    found: list[Any] = [given.reward_model_name_or_path] if given.reward_model_name_or_path else []
    for name in given.reward_funcs or ():
        if name in rewards.__all__:
            found.append(getattr(rewards, name))
            continue
        module, _, function = name.rpartition(".")
        if not module:
            raise AlignmentError(
                f"no reward is called {name!r}{nearest(name, rewards.__all__)}; yours is module.function"
            )
        found.append(getattr(importlib.import_module(module), function))
    if not found:
        raise AlignmentError("give --reward_funcs or --reward_model_name_or_path")
    return found


def train(method: str, arguments: list[str]) -> Any:
    """Run a training as the command line says, and return the trainer.

    Args:
        method: a key of :data:`METHODS`.
        arguments: fields of :class:`ScriptArguments`, the trainer's settings, :class:`ModelConfig` and
            :class:`DatasetMixtureConfig`, as ``--name value``; ``--config FILE`` reads them from YAML.
    """
    import enfold.trl as library
    from enfold.datasets import load_dataset

    kind = METHODS[method]
    kinds: list[Any] = [ScriptArguments, getattr(library, f"{kind}Config"), ModelConfig, DatasetMixtureConfig]
    if method in REWARDED:
        kinds.append(RewardArguments)
    data, args, model, mixture, *rest = TrlParser(kinds, prog=f"enfold trl {method}").parse_args_and_config(arguments)
    if model.model_name_or_path is None:
        raise AlignmentError("give --model_name_or_path")
    if mixture.datasets:
        rows = get_dataset(mixture)
    elif data.dataset_name is not None:
        rows = load_dataset(data.dataset_name, name=data.dataset_config, streaming=data.dataset_streaming)
    else:
        raise AlignmentError("give --dataset_name, or datasets in the file of settings")
    if data.dataset_train_split not in rows:
        hint = nearest(data.dataset_train_split, rows)
        raise AlignmentError(f"the data set has no split {data.dataset_train_split!r}, only {', '.join(rows)}{hint}")
    options = {
        "revision": model.model_revision,
        "dtype": model.dtype,
        "attn_implementation": model.attn_implementation,
    }
    args.model_init_kwargs = {**{k: v for k, v in options.items() if v is not None}, **(args.model_init_kwargs or {})}
    wants_eval = args.eval_strategy != "no" and data.dataset_test_split in rows
    extra = {"reward_funcs": _rewards(rest[0])} if method in REWARDED else {}
    trainer = getattr(library, f"{kind}Trainer")(
        model=model.model_name_or_path,
        args=args,
        train_dataset=rows[data.dataset_train_split],
        eval_dataset=rows[data.dataset_test_split] if wants_eval else None,
        quantization_config=get_quantization_config(model),
        peft_config=get_peft_config(model),
        **extra,
    )
    trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
    trainer.save_model(args.output_dir)
    if args.push_to_hub:
        trainer.push_to_hub(dataset=data.dataset_name)
    trainer.end()
    return trainer

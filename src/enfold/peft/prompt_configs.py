"""The configurations of adapters that are learnt prompts."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, ClassVar

from enfold.errors import nearest
from enfold.peft.config import PeftConfig, spelled

__all__ = [
    "MultitaskPromptTuningConfig",
    "MultitaskPromptTuningInit",
    "PrefixTuningConfig",
    "PromptEncoderConfig",
    "PromptEncoderReparameterizationType",
    "PromptLearningConfig",
    "PromptTuningConfig",
    "PromptTuningInit",
]


@spelled({})
@dataclass
class PromptLearningConfig(PeftConfig):
    """What learnt prompts are told alike; the model's numbers are filled in from its configuration.

    Args:
        num_virtual_tokens: length of the prompt.
        token_dim: width of an embedding.
        num_transformer_submodules: 2 where a prompt is learnt for encoder and decoder each, 1 otherwise.
        num_attention_heads, num_layers: of the model.
        modules_to_save: modules that train whole and are saved with the prompt.
    """

    num_virtual_tokens: int | None = None
    token_dim: int | None = None
    num_transformer_submodules: int | None = None
    num_attention_heads: int | None = None
    num_layers: int | None = None
    modules_to_save: list[str] | None = None

    @property
    def is_prompt_learning(self) -> bool:
        return True

    def _choose(self, name: str, kind: type[enum.Enum]) -> None:
        """Turn a field's text into one of ``kind``."""
        value = getattr(self, name)
        known = [item.value for item in kind]
        if not isinstance(value, kind) and value not in known:
            raise ValueError(f"{name}={value!r} is unknown{nearest(str(value), known)}; there are {', '.join(known)}")
        setattr(self, name, kind(value.value if isinstance(value, enum.Enum) else value))


class PromptTuningInit(str, enum.Enum):
    """How a prompt begins: with a text's tokens, with random ones of the vocabulary, or with random numbers."""

    TEXT = "TEXT"
    SAMPLE_VOCAB = "SAMPLE_VOCAB"
    RANDOM = "RANDOM"


@spelled({})
@dataclass
class PromptTuningConfig(PromptLearningConfig):
    """A prompt of embeddings (Lester et al., 2021, https://arxiv.org/abs/2104.08691).

    Args:
        prompt_tuning_init: how it begins.
        prompt_tuning_init_text, tokenizer_name_or_path, tokenizer_kwargs: the text, and what makes tokens of it.
    """

    kind: ClassVar[str | None] = "PROMPT_TUNING"
    inits: ClassVar[type[enum.Enum]] = PromptTuningInit

    prompt_tuning_init: PromptTuningInit | str = PromptTuningInit.RANDOM
    prompt_tuning_init_text: str | None = None
    tokenizer_name_or_path: str | None = None
    tokenizer_kwargs: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._choose("prompt_tuning_init", self.inits)
        text = self.prompt_tuning_init == "TEXT"
        for name in ("tokenizer_name_or_path", "prompt_tuning_init_text"):
            if text and getattr(self, name) is None:
                raise ValueError(f"prompt_tuning_init='TEXT' needs {name}")
        if self.tokenizer_kwargs and not text:
            raise ValueError("tokenizer_kwargs is for prompt_tuning_init='TEXT'")


class MultitaskPromptTuningInit(str, enum.Enum):
    """How a prompt of many tasks begins: as others do, or from one that was trained before."""

    TEXT = "TEXT"
    RANDOM = "RANDOM"
    AVERAGE_SOURCE_TASKS = "AVERAGE_SOURCE_TASKS"
    EXACT_SOURCE_TASK = "EXACT_SOURCE_TASK"
    ONLY_SOURCE_SHARED = "ONLY_SOURCE_SHARED"


@spelled({})
@dataclass
class MultitaskPromptTuningConfig(PromptTuningConfig):
    """A prompt that tasks share, times a low-rank matrix for each (Wang et al., 2023, https://arxiv.org/abs/2303.02861).

    Args:
        prompt_tuning_init: how it begins.
        prompt_tuning_init_state_dict_path: file of a prompt that was trained before.
        prompt_tuning_init_task: which of its tasks to begin with.
        num_ranks: rank of a task's matrix.
        num_tasks: number of tasks.
    """

    kind: ClassVar[str | None] = "MULTITASK_PROMPT_TUNING"
    inits: ClassVar[type[enum.Enum]] = MultitaskPromptTuningInit

    prompt_tuning_init: MultitaskPromptTuningInit | str = MultitaskPromptTuningInit.RANDOM  # type: ignore[assignment]
    prompt_tuning_init_state_dict_path: str | None = None
    prompt_tuning_init_task: int | None = 0
    num_ranks: int | None = 1
    num_tasks: int | None = 1


class PromptEncoderReparameterizationType(str, enum.Enum):
    """What the embeddings of a prompt go through."""

    MLP = "MLP"
    LSTM = "LSTM"


@spelled({})
@dataclass
class PromptEncoderConfig(PromptLearningConfig):
    """A prompt of embeddings that a small network makes (p-tuning, Liu et al., 2021, https://arxiv.org/abs/2103.10385).

    Args:
        encoder_reparameterization_type: the network.
        encoder_hidden_size: its width; that of the model by default.
        encoder_num_layers, encoder_dropout: of the LSTM.
    """

    kind: ClassVar[str | None] = "P_TUNING"

    encoder_reparameterization_type: PromptEncoderReparameterizationType | str = PromptEncoderReparameterizationType.MLP
    encoder_hidden_size: int | None = None
    encoder_num_layers: int = 2
    encoder_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._choose("encoder_reparameterization_type", PromptEncoderReparameterizationType)


@spelled({})
@dataclass
class PrefixTuningConfig(PromptLearningConfig):
    """Keys and values before every layer's (Li and Liang, 2021, https://arxiv.org/abs/2101.00190).

    Args:
        init_weights: ``"zero"`` for a prefix that begins as zeros; random otherwise.
        encoder_hidden_size: width of the network's middle, with ``prefix_projection``.
        prefix_projection: let a small network make the prefix while it trains.
    """

    kind: ClassVar[str | None] = "PREFIX_TUNING"

    init_weights: str | None = None
    encoder_hidden_size: int | None = None
    prefix_projection: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init_weights not in (None, "zero"):
            raise ValueError(f"init_weights must be None or 'zero', not {self.init_weights!r}")

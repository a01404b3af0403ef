"""Models that say, beside the next token, how well a text is going: a value for every token."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from torch import Tensor, nn

from enfold.trl.preparing import AlignmentError

__all__ = [
    "AutoModelForCausalLMWithValueHead",
    "AutoModelForSeq2SeqLMWithValueHead",
    "PreTrainedModelWrapper",
    "ValueHead",
]


class ValueHead(nn.Module):
    """States (…, D) → values (…, 1).

    Args:
        config: of the model, with its width; ``summary_dropout_prob`` in it or in ``kwargs`` (0.1).
        kwargs: settings of the head.
    """

    def __init__(self, config: Any, **kwargs: Any) -> None:
        super().__init__()
        drop = getattr(config, "summary_dropout_prob", kwargs.pop("summary_dropout_prob", 0.1))
        self.dropout = nn.Dropout(drop) if drop else nn.Identity()
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        width = next(
            (
                getattr(text, name)
                for name in ("word_embed_proj_dim", "hidden_size", "d_model")
                if getattr(text, name, None)
            ),
            None,
        )
        if width is None:
            raise AlignmentError(f"the width of {type(config).__name__} is not known, which a value head reads")
        self.summary = nn.Linear(width, 1)

    def forward(self, states: Tensor) -> Tensor:
        """Return values in the head's own type."""
        return self.summary(self.dropout(states).to(self.summary.weight.dtype))  # type: ignore[no-any-return]


class PreTrainedModelWrapper(nn.Module):
    """A language model with a value head.

    Args:
        pretrained_model: the language model, with adapters or without.
        kwargs: ``summary_dropout_prob``, ``v_head_init_strategy`` (``"normal"`` or None), ``v_head_initializer_range``.
    """

    auto_class: ClassVar[str] = "AutoModelForCausalLM"
    supported_args = ("summary_dropout_prob", "v_head_initializer_range", "v_head_init_strategy")

    def __init__(self, pretrained_model: Any = None, **kwargs: Any) -> None:
        super().__init__()
        self.pretrained_model = pretrained_model
        self.config = pretrained_model.config
        self.generation_config = getattr(pretrained_model, "generation_config", None)
        if not hasattr(pretrained_model, "get_output_embeddings") or pretrained_model.get_output_embeddings() is None:
            raise AlignmentError(
                f"{type(pretrained_model).__name__} has no layer that makes words, so it is no language model"
            )
        self.v_head = ValueHead(self.config, **{k: v for k, v in kwargs.items() if k in self.supported_args})
        if kwargs.get("v_head_init_strategy") == "normal":
            self.v_head.summary.weight.data.normal_(0.0, kwargs.get("v_head_initializer_range", 0.2))
            self.v_head.summary.bias.data.zero_()
        self.is_peft_model = hasattr(pretrained_model, "peft_config")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any) -> Any:
        """Make one of a model, or of the name of one; a head that was saved with it is read.

        Args:
            pretrained_model_name_or_path: the model, its folder or its repository.
            model_args: for the model's ``from_pretrained``.
            kwargs: ``peft_config``, settings of the head, and arguments of the model's ``from_pretrained``.
        """
        import enfold.transformers as library

        own = {name: kwargs.pop(name) for name in cls.supported_args if name in kwargs}
        peft_config = kwargs.pop("peft_config", None)
        kwargs.pop("is_trainable", None)
        model = pretrained_model_name_or_path
        if isinstance(model, (str, os.PathLike)):
            model = getattr(library, cls.auto_class).from_pretrained(model, *model_args, **kwargs)
        if peft_config is not None:
            from enfold.peft import get_peft_model

            model = get_peft_model(model, peft_config)
        made = cls(model, **own)
        if isinstance(pretrained_model_name_or_path, (str, os.PathLike)):
            made._read_head(os.fspath(pretrained_model_name_or_path), kwargs.get("revision"))
        return made

    def _read_head(self, name: str, revision: str | None) -> None:
        from enfold.checkpoints import find_weights, read_state_dict

        if not os.path.isdir(name):
            from enfold.hub import snapshot_download

            try:
                name = snapshot_download(name, revision=revision, allow_patterns=["*.safetensors*", "*.json"])
            except Exception:
                return
        try:
            weights = read_state_dict(*find_weights(name))
        except Exception:
            return  # adapters alone: their folder has no head
        head = {key.removeprefix("v_head."): value for key, value in weights.items() if key.startswith("v_head.")}
        if head:
            self.v_head.load_state_dict(head)

    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> tuple[Tensor, Any, Tensor]:
        """Return logits (B, T, V) in float32, the loss where there are labels, and values (B, T)."""
        kwargs["output_hidden_states"] = True
        kwargs.pop("return_past_key_values", None)
        out = self.pretrained_model(input_ids=input_ids, attention_mask=attention_mask, **kwargs)
        states = out.decoder_hidden_states if hasattr(out, "decoder_hidden_states") else out.hidden_states
        return out.logits.float(), out.loss, self.v_head(states[-1]).squeeze(-1)

    def values(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return values alone, (B, T)."""
        states = self.pretrained_model(
            input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True
        ).hidden_states[-1]
        return self.v_head(states).squeeze(-1)  # type: ignore[no-any-return]

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Write with the model inside."""
        return self.pretrained_model.generate(*args, **kwargs)

    def get_output_embeddings(self) -> nn.Module:
        """Return the layer that makes words."""
        return self.pretrained_model.get_output_embeddings()  # type: ignore[no-any-return]

    def save_pretrained(self, save_directory: str, **kwargs: Any) -> None:
        """Write the model with its head: one state, the head's keys beginning with ``v_head``."""
        if self.is_peft_model:
            self.pretrained_model.save_pretrained(save_directory, **kwargs)
            return
        inside = dict(kwargs.pop("state_dict", None) or self.pretrained_model.state_dict())
        head = {f"v_head.{name}": value for name, value in self.v_head.state_dict().items()}
        self.pretrained_model.save_pretrained(save_directory, state_dict={**inside, **head}, **kwargs)

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> Any:
        """Upload the model with its head."""
        import tempfile

        from enfold.hub import create_repo, upload_folder

        create_repo(repo_id, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return upload_folder(repo_id=repo_id, folder_path=folder, **kwargs)


class AutoModelForCausalLMWithValueHead(PreTrainedModelWrapper):
    """A decoder with a value head.

    Example:
        >>> from enfold.transformers import LlamaConfig, LlamaForCausalLM
        >>> shape = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
        >>> model = AutoModelForCausalLMWithValueHead(LlamaForCausalLM(LlamaConfig(vocab_size=9, **shape)))
        >>> logits, loss, values = model(torch.tensor([[1, 2, 3]]))
        >>> logits.shape, loss, values.shape
        (torch.Size([1, 3, 9]), None, torch.Size([1, 3]))
    """


class AutoModelForSeq2SeqLMWithValueHead(PreTrainedModelWrapper):
    """An encoder-decoder with a value head on its decoder."""

    auto_class = "AutoModelForSeq2SeqLM"

"""The names under which models of another framework are exported: one rule for all, data from the registry."""

from __future__ import annotations

from typing import Any

from enfold.transformers.registry import MODELS, TASKS

__all__ = ["auto_names", "counterpart", "framework_names"]

# Parts of models, which have no class of their own in another framework.
_PARTS = ("Layer", "RMSNorm", "DecodeHead", "Backbone")


def framework_names(prefix: str) -> list[str]:
    """Return the exported names of every model class in a framework, ``"new=old"`` where one stands for another.

    Args:
        prefix: ``"TF"`` or ``"Flax"``.

    Example:
        >>> names = framework_names("TF")
        >>> "TFBertForSequenceClassification" in names, "TFBertPreTrainedModel=TFPreTrainedModel" in names
        (True, True)
    """
    bare = [row.name(ending) for row in MODELS.values() for ending in row.heads]
    found = []
    for name in dict.fromkeys(bare):
        if "=" in name or name.endswith(_PARTS):
            continue
        if name.endswith("PreTrainedModel"):
            found.append(f"{prefix}{name}={prefix}PreTrainedModel")
        else:
            found.append(prefix + name)
    return [f"{prefix}PreTrainedModel", *found, *auto_names(prefix)]


def auto_names(prefix: str) -> list[str]:
    """Return the exported names of the auto classes in a framework.

    Example:
        >>> auto_names("TF")[:2]
        ['TFAutoModel', 'TFAutoModelForPreTraining']
    """
    tasks = [task for task in TASKS if task not in ("Model", "Backbone")]
    return [
        f"{prefix}AutoModel",
        *(f"{prefix}AutoModelFor{task}" for task in tasks),
        f"{prefix}AutoModelWithLMHead={prefix}AutoModelForCausalLM",
    ]


def counterpart(torch_class: Any, base: Any, prefix: str, framework: str) -> Any:
    """Return the class in a framework that belongs to a torch class.

    Args:
        torch_class: a model's class.
        base: what all models of the framework inherit.
        prefix: ``"TF"`` or ``"Flax"``.
        framework: its name, for the class's text.
    """
    return type(
        f"{prefix}{torch_class.__name__}",
        (base,),
        {
            "__doc__": f"``{torch_class.__name__}`` in {framework}. {torch_class.__doc__ or ''}",
            "__module__": base.__module__,
            "torch_class": torch_class,
            "config_class": torch_class.config_class,
            "base_model_prefix": torch_class.base_model_prefix,
            "main_input_name": torch_class.main_input_name,
        },
    )

"""The names under which models of another framework are exported: one rule for all, data from the registry."""

from __future__ import annotations

from typing import Any

from enfold.transformers.registry import MODELS, TASKS

__all__ = ["Classes", "auto_names", "framework_names"]

# What a class has of torch's.
_CARRIED = ("config_class", "base_model_prefix", "main_input_name")
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


class Classes:
    """The classes of a framework, each made from torch's when it is asked for.

    Args:
        base: what all models of the framework inherit.
        prefix: ``"TF"`` or ``"Flax"``.
        framework: its name, for the classes' texts.
    """

    def __init__(self, base: Any, prefix: str, framework: str) -> None:
        self.base, self.prefix, self.framework = base, prefix, framework
        self._made: dict[Any, Any] = {}

    def of(self, torch_class: Any) -> Any:
        """Return the class that belongs to a model's class."""
        if torch_class not in self._made:
            fields = {name: getattr(torch_class, name) for name in _CARRIED}
            about = f"``{torch_class.__name__}`` in {self.framework}. {torch_class.__doc__ or ''}"
            fields |= {"__doc__": about, "__module__": self.base.__module__, "torch_class": torch_class}
            self._made[torch_class] = type(f"{self.prefix}{torch_class.__name__}", (self.base,), fields)
        return self._made[torch_class]

    def auto(self, torch_class: Any) -> Any:
        """Return the class that belongs to an auto class."""
        if torch_class not in self._made:
            of = self.of

            class Auto(torch_class):
                @classmethod
                def _class(cls, *args: Any, **kwargs: Any) -> Any:
                    return of(super()._class(*args, **kwargs))

                @classmethod
                def from_pretrained(cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any) -> Any:
                    return cls._load(pretrained_model_name_or_path, *model_args, **kwargs)

            vars(Auto)["from_pretrained"].__func__.__doc__ = self.base.from_pretrained.__doc__
            Auto.__name__ = Auto.__qualname__ = f"{self.prefix}{torch_class.__name__}"
            Auto.__doc__ = f"{torch_class.__doc__} In {self.framework}."
            Auto.__module__ = self.base.__module__
            self._made[torch_class] = Auto
        return self._made[torch_class]

    def named(self, name: str) -> Any:
        """Return the class of a name with the prefix; a module's ``__getattr__``."""
        if not name.startswith(self.prefix):
            raise AttributeError(f"module {self.base.__module__!r} has no attribute {name!r}")
        from enfold import transformers
        from enfold.transformers import auto

        bare = name.removeprefix(self.prefix)
        return self.auto(getattr(auto, bare)) if bare.startswith("Auto") else self.of(getattr(transformers, bare))

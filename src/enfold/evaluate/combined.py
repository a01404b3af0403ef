"""Several modules used as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from enfold.errors import nearest
from enfold.evaluate.errors import OptionError
from enfold.evaluate.loading import load
from enfold.evaluate.module import EvaluationModule

__all__ = ["CombinedEvaluations", "combine"]


class CombinedEvaluations:
    """Modules that get the same inputs and give one dictionary: made by `combine`."""

    def __init__(
        self,
        evaluation_modules: Sequence[str | EvaluationModule] | Mapping[str, str | EvaluationModule],
        force_prefix: bool = False,
    ) -> None:
        named = evaluation_modules if isinstance(evaluation_modules, Mapping) else None
        modules: Any = evaluation_modules if named is None else named.values()
        self.evaluation_modules = [load(item) if isinstance(item, str) else item for item in modules]
        self.evaluation_module_names: list[str] = (
            [module.name for module in self.evaluation_modules] if named is None else list(named)
        )
        self.force_prefix = force_prefix

    def add(self, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Keep one example in every module; each takes the inputs that it declares."""
        for module in self.evaluation_modules:
            given = {"predictions": prediction, "references": reference, **kwargs}
            module.add(**{name: given[name] for name in module._feature_names() if name in given})

    def add_batch(self, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Keep several examples in every module; each takes the inputs that it declares."""
        for module in self.evaluation_modules:
            given = {"predictions": predictions, "references": references, **kwargs}
            module.add_batch(**{name: given[name] for name in module._feature_names() if name in given})

    def compute(self, predictions: Any = None, references: Any = None, **kwargs: Any) -> dict[str, Any] | None:
        """Compute every module.

        Args:
            predictions: as for `EvaluationModule.compute`.
            references: as for `EvaluationModule.compute`.
            **kwargs: further inputs and options; each module gets those that it has.

        Returns:
            One dictionary. Scores of the same name get their module's name in front, and modules of the same name a
            number as well. None in all processes but the first.

        Raises:
            OptionError: no module has an option of this name.
        """
        taken: list[set[str]] = []
        for module in self.evaluation_modules:
            options = module._option_names()
            taken.append(set(kwargs) if options is None else options | set(module._feature_names()))
        known = set().union(*taken)
        for name in kwargs:
            if name not in known:
                everyone = ", ".join(self.evaluation_module_names)
                raise OptionError(f"none of {everyone} has an option {name!r}{nearest(name, known)}")
        results = [
            module.compute(
                predictions=predictions,
                references=references,
                **{name: value for name, value in kwargs.items() if name in names},
            )
            for module, names in zip(self.evaluation_modules, taken, strict=True)
        ]
        if any(result is None for result in results):
            return None
        scores = Counter(key for result in results for key in result)
        names = Counter(self.evaluation_module_names)
        seen: Counter[str] = Counter()
        merged: dict[str, Any] = {}
        for name, result in zip(self.evaluation_module_names, results, strict=True):
            prefix = f"{name}_{seen[name]}" if names[name] > 1 else name
            seen[name] += 1
            for key, value in result.items():
                merged[f"{prefix}_{key}" if self.force_prefix or scores[key] > 1 else key] = value
        return merged


def combine(
    evaluations: Sequence[str | EvaluationModule] | Mapping[str, str | EvaluationModule], force_prefix: bool = False
) -> CombinedEvaluations:
    """Use several modules as one.

    Args:
        evaluations: names or loaded modules; in a dictionary, the keys are the prefixes to use.
        force_prefix: put the module's name before every score, not only where two have the same name.

    Returns:
        An object with ``add``, ``add_batch`` and ``compute``.

    Example:
        >>> combine(["accuracy", "f1"]).compute(predictions=[0, 1], references=[1, 1])
        {'accuracy': 0.5, 'f1': 0.6666666666666666}
    """
    return CombinedEvaluations(evaluations, force_prefix=force_prefix)

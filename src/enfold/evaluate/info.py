"""What an evaluation module says about itself."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enfold.evaluate.errors import EvaluationError

__all__ = ["ComparisonInfo", "EvaluationModuleInfo", "MeasurementInfo", "MetricInfo"]

INFO_FILE = "metric_info.json"
LICENSE_FILE = "LICENSE"


@dataclass
class EvaluationModuleInfo:
    """Description, inputs and sources of a metric, comparison or measurement.

    Args:
        description: what it measures, in a sentence or two.
        citation: BibTeX of the paper.
        features: the inputs, name → type: ``datasets.Features``, or a plain dictionary of type names where a list of
            one element stands for a sequence (``{"predictions": "string", "references": ["string"]}``). A list of
            these gives alternatives; the first batch decides.
        inputs_description: the options, as text.
        homepage, license, codebase_urls, reference_urls: where it comes from.
        streamable: whether the score can be updated example by example.
        format: ``"numpy"`` for arrays instead of lists in ``_compute``.
        module_type: ``"metric"``, ``"comparison"`` or ``"measurement"``.
        module_name, config_name, experiment_id: filled in by the module itself.

    Example:
        >>> MetricInfo(description="a", citation="", features={"predictions": "int32"}).module_type
        'metric'
    """

    description: str
    citation: str
    features: Any
    inputs_description: str = ""
    homepage: str = ""
    license: str = ""
    codebase_urls: list[str] = field(default_factory=list)
    reference_urls: list[str] = field(default_factory=list)
    streamable: bool = False
    format: str | None = None
    module_type: str = "metric"
    module_name: str | None = None
    config_name: str | None = None
    experiment_id: str | None = None

    def write_to_directory(self, metric_info_dir: str | os.PathLike[str]) -> None:
        """Write ``metric_info.json`` and ``LICENSE`` into an existing folder."""
        content = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        # Features write themselves as dictionaries; anything else unknown to JSON has its text
        folder = Path(metric_info_dir)
        text = json.dumps(
            content, default=lambda value: dict(vars(value)) if hasattr(value, "__dict__") else str(value)
        )
        for name, body in ((INFO_FILE, text), (LICENSE_FILE, self.license)):
            part = folder / f".{name}.part"
            part.write_text(body, encoding="utf-8")
            part.replace(folder / name)

    @classmethod
    def from_directory(cls, metric_info_dir: str | os.PathLike[str]) -> EvaluationModuleInfo:
        """Read what `write_to_directory` wrote.

        Raises:
            EvaluationError: no folder was given.
        """
        if not metric_info_dir:
            raise EvaluationError("from_directory needs the folder that holds metric_info.json")
        return cls.from_dict(json.loads((Path(metric_info_dir) / INFO_FILE).read_text(encoding="utf-8")))

    @classmethod
    def from_dict(cls, metric_info_dict: dict[str, Any]) -> EvaluationModuleInfo:
        """Make the information from a dictionary; keys that are no fields are left out."""
        known = {item.name for item in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in metric_info_dict.items() if key in known})


@dataclass
class MetricInfo(EvaluationModuleInfo):
    """What a metric says about itself: see `EvaluationModuleInfo`."""

    module_type: str = "metric"


@dataclass
class ComparisonInfo(EvaluationModuleInfo):
    """What a comparison of two models says about itself: see `EvaluationModuleInfo`."""

    module_type: str = "comparison"


@dataclass
class MeasurementInfo(EvaluationModuleInfo):
    """What a measurement of a data set says about itself: see `EvaluationModuleInfo`."""

    module_type: str = "measurement"

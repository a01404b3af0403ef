"""The base of every metric, comparison and measurement: collects inputs, then computes once."""

from __future__ import annotations

import contextlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enfold.errors import nearest
from enfold.evaluate import inputs
from enfold.evaluate.errors import EvaluationError, OptionError
from enfold.evaluate.info import EvaluationModuleInfo

if TYPE_CHECKING:
    from enfold.evaluate.gathering import Gathering

__all__ = ["Comparison", "EvaluationModule", "Measurement", "Metric"]


class EvaluationModule:
    """A metric, comparison or measurement: give it inputs with `add` and `add_batch`, or all at once to `compute`.

    A module of your own overrides ``_info``, which returns an `EvaluationModuleInfo`, and ``_compute``, which gets the
    declared inputs and the options as keyword arguments and returns a dictionary.

    Args:
        config_name: one of the module's configurations, such as ``"multilabel"``.
        keep_in_memory: keep all inputs, also those of modules that could count them as they come in (see `Counting`).
        cache_dir: the folder through which several processes exchange their inputs; it has to be shared by them.
        num_process: how many processes evaluate together.
        process_id: which of them this is, from 0.
        seed: of what is random in the score (the resampling of rouge). By default numpy's global seed decides.
        experiment_id: tells evaluations apart that share ``cache_dir``.
        hash: accepted for the ecosystem's sake.
        max_concurrent_cache_files: accepted for the ecosystem's sake.
        timeout: seconds that process 0 waits for the others.
        strict_hf: round numbers to the declared type, often float32, as the ecosystem does on their way through its
            files; by default numbers keep their precision.

    Raises:
        EvaluationError: ``process_id`` and ``num_process`` do not fit together.

    Example:
        >>> from enfold.evaluate import load
        >>> accuracy = load("accuracy")
        >>> accuracy.add_batch(predictions=[0, 1], references=[0, 1])
        >>> accuracy.add(prediction=1, reference=0)
        >>> accuracy.compute()
        {'accuracy': 0.6666666666666666}
    """

    #: whether ``_compute`` takes numpy arrays as they were collected, rather than lists
    _takes_arrays = False

    def __init__(
        self,
        config_name: str | None = None,
        keep_in_memory: bool = False,
        cache_dir: str | None = None,
        num_process: int = 1,
        process_id: int = 0,
        seed: int | None = None,
        experiment_id: str | None = None,
        hash: str | None = None,
        max_concurrent_cache_files: int = 10000,
        timeout: float = 100,
        strict_hf: bool = False,
        **kwargs: Any,
    ) -> None:
        if not isinstance(process_id, int) or process_id < 0:
            raise EvaluationError(f"process_id counts from 0, not {process_id!r}")
        if not isinstance(num_process, int) or num_process <= process_id:
            raise EvaluationError(f"num_process must be greater than process_id {process_id}, not {num_process!r}")
        if keep_in_memory and num_process > 1:
            raise EvaluationError("several processes exchange their inputs through files: drop keep_in_memory=True")
        self.config_name = config_name or "default"
        self.info = self._info()
        self.info.module_name = _snake_case(type(self).__name__)
        self.info.config_name = self.config_name
        self.info.experiment_id = experiment_id or "default_experiment"
        self.num_process, self.process_id = num_process, process_id
        self.keep_in_memory = keep_in_memory
        self.timeout = timeout
        self.seed = _global_seed() if seed is None else seed
        declared = self.info.features
        alternatives = declared if isinstance(declared, list) else [declared]
        exact = (lambda kind: kind) if strict_hf else inputs.widened
        self._schemas = [{name: exact(inputs.type_of(item)) for name, item in one.items()} for one in alternatives]
        self._schema: dict[str, inputs.Type] | None = None
        self._columns: dict[str, list[Any]] = {}
        self._length = 0
        self._gathering: Gathering | None = None
        if num_process > 1:
            from enfold.evaluate.gathering import Gathering, default_folder

            folder = Path(cache_dir).expanduser() if cache_dir else default_folder()
            folder = folder / self.name / self.config_name
            self._gathering = Gathering(folder, self.info.experiment_id, num_process, process_id, timeout)

    # What the module says about itself. ``info`` has the same, with the features as they were declared.

    @property
    def name(self) -> str:
        """The module's name, such as ``"accuracy"``."""
        return self.info.module_name or ""

    @property
    def experiment_id(self) -> str | None:
        """What tells this evaluation from others that share its folder."""
        return self.info.experiment_id

    @property
    def module_type(self) -> str:
        """``"metric"``, ``"comparison"`` or ``"measurement"``."""
        return self.info.module_type

    @property
    def description(self) -> str:
        """What is measured."""
        return self.info.description

    @property
    def citation(self) -> str:
        """BibTeX of the paper."""
        return self.info.citation

    @property
    def features(self) -> Any:
        """The inputs as `datasets.Features`, or a list of them where there are alternatives."""
        declared = self.info.features
        if isinstance(declared, list):
            return [inputs.to_features(item) for item in declared]
        return inputs.to_features(declared)

    @property
    def inputs_description(self) -> str:
        """The options, as text."""
        return self.info.inputs_description

    @property
    def homepage(self) -> str:
        """The module's page."""
        return self.info.homepage

    @property
    def license(self) -> str:
        """The module's licence."""
        return self.info.license

    @property
    def codebase_urls(self) -> list[str]:
        """Where the code is."""
        return self.info.codebase_urls

    @property
    def reference_urls(self) -> list[str]:
        """Where the measure is described."""
        return self.info.reference_urls

    @property
    def streamable(self) -> bool:
        """Whether the score can be updated example by example."""
        return self.info.streamable

    @property
    def format(self) -> str | None:
        """The format in which ``_compute`` gets its inputs."""
        return self.info.format

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return (
            f"EvaluationModule(name: {self.name!r}, module_type: {self.module_type!r}, "
            f"features: {self.info.features}, stored examples: {len(self)})"
        )

    # Inputs

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Keep one example.

        Args:
            prediction: what the model said.
            reference: what is right.
            **kwargs: further inputs of this module by name.

        Raises:
            EvaluationError: an input is missing, unknown or of the wrong type.
        """
        example = self._chosen({"predictions": prediction, "references": reference, **kwargs}, kwargs)
        self._keep({name: [value] for name, value in example.items()})
        self._added()

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Keep several examples.

        Args:
            predictions: list, array or tensor, one entry per example.
            references: the same for what is right.
            **kwargs: further inputs of this module by name.

        Raises:
            EvaluationError: an input is missing, unknown or of the wrong type, or the lengths differ.
        """
        self._keep(self._chosen({"predictions": predictions, "references": references, **kwargs}, kwargs))
        self._added()

    def _added(self) -> None:
        """Called after inputs were added."""

    def compute(self, *positional: Any, predictions: Any = None, references: Any = None, **kwargs: Any) -> Any:
        """Compute the score of everything added so far and of what is given here, then forget the inputs.

        Args:
            *positional: the inputs in the order in which the module declares them: predictions, then references.
            predictions: list, array or tensor, one entry per example.
            references: the same for what is right.
            **kwargs: further inputs of this module by name, and its options.

        Returns:
            A dictionary; None in all processes but the first when several evaluate together.

        Raises:
            EvaluationError: inputs or options do not fit.
            OptionError: there is no such option; the nearest name is suggested.
        """
        names = self._feature_names()
        if len(positional) > len(names):
            raise EvaluationError(f"{self.name} takes {', '.join(names)}; its options have to be named")
        given = {"predictions": predictions, "references": references, **kwargs}
        for name, values in zip(names, positional, strict=False):
            if given.get(name) is not None:
                raise EvaluationError(f"{self.name} got {name} twice: by position and by name")
            given[name] = values
        batch = {name: given.get(name) for name in names}
        options = {name: value for name, value in kwargs.items() if name not in names}
        known = self._option_names()
        for name in options:
            if known is not None and name not in known:
                raise OptionError(f"{self.name} has no option {name!r}{nearest(name, known)}")
        self._check_options(options)
        try:
            if any(value is not None for value in batch.values()):
                self._keep(self._chosen(batch, {}))
            return self._result(options)
        finally:
            self._forget()

    def _check_options(self, options: dict[str, Any]) -> None:
        """Refuse options while the inputs can still be kept."""

    def _result(self, options: dict[str, Any]) -> Any:
        """Return the score of all inputs: None in all processes but the first."""
        columns = self._collected()
        if columns is None:
            return None
        with _seeded(self.seed):
            return self._compute(**columns, **options)

    def _forget(self) -> None:
        self._columns, self._length, self._schema = {}, 0, None

    def _feature_names(self) -> list[str]:
        return list(self._schemas[0])

    def _option_names(self) -> set[str] | None:
        """Return the options of ``_compute``, or None when it takes any."""
        parameters = inspect.signature(self._compute).parameters.values()
        if any(item.kind is item.VAR_KEYWORD for item in parameters):
            return None
        return {item.name for item in parameters} - set(self._feature_names())

    def _chosen(self, given: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
        names = self._feature_names()
        unknown = [name for name in named if name not in names]
        if unknown:
            raise EvaluationError(f"{self.name} has no input {', '.join(unknown)}; its inputs are {', '.join(names)}")
        missing = [name for name in names if given.get(name) is None]
        if missing:
            raise EvaluationError(f"{self.name} needs {', '.join(missing)}; its inputs are {', '.join(names)}")
        return {name: given[name] for name in names}

    def _keep(self, batch: dict[str, Any]) -> None:
        lengths = {name: len(values) if hasattr(values, "__len__") else None for name, values in batch.items()}
        if len(set(lengths.values())) > 1:
            counts = " and ".join(f"{count} {name}" for name, count in lengths.items())
            raise EvaluationError(f"{self.name}: the inputs have different lengths: {counts}")
        schema = self._schema or self._fitting(batch)
        columns = {name: inputs.column(values, schema[name], name) for name, values in batch.items()}
        if not columns or not len(next(iter(columns.values()))):
            return
        self._schema = schema
        for name, values in columns.items():
            self._columns.setdefault(name, []).append(values)
        self._length += len(next(iter(columns.values())))

    def _fitting(self, batch: dict[str, Any]) -> dict[str, inputs.Type]:
        if len(self._schemas) == 1:
            return self._schemas[0]
        for schema in self._schemas:
            if all(
                not hasattr(values, "__getitem__") or not len(values) or inputs.example_fits(values[0], schema[name])
                for name, values in batch.items()
            ):
                return schema
        return self._schemas[0]  # whose complaint names the first input that does not fit

    def _joined_columns(self) -> dict[str, Any]:
        return {name: _joined(chunks) for name, chunks in self._columns.items()}

    def _nothing(self) -> EvaluationError:
        names = " and ".join(self._feature_names())
        return EvaluationError(f"{self.name} has nothing to compute: no {names} were given or added")

    def _collected(self) -> dict[str, Any] | None:
        columns = self._joined_columns()
        if self._gathering is not None:
            everyone = self._gathering.exchange({name: inputs.plain(values) for name, values in columns.items()})
            if everyone is None:
                return None
            schema = self._schema or self._schemas[0]
            parts = [part for part in everyone if part]
            for name in self._feature_names() if parts else []:
                columns[name] = _joined([inputs.column(part[name], schema[name], name) for part in parts])
        if not columns:
            raise self._nothing()
        if self._takes_arrays:
            return columns
        columns = {name: inputs.plain(values) for name, values in columns.items()}
        if self.format == "numpy":
            import numpy as np

            return {name: np.asarray(values) for name, values in columns.items()}
        return columns

    # What a module of one's own provides

    def _info(self) -> EvaluationModuleInfo:
        raise EvaluationError(f"{type(self).__name__} does not define _info(), which returns its EvaluationModuleInfo")

    def _compute(self, *args: Any, **kwargs: Any) -> Any:
        raise EvaluationError(f"{type(self).__name__} does not define _compute(*, predictions, references, …)")

    def download_and_prepare(self, download_config: Any = None, dl_manager: Any = None) -> None:
        """Let a module of one's own fetch what it needs (``_download_and_prepare``); ours need nothing."""
        self._download_and_prepare(dl_manager)

    def _download_and_prepare(self, dl_manager: Any) -> None:
        return None


class Metric(EvaluationModule):
    """A score of predictions against references: see `EvaluationModule`."""


class Comparison(EvaluationModule):
    """A comparison of the predictions of two models: see `EvaluationModule`."""


class Measurement(EvaluationModule):
    """A property of a data set: see `EvaluationModule`."""


def _snake_case(name: str) -> str:
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z\d])([A-Z])", r"\1_\2", name).lower()


def _joined(chunks: list[Any]) -> Any:
    if len(chunks) == 1:
        return chunks[0]
    if all(hasattr(chunk, "dtype") for chunk in chunks) and len({chunk.shape[1:] for chunk in chunks}) == 1:
        import numpy as np

        return np.concatenate(chunks)
    return [row for chunk in chunks for row in chunk]


def _global_seed() -> int:
    # The ecosystem takes the next word of numpy's global generator without drawing it, so that np.random.seed before
    # load() makes scores repeat. Without numpy nobody has seeded anything yet.
    numpy = sys.modules.get("numpy")
    if numpy is None:
        import secrets

        return secrets.randbits(32)
    _, words, place, *_ = numpy.random.get_state()
    return int(words[place] if place < 624 else words[0])


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    import numpy as np

    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)

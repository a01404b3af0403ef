"""Find a metric by its name, or in a script of one's own."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import pkgutil
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from enfold.errors import nearest
from enfold.evaluate.errors import EvaluationError, UnknownModuleError
from enfold.evaluate.module import Comparison, EvaluationModule, Measurement, Metric

__all__ = ["inspect_evaluation_module", "list_evaluation_modules", "load"]

# type → the package with one file per module. The ecosystem's repositories are named evaluate-metric/accuracy.
PACKAGES = {
    "metric": "enfold.evaluate.metrics",
    "comparison": "enfold.evaluate.comparisons",
    "measurement": "enfold.evaluate.measurements",
}


def _names(module_type: str) -> list[str]:
    if module_type not in PACKAGES:
        return []
    package = importlib.import_module(PACKAGES[module_type])
    return sorted(item.name for item in pkgutil.iter_modules(package.__path__))


def load(
    path: str,
    config_name: str | None = None,
    module_type: str | None = None,
    process_id: int = 0,
    num_process: int = 1,
    cache_dir: str | None = None,
    experiment_id: str | None = None,
    keep_in_memory: bool = False,
    download_config: Any = None,
    download_mode: Any = None,
    revision: Any = None,
    **init_kwargs: Any,
) -> EvaluationModule:
    """Load a metric, comparison or measurement: from enfold by name, or from a script by path.

    Args:
        path: ``"accuracy"``, ``"evaluate-metric/accuracy"``, or the path of a Python file (or of a folder with a file
            of the same name) that defines one subclass of `EvaluationModule`. A script is run as it is.
        config_name: one of the module's configurations.
        module_type: ``"metric"``, ``"comparison"`` or ``"measurement"``, to look only there.
        process_id, num_process, cache_dir, experiment_id: as for `EvaluationModule`, when several processes evaluate.
        keep_in_memory: as for `EvaluationModule`.
        download_config, download_mode, revision: accepted for the ecosystem's sake; nothing is downloaded.
        **init_kwargs: further arguments of the module (``seed``, ``timeout``).

    Returns:
        The module, ready for ``add``, ``add_batch`` and ``compute``.

    Raises:
        UnknownModuleError: there is no such module; the nearest name is suggested.

    Example:
        >>> load("f1").compute(predictions=[0, 1, 1], references=[0, 1, 0])
        {'f1': 0.6666666666666666}
    """
    module = _script(path) or _ours(path, module_type)
    maker = _defined(module)
    return maker(
        config_name=config_name,
        process_id=process_id,
        num_process=num_process,
        cache_dir=cache_dir,
        experiment_id=experiment_id,
        keep_in_memory=keep_in_memory,
        **init_kwargs,
    )


def list_evaluation_modules(
    module_type: str | None = None, include_community: bool = True, with_details: bool = False
) -> list[Any]:
    """List the modules that `load` knows by name.

    Args:
        module_type: list only this type.
        include_community: accepted for the ecosystem's sake; all of these are canonical.
        with_details: give dictionaries with ``name``, ``type``, ``community`` and ``likes``.

    Returns:
        Names, or dictionaries.

    Raises:
        EvaluationError: there is no such type.

    Example:
        >>> "rouge" in list_evaluation_modules("metric")
        True
    """
    kinds = ("metric", "comparison", "measurement")
    if module_type is not None and module_type not in kinds:
        raise EvaluationError(f"module_type is one of {', '.join(kinds)}, not {module_type!r}")
    found = [(name, kind) for kind in kinds if module_type in (None, kind) for name in _names(kind)]
    if with_details:
        return [{"name": name, "type": kind, "community": False, "likes": 0} for name, kind in found]
    return [name for name, _ in found]


def inspect_evaluation_module(path: str, local_path: str | os.PathLike[str], **options: Any) -> None:
    """Copy the file that defines a module, to read it or to start a module of one's own from it.

    Args:
        path: as for `load`.
        local_path: a folder, made when missing; it gets the file, or all files beside a script in its own folder.
        **options: accepted for the ecosystem's sake; nothing is downloaded.

    Raises:
        UnknownModuleError: there is no such module.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> inspect_evaluation_module("accuracy", folder)
        >>> os.listdir(folder)
        ['accuracy.py']
    """
    source = Path(os.path.expanduser(path))
    if source.is_dir():
        shutil.copytree(source, local_path, dirs_exist_ok=True)
        return
    file = source if source.suffix == ".py" and source.is_file() else Path(str(_ours(path, None).__file__))
    Path(local_path).mkdir(parents=True, exist_ok=True)
    shutil.copy(file, local_path)


def _ours(path: str, module_type: str | None) -> ModuleType:
    kinds = [module_type] if module_type else list(PACKAGES)
    owner, _, name = path.rpartition("/")
    for kind in kinds:
        if owner in ("", f"evaluate-{kind}") and name in _names(kind):
            return importlib.import_module(f"{PACKAGES[kind]}.{name}")
    known = list_evaluation_modules(module_type)
    what = module_type or "evaluation module"
    hint = nearest(name, known) or (f"; there are {', '.join(known)}" if known else "")
    raise UnknownModuleError(f"there is no {what} {path!r}{hint}")


def _script(path: str) -> ModuleType | None:
    file = Path(os.path.expanduser(path))
    if file.is_dir():
        file = file / f"{file.resolve().name}.py"
    if file.suffix != ".py" or not file.is_file():
        return None
    # one identity per file and content, so that loading twice gives the same class; and a package around it, so that
    # the script finds the files beside it (``from .compute_score import compute_score``)
    digest = hashlib.sha256(str(file.resolve()).encode() + file.read_bytes()).hexdigest()[:16]
    package = f"enfold_evaluate_script_{digest}"
    name = f"{package}.{file.stem}"
    if name not in sys.modules:
        around = sys.modules[package] = ModuleType(package)
        around.__path__ = [str(file.resolve().parent)]
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _defined(module: ModuleType) -> type[EvaluationModule]:
    bases = (EvaluationModule, Metric, Comparison, Measurement)
    for value in vars(module).values():
        ours = isinstance(value, type) and issubclass(value, EvaluationModule) and value not in bases
        if ours and value.__module__ == module.__name__:
            return value
    raise EvaluationError(f"{module.__file__} defines no subclass of Metric, Comparison or Measurement")

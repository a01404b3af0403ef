"""Exported once, used by many tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], tuple[Any, Path]]:
    """Return a function from (module, case) to the model and the folder of its ONNX files."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from enfold.optimum.exporters.onnx import onnx_export_from_model
    from exported_graphs import tiny

    kept: dict[tuple[str, str], tuple[Any, Path]] = {}

    def of(module: str, name: str) -> tuple[Any, Path]:
        if (module, name) not in kept:
            model, folder = tiny(module, name), tmp_path_factory.mktemp("onnx")
            onnx_export_from_model(model, folder, do_validation=False)
            kept[module, name] = model, folder
        return kept[module, name]

    return of

"""The marks and context managers that datasets' tests import: what is not installed here is skipped."""

from __future__ import annotations

import contextlib
import enum
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem


def _needs(module: str) -> pytest.MarkDecorator:
    try:
        found = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        found = False
    return pytest.mark.skipif(not found, reason=f"{module} is not installed")


require_elasticsearch = _needs("elasticsearch")
require_faiss = _needs("faiss")
require_jax = _needs("jax")
require_joblibspark = _needs("joblibspark")
require_lz4 = _needs("lz4")
require_pil = _needs("PIL")
require_polars = _needs("polars")
require_py7zr = _needs("py7zr")
require_pyspark = _needs("pyspark")
require_regex = _needs("regex")
require_spacy = _needs("spacy")
require_sqlalchemy = _needs("sqlalchemy")
require_tf = _needs("tensorflow")
require_tiktoken = _needs("tiktoken")
require_torch = _needs("torch")
require_torch_compile = _needs("torch")
require_torchcodec = _needs("torchcodec")
require_torchdata_stateful_dataloader = _needs("torchdata.stateful_dataloader")
require_transformers = _needs("transformers")
require_zstandard = _needs("zstandard")
require_dill_gt_0_3_2 = _needs("dill")
require_not_windows = pytest.mark.skipif(sys.platform == "win32", reason="not on Windows")
require_numpy1_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="not on Windows")
slow = pytest.mark.skip(reason="asks the network")
xfail_if_500_502_http_error = pytest.mark.skip(reason="asks the Hub")


def for_all_test_methods(*decorators: Callable[[Any], Any]) -> Callable[[type], type]:
    """Return a decorator of a class that puts decorators on each of its tests."""

    def decorate(cls: type) -> type:
        for name, method in list(vars(cls).items()):
            if name.startswith("test") and callable(method):
                for decorator in decorators:
                    method = decorator(method)
                setattr(cls, name, method)
        return cls

    return decorate


class RequestWouldHangIndefinitelyError(Exception):
    """A request without a time limit met a server that never answers."""


class OfflineSimulationMode(enum.Enum):
    """The ways of having no network."""

    CONNECTION_FAILS = 0
    CONNECTION_TIMES_OUT = 1
    HF_HUB_OFFLINE_SET_TO_1 = 2


@contextlib.contextmanager
def offline(
    mode: OfflineSimulationMode = OfflineSimulationMode.CONNECTION_FAILS, timeout: float = 1e-16
) -> Iterator[None]:
    """Be without network: the suite always is, so that only the switch is set."""
    import datasets

    with patch.object(datasets.config, "HF_HUB_OFFLINE", True):
        yield


@contextlib.contextmanager
def set_current_working_directory_to_temp_dir(*_: Any, **__: Any) -> Iterator[None]:
    """Work in an empty folder."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


@contextlib.contextmanager
def _arrow_memory(grows: bool) -> Iterator[None]:
    import gc

    gc.collect()
    before = pa.total_allocated_bytes()
    yield
    assert (pa.total_allocated_bytes() > before) is grows


def assert_arrow_memory_increases() -> contextlib.AbstractContextManager[None]:
    """Arrow holds more memory at the end."""
    return _arrow_memory(True)


def assert_arrow_memory_doesnt_increase() -> contextlib.AbstractContextManager[None]:
    """Arrow holds no more memory at the end."""
    return _arrow_memory(False)


def push_parquet_shards_offline(*_: Any, **__: Any) -> Any:
    """Skip: these tests upload by a private method."""
    pytest.skip("uploads by a private method")


def execute_subprocess_async(*_: Any, **__: Any) -> Any:
    """Skip: the script that these tests start is not in the archive."""
    pytest.skip("the script is not in the archive")


def get_torch_dist_unique_port() -> int:
    """Return a port."""
    return 29500


class MockFileSystem(DirFileSystem):
    """A file system whose root is a local folder: ``mock://…``."""

    protocol = "mock"

    def __init__(self, *args: Any, local_root_dir: str, **options: Any) -> None:
        super().__init__(path=local_root_dir, fs=LocalFileSystem(auto_mkdir=True), **options)
        self.local_root_dir = local_root_dir

    def _join(self, path: Any) -> Any:
        return super()._join(self._strip_protocol(path) if isinstance(path, str) else path)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        bare = path.removeprefix(f"{cls.protocol}://") if isinstance(path, str) else path
        return bare.strip("/") if isinstance(bare, str) else super()._strip_protocol(bare)


class TmpFileSystem(MockFileSystem):
    """The same under ``tmp://…``."""

    protocol = "tmp"

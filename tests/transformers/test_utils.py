"""What code around the ecosystem asks `transformers.utils` for."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

import enfold.transformers as tf
from enfold.transformers.utils import (
    CONFIG_NAME,
    SAFE_WEIGHTS_NAME,
    ExplicitEnum,
    copy_func,
    find_adapter_config_file,
    is_in_notebook,
    is_torchdynamo_compiling,
    make_markdown_table,
)
from enfold.transformers.utils import logging as tf_logging
from enfold.transformers.utils.availability import CHECKS


def test_our_own_libraries_are_always_there() -> None:
    for name in ("torch", "datasets", "tokenizers", "peft", "accelerate", "safetensors"):
        assert getattr(tf, f"is_{name}_available")() is True
    assert tf.is_torch_npu_available() is False and tf.is_tf_available(minimal=True) in (True, False)
    assert not is_in_notebook() and not is_torchdynamo_compiling()
    assert set(CHECKS) <= set(dir(tf))


def test_a_logger_says_a_thing_once(caplog: pytest.LogCaptureFixture) -> None:
    logger = tf_logging.get_logger("tests.once")
    assert tf_logging.get_logger("tests.once") is logger
    root = logging.getLogger("enfold")
    root.addHandler(caplog.handler)
    try:
        for _ in range(3):
            logger.warning_once("the %s", "same")
        logger.warning_once("another")
        logger.warning_advice("advice")
    finally:
        root.removeHandler(caplog.handler)
    assert [record.getMessage() for record in caplog.records] == ["the same", "another", "advice"]


def test_the_level_is_set_by_name() -> None:
    before = tf_logging.get_verbosity()
    try:
        tf_logging.set_verbosity_error()
        assert tf_logging.get_verbosity() == tf_logging.ERROR
        tf_logging.set_verbosity_info()
        assert tf_logging.get_verbosity() == tf_logging.INFO
    finally:
        tf_logging.set_verbosity(before)


def test_an_enumeration_names_its_values() -> None:
    class Colour(ExplicitEnum):
        RED = "red"

    assert Colour("red") is Colour.RED
    with pytest.raises(ValueError, match="'reed' is not one of red; did you mean 'red'"):
        Colour("reed")


def test_a_copied_function_has_a_docstring_of_its_own() -> None:
    def add(one: int, *, other: int = 2) -> int:
        """Add."""
        return one + other

    copy: Any = copy_func(add)
    copy.__doc__ = "Sum."
    assert copy(1) == 3 and copy(1, other=5) == 6 and add.__doc__ == "Add."


def test_an_adapters_configuration_is_found(tmp_path: Path) -> None:
    assert find_adapter_config_file(tmp_path) is None
    (tmp_path / "adapter_config.json").write_text("{}")
    assert find_adapter_config_file(str(tmp_path), revision=None) == str(tmp_path / "adapter_config.json")
    assert (CONFIG_NAME, SAFE_WEIGHTS_NAME) == ("config.json", "model.safetensors")


def test_rows_become_a_table() -> None:
    table = make_markdown_table([{"step": 1, "loss": 0.123456}, {"step": 20, "loss": "none"}])
    assert table.splitlines() == ["| step | loss   |", "|:----:|:------:|", "| 1    | 0.1235 |", "| 20   | none   |"]
    assert make_markdown_table([]) == ""

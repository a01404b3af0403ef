"""The examples in the docstrings of tokenizers run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import enfold.tokenizers
import enfold.transformers.tokenization

MODULES = sorted(
    module.name
    for package in (enfold.tokenizers, enfold.transformers.tokenization)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder()
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) > 40

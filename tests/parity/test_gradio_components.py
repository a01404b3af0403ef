"""Every component's configuration, schema and round trips beside the ecosystem's: see ``gradio_components.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from parity.gradio_components import answers

GOLDEN = json.loads((Path(__file__).parent / "gradio_components_golden.json").read_text())


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ours answers."""
    pytest.importorskip("pandas")
    home = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(home))
        return answers("enfold.gradio")


@pytest.mark.parametrize("line", GOLDEN["made"])
def test_a_constructor_gives_the_same_configuration(told: dict[str, Any], line: str) -> None:
    assert told["made"][line] == GOLDEN["made"][line]


@pytest.mark.parametrize("line", GOLDEN["shown"])
def test_a_value_travels_the_same_way(told: dict[str, Any], line: str) -> None:
    assert told["shown"][line] == GOLDEN["shown"][line]


@pytest.mark.parametrize("line", GOLDEN["taken"])
def test_a_payload_becomes_the_same_argument(told: dict[str, Any], line: str) -> None:
    assert told["taken"][line] == GOLDEN["taken"][line]


@pytest.mark.parametrize("what", GOLDEN["apps"])
def test_apps_answer_the_same(told: dict[str, Any], what: str) -> None:
    assert told["apps"][what] == GOLDEN["apps"][what]

"""Where adapters go when a configuration does not say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from enfold.peft.targets import DEFAULT_TARGETS, TARGETS_BY_KIND

pytestmark = pytest.mark.peer

KINDS = (
    "LORA ADALORA IA3 LOHA LOKR OFT BOFT HRA VERA VBLORA FOURIERFT C3A MISS HIRA DELORA ROAD RANDLORA SHIRA GRALORA "
    "PSOFT OSF WAVEFT"
).split()
SCRIPT = """
import json, sys
from peft.utils import constants
print(json.dumps({
    kind: getattr(constants, f"TRANSFORMERS_MODELS_TO_{kind}_TARGET_MODULES_MAPPING", None)
    for kind in sys.argv[1:]
}))
"""


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any]) -> Any:
    return peer(SCRIPT, *KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_model_of_peft_has_the_same_row(kind: str, theirs: Any) -> None:
    ours, rows = TARGETS_BY_KIND.get(kind, DEFAULT_TARGETS), theirs[kind]
    assert rows, "peft has a table of this kind"
    assert {model: ours.get(model) and sorted(ours[model]) for model in rows} == {
        model: sorted(row) for model, row in rows.items()
    }

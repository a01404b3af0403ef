"""The ecosystem's names of OpenVINO's part lead here, and nothing heavy is loaded on the way."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from enfold.dropin import install
install()
import optimum.intel, optimum.intel.openvino, optimum.exporters.openvino, optimum.bettertransformer, optimum.tensorrt
heavy = [name for name in ("torch", "openvino", "nncf", "coremltools", "tensorrt") if name in sys.modules]
assert not heavy, heavy
assert optimum.intel.OVModelForCausalLM.__module__.startswith("enfold.")
from optimum.intel.openvino import OVModelForSequenceClassification, OVWeightQuantizationConfig
from optimum.intel.openvino.modeling_decoder import OVModelForCausalLM
from optimum.exporters.openvino import main_export, export_from_model
from optimum.exporters.openvino.__main__ import main_export
from optimum.bettertransformer import BetterTransformer
import optimum.exporters.coreml
"""


def test_drop_in_names_resolve_and_load_nothing_heavy() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=120)

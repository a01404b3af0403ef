"""Every architecture on OpenVINO gives torch's numbers, on inputs of other sizes and with padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

from enfold.optimum.exporters.graph_parts import parts
from enfold.optimum.exporters.openvino import export
from enfold.optimum.intel.openvino.modeling_base import core
from exported_graphs import FIRST, LONG, SHORT, every, tiny, varied
from exported_graphs import _kept as asked


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name"), every())
def test_graphs_give_torch_s_numbers(module: str, name: str) -> None:
    model: Any = tiny(module, name)
    for part in parts(model):
        properties = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
        compiled = core().compile_model(export(part), "CPU", properties)
        given = [varied(part, SHORT, padded=False), varied(part, LONG, padded=True, seed=1)]
        if "past_key_values.0.key" in part.inputs:
            given.append(varied(part, FIRST, padded=True, seed=2))
        for inputs in given:
            expected = part.module(*inputs.values())
            found = compiled({one: tensor.numpy() for one, tensor in inputs.items()})
            for index, (output, wanted) in enumerate(zip(part.outputs, expected, strict=True)):
                keep = asked(output, wanted, inputs).numpy()
                assert np.allclose(found[index][keep], wanted.numpy()[keep], atol=1e-4, rtol=1e-4), output

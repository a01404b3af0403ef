"""Configurations, made and read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import enfold.peft as peft


def test_a_file_is_read_as_the_values_it_has_without_those_of_one_run(tmp_path: Path) -> None:
    config = peft.LoraConfig(r=4, target_modules=["q_proj"])
    config.save_pretrained(tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "runtime_config": {"ephemeral_gpu_offload": True}}))
    assert peft.LoraConfig.from_json_file(path) == config.to_dict()


@pytest.mark.parametrize("kind", [kind for kind in peft.PeftType if kind not in ("ADALORA", "CPT")])
def test_a_kind_alone_says_which_class_it_is(kind: peft.PeftType) -> None:
    config = peft.PeftConfig.from_peft_type(peft_type=kind)
    assert config.peft_type == kind
    assert type(config) is peft.PEFT_TYPE_TO_CONFIG_MAPPING[kind]


def test_a_file_that_says_no_kind_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"foo": "bar"}))
    with pytest.raises(TypeError, match="peft_type"):
        peft.LoraConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("start", ["eva", True])  # which a file no longer says once the adapter was begun
def test_settings_of_evas_start_come_back_as_what_they_were(start: str | bool, tmp_path: Path) -> None:
    asked = peft.EvaConfig(rho=1.5)
    peft.LoraConfig(init_lora_weights=start, eva_config=asked, target_modules=["a"]).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["eva_config"]["rho"] == 1.5
    assert peft.LoraConfig.from_pretrained(tmp_path).eva_config == asked  # type: ignore[attr-defined]

"""What is loaded into pipelines, beside `diffusers` 0.42.1: the same pictures from the same files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from enfold import diffusers
from enfold.checkpoints import CheckpointError
from enfold.diffusers.loaders.layout import original_name, rows_of
from enfold.diffusers.loaders.lora_keys import LoraMismatch
from enfold.diffusers.pipelines.pipeline import PipelineError
from parity import loader_cases as cases

pytestmark = pytest.mark.peer
HERE = Path(__file__).resolve().parents[1]

PEER = """
import json, sys, warnings
warnings.filterwarnings("ignore")
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/fixture_hub"]
from pathlib import Path
import diffusers
diffusers.utils.logging.set_verbosity_error()
from parity import loader_cases as cases
cases.everything(diffusers, Path(sys.argv[2]), Path(sys.argv[3]))
print(json.dumps(True))
"""


@pytest.fixture(scope="module")
def folder(peer: Callable[..., Any], fixture_repositories: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("loaders")
    peer(PEER, HERE, fixture_repositories.parent / "packages", made, variables={"HF_HUB_OFFLINE": "0"})
    return made


@pytest.fixture(scope="module")
def painted(folder: Path) -> dict[str, Any]:
    with np.load(folder / "painted.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def pipe(folder: Path) -> Any:
    return cases.opened(diffusers, folder, "sd")


@pytest.mark.parametrize("name", cases.CASES)
def test_every_picture_is_the_peers(folder: Path, painted: dict[str, Any], name: str) -> None:
    found = cases.paint(diffusers, folder, name)
    assert np.abs(found - painted[name]).max() <= 1e-4
    if name not in ("nothing", "off", "kohya_xl", "look_away"):
        assert np.abs(found - painted["nothing"]).max() > 1e-2


def test_adapters_are_named_counted_and_taken_out(folder: Path, painted: dict[str, Any], pipe: Any) -> None:
    cases.load(pipe, folder, "peft")
    pipe.load_lora_weights(folder / "kohya.safetensors")
    assert pipe.get_list_adapters() == {name: ["peft", "default_0"] for name in ("unet", "text_encoder")}
    assert pipe.get_active_adapters() == ["default_0"]
    pipe.set_adapters(["peft", "default_0"])
    assert pipe.get_active_adapters() == ["peft", "default_0"]
    assert not any(weight.requires_grad for weight in pipe.unet.parameters())
    with pytest.raises(PipelineError, match="there is no adapter 'peff'; did you mean 'peft'"):
        pipe.set_adapters("peff")
    with pytest.raises(PipelineError, match="already an adapter 'peft'"):
        cases.load(pipe, folder, "peft")
    pipe.unload_lora_weights()
    assert pipe.get_list_adapters() == {}
    assert np.abs(cases.painted_by(pipe, torch) - painted["nothing"]).max() <= 1e-5


def test_a_saved_adapter_is_loaded_again(folder: Path, painted: dict[str, Any], pipe: Any, tmp_path: Path) -> None:
    from enfold.peft import get_peft_model_state_dict

    cases.load(pipe, folder, "peft")
    layers = {
        f"{name}_lora_layers": get_peft_model_state_dict(getattr(pipe, name), adapter_name="peft")
        for name in ("unet", "text_encoder")
    }
    diffusers.StableDiffusionPipeline.save_lora_weights(
        tmp_path, **layers, unet_lora_adapter_metadata={"r": 3, "lora_alpha": 6}
    )
    again = cases.opened(diffusers, folder, "sd")
    again.load_lora_weights(tmp_path)
    assert again.unet.peft_config["default_0"].lora_alpha == 6
    again.set_adapters("default_0", {"unet": 0.5})
    assert np.abs(cases.painted_by(again, torch) - painted["peft"]).max() <= 1e-4
    with pytest.raises(PipelineError, match="nothing to save"):
        diffusers.StableDiffusionPipeline.save_lora_weights(tmp_path)


def test_an_adapter_for_another_base_names_each_tensor_and_changes_nothing(folder: Path, pipe: Any) -> None:
    from safetensors.torch import load_file

    with pytest.raises(LoraMismatch, match=r"lora_te2_text_model\S+ \(2, 16\): there is no such layer") as told:
        pipe.load_lora_weights(folder / "kohya_xl.safetensors")
    assert not hasattr(pipe.unet, "peft_config") and "\n" in str(told.value)
    tensors = load_file(folder / "peft.safetensors")
    wide = {key: torch.zeros(3, 99) if key.endswith("attn2.to_k.lora_A.weight") else v for key, v in tensors.items()}
    with pytest.raises(LoraMismatch) as told:
        pipe.load_lora_weights(wide)
    for key in wide:
        line = f"{key}: (3, 99) in the file, (3, 16) in the model"
        assert (line in str(told.value)) is key.endswith("attn2.to_k.lora_A.weight")
    assert pipe.get_list_adapters() == {}


def test_every_layer_has_the_scale_that_its_alpha_says(folder: Path, pipe: Any) -> None:
    from safetensors.torch import load_file

    tensors = load_file(folder / "kohya.safetensors")
    alphas = [key for key in tensors if key.endswith(".alpha") and key.startswith("lora_unet")]
    tensors |= {key: torch.tensor(1.0 + i % 3) for i, key in enumerate(alphas)}  # the peer mixes these up
    pipe.load_lora_weights(tensors, adapter_name="kohya")
    places = {name.replace(".", "_"): layer for name, layer in pipe.unet.named_modules() if hasattr(layer, "scaling")}
    for i, key in enumerate(alphas):
        rank = tensors[key.replace(".alpha", ".lora_down.weight")].shape[0]
        layer = places[key.removeprefix("lora_unet_").removesuffix(".alpha")]
        assert layer.scaling["kohya"] == (1.0 + i % 3) / rank and layer.r["kohya"] == rank
    assert len(places) == len(alphas)


def test_learned_words_are_forgotten_and_judged_before_anything_changes(folder: Path, pipe: Any) -> None:
    size, table = len(pipe.tokenizer), pipe.text_encoder.get_input_embeddings().weight.clone()
    cases.taught(pipe, folder)
    assert len(pipe.tokenizer) == size + 6
    with pytest.raises(PipelineError, match="already a token '<one>'"):
        pipe.load_textual_inversion(folder / "one.safetensors")
    with pytest.raises(PipelineError, match="vectors of 12 numbers and the text encoder of 16"):
        pipe.load_textual_inversion({"<wide>": torch.zeros(2, 12)})
    with pytest.raises(PipelineError, match="a tensor has no name"):
        pipe.load_textual_inversion(torch.zeros(16))
    with pytest.raises(PipelineError, match="no learned token '<onee>'; did you mean '<one>'"):
        pipe.unload_textual_inversion("<onee>")
    pipe.unload_textual_inversion()
    assert len(pipe.tokenizer) == size and torch.equal(pipe.text_encoder.get_input_embeddings().weight, table)
    assert "<one>" not in pipe.tokenizer.get_vocab()


@pytest.mark.parametrize("name", ["whole.safetensors", "whole.ckpt"])
def test_a_checkpoint_of_one_file_paints_as_the_folder_does(folder: Path, painted: dict[str, Any], name: str) -> None:
    found = cases.painted_by(cases.from_single_file(diffusers, folder, name), torch)
    assert np.abs(found - painted["whole"]).max() <= 1e-4 and np.abs(found - painted["nothing"]).max() <= 1e-4


def test_models_are_taken_out_of_a_checkpoint_alone(folder: Path, pipe: Any) -> None:
    for part in ("unet", "vae"):
        kind = type(getattr(pipe, part))
        made = kind.from_single_file(folder / "whole.safetensors", config=folder / "sd", subfolder=part)
        want = getattr(pipe, part).state_dict()
        assert all(torch.equal(tensor, want[name]) for name, tensor in made.state_dict().items())
        assert made.config.norm_num_groups == getattr(pipe, part).config.norm_num_groups
    control = diffusers.ControlNetModel.from_unet(pipe.unet)
    rows = rows_of(control)
    state = {f"control_model.{original_name(name, rows)}": tensor for name, tensor in control.state_dict().items()}
    assert {"control_model.zero_convs.0.0.weight", "control_model.input_hint_block.14.bias"} <= {*state}
    control.save_config(folder / "control")
    made = diffusers.ControlNetModel.from_single_file(state, config=folder / "control")
    assert all(torch.equal(tensor, made.state_dict()[name]) for name, tensor in control.state_dict().items())


class Code:
    def __reduce__(self) -> Any:
        return print, ("this has run",)


def test_a_checkpoint_says_what_is_wrong_and_runs_nothing(
    folder: Path, pipe: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1)}, "more": Code()}, tmp_path / "code.ckpt")
    with pytest.raises(CheckpointError, match="holds code beside its weights, which is not run"):
        diffusers.StableDiffusionPipeline.from_single_file(tmp_path / "code.ckpt", config=folder / "sd")
    assert "this has run" not in capsys.readouterr().out
    unet = diffusers.UNet2DConditionModel
    with pytest.raises(CheckpointError, match=r"the width of its text is 16, expected one of 768, 1024, 2048"):
        unet.from_single_file(folder / "whole.safetensors")
    with pytest.raises(
        CheckpointError, match=r"input_blocks\.0\.0\.weight: \(16, 4, 3, 3\) in the file, \(16, 9, 3, 3\)"
    ):
        unet.from_single_file(folder / "whole.safetensors", config=folder / "sd", subfolder="unet", in_channels=9)
    with pytest.raises(CheckpointError, match="neither a file nor"):
        unet.from_single_file("no/such/file.safetensors")
    with pytest.raises(PipelineError, match="takes no 'unett'; did you mean 'unet'"):
        diffusers.StableDiffusionPipeline.from_single_file(folder / "whole.ckpt", config=folder / "sd", unett=None)


def test_an_adapter_for_pictures_is_judged_before_anything_changes(folder: Path, pipe: Any) -> None:
    from safetensors.torch import load_file

    with pytest.raises(PipelineError, match="has no adapter for pictures; call load_ip_adapter first"):
        cases.painted_by(pipe, torch, ip_adapter_image="picture")
    state = load_file(folder / "pictures" / "models" / "plain.safetensors")
    wrong = {**state, "ip_adapter.3.to_v_ip.weight": torch.zeros(16, 12)}
    del wrong["ip_adapter.1.to_k_ip.weight"]
    with pytest.raises(
        PipelineError, match=r"1\.to_k_ip\.weight: not in the file\n.*\(16, 12\) in the file, \(16, 16\) in"
    ):
        pipe.load_ip_adapter(wrong)
    assert pipe.unet.encoder_hid_proj is None and pipe.image_encoder is None
    cases.look(pipe, folder, "plain")
    seen = pipe.prepare_ip_adapter_image_embeds(cases.picture(), None, "cpu", 1, True)
    assert [tuple(one.shape) for one in seen] == [(2, 1, 16)] and not seen[0][0].any()
    shown = cases.painted_by(pipe, torch, ip_adapter_image="picture")
    assert np.array_equal(shown, cases.painted_by(pipe, torch, ip_adapter_image_embeds=seen))
    with pytest.raises(PipelineError, match="2 ip_adapter_image for 1 adapters"):
        cases.painted_by(pipe, torch, ip_adapter_image="pictures")


def test_what_pipelines_can_load_has_the_ecosystems_names() -> None:
    from enfold.diffusers import loaders

    kinds = (loaders.StableDiffusionLoraLoaderMixin, loaders.TextualInversionLoaderMixin, loaders.FromSingleFileMixin)
    for kind in (*kinds, loaders.IPAdapterMixin):
        assert issubclass(diffusers.StableDiffusionPipeline, kind)
        assert issubclass(diffusers.StableDiffusionXLPipeline, kind)
    assert issubclass(diffusers.AutoencoderKL, loaders.FromOriginalModelMixin)


def test_a_unet_trains_adapters_of_its_own(pipe: Any) -> None:
    from enfold.peft import LoraConfig

    pipe.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"]), adapter_name="own")
    assert pipe.unet.active_adapters() == ["own"]
    trained = [name for name, weight in pipe.unet.named_parameters() if weight.requires_grad]
    assert trained and all(".lora_" in name for name in trained)
    pipe.unet.disable_adapters()
    pipe.unet.enable_adapters()
    pipe.unet.delete_adapters("own")
    assert pipe.get_active_adapters() == []

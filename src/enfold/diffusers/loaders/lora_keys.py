"""Keys of low-rank adapters: which layer and which factor each means, in all forms that are in use.

- ``unet.<layer>.lora_A.weight``: PEFT's own;
- ``unet.<layer>.lora.down.weight`` and ``unet.<attention>.processor.to_q_lora.down.weight``: the older
  ones;
- ``lora_unet_<layer with _ for dots>.lora_down.weight`` with ``.alpha``: kohya's, whose layers may have the names of
  the first published layout;
- ``double_blocks.0.img_attn.qkv.lora_A.weight``: that layout's own, for FLUX.1 and Stable Diffusion 3. Where several
  layers here are one there, each gets the first factor and its rows of the second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from enfold.diffusers.loaders.joint_layout import Cut
from enfold.diffusers.loaders.layout import cut_of, cuts_of, original_name, rows_of
from enfold.errors import EnfoldError

__all__ = ["Factors", "LoraMismatch", "sorted_by_layer"]

# End of a key → what it leaves of the layer's name, and which part of the adapter it is.
ENDS: list[tuple[str, str, str]] = [
    (r"\.lora_A(\.default)?\.weight", "", "A"),
    (r"\.lora_B(\.default)?\.weight", "", "B"),
    (r"\.lora_magnitude_vector(\.default)?(\.weight)?", "", "magnitude"),
    (r"\.lora\.down\.weight", "", "A"),
    (r"\.lora\.up\.weight", "", "B"),
    (r"\.lora_linear_layer\.down\.weight", "", "A"),
    (r"\.lora_linear_layer\.up\.weight", "", "B"),
    (r"\.lora_down\.weight", "", "A"),
    (r"\.lora_up\.weight", "", "B"),
    (r"\.dora_scale", "", "magnitude"),
    (r"(\.lora)?\.alpha", "", "alpha"),
    (r"(\.processor)?\.to_(q|k|v)_lora\.down\.weight", r".to_\2", "A"),
    (r"(\.processor)?\.to_(q|k|v)_lora\.up\.weight", r".to_\2", "B"),
    (r"(\.processor)?\.to_(q|k|v)_lora\.alpha", r".to_\2", "alpha"),
    (r"(\.processor)?\.to_out_lora\.down\.weight", ".to_out.0", "A"),
    (r"(\.processor)?\.to_out_lora\.up\.weight", ".to_out.0", "B"),
    (r"(\.processor)?\.to_out_lora\.alpha", ".to_out.0", "alpha"),
]
# In text encoders the older form has the UNet's names.
TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out.0": "out_proj"}
KOHYA = {
    "lora_unet_": "unet",
    "lora_transformer_": "transformer",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
}
KOHYA_OLD = {"lora_te_": "lora_te1_"}


class LoraMismatch(EnfoldError, ValueError):
    """An adapter is for another base model; nothing was changed."""


@dataclass
class Factors:
    """One layer's adapter.

    Attributes:
        parts: "A" (rank, inputs), "B" (outputs, rank) and perhaps "magnitude".
        alpha: the scale is ``alpha / rank``; None: 1.
        keys: part → its key in the file.
    """

    parts: dict[str, Tensor] = field(default_factory=dict)
    alpha: float | None = None
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        return int(self.parts["B"].shape[1])


def sorted_by_layer(
    tensors: Mapping[str, Tensor], models: Mapping[str, nn.Module]
) -> tuple[dict[str, dict[str, Factors]], list[str]]:
    """Return component → layer → its adapter, and the keys that belong to no layer.

    Args:
        tensors: of a file.
        models: component's name → model.

    Raises:
        LoraMismatch: a tensor does not fit its layer, or none has one; each is named with both shapes.
    """
    names = {component: _layers(component, model) for component, model in models.items()}
    found: dict[str, dict[str, Factors]] = {component: {} for component in models}
    lost: list[str] = []
    for key, tensor in tensors.items():
        component, layer, part = _meaning(key, models)
        places = names[component].get(layer, {}) if component in names else {}
        if not places or not part:
            lost.append(key)
        for place, cut in places.items():
            factors = found[component].setdefault(place, Factors())
            factors.keys[part] = key
            if part == "alpha":
                factors.alpha = float(tensor)
            else:
                factors.parts[part] = tensor if cut is None or part == "A" else cut(tensor)
    wrong = [line for component, layers in found.items() for line in _misfits(models[component], layers)]
    if wrong or not any(found.values()):
        lines = wrong + [f"{key} {tuple(tensors[key].shape)}: there is no such layer" for key in lost]
        raise LoraMismatch("the adapter is for another base model:\n  " + "\n  ".join(lines))
    return {component: layers for component, layers in found.items() if layers}, lost


def _meaning(key: str, models: Iterable[str]) -> tuple[str, str, str]:
    """Return the component, the layer's name and the part that a key means; empty where it means none."""
    found = ((part, re.subn(end + "$", left, key)) for end, left, part in ENDS)
    part, (layer, _) = next((one for one in found if one[1][1]), ("", ("", 0)))
    if not part:
        return "", "", ""
    for old, new in KOHYA_OLD.items():
        layer = layer.replace(old, new, 1) if layer.startswith(old) else layer
    denoiser = "unet" if "unet" in models else "transformer"
    for lead, component in KOHYA.items():
        if layer.startswith(lead):
            return (denoiser if component == "unet" else component), layer, part
    layer = layer.removeprefix("base_model.model.").removeprefix("diffusion_model.")
    component, _, rest = layer.partition(".")
    if component not in models:
        return (denoiser, layer, part) if "text_encoder" not in component else ("", "", "")
    if component != denoiser:
        for name, other in TEXT.items():
            rest = rest.removesuffix(f".{name}") + f".{other}" if rest.endswith(f".{name}") else rest
    return component, rest.removeprefix("base_model.model."), part


def _layers(component: str, model: nn.Module) -> dict[str, dict[str, Cut | None]]:
    """Return what layers may be called in files → their names in a model, with their rows of the second factor."""
    rows, cuts = rows_of(model), cuts_of(model)
    found: dict[str, dict[str, Cut | None]] = {}
    leads = [lead for lead, one in KOHYA.items() if one == component or (one == "unet" and component == "transformer")]
    for path in _plain_names(model):
        names = [path, path.removeprefix("text_model."), f"text_model.{path}"]
        found.update({name: {path: None} for name in names})
        found.update({lead + path.replace(".", "_"): {path: None} for lead in leads})
        original = original_name(path, rows)
        if original != path:
            for name in (original, *(lead + original.replace(".", "_") for lead in leads)):
                found.setdefault(name, {})[path] = cut_of(path, cuts)
    return found


def _plain_names(model: nn.Module) -> list[str]:
    """Return the names of layers as they are without adapters around them."""
    names = (name for name, module in model.named_modules() if name and ".lora_" not in name)
    return list(dict.fromkeys(name.replace(".base_layer", "") for name in names))


def _misfits(model: nn.Module, layers: dict[str, Factors]) -> Iterable[str]:
    """Yield a line for each tensor that does not fit its layer; 1×1 convolutions and linear layers change places."""
    for path, factors in layers.items():
        weight = getattr(model.get_submodule(path), "weight", None)
        parts = factors.parts
        if weight is None or not {"A", "B"} <= {*parts}:
            have = ", ".join(factors.keys.values())
            yield f"{have}: {path} needs both factors, and to be a layer with a weight"
            continue
        rank = parts["A"].shape[0]
        tail = (1,) * (weight.dim() - 2)
        wanted = {"A": (rank, *weight.shape[1:]), "B": (weight.shape[0], rank, *tail)}
        for part, shape in wanted.items():
            if _sides(parts[part].shape) == _sides(shape):
                parts[part] = parts[part].reshape(shape)
            else:
                yield f"{factors.keys[part]}: {tuple(parts[part].shape)} in the file, {shape} in the model"
        if "magnitude" in parts:
            parts["magnitude"] = parts["magnitude"].reshape((1, -1, *tail) if tail else (-1,))


def _sides(shape: Iterable[int]) -> list[int]:
    """Return a shape without the sides that are 1."""
    return [side for side in shape if side != 1]

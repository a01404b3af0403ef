"""The card beside an adapter: README.md with a block of metadata."""

from __future__ import annotations

import os
from typing import Any

from enfold.peft.config import PEFT_VERSION, PeftConfig

__all__ = ["write_card"]


def write_card(folder: str, config: PeftConfig | None, base: str | None) -> None:
    """Write README.md into ``folder``, or fill in the metadata that the one there lacks; its text stays as it is.

    Args:
        folder: of the adapter.
        config: of the adapter.
        base: name of the base model, where the configuration does not say it.
    """
    from enfold.hub import ModelCard, ModelCardData

    path = os.path.join(folder, "README.md")
    base = (config.base_model_name_or_path if config is not None else None) or base
    kind = str(getattr(config, "kind", None) or "adapter").lower()
    if os.path.exists(path):
        card: Any = ModelCard.load(path, ignore_metadata_errors=True)
    else:
        of = f" for `{base}`" if base else ""
        text = f"# Adapter ({kind}){of}\n\nLoad it with `PeftModel.from_pretrained`.\n"
        text += f"\n### Framework versions\n\n- PEFT {PEFT_VERSION}\n"
        card = ModelCard.from_template(ModelCardData(), template_str="---\n{{ card_data }}\n---\n\n" + text)
    data = card.data
    data.library_name = "peft"
    if base:
        data.base_model = base
    tags = [kind, "transformers", *([f"base_model:adapter:{base}"] if base else [])]
    data.tags = sorted({*(data.tags or ()), *tags})
    os.makedirs(folder, exist_ok=True)
    card.save(path + ".tmp")
    os.replace(path + ".tmp", path)

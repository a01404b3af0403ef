"""How much memory a model takes, from its configuration alone."""

from __future__ import annotations

from collections.abc import Iterable

from enfold.errors import EnfoldError

__all__ = ["estimate"]

# Bytes of a parameter.
_BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "int8": 1.0, "int4": 0.5}


def estimate(name: str, dtypes: Iterable[str], trust_remote_code: bool = False) -> list[tuple[str, str, str, str]]:
    """Return for each type: its name, the largest layer, the whole model, and training with Adam.

    Training holds weights, gradients and two moments, of which a type of fewer than two bytes offers none.

    Args:
        name: repository, or a folder with a ``config.json``.
        dtypes: of ``"float32"``, ``"float16"``, ``"bfloat16"``, ``"int8"`` and ``"int4"``.
        trust_remote_code: read a configuration by the repository's own code.
    """
    from enfold.accelerate.sizes import calculate_maximum_sizes
    from enfold.checkpoints.empty import without_weights
    from enfold.transformers import AutoConfig, AutoModel

    for dtype in dtypes:
        if dtype not in _BYTES:
            raise EnfoldError(f"{dtype!r} is no type to estimate; expected {', '.join(_BYTES)}")
    config = AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
    with without_weights():
        model = AutoModel.from_config(config)
    whole, (largest, _) = calculate_maximum_sizes(model.float())
    rows = []
    for dtype in dtypes:
        share = _BYTES[dtype] / 4
        training = size_text(whole * share * 4) if _BYTES[dtype] >= 2 else "-"
        rows.append((dtype, size_text(largest * share), size_text(whole * share), training))
    return rows


def size_text(size: float) -> str:
    """Return bytes as a reader likes them.

    Example:
        >>> size_text(2048), size_text(413 * 2**20)
        ('2.0 KB', '413.0 MB')
    """
    for unit in ("bytes", "KB", "MB", "GB", "TB"):
        if size < 1024 or unit == "TB":
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return ""

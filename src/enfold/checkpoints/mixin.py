"""The mixin of models of one's own, for torch modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from enfold.checkpoints.files import find_weights
from enfold.checkpoints.read import read_state_dict
from enfold.checkpoints.write import save
from enfold.hub.fetch import find_file
from enfold.hub.mixin import ModelHubMixin

__all__ = ["PyTorchModelHubMixin"]

SAFETENSORS, BIN = "model.safetensors", "pytorch_model.bin"


class PyTorchModelHubMixin(ModelHubMixin, tags=["pytorch_model_hub_mixin"]):
    """``save_pretrained``, ``from_pretrained`` and ``push_to_hub`` for a ``torch.nn.Module`` of one's own.

    Example:
        >>> import tempfile, torch
        >>> class Line(torch.nn.Module, PyTorchModelHubMixin):
        ...     def __init__(self, width: int = 2) -> None:
        ...         super().__init__()
        ...         self.layer = torch.nn.Linear(width, 1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Line(width=3).save_pretrained(folder)
        ...     Line.from_pretrained(folder).layer.in_features
        3
    """

    def _save_pretrained(self, save_directory: Path) -> None:
        save(getattr(self, "module", self), save_directory)  # type: ignore[arg-type]

    @classmethod
    def _from_pretrained(
        cls, *, model_id: str, map_location: Any = "cpu", strict: bool = False, **arguments: Any
    ) -> Any:
        """Return the model, built with its arguments, in evaluation mode.

        Args:
            model_id: a folder or a repository's id.
            map_location: where the weights go.
            strict: refuse weights that are missing or too many.
            arguments: where files are found, and arguments of the constructor.
        """
        places = ("revision", "cache_dir", "force_download", "local_files_only", "token")
        where = {name: arguments.pop(name) for name in places if arguments.get(name) is not None}
        for name in places:
            arguments.pop(name, None)
        model = cls(**arguments)
        if Path(model_id).is_dir():
            weights = read_state_dict(*find_weights(model_id))
        else:
            path = find_file(model_id, SAFETENSORS, required=False, **where) or find_file(model_id, BIN, **where)
            assert path is not None  # a required file is found or the search raises
            weights = read_state_dict(path)
        model.load_state_dict(weights, strict=strict)
        return model.to(map_location).eval()

"""Adapters of a model into folders and repositories: configuration, weights and a card."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from torch import nn

from enfold.peft.cards import write_card
from enfold.peft.config import PEFT_VERSION, PeftConfig
from enfold.peft.weights import get_peft_model_state_dict, save_adapter_file

__all__ = ["Sharing"]


class Sharing(nn.Module):
    """Writing and uploading what :class:`~enfold.peft.PeftModel` holds."""

    base_model: Any

    @property
    def peft_config(self) -> dict[str, PeftConfig]:
        """Adapter name → configuration."""
        raise NotImplementedError

    @property
    def active_peft_config(self) -> PeftConfig:
        """The configuration of the (first) active adapter."""
        raise NotImplementedError

    def get_base_model(self) -> nn.Module:
        """Return the model without adapters around it."""
        raise NotImplementedError

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        safe_serialization: bool = True,
        selected_adapters: list[str] | None = None,
        save_embedding_layers: bool | str = "auto",
        is_main_process: bool = True,
        **kwargs: Any,
    ) -> None:
        """Write adapters: configuration, weights and a card; the one named "default" at the root.

        Args:
            save_directory: folder; any other adapter goes into a folder of its own name inside it.
            safe_serialization: safetensors, or a ``.bin`` file otherwise.
            selected_adapters: which adapters; None for all.
            save_embedding_layers: as in :func:`get_peft_model_state_dict`.
            is_main_process: only the main process of several writes.
            kwargs: ``state_dict`` to take the values from; ``push_to_hub``, ``repo_id``, ``token`` and ``private``.
        """
        root = os.fspath(save_directory)
        if os.path.isfile(root):
            raise ValueError(f"{root} is a file; a folder was expected")
        names = list(self.peft_config) if selected_adapters is None else selected_adapters
        self.base_model._check_names(names)
        if not is_main_process:
            return
        for name in names:
            folder = root if name == "default" else os.path.join(root, name)
            os.makedirs(folder, exist_ok=True)
            tensors = get_peft_model_state_dict(
                self, kwargs.get("state_dict"), name, save_embedding_layers=save_embedding_layers
            )
            save_adapter_file(tensors, folder, safe_serialization)
            config = self.peft_config[name]
            base = config.base_model_name_or_path or self._base_name()
            mapping = config.auto_mapping
            if config.task_type is None:
                kind = type(self.get_base_model())
                mapping = {"base_model_class": kind.__name__, "parent_library": kind.__module__}
            config.save_pretrained(
                folder,
                inference_mode=True,
                base_model_name_or_path=base,
                auto_mapping=mapping,
                peft_version=PEFT_VERSION,
            )
        self.create_or_update_model_card(root)
        if kwargs.get("push_to_hub"):
            repo = kwargs.get("repo_id") or os.path.basename(os.path.normpath(root))
            _upload(root, repo, kwargs.get("token"), kwargs.get("private"), None, "Upload adapter", None)

    def create_or_update_model_card(self, output_dir: str | os.PathLike[str]) -> None:
        """Write README.md into a folder, or fill in what one that is there lacks: base model, library, tags."""
        write_card(os.fspath(output_dir), self.active_peft_config, self._base_name())

    def _base_name(self) -> str | None:
        model = self.get_base_model()
        name = vars(model).get("name_or_path") or getattr(getattr(model, "config", None), "_name_or_path", None)
        return name or None

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        commit_description: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Save into a temporary folder and upload it to the repository ``repo_id``, made if need be.

        Returns:
            What the Hub answers about the commit.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, **kwargs)
            return _upload(
                folder, repo_id, token, private, revision, commit_message or "Upload adapter", commit_description
            )


def _upload(
    folder: str,
    repo_id: str,
    token: str | bool | None,
    private: bool | None,
    revision: str | None,
    message: str,
    description: str | None,
) -> Any:
    from enfold.hub import HfApi

    api = HfApi(token=token)
    made = api.create_repo(repo_id, private=private, exist_ok=True)
    return api.upload_folder(
        repo_id=getattr(made, "repo_id", None) or repo_id,
        folder_path=folder,
        revision=revision,
        commit_message=message,
        commit_description=description,
    )

"""The base of all models that onnxruntime runs: found or exported, run like any other model, saved and shared."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from enfold.errors import EnfoldError, nearest
from enfold.hub.errors import FileNotFoundInSource
from enfold.hub.fetch import find_file
from enfold.log import get_logger
from enfold.optimum.onnxruntime.sessions import GPU, Session, device_of
from enfold.optimum.runtimes.model import RuntimeModel
from enfold.transformers.config import AutoConfig, PretrainedConfig
from enfold.transformers.sharing import split_fetch_arguments

__all__ = ["ORTModel"]

logger = get_logger(__name__)

FOLDERS = ("", "onnx")  # where repositories keep their graphs
# Accepted and without effect: tensors always share memory with the runtime, and old spellings.
IGNORED = ("use_io_binding", "model_save_dir", "library_name", "use_auth_token", "_from_transformers", "use_merged")


class ORTModel(RuntimeModel):
    """A model that onnxruntime runs.

    Args:
        sessions: name of a graph → its session.
        config: the model's configuration.
        folder: keeps exported files alive; a ``TemporaryDirectory``.
    """

    base_model_prefix: ClassVar[str] = "onnx_model"
    framework: ClassVar[str] = "pt"

    def __init__(self, sessions: dict[str, Session], config: PretrainedConfig, folder: Any = None) -> None:
        super().__init__(config)
        self.sessions, self._folder = sessions, folder

    # --- from files

    @classmethod
    def from_pretrained(
        cls,
        model_id: str | os.PathLike[str],
        config: PretrainedConfig | None = None,
        export: bool | None = None,
        file_name: str | None = None,
        provider: str = "CPUExecutionProvider",
        providers: list[str] | None = None,
        session_options: Any = None,
        provider_options: dict[str, Any] | None = None,
        trust_remote_code: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return a model of a folder or repository.

        Args:
            model_id: a folder, or a repository's id; of ONNX files, or of weights, which are exported first.
            config: instead of the one that lies there.
            export: True exports the weights; False takes the ONNX files; None exports where there are none.
            file_name: of the graph, where it is not the usual one: ``"model_quantized.onnx"``.
            provider: ``"CPUExecutionProvider"``, ``"CUDAExecutionProvider"``, ``"TensorrtExecutionProvider"``, ….
            providers: the same as a list, of which the first counts.
            session_options: ``onnxruntime.SessionOptions``.
            provider_options: of the provider.
            trust_remote_code: let the repository's own classes run while exporting.
            kwargs: where to look (``subfolder``, ``revision``, ``cache_dir``, ``token``, ``local_files_only``,
                ``force_download``); while exporting ``dtype`` and fields of the configuration.

        Raises:
            ProviderError: when onnxruntime lacks the provider.
            OSError: when there is no such graph, or no such repository.

        Example:
            >>> model = ORTModelForSequenceClassification.from_pretrained(
            ...     "distilbert/distilbert-base-uncased-finetuned-sst-2-english")  # doctest: +SKIP
        """
        for name in (*IGNORED, "from_transformers"):
            given = kwargs.pop(name, None)
            if name == "from_transformers" and given is not None:
                export = given
        use_cache = kwargs.pop("use_cache", True)
        where, rest = split_fetch_arguments(kwargs)
        provider = providers[0] if providers else provider
        device_of(provider)
        if config is None:
            config = AutoConfig.from_pretrained(model_id, trust_remote_code=trust_remote_code, **where)
        files = {} if export else cls._find(model_id, file_name, where)
        folder = None
        if not files:
            if export is False or file_name is not None:
                wanted = file_name or f"{cls.parts[0]}.onnx"
                raise FileNotFoundInSource(
                    f"{model_id!s} has no {wanted}{_there(model_id)}; export=True makes one from its weights"
                )
            folder = tempfile.TemporaryDirectory(prefix="enfold-onnx-")
            files = cls._export(model_id, config, Path(folder.name), use_cache, trust_remote_code, where, rest)
        elif rest:
            name = next(iter(rest))
            raise EnfoldError(f"from_pretrained does not take {name!r}{nearest(name, _ARGUMENTS)}")
        config.name_or_path = str(model_id)
        sessions = {name: Session(path, provider, session_options, provider_options) for name, path in files.items()}
        model = cls(sessions, config, folder)
        model._read_generation(model_id, where)
        return model

    @classmethod
    def _find(cls, source: Any, file_name: str | None, where: dict[str, Any]) -> dict[str, Path]:
        """Return name of a graph → file; nothing where one that is needed is missing."""
        places = [where["subfolder"]] if where.get("subfolder") else list(FOLDERS)
        rest = {name: value for name, value in where.items() if name != "subfolder"}
        for place in places:
            found: dict[str, Path] = {}
            for part in (*cls.parts, *cls.further_parts):
                name = file_name if file_name is not None and part == cls.parts[0] else f"{part}.onnx"
                path = find_file(source, name, subfolder=place, required=False, **rest)
                if path is None:
                    if part in cls.parts:
                        break
                    continue
                find_file(source, f"{name}_data", subfolder=place, required=False, **rest)  # large weights lie beside
                found[part] = Path(path)
            else:
                return found
        return {}

    @classmethod
    def _export(
        cls, source: Any, config: Any, folder: Path, use_cache: bool, trust: bool, where: Any, rest: dict[str, Any]
    ) -> dict[str, Path]:
        from enfold.optimum.exporters.onnx.main import onnx_export_from_model

        logger.info("exporting %s for %s", source, cls.task)
        model = cls._torch_model(source, config, trust, **rest, **where)
        made = onnx_export_from_model(model, folder, task=cls._export_task(use_cache), do_validation=False)
        return {path.stem: path for path in made}

    def _save_graphs(self, folder: Path) -> None:
        for session in self.sessions.values():
            for path in (session.path, session.path.with_name(f"{session.path.name}_data")):
                target = folder / path.name
                if path.exists() and not (target.exists() and target.samefile(path)):
                    temporary = target.with_name(f".{target.name}.part")
                    shutil.copyfile(path, temporary)
                    temporary.replace(target)

    # --- what other models have, too

    @property
    def session(self) -> Session:
        """The first graph's session."""
        return next(iter(self.sessions.values()))

    @property
    def model(self) -> Any:
        """onnxruntime's own session of the first graph."""
        return self.session.session

    @property
    def device(self) -> torch.device:
        """Where inputs are taken to."""
        return self.session.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the outputs."""
        kinds = [kind for session in self.sessions.values() for kind in session.inputs.values()]
        return next((kind for kind in kinds if kind.is_floating_point), torch.float32)

    @property
    def providers(self) -> list[str]:
        """The execution providers of the session, in their order."""
        return list(self.model.get_providers())

    def to(self, device: Any = None, *_: Any, **__: Any) -> Any:
        """Return the model; it is where its provider is.

        Raises:
            EnfoldError: for another kind of device.
        """
        if isinstance(device, str | int | torch.device):
            kind = torch.device(device).type if device != -1 else "cpu"
            if kind != self.device.type:
                names = " or ".join(GPU[:2]) if kind == "cuda" else "CPUExecutionProvider"
                raise EnfoldError(
                    f"the model runs on {self.device.type}; to run it on {kind} load it with provider={names!r}"
                )
        return self

    def input_names(self, part: str) -> list[str]:
        """Return what a graph takes, in its order."""
        return list(self.sessions[part].inputs)

    def answer(self, given: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Run the first graph and return its outputs: name → tensor, in the runtime's memory."""
        return self.session(self.completed(self.parts[0], given))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(str(s.path.name) for s in self.sessions.values())})"


_ARGUMENTS = (
    "config export file_name provider providers session_options provider_options trust_remote_code subfolder revision "
    "cache_dir token local_files_only force_download use_cache use_io_binding"
).split()


def _there(source: Any) -> str:
    """Return what ONNX files a folder has, for an error."""
    if not os.path.isdir(source):
        return ""
    found = sorted(str(path.relative_to(source)) for path in Path(source).rglob("*.onnx"))
    return f"; it has {', '.join(found)}" if found else ""

"""From a name on the command line to a model that is served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from enfold.errors import EnfoldError
from enfold.serving.keys import Keys
from enfold.serving.limits import Limits
from enfold.serving.service import Service
from enfold.serving.text import TextModel, Writer

__all__ = ["add_text_model", "build_service", "split_source"]


def split_source(source: str) -> tuple[str, str, str | None]:
    """Return name, place and GGUF file of ``[NAME=]PLACE``, where PLACE is a folder, a file or a repository's id.

    Example:
        >>> split_source("small=models/x"), split_source("org/model")
        (('small', 'models/x', None), ('org/model', 'org/model', None))
        >>> split_source("org/model:weights.gguf")
        ('org/model', 'org/model', 'weights.gguf')
    """
    name, separator, place = source.partition("=")
    if not separator:
        name, place = "", source
    file = None
    if place.endswith(".gguf"):
        head, colon, tail = place.rpartition(":")
        place, file = (
            (head, tail) if colon and not Path(place).exists() else (str(Path(place).parent), Path(place).name)
        )
    if not name:
        name = Path(place).resolve().name if Path(place).exists() else place
    return name, place, file


def add_text_model(
    service: Service,
    source: str,
    *,
    adapters: Mapping[str, str] | None = None,
    dtype: str = "auto",
    device: str = "cpu",
    revision: str | None = None,
    trust_remote_code: bool = False,
    chat_template: str | None = None,
    **options: Any,
) -> TextModel:
    """Load a decoder with its tokenizer and serve it; its adapters are served under names of their own.

    Args:
        service: that it is added to.
        source: ``[NAME=]PLACE``; a GGUF file is ``PLACE:FILE.gguf`` or its path.
        adapters: name → PEFT folder or repository.
        dtype: of the weights; "auto" as they are stored.
        device: where it computes.
        revision: of a repository.
        trust_remote_code: run code of the repository.
        chat_template: a template instead of the model's, as text or as a file's path.
        options: fields of ``EngineConfig``.

    Returns:
        The model.

    Raises:
        EnfoldError: for a model that cannot be served.
    """
    from enfold.transformers import AutoModelForCausalLM, AutoTokenizer

    name, place, file = split_source(source)
    how: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code, "gguf_file": file}
    how = {key: value for key, value in how.items() if value}
    tokenizer = AutoTokenizer.from_pretrained(place, **how)
    if chat_template is not None:
        path = Path(chat_template)
        tokenizer.chat_template = path.read_text("utf-8") if "{" not in chat_template else chat_template
    model = AutoModelForCausalLM.from_pretrained(place, dtype=dtype, **how).to(device)
    for other in adapters or {}:
        if other in service.models or other == name:
            raise EnfoldError(f"the adapter's name {other!r} is taken by a model")
    writer = Writer(model, tokenizer, service.limits, service.metrics, adapters, **options)
    served = TextModel(name, writer)
    service.add(served, *(TextModel(other, writer, other, parent=name) for other in adapters or {}))
    return served


def build_service(
    models: Sequence[str],
    adapters: Mapping[str, str] | None = None,
    loading: Mapping[str, Any] | None = None,
    keys: Sequence[str] = (),
    limits: Mapping[str, Any] | None = None,
    engine: Mapping[str, Any] | None = None,
    threads: int | None = None,
    page: bool = True,
) -> Service:
    """Load models and return the service that serves them, each by what it does.

    Args:
        models: ``[NAME=]PLACE`` of each.
        adapters: of the first model, name → PEFT folder.
        loading: as for :func:`add_text_model`.
        keys: that callers need.
        limits: fields of :class:`Limits`.
        engine: fields of ``EngineConfig``.
        threads: that torch computes with; None leaves it alone.
        page: show a page to chat with at the root.

    Raises:
        EnfoldError: for a model that cannot be served.
    """
    from enfold.serving.readers import kind_of, load_reader

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    how = dict(loading or {})
    bounds = Limits(**(limits or {}))
    service = Service(keys=Keys(keys, bounds.per_key), limits=bounds, page=page)
    for index, source in enumerate(models):
        name, place, file = split_source(source)
        if file is not None or kind_of(place) == "text":
            put = adapters if index == 0 else None
            add_text_model(service, source, adapters=put, **how, **(engine or {}))
        elif adapters and index == 0:
            raise EnfoldError(f"adapters are for a model that writes, which {name!r} is not")
        else:
            dtype = None if how.get("dtype") == "auto" else how.get("dtype")
            service.add(load_reader(place, name, dtype=dtype, device=how.get("device")))
    return service

"""AutoTokenizer: which tokenizer class a checkpoint's files call for."""

from __future__ import annotations

import os
from typing import Any

from enfold.errors import nearest
from enfold.log import get_logger
from enfold.transformers import tokenization
from enfold.transformers.registry import MODELS, TOKENIZERS
from enfold.transformers.sharing import split_fetch_arguments
from enfold.transformers.tokenization import files, foreign
from enfold.transformers.tokenization.fast import PreTrainedTokenizerFast
from enfold.transformers.tokenization.names import homes

__all__ = ["TOKENIZER_MAPPING", "AutoTokenizer"]

logger = get_logger(__name__)

# what configurations call a tokenizer of no named family
_OTHER_NAMES = {
    "PreTrainedTokenizer": "PreTrainedTokenizerFast",
    "RustBackend": "PreTrainedTokenizerFast",
    "Qwen3_5Tokenizer": "PreTrainedTokenizerFast",
}
# configuration class → (tokenizer class, fast tokenizer class), as registered by users
TOKENIZER_MAPPING: dict[Any, tuple[Any, Any]] = {}


class AutoTokenizer:
    """Loads the tokenizer that a checkpoint was made with."""

    def __init__(self) -> None:
        raise OSError("AutoTokenizer is not built directly: use AutoTokenizer.from_pretrained(name_or_folder)")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], *inputs: Any, **kwargs: Any) -> Any:
        """Load the tokenizer of a local folder or a repository.

        The class is the one that ``tokenizer_config.json`` names; without a name, the one of the ``model_type`` in
        ``config.json``; without either, a plain one for its tokenizer.json.

        Args:
            pretrained_model_name_or_path: folder, or repository id.
            inputs: passed to the class.
            kwargs: ``subfolder``, ``revision``, ``cache_dir``, ``token``, ``local_files_only``, ``force_download``;
                ``config`` (a model configuration whose type decides), ``tokenizer_type`` (a model type that decides);
                ``gguf_file``, the name of a GGUF file to read the tokenizer from; ``trust_remote_code``, which runs a
                class that the repository brings along; ``use_fast`` is accepted; everything else overrides the
                checkpoint's settings.

        Raises:
            OSError: no such folder or repository, or no tokenizer in it.
            ValueError: an unknown ``tokenizer_type``.

        Example:
            >>> tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")  # doctest: +SKIP
            >>> tokenizer("Hello").tokens()  # doctest: +SKIP
            ['[CLS]', 'hello', '[SEP]']
        """
        config = kwargs.pop("config", None)
        wanted = kwargs.pop("tokenizer_type", None)
        gguf = kwargs.pop("gguf_file", None)
        trust, code_revision = kwargs.pop("trust_remote_code", None), kwargs.pop("code_revision", None)
        where, rest = split_fetch_arguments(kwargs)
        if gguf is not None:
            from enfold.transformers.gguf import open_gguf
            from enfold.transformers.tokenization.gguf import tokenizer_of

            rest.pop("use_fast", None)
            return tokenizer_of(open_gguf(pretrained_model_name_or_path, gguf, **where), **rest)
        source = files.Source(pretrained_model_name_or_path, where)
        if os.path.isfile(pretrained_model_name_or_path):
            return PreTrainedTokenizerFast.from_pretrained(pretrained_model_name_or_path, *inputs, **kwargs)
        if wanted is not None:
            if wanted not in TOKENIZERS:
                raise ValueError(f"no tokenizer for the model type {wanted!r}{nearest(wanted, TOKENIZERS)}")
            found = _by_name(TOKENIZERS[wanted])
        elif config is not None and type(config) in TOKENIZER_MAPPING:
            found = next(made for made in reversed(TOKENIZER_MAPPING[type(config)]) if made is not None)
        elif trust and _brought(source):
            from enfold.transformers.remote import remote_class

            name = pretrained_model_name_or_path
            found = remote_class(_brought(source), "AutoTokenizer", name, trust, code_revision, **where)
        else:
            found = _choose(source, getattr(config, "model_type", None))
        return found.from_pretrained(pretrained_model_name_or_path, *inputs, _source=source, **kwargs)

    @staticmethod
    def register(
        config_class: Any,
        tokenizer_class: Any = None,
        slow_tokenizer_class: Any = None,
        fast_tokenizer_class: Any = None,
        exist_ok: bool = False,
    ) -> None:
        """Use a tokenizer class for a configuration class.

        Args:
            config_class: the configuration, whose ``model_type`` is in its checkpoints' config.json.
            tokenizer_class: the tokenizer; ``slow_tokenizer_class`` and ``fast_tokenizer_class`` name it too.
            exist_ok: replace a class registered before.

        Raises:
            ValueError: no class given, or one is registered already.
        """
        slow, fast = slow_tokenizer_class or tokenizer_class, fast_tokenizer_class
        if slow is None and fast is None:
            raise ValueError("give tokenizer_class")
        if config_class in TOKENIZER_MAPPING and not exist_ok:
            raise ValueError(f"{config_class.__name__} has a tokenizer already; pass exist_ok=True to replace it")
        TOKENIZER_MAPPING[config_class] = (slow, fast)


def _by_name(name: str) -> Any:
    registered = {made.__name__: made for pair in TOKENIZER_MAPPING.values() for made in pair if made is not None}
    if name in registered:
        return registered[name]
    name = _OTHER_NAMES.get(name, name)
    known = next((spelled for spelled in (name, name.removesuffix("Fast")) if spelled in homes()), None)
    return None if known is None else getattr(tokenization, known)


def _choose(source: files.Source, model_type: str | None) -> Any:
    name = source.config().get("tokenizer_class")
    if name:
        found = _by_name(name)
        if found is not None:
            return found
        if source.find(files.TOKENIZER) is not None:
            logger.info("no class of its own for %s: its tokenizer.json says everything", name)
            return PreTrainedTokenizerFast
        if foreign.find(source) is not None:
            return PreTrainedTokenizerFast
        if _brought(source):
            from enfold.transformers.remote import remote_class

            remote_class(_brought(source), "AutoTokenizer", source.name, False)  # says why it is not run
        raise files.NoTokenizer(
            f"{source.name!r} asks for the tokenizer class {name!r}{nearest(name, homes())}, which is not "
            f"here, and has no {files.TOKENIZER}"
        )
    if model_type is None:
        model_type = (source.json("config.json") or {}).get("model_type")
    for config_class, pair in TOKENIZER_MAPPING.items():
        if model_type is not None and getattr(config_class, "model_type", None) == model_type:
            return next(made for made in reversed(pair) if made is not None)
    if model_type in TOKENIZERS:
        if source.find(files.TOKENIZER) is None and source.find("tekken.json") is not None:
            return PreTrainedTokenizerFast
        return _by_name(TOKENIZERS[model_type])
    if source.find(files.TOKENIZER) is not None:
        return PreTrainedTokenizerFast
    if source.find("vocab.txt") is not None:
        return _by_name("BertTokenizer")
    if source.find("merges.txt") is not None:
        return _by_name("GPT2Tokenizer")
    if foreign.find(source) is not None:
        return PreTrainedTokenizerFast
    hint = nearest(model_type, MODELS) if model_type else ""
    raise files.NoTokenizer(
        f"{source.name!r} holds no tokenizer: looked for {files.TOKENIZER}, vocab.txt, vocab.json with merges.txt, "
        f"{', '.join(foreign.NAMES)}, and "
        f"a model type with a tokenizer (found {model_type!r}{hint})"
    )


def _brought(source: files.Source) -> Any:
    """Return the class of its own that a checkpoint's ``auto_map`` names, or None."""
    entry = source.config().get("auto_map") or {}
    return entry.get("AutoTokenizer") if isinstance(entry, dict) else entry

"""A tokenizer's files: finding and reading them, in every layout that repositories have, and writing them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from enfold.errors import EnfoldError
from enfold.tokenizers import AddedToken
from enfold.transformers.sharing import split_fetch_arguments
from enfold.transformers.tokenization import foreign
from enfold.transformers.tokenization.special import SPECIAL_TOKENS, as_token

__all__ = ["NoTokenizer", "Source", "add_listed_tokens", "as_templates", "load", "save"]

CONFIG = "tokenizer_config.json"
TOKENIZER = "tokenizer.json"
SPECIAL = "special_tokens_map.json"
ADDED = "added_tokens.json"
TEMPLATE = "chat_template.jinja"
TEMPLATES = "additional_chat_templates"
_TEMPLATE_NAME = re.compile(r"\w[\w. -]*")
_FIELDS = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
# Recorded in configurations by other programs, without meaning for a tokenizer.
_NOTES = (
    "tokenizer_class",
    "auto_map",
    "special_tokens_map_file",
    "tokenizer_file",
    "backend",
    "is_local",
    "processor_class",
)


class NoTokenizer(EnfoldError, OSError):
    """A folder or a repository holds no tokenizer files."""


class Source:
    """A folder or a repository, and how to reach it.

    Args:
        name: a local folder, or a repository's id.
        where: arguments of ``find_file``.
    """

    def __init__(self, name: str | os.PathLike[str], where: Mapping[str, Any]) -> None:
        self.name = os.fspath(name)
        self.where = dict(where)

    def find(self, filename: str) -> str | None:
        """Return the path of a file, or None when the source has none of that name."""
        from enfold.hub.fetch import find_file

        return find_file(self.name, filename, required=False, **self.where)

    def json(self, filename: str) -> Any:
        """Return what a JSON file holds, or None when there is none."""
        path = self.find(filename)
        if path is None:
            return None
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def named_templates(self) -> dict[str, str]:
        """Return name → template for the files of the folder additional_chat_templates."""
        found: dict[str, str] = {}
        root = os.path.join(self.name, self.where.get("subfolder") or "", TEMPLATES)
        if os.path.isdir(root):
            names = sorted(name for name in os.listdir(root) if name.endswith(".jinja"))
        elif os.path.isdir(self.name):
            names = []
        else:
            # a repository cannot be listed offline: the two names that checkpoints use are asked for
            names = ["tool_use.jinja", "rag.jinja"] if self.find(TEMPLATE) is not None else []
        for name in names:
            path = self.find(f"{TEMPLATES}/{name}")
            if path is not None:
                with open(path, encoding="utf-8") as file:
                    found[name.removesuffix(".jinja")] = file.read()
        return found

    def config(self) -> dict[str, Any]:
        """Return the tokenizer's configuration."""
        return self.json(CONFIG) or {}


def as_templates(value: Any) -> Any:
    """Return a chat template as text, or as name → text where a configuration lists several."""
    if isinstance(value, list | tuple):
        return {entry["name"]: entry["template"] for entry in value}
    return value


def add_listed_tokens(core: Any, listed: Mapping[Any, Any]) -> None:
    """Add the tokens of an ``added_tokens_decoder`` that the core does not know as added yet, by id."""
    known = {token.content for token in core.get_added_tokens_decoder().values()}
    for id, value in sorted(listed.items(), key=lambda item: int(item[0])):
        token = as_token(value, special=False)
        token = AddedToken(token, special=False) if isinstance(token, str) else token
        if token.content in known:
            continue
        if hasattr(core, "place"):
            core.place(token, int(id))
        else:
            (core.add_special_tokens if token.special else core.add_tokens)([token])


def load(cls: Any, name: str | os.PathLike[str], inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Make a tokenizer of class ``cls`` from the files of a folder, a repository, or one tokenizer.json."""
    where, overrides = split_fetch_arguments(kwargs)
    for key in ("use_fast", "trust_remote_code", "tokenizer_type", "config", "_source", "legacy_format"):
        overrides.pop(key, None)
    if os.path.isfile(name):
        if not cls.needed_files and (foreign.is_tekken(name) or not os.fspath(name).endswith(".json")):
            core, tokens = foreign.read(name, overrides)
            return cls(*inputs, tokenizer_object=core, **{**tokens, **overrides})
        if not os.fspath(name).endswith(".json"):
            return cls(os.fspath(name), *inputs, **overrides)
        return cls(*inputs, tokenizer_file=os.fspath(name), **overrides)
    source = kwargs.get("_source") or Source(name, where)
    settings = source.config()
    for key in (*_NOTES, "name_or_path", "vocab_file", "merges_file"):
        settings.pop(key, None)
    for key in list(settings):
        if key.endswith("_token") and isinstance(settings[key], dict):
            settings[key] = as_token(settings[key])
    for key, value in (source.json(SPECIAL) or {}).items():
        if key in ("additional_special_tokens", "extra_special_tokens"):
            if not settings.get("extra_special_tokens"):
                settings.setdefault(key, value)
        else:
            settings[key] = as_token(value)
    template = source.find(TEMPLATE)
    if template is not None:
        with open(template, encoding="utf-8") as file:
            settings["chat_template"] = file.read()
    more = source.named_templates()
    if more:
        own = as_templates(settings.get("chat_template"))
        named = own if isinstance(own, dict) else {} if own is None else {"default": own}
        settings["chat_template"] = {**named, **more}
    settings.update(overrides)
    settings["name_or_path"] = source.name
    found = source.find(TOKENIZER) if "tokenizer_file" in cls.vocab_files_names else None
    if found is not None:
        made = cls(*inputs, tokenizer_file=found, **settings)
    else:
        vocabulary = {key: source.find(file) for key, file in cls.vocab_files_names.items() if key != "tokenizer_file"}
        other = foreign.choose(cls, source, vocabulary)
        if other is not None:
            about = source.json("config.json") or {}
            known = {key: about[key] for key in ("model_type", "vocab_size") if key in about}
            core, tokens = foreign.read(other, {**known, **settings})
            return cls(*inputs, tokenizer_object=core, **{**tokens, **settings})
        if (cls.vocab_files_names and not vocabulary) or any(
            path is None for key, path in vocabulary.items() if key in cls.needed_files
        ):
            wanted = ", ".join([TOKENIZER, *(v for k, v in cls.vocab_files_names.items() if k != "tokenizer_file")])
            raise NoTokenizer(f"{source.name!r} holds no tokenizer for {cls.__name__}: looked for {wanted}")
        made = cls(*inputs, **{key: path for key, path in vocabulary.items() if path}, **settings)
        added = source.json(ADDED)
        if added:
            listed = [AddedToken(token, special=False) for token, _ in sorted(added.items(), key=lambda item: item[1])]
            have = made.added_tokens_encoder
            made.add_tokens([token for token in listed if token.content not in have])
    for key in (*cls.vocab_files_names, "vocab", "merges"):
        made.init_kwargs.pop(key, None)
    return made


def _token_state(token: Any) -> dict[str, Any]:
    return {name: getattr(token, name) for name in _FIELDS}


def _plain(token: Any, tag: bool = False) -> Any:
    """Return a token for a configuration: its text, or with its rules where it was given with rules."""
    if not isinstance(token, AddedToken):
        return token
    state = {name: getattr(token, name) for name in ("content", "lstrip", "normalized", "rstrip", "single_word")}
    return {"__type": "AddedToken", **state, "special": token.special} if tag else state


def save(
    tokenizer: Any, folder: str | os.PathLike[str], prefix: str | None = None, legacy: bool = False
) -> tuple[str, ...]:
    """Write a tokenizer's files into a folder and return their paths.

    Args:
        tokenizer: the tokenizer.
        folder: where to; made when missing.
        prefix: put before each file's name, with a hyphen.
        legacy: write the vocabulary files and added_tokens.json of tokenizers written in Python as well.
    """
    target = os.path.expanduser(os.fspath(folder))
    if os.path.isfile(target):
        raise NotADirectoryError(f"{target!r} is a file; give a folder to save into")
    os.makedirs(target, exist_ok=True)
    config = {
        key: value
        for key, value in tokenizer.init_kwargs.items()
        if key not in ("name_or_path", "tokenizer_object", "tokenizer_file", "added_tokens_decoder", "chat_template")
        and not key.startswith("_")
        and (value is None or isinstance(value, str | int | float | bool | list | dict))
    }
    config["added_tokens_decoder"] = {
        str(id): _token_state(token) for id, token in tokenizer.added_tokens_decoder.items()
    }
    for name, token in tokenizer._special.items():
        config[name] = None if token is None else str(getattr(token, "content", token))
    config["additional_special_tokens"] = [_plain(token, tag=True) for token in tokenizer._extra]
    config.pop("extra_special_tokens", None)
    if not config["additional_special_tokens"]:
        del config["additional_special_tokens"]
    for name in SPECIAL_TOKENS:
        if config.get(name) is None:
            config.pop(name, None)
    config["clean_up_tokenization_spaces"] = tokenizer.clean_up_tokenization_spaces
    config["model_max_length"] = tokenizer.model_max_length
    config["padding_side"] = tokenizer.padding_side
    config["truncation_side"] = tokenizer.truncation_side
    if tokenizer.model_input_names != type(tokenizer).model_input_names:
        config["model_input_names"] = tokenizer.model_input_names
    if getattr(tokenizer, "default_add_bos", False):
        # transformers 5 builds these anew and adds the tokens only when it is told to
        around = [id for id, _ in tokenizer._around(False)]
        config["add_bos_token"] = tokenizer.bos_token_id in around[: around.index("A")]
        config["add_eos_token"] = tokenizer.eos_token_id in around[around.index("A") :]
    name = tokenizer.saved_class or type(tokenizer).__name__
    config["tokenizer_class"] = (
        "PreTrainedTokenizerFast" if name.startswith("PreTrained") else name.removesuffix("Fast")
    )
    template = tokenizer.chat_template
    files = {}
    if isinstance(template, dict):
        for key, value in template.items():
            if key != "default" and not _TEMPLATE_NAME.fullmatch(key):
                raise ValueError(f"the chat template {key!r} is saved under its name, which is no name for a file")
            files[TEMPLATE if key == "default" else f"{TEMPLATES}/{key}.jinja"] = value
        if any(key != "default" for key in template):
            os.makedirs(os.path.join(target, TEMPLATES), exist_ok=True)
    elif template is not None:
        files[TEMPLATE] = template
    special = {key: _plain(token) for key, token in tokenizer._special.items() if token is not None}
    if tokenizer._extra:
        special["additional_special_tokens"] = [_plain(token) for token in tokenizer._extra]
    files[CONFIG] = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    files[SPECIAL] = json.dumps(special, indent=2, ensure_ascii=False) + "\n"
    legacy = legacy or not tokenizer.is_fast
    if tokenizer.is_fast:
        files[TOKENIZER] = tokenizer.backend_tokenizer.to_str(pretty=True)
    if legacy:
        size = tokenizer.vocab_size
        added = {token: id for token, id in tokenizer.added_tokens_encoder.items() if id >= size}
        if added:
            files[ADDED] = json.dumps(added, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    written = list(tokenizer.save_vocabulary(target, prefix)) if legacy else []
    for filename, text in files.items():
        path = os.path.join(target, f"{prefix}-{filename}" if prefix else filename)
        with open(path + ".part", "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(path + ".part", path)
        written.append(path)
    return tuple(written)

"""Where the client keeps things and which Hub it talks to, read from the environment when asked, not at import.

The names are `huggingface_hub.constants`'; ``constants.HF_HUB_CACHE`` and its like are looked up on every access, so a
test or a notebook may set the variable at any time.
"""

from __future__ import annotations

import os
from typing import Any

__all__ = ["endpoint", "hf_home", "hub_cache", "is_offline", "token_path"]

DEFAULT_ENDPOINT = "https://huggingface.co"
DEFAULT_REVISION = "main"
REPO_TYPE_MODEL, REPO_TYPE_DATASET, REPO_TYPE_SPACE = "model", "dataset", "space"
REPO_TYPES = [None, "model", "dataset", "space"]
REPO_TYPES_URL_PREFIXES = {"dataset": "datasets/", "space": "spaces/"}
REPO_TYPES_MAPPING = {"models": "model", "datasets": "dataset", "spaces": "space"}
REPO_ID_SEPARATOR = "--"
HUGGINGFACE_HEADER_X_REPO_COMMIT = "X-Repo-Commit"
HUGGINGFACE_HEADER_X_LINKED_ETAG = "X-Linked-Etag"
HUGGINGFACE_HEADER_X_LINKED_SIZE = "X-Linked-Size"
PYTORCH_WEIGHTS_NAME = "pytorch_model.bin"
TF2_WEIGHTS_NAME, TF_WEIGHTS_NAME, FLAX_WEIGHTS_NAME = "tf_model.h5", "model.ckpt", "flax_model.msgpack"
SAFETENSORS_SINGLE_FILE = "model.safetensors"
SAFETENSORS_INDEX_FILE = "model.safetensors.index.json"
CONFIG_NAME = "config.json"
REPOCARD_NAME = "README.md"
SPACES_SDK_TYPES = ["gradio", "streamlit", "docker", "static"]
DEFAULT_REQUEST_TIMEOUT = 10
DEFAULT_DOWNLOAD_TIMEOUT = 30
DEFAULT_ETAG_TIMEOUT = 10
DOWNLOAD_CHUNK_SIZE = 1 << 20

_YES = {"1", "ON", "YES", "TRUE"}


def flag(name: str) -> bool:
    """Say whether an environment variable says yes."""
    return os.environ.get(name, "").upper() in _YES


def endpoint() -> str:
    """Return the Hub's address: ``HF_ENDPOINT``, or the public Hub."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def hf_home() -> str:
    """Return the folder of tokens and caches: ``HF_HOME``, or ``huggingface`` in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return os.path.expandvars(os.path.expanduser(os.environ.get("HF_HOME") or os.path.join(cache, "huggingface")))


def hub_cache() -> str:
    """Return the folder of downloaded repositories: ``HF_HUB_CACHE``, or ``hub`` in :func:`hf_home`."""
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return os.path.expandvars(os.path.expanduser(given or os.path.join(hf_home(), "hub")))


def token_path() -> str:
    """Return the file of the token that ``login`` saved: ``HF_TOKEN_PATH``, or ``token`` in :func:`hf_home`."""
    return os.path.expanduser(os.environ.get("HF_TOKEN_PATH") or os.path.join(hf_home(), "token"))


def stored_tokens_path() -> str:
    """Return the file of all tokens saved by name."""
    return os.path.join(os.path.dirname(token_path()), "stored_tokens")


def is_offline() -> bool:
    """Say whether the network must not be used: ``HF_HUB_OFFLINE``, or as the libraries spelled it themselves."""
    return any(map(flag, ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")))


def is_offline_mode() -> bool:
    """Say whether the network must not be used; the name that `huggingface_hub` gives to :func:`is_offline`."""
    return is_offline()


def seconds(name: str, default: int) -> int:
    """Return a number of seconds from the environment."""
    try:
        return int(os.environ.get(name) or default)
    except ValueError:
        return default


_LIVE = {
    "ENDPOINT": endpoint,
    "HF_ENDPOINT": endpoint,
    "HF_HOME": hf_home,
    "HF_HUB_CACHE": hub_cache,
    "HUGGINGFACE_HUB_CACHE": hub_cache,
    "HF_TOKEN_PATH": token_path,
    "HF_STORED_TOKENS_PATH": stored_tokens_path,
    "HF_HUB_OFFLINE": is_offline,
    "HF_HUB_DISABLE_EXPERIMENTAL_WARNING": lambda: flag("HF_HUB_DISABLE_EXPERIMENTAL_WARNING"),
    "HF_HUB_DISABLE_SYMLINKS": lambda: flag("HF_HUB_DISABLE_SYMLINKS"),
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": lambda: flag("HF_HUB_DISABLE_IMPLICIT_TOKEN"),
    "HF_HUB_DISABLE_PROGRESS_BARS": lambda: flag("HF_HUB_DISABLE_PROGRESS_BARS"),
    "HF_HUB_DISABLE_TELEMETRY": lambda: True,
    "HF_HUB_ETAG_TIMEOUT": lambda: seconds("HF_HUB_ETAG_TIMEOUT", DEFAULT_ETAG_TIMEOUT),
    "HF_HUB_DOWNLOAD_TIMEOUT": lambda: seconds("HF_HUB_DOWNLOAD_TIMEOUT", DEFAULT_DOWNLOAD_TIMEOUT),
    "HUGGINGFACE_CO_URL_HOME": lambda: endpoint() + "/",
    "HUGGINGFACE_CO_URL_TEMPLATE": lambda: endpoint() + "/{repo_id}/resolve/{revision}/{filename}",
}


def __getattr__(name: str) -> Any:
    if name in _LIVE:
        return _LIVE[name]()
    from enfold.errors import nearest

    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{nearest(name, [*_LIVE, *globals()])}")

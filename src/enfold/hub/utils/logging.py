"""How much the libraries say; the name under which programs take it from `huggingface_hub.utils`."""

from enfold.hub.logging import *  # noqa: F403

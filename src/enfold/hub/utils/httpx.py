"""The HTTP library that requests go through; the name under which programs take it from `huggingface_hub.utils`."""

from httpx import *  # noqa: F403

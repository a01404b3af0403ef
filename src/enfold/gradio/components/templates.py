"""Components under another name: what they are elsewhere, with other defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from enfold.gradio.components.audio import Audio
from enfold.gradio.components.dataframe import Dataframe
from enfold.gradio.components.file import File
from enfold.gradio.components.video import Video

__all__ = ["Files", "List", "Matrix", "Microphone", "Numpy", "PlayableVideo"]


class Files(File):
    """A :class:`~enfold.gradio.File` for several."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {"file_count": "multiple"}


class Microphone(Audio):
    """An :class:`~enfold.gradio.Audio` that only records."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {"sources": ["microphone"], "format": "wav"}


class PlayableVideo(Video):
    """A :class:`~enfold.gradio.Video` as mp4, from a file."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {"format": "mp4", "sources": ["upload"]}


class Numpy(Dataframe):
    """A :class:`~enfold.gradio.Dataframe` that functions receive as an array."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {"type": "numpy", "row_count": 1}


class Matrix(Dataframe):
    """A :class:`~enfold.gradio.Dataframe` that functions receive as a list of rows."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {"type": "array", "row_count": 1}


class List(Dataframe):
    """A :class:`~enfold.gradio.Dataframe` of one column that functions receive as a list of rows."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {"type": "array", "row_count": 1, "column_count": 1}

"""Graphs of models: what they take and give, and the formats they are written in (``optimum.exporters``)."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".graph_parts": ["Part", "parts"],
        ".tasks": ["Task", "TaskError", "TasksManager", "auto_class", "model_tasks", "task_of"],
    },
)

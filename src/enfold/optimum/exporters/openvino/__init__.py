"""Models as OpenVINO graphs (``optimum.exporters.openvino``)."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".folders": ["FILES", "export_from_model", "main_export"],
        ".graphs": ["ExportError", "export", "graphs"],
        ".state": ["keep_state"],
    },
)

"""Models as ONNX files, in the layout of the ecosystem's repositories (``optimum.exporters.onnx``)."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".convert": ["ExportError", "export", "validate", "validate_model_outputs=validate"],
        ".main": ["main_export", "onnx_export=main_export", "onnx_export_from_model"],
    },
)

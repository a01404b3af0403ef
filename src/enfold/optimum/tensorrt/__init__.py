"""TensorRT: engines built of ONNX files, and models that run on them. It needs an NVIDIA GPU."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".building": ["EngineConfig", "Profile", "TensorRTError", "build_engine", "build_script"],
        ".running": ["Engine", "provider_options"],
    },
)

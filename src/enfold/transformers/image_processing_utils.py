"""The base of image processors, under the ecosystem's name of the module."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        "enfold.transformers.image.base": ["BaseImageProcessor", "ImageProcessingMixin=BaseImageProcessor"],
        "enfold.transformers.processing.features": ["BatchFeature"],
    },
)

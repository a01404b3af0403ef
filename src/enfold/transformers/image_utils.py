"""Pictures and the words of their settings, under the ecosystem's name of the module."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        "enfold.transformers.image.kinds": [
            "AnnotationFormat",
            "ChannelDimension",
            "IMAGENET_DEFAULT_MEAN",
            "IMAGENET_DEFAULT_STD",
            "IMAGENET_STANDARD_MEAN",
            "IMAGENET_STANDARD_STD",
            "OPENAI_CLIP_MEAN",
            "OPENAI_CLIP_STD",
            "PILImageResampling",
        ],
        "enfold.transformers.image.loading": ["load_image", "load_images"],
        "enfold.transformers.image.transforms": ["to_numpy_array=to_array"],
    },
)

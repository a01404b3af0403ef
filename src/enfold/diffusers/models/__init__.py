"""Networks: UNets, autoencoders, ControlNets and diffusion transformers."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".attention": ["Attention", "BasicTransformerBlock", "Transformer2DModel"],
        ".autoencoder_kl": ["AutoencoderKL"],
        ".autoencoder_tiny": ["AutoencoderTiny"],
        ".controlnet": ["ControlNetModel", "MultiControlNetModel"],
        ".joint_controlnet": ["FluxControlNetModel", "SD3ControlNetModel"],
        ".mmdit": ["FluxTransformer2DModel", "SD3Transformer2DModel"],
        ".modeling": ["ModelMixin"],
        ".unet_2d": ["UNet2DModel"],
        ".unet_2d_condition": ["UNet2DConditionModel"],
    },
)

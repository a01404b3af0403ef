"""What both sides do with pictures and outputs of models: pure data and one function, imported by the peer too.

Run as a script by the peer: ``image_cases.py SUFFIX`` where SUFFIX ends the names of the peer's classes.
"""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

SIZES = ((37, 53), (64, 41), (40, 40), (101, 30))
SMALL = {"height": 33, "width": 47}

# name → class, settings, and which pictures (those of unequal sizes only where results have one size)
PREPROCESSED: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("ViTImageProcessor", {"size": SMALL}),
    "vit-fractions": ("ViTImageProcessor", {"size": SMALL, "do_rescale": False}),
    "vit-as-it-is": ("ViTImageProcessor", {"do_resize": False}),
    "vit-plain": ("ViTImageProcessor", {"size": 30, "do_normalize": False, "resample": 3}),
    "deit": ("DeiTImageProcessor", {"size": {"height": 51, "width": 50}, "crop_size": {"height": 45, "width": 38}}),
    "deit-larger-crop": ("DeiTImageProcessor", {"size": 30, "crop_size": {"height": 45, "width": 37}}),
    "clip": ("CLIPImageProcessor", {"size": {"shortest_edge": 35}, "crop_size": 32}),
    "bit": ("BitImageProcessor", {"size": {"shortest_edge": 29}, "crop_size": {"height": 28, "width": 28}}),
    "convnext": ("ConvNextImageProcessor", {"size": {"shortest_edge": 32}, "crop_pct": 0.8, "resample": 3}),
    "convnext-large": ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}, "resample": 2}),
    "siglip": ("SiglipImageProcessor", {"size": SMALL}),
    "blip": ("BlipImageProcessor", {"size": SMALL}),
    "owlvit": ("OwlViTImageProcessor", {"size": SMALL, "crop_size": {"height": 20, "width": 20}}),
    "vilt": ("ViltImageProcessor", {"size": {"shortest_edge": 96}}),
    "segformer": ("SegformerImageProcessor", {"size": SMALL}),
    "dpt": ("DPTImageProcessor", {"size": SMALL}),
    "dpt-proportions": (
        "DPTImageProcessor",
        {"size": SMALL, "keep_aspect_ratio": True, "ensure_multiple_of": 8, "resample": 2},
    ),
    "detr": ("DetrImageProcessor", {"size": {"shortest_edge": 48, "longest_edge": 80}}),
    "detr-limit": ("DetrImageProcessor", {"size": {"max_height": 50, "max_width": 45}}),
    "detr-padded": ("DetrImageProcessor", {"size": SMALL, "pad_size": {"height": 50, "width": 60}}),
    "sam": (
        "SamImageProcessor",
        {"size": {"longest_edge": 60}, "pad_size": {"height": 60, "width": 60}},
    ),
}

ANNOTATIONS = [
    {
        "image_id": 7,
        "annotations": [
            {"bbox": [3.5, 2, 20, 30.25], "category_id": 4, "area": 400.0, "iscrowd": 0, "segmentation": []},
            {"bbox": [10, 10, 100, 100], "category_id": 1, "area": 33.0, "iscrowd": 0, "segmentation": []},
            {"bbox": [5, 5, 0, 4], "category_id": 2, "area": 1.0, "iscrowd": 0, "segmentation": []},
            {"bbox": [1, 1, 4, 4], "category_id": 3, "area": 16.0, "iscrowd": 1, "segmentation": []},
        ],
    },
    {"image_id": 8, "annotations": []},
]


def pictures(fractions: bool = False) -> list[Any]:
    """Return random pictures of odd sizes, (height, width, 3)."""
    import numpy as np

    draw = np.random.default_rng(3)
    made = [draw.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]
    return [(one / 255).astype(np.float32) for one in made] if fractions else made


def outputs(seed: int = 5) -> Any:
    """Return what a small DETR may say of two pictures."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn((2, 9, 5), generator=draw)
    boxes = torch.rand((2, 9, 4), generator=draw) / 2 + 0.2
    masks = 3 * torch.randn((2, 9, 6, 8), generator=draw)
    return SimpleNamespace(logits=logits, pred_boxes=boxes, pred_masks=masks, target_pred_boxes=boxes)


def collect(library: Any, suffix: str = "") -> dict[str, Any]:
    """Return everything that is compared, as arrays by name.

    Args:
        library: the module with the classes.
        suffix: what ends their names.
    """
    import numpy as np
    import torch

    found: dict[str, Any] = {}

    def keep(name: str, value: Any) -> None:
        if hasattr(value, "items"):
            for key, item in value.items():
                keep(f"{name}/{key}", item)
        elif isinstance(value, list | tuple) and value and not isinstance(value[0], int | float):
            for place, item in enumerate(value):
                keep(f"{name}/{place}", item)
        elif value is not None and not isinstance(value, str):
            found[name] = np.asarray(value)

    def made(name: str, **settings: Any) -> Any:
        return getattr(library, name + suffix)(**settings)

    for case, (name, settings) in PREPROCESSED.items():
        processor = made(name, **settings)
        for place, image in enumerate(pictures(case.endswith("fractions"))):
            keep(f"{case}/{place}", processor(images=image))
            keep(f"{case}/{place}/first", processor(images=np.moveaxis(image, -1, 0).copy()))
        keep(f"{case}/saved", {k: v for k, v in processor.to_dict().items() if k in ("size", "resample", "crop_size")})

    batch = made("DetrImageProcessor", size={"shortest_edge": 48, "longest_edge": 80})
    keep("detr/batch", batch(images=pictures()[:2], annotations=ANNOTATIONS))
    keep("vilt/batch", made("ViltImageProcessor", size={"shortest_edge": 64})(images=pictures()[:3]))
    labels = [np.asarray(one[..., 0] % 6, dtype=np.int64) for one in pictures()]
    for case, name in (("segformer", "SegformerImageProcessor"), ("dpt", "DPTImageProcessor")):
        options = {} if case == "segformer" else {"resample": 0}
        processor = made(name, size=SMALL, do_reduce_labels=True, **options)
        keep(f"{case}/labels", processor(pictures(), segmentation_maps=[one.copy() for one in labels]))
        semantic = SimpleNamespace(logits=outputs().pred_masks)
        for sizes in (None, [(13, 11), (20, 9)]):
            keep(f"{case}/map/{sizes}", processor.post_process_semantic_segmentation(semantic, sizes))
    depth = SimpleNamespace(predicted_depth=outputs().pred_masks[:, 0])
    for sizes in (None, [(13, 11), (20, 9)]):
        keep(f"dpt/depth/{sizes}", processor.post_process_depth_estimation(depth, sizes))

    sizes = [(30, 40), (25, 17)]
    for threshold in (0.3, 0.7):
        for target in (None, sizes, torch.tensor(sizes)):
            kind = type(target).__name__
            keep(f"detr/objects/{threshold}/{kind}", batch.post_process_object_detection(outputs(), threshold, target))
        owl = made("OwlViTImageProcessor")
        keep(f"owlvit/objects/{threshold}", owl.post_process_object_detection(outputs(), threshold, sizes))
        keep(
            f"owlvit/alike/{threshold}",
            owl.post_process_image_guided_detection(outputs(), threshold, 0.3, torch.tensor(sizes)),
        )
        for target in (None, sizes):
            for fused in ((), (1, 2)):
                keep(
                    f"detr/panoptic/{threshold}/{target}/{fused}",
                    batch.post_process_panoptic_segmentation(
                        outputs(), threshold, 0.4, 0.3, label_ids_to_fuse=set(fused), target_sizes=target
                    ),
                )
            keep(
                f"detr/instance/{threshold}/{target}",
                batch.post_process_instance_segmentation(outputs(), threshold, 0.4, 0.3, target_sizes=target),
            )
            keep(f"detr/map/{target}", batch.post_process_semantic_segmentation(outputs(), target))

    sam = made("SamImageProcessor", size={"longest_edge": 60}, pad_size={"height": 60, "width": 60})
    masks = 3 * torch.randn((2, 3, 2, 15, 15), generator=torch.Generator().manual_seed(2))
    image = pictures()[0]
    for layers in (0, 2):
        keep(f"sam/parts/{layers}", sam.generate_crop_boxes(image, 60, layers, points_per_crop=5))
    smooth = torch.nn.functional.interpolate(masks[0], (37, 53), mode="bicubic")
    scores = torch.linspace(0.5, 1.0, 6).view(3, 2)
    for part in ([0, 0, 53, 37], [5, 3, 30, 30]):
        inside = smooth[..., : part[3] - part[1], : part[2] - part[0]]
        kept = sam.filter_masks(inside, scores, (37, 53), part, 0.55, 0.5, 0, 0.2)
        keep(f"sam/kept/{part}", kept)
    processor = library.SamProcessor(sam)
    points, marks = [[[3, 4], [20, 30]], [[1, 2]]], [[1, 0], [1]]
    boxes = [[[1, 2, 20, 30], [5, 5, 9, 9]], [[0, 0, 8, 9], [1, 1, 4, 4]]]
    keep(
        "sam/prompts",
        processor(
            images=pictures()[:2], input_points=points, input_labels=marks, input_boxes=boxes, return_tensors="pt"
        ),
    )
    keep("sam/masks", sam.post_process_masks(masks, [(37, 53), (64, 41)], [(42, 60), (60, 38)]))
    return found


if __name__ == "__main__":
    import numpy
    import transformers

    numpy.savez(os.environ["PEER_NPZ"], **collect(transformers, sys.argv[1] if len(sys.argv) > 1 else ""))

"""Calls of ATen's operations, on which every framework's function is compared with torch's."""

from __future__ import annotations

from typing import Any

import torch

aten = torch.ops.aten
END = 2**63 - 1


def _x(*shape: int, low: float | None = None) -> torch.Tensor:
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape) + len(shape)))
    return made if low is None else made.abs() + low


def _i(*rows: Any) -> torch.Tensor:
    return torch.tensor(rows if len(rows) > 1 else rows[0])


X = _x(2, 3, 4)
IMAGE = _x(2, 4, 6, 5)
CASES: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    (aten.slice.Tensor, (X, 1, 1, END, 2), {}),
    (aten.slice.Tensor, (X, -1, -3, -1), {}),
    (aten.select.int, (X, 1, -1), {}),
    (aten.squeeze.dims, (_x(1, 3, 1), [0, 1]), {}),
    (aten.squeeze.default, (_x(1, 3, 1),), {}),
    (aten.expand.default, (_x(3, 1), [2, -1, 4]), {}),
    (aten.split.Tensor, (X, 3, 2), {}),
    (aten.split_with_sizes.default, (X, [1, 3], 2), {}),
    (aten.unbind.int, (X, 1), {}),
    (aten.constant_pad_nd.default, (X, [1, -1, 0, 2], 3.0), {}),
    (aten.pad.default, (X, [1, 2], "reflect"), {}),
    (aten.movedim.intlist, (X, [0, 2], [2, 1]), {}),
    (aten.unfold.default, (X, 2, 2, 1), {}),
    (aten.roll.default, (X, [1, -2], [1, 2]), {}),
    (aten.index.Tensor, (X, [_i([0, 1]), _i([2, 0])]), {}),
    (aten.index_put.default, (X, [None, _i([2, 0])], _x(2, 2, 4)), {}),
    (aten.index_put.default, (X, [X > 0.5], torch.tensor(9.0)), {}),
    (aten.gather.default, (X, 2, _i([[[0], [3]]])), {}),
    (aten.scatter.value, (_x(2, 3), 1, _i([[2], [0]]), 7.0), {}),
    (aten.scatter.src, (_x(2, 3), 1, _i([[2], [0]]), _x(2, 2)), {}),
    (aten.slice_scatter.default, (X, _x(2, 2, 4), 1, 0, 2), {}),
    (aten.select_scatter.default, (X, _x(2, 4), 1, 2), {}),
    (aten.repeat_interleave.self_int, (X, 2, 1), {}),
    (aten.add.Tensor, (X, _x(4)), {"alpha": 2}),
    (aten.rsub.Scalar, (X, 1.0), {}),
    (aten.detach.default, (X,), {}),
    (aten.div.Tensor_mode, (_i([7, -7, 5]), 2), {"rounding_mode": "floor"}),
    (aten.div.Tensor_mode, (_i([7, -7, 5]), 2), {"rounding_mode": "trunc"}),
    (aten.div.Tensor, (_i([7, -7, 5]), 2), {}),
    (aten.remainder.Scalar, (_i([7, -7, 5]), 3), {}),
    (aten.pow.Tensor_Scalar, (X, 3), {}),
    (aten.pow.Tensor_Scalar, (_x(3, low=0.1), -0.5), {}),
    (aten.pow.Scalar, (2.0, X), {}),
    (aten.clamp.default, (X, -0.5, 0.5), {}),
    (aten.sum.default, (X > 0,), {}),
    (aten.sum.dim_IntList, (X, [0, 2], True), {}),
    (aten.mean.dim, (X, [-1]), {}),
    (aten.var.correction, (X, [1]), {"correction": 1, "keepdim": True}),
    (aten.var.default, (X, False), {}),
    (aten.std.dim, (X, [1], False), {}),
    (aten.max.dim, (X, 1), {}),
    (aten.max.other, (X, -X), {}),
    (aten.min.dim, (X, 1, True), {}),
    (aten.argmax.default, (X, -1), {}),
    (aten.topk.default, (X, 2), {}),
    (aten.topk.default, (X, 2, 1, False), {}),
    (aten.sort.default, (X, 1, True), {}),
    (aten.cumsum.default, (X, 1), {}),
    (aten.linalg_vector_norm.default, (X, 2, [0, 1], True), {}),
    (aten.masked_fill.Scalar, (X, X > 0, -1.0), {}),
    (aten.tril.default, (_x(3, 3), -1), {}),
    (aten.bucketize.Tensor, (X, torch.tensor([-1.0, 0.0, 1.0])), {"right": True}),
    (aten.softmax.int, (X, 1), {}),
    (aten.log_softmax.int, (X, -1), {}),
    (aten.addmm.default, (_x(5), _x(2, 3), _x(3, 5)), {"beta": 0.5, "alpha": 2}),
    (aten.einsum.default, ("bij,bkj->bik", [X, X]), {}),
    (aten.layer_norm.default, (X, [3, 4], _x(3, 4), _x(3, 4), 1e-5), {}),
    (aten.rms_norm.default, (X, [4], _x(4)), {}),
    (aten.group_norm.default, (IMAGE, 2, _x(4), _x(4), 1e-5), {}),
    (aten.batch_norm.default, (IMAGE, _x(4), _x(4), _x(4), _x(4, low=0.5), False, 0.1, 1e-5, False), {}),
    (aten.conv1d.default, (_x(2, 4, 9), _x(6, 2, 3), _x(6), [2], [1], [2], 2), {}),
    (aten.conv2d.default, (IMAGE, _x(6, 4, 3, 2), None, [2, 1], [1, 0]), {}),
    (aten.conv2d.padding, (IMAGE, _x(6, 4, 3, 2), _x(6), [1, 1], "same"), {}),
    (aten.conv_transpose1d.default, (_x(2, 4, 5), _x(4, 3, 4), _x(6), [2], [1], [1], 2), {}),
    (aten.conv_transpose2d.input, (IMAGE, _x(4, 3, 2, 2), _x(3), [2, 2]), {}),
    (aten.max_pool2d.default, (IMAGE, [3, 3], [2, 2], [1, 1]), {}),
    (aten.avg_pool2d.default, (IMAGE, [2, 2], [2, 1], [1, 0], False, False), {}),
    (aten.adaptive_avg_pool2d.default, (IMAGE, [4, 2]), {}),
    (aten.upsample_nearest2d.vec, (IMAGE, [9, 3], None), {}),
    (aten.upsample_bilinear2d.vec, (IMAGE, [9, 3], False, None), {}),
    (aten.upsample_bilinear2d.vec, (IMAGE, [9, 3], True, None), {}),
    (aten.upsample_bicubic2d.vec, (IMAGE, None, False, [1.5, 2.0]), {}),
    (aten.upsample_bilinear2d.default, (IMAGE, [8, 7], False, 1.4, 1.5), {}),
    (aten.gelu.default, (X,), {"approximate": "tanh"}),
    (aten.gelu.default, (X,), {}),
    (aten.softplus.default, (X * 30,), {}),
    (aten.glu.default, (X,), {}),
    (aten.cross_entropy_loss.default, (_x(4, 5), _i([1, -100, 0, 4])), {}),
    (aten.cross_entropy_loss.default, (_x(4, 5), _i([1, -100, 0, 4]), _x(5, low=0.1), 1, -100, 0.1), {}),
    (aten.cross_entropy_loss.default, (_x(2, 5, 3), _i([1, 2, 0], [4, 4, -100]), None, 2), {}),
    (aten.binary_cross_entropy_with_logits.default, (_x(2, 3), (_x(2, 3) > 0).float(), None, _x(3, low=1)), {}),
    (aten.mse_loss.default, (X, X * 2), {}),
    (aten.scaled_dot_product_attention.default, (X, X, X), {"scale": 0.3}),
    (aten.scaled_dot_product_attention.default, (X, X, X, None, 0.0, True), {}),
    (aten.scaled_dot_product_attention.default, (X, X, X, _x(3, 3) > 0.3), {}),
    (aten.scaled_dot_product_attention.default, (X, X, X, torch.zeros(3, 3, dtype=torch.bool)), {}),
    (aten.scaled_dot_product_attention.default, (_x(1, 4, 3, 2), _x(1, 2, 3, 2), _x(1, 2, 3, 2)), {"enable_gqa": True}),
    (aten._to_copy.default, (X,), {"dtype": torch.int64}),
    (aten.arange.start_step, (1, 8, 3), {}),
    (aten.full.default, ([2, 3], 4.0), {"dtype": torch.float32}),
]

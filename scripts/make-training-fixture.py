"""Writes fixtures/calibrate/gated-block.json: loss and gradients of a gated feed-forward block, computed by PyTorch (torch 2).

Run by hand; tests only read the result.
"""

import json
from pathlib import Path

import torch

torch.manual_seed(7)
BATCH, LENGTH, HIDDEN, FFN, EPSILON = 2, 3, 8, 12, 1e-5


def leaf(*shape: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    return (torch.randn(*shape) * scale + shift).requires_grad_()


x = leaf(BATCH, LENGTH, HIDDEN)
scale = leaf(HIDDEN, scale=0.2, shift=1.0)
gate = leaf(HIDDEN, FFN, scale=HIDDEN**-0.5)
up = leaf(HIDDEN, FFN, scale=HIDDEN**-0.5)
down = leaf(FFN, HIDDEN, scale=FFN**-0.5)
target = torch.randn(BATCH, LENGTH, HIDDEN)

normed = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON) * scale
y = (torch.nn.functional.silu(normed @ gate) * (normed @ up)) @ down
loss = torch.nn.functional.mse_loss(x + y, target)
loss.backward()

tensors = {"x": x, "scale": scale, "gate": gate, "up": up, "down": down}


def plain(value: torch.Tensor) -> dict:
    return {"shape": list(value.shape), "values": value.detach().flatten().tolist()}


fixture = {
    "epsilon": EPSILON,
    "loss": loss.item(),
    "target": plain(target),
    "tensors": {name: plain(value) for name, value in tensors.items()},
    "gradients": {name: plain(value.grad) for name, value in tensors.items()},
}
path = Path(__file__).parent.parent / "fixtures/calibrate/gated-block.json"
path.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")

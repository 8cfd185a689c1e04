"""Writes fixtures/calibrate/block-training.json: 50 steps of MatQuant on one gated block, computed by PyTorch (torch 2).

Ranges learn (OmniQuant's u and l, one pair per block), the slices are the paper's, the objective is eq. 7 with weights
(.1, .1, 1). Run by hand; tests only read the result.
"""

import json
from pathlib import Path

import torch

torch.manual_seed(11)
HIDDEN, FFN, BLOCK, ROWS, STEPS, RATE = 32, 48, 16, 96, 50, 0.05
WEIGHTS = {8: 0.1, 4: 0.1, 2: 1.0}

x = torch.randn(ROWS, HIDDEN)
weights = {
    "gate": torch.randn(FFN, HIDDEN) * HIDDEN**-0.5,
    "up": torch.randn(FFN, HIDDEN) * HIDDEN**-0.5,
    "down": torch.randn(HIDDEN, FFN) * FFN**-0.5,
}
learned = {
    name: [torch.full((w.shape[0], w.shape[1] // BLOCK, 1), 4.0, requires_grad=True) for _ in range(2)]
    for name, w in weights.items()
}


def through(rounded: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    return (rounded - exact).detach() + exact


def quantized(name: str, bits: int) -> torch.Tensor:
    w = weights[name]
    upper, lower = learned[name]
    blocks = w.reshape(w.shape[0], -1, BLOCK)
    high = blocks.amax(-1, keepdim=True).clamp(min=0) * torch.sigmoid(upper)
    low = blocks.amin(-1, keepdim=True).clamp(max=0) * torch.sigmoid(lower)
    scale = (high - low) / 255
    zero = (-low / scale).round().detach()
    exact = blocks / scale + zero
    codes = through(exact.round(), exact).clamp(0, 255)
    if bits < 8:
        step = 2 ** (8 - bits)
        ratio = codes / step
        codes = through((ratio + 0.5).floor(), ratio).clamp(max=2**bits - 1) * step
    return ((codes - zero) * scale).reshape(w.shape)


def block(w: dict) -> torch.Tensor:
    return (torch.nn.functional.silu(x @ w["gate"].T) * (x @ w["up"].T)) @ w["down"].T


target = block(weights)
energy = target.square().mean()
optimizer = torch.optim.AdamW([p for pair in learned.values() for p in pair], lr=RATE, weight_decay=0)
losses = []
for _ in range(STEPS):
    errors = {r: (block({name: quantized(name, r) for name in weights}) - target).square().mean() for r in WEIGHTS}
    loss = sum(WEIGHTS[r] * error for r, error in errors.items()) / energy
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())


def plain(value: torch.Tensor) -> dict:
    return {"shape": list(value.shape), "values": value.detach().flatten().tolist()}


fixture = {
    "block": BLOCK,
    "rate": RATE,
    "lambda": WEIGHTS,
    "x": plain(x),
    "weights": {name: plain(value) for name, value in weights.items()},
    "losses": losses,
    "upper": {name: plain(pair[0]) for name, pair in learned.items()},
}
path = Path(__file__).parent.parent / "fixtures/calibrate/block-training.json"
path.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
print(losses[0], losses[-1])

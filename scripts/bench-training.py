"""The steps of scripts/bench-training.ts in PyTorch: one gated block, ranges that learn, slices of 8, 4 and 2 bits, AdamW.

Reads a folder with block.json and float32 files, prints one JSON line. Started by the TypeScript script.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch

folder = Path(sys.argv[1])
facts = json.loads((folder / "block.json").read_text())
torch.set_num_threads(facts["threads"])
BLOCK, WEIGHTS, STEPS = facts["block"], {8: 0.1, 4: 0.1, 2: 1.0}, facts["steps"]


def tensor(name: str, rows: int, columns: int) -> torch.Tensor:
    return torch.from_numpy(np.fromfile(folder / f"{name}.bin", np.float32).reshape(rows, columns))


x = tensor("x", facts["rows"], facts["hidden"])
weights = {
    "gate": tensor("gate", facts["ffn"], facts["hidden"]),
    "up": tensor("up", facts["ffn"], facts["hidden"]),
    "down": tensor("down", facts["hidden"], facts["ffn"]),
}
learned = {
    name: [torch.full((w.shape[0], w.shape[1] // BLOCK, 1), 4.0, requires_grad=True) for _ in range(2)]
    for name, w in weights.items()
}
extremes = {
    name: (w.reshape(w.shape[0], -1, BLOCK).amax(-1, keepdim=True), w.reshape(w.shape[0], -1, BLOCK).amin(-1, keepdim=True))
    for name, w in weights.items()
}
activation = torch.nn.functional.silu
if facts["activation"] == "gelu":
    activation = lambda value: torch.nn.functional.gelu(value, approximate="tanh")  # noqa: E731


def through(rounded: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    return (rounded - exact).detach() + exact


def parent(name: str) -> tuple:
    w, (upper, lower), (high, low) = weights[name], learned[name], extremes[name]
    blocks = w.reshape(w.shape[0], -1, BLOCK)
    top, bottom = high.clamp(min=0) * torch.sigmoid(upper), low.clamp(max=0) * torch.sigmoid(lower)
    scale = (top - bottom) / 255
    zero = (-bottom / scale).round().detach()
    exact = blocks / scale + zero
    return through(exact.round(), exact).clamp(0, 255), scale, zero


def decoded(name: str, made: tuple, bits: int) -> torch.Tensor:
    codes, scale, zero = made
    if bits < 8:
        step = 2 ** (8 - bits)
        ratio = codes / step
        codes = through((ratio + 0.5).floor(), ratio).clamp(max=2**bits - 1) * step
    return ((codes - zero) * scale).reshape(weights[name].shape)


def output(w: dict) -> torch.Tensor:
    return (activation(x @ w["gate"].T) * (x @ w["up"].T)) @ w["down"].T


optimizer = torch.optim.AdamW([p for pair in learned.values() for p in pair], lr=0.05, weight_decay=0)


def step() -> float:
    with torch.no_grad():
        target = output(weights)
        energy = target.square().mean()
    made = {name: parent(name) for name in weights}
    outputs = {r: output({name: decoded(name, made[name], r) for name in weights}) for r in WEIGHTS}
    loss = sum(WEIGHTS[r] * (y - target).square().mean() for r, y in outputs.items()) / energy
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


losses = [step() for _ in range(facts["warmup"])]
started = time.perf_counter()
losses += [step() for _ in range(STEPS)]
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"tokensPerSecond": STEPS * facts["rows"] / seconds, "losses": losses, "peak": peak}))

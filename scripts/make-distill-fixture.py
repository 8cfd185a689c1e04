"""Writes fixtures/calibrate/decoder-gradients.json: divergence of whole decoders with coded weights, and its gradients by scale
and centred offset of every block, computed by PyTorch and transformers.

Run by hand: make-distill-fixture.py NAME=CHECKPOINT..., with the checkpoints that the models in fixtures/models were exported
from; tests only read the result.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

BLOCK = 128
PROJECTIONS = {"layers.0.gate": (0, "gate_proj"), "layers.1.down": (1, "down_proj")}


def window(length: int, seed: int, vocabulary: int) -> list[int]:
    state, ids = seed, [1]
    for _ in range(length - 1):
        state = (state * 1103515245 + 12345) % 2**31
        ids.append(3 + state % (vocabulary - 3))
    return ids


def coded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes of two bits of a fixed grid, and tables that differ from block to block: what they stand for matters little."""
    n, k = weight.shape
    codes = torch.floor(weight.double() * 25 + 2).clamp(0, 3).float()
    at = torch.arange(n * (k // BLOCK)).reshape(n, k // BLOCK)
    return codes, 0.04 * (1 + 0.1 * (at % 3)).float(), 0.005 * (at % 5 - 2).float()


def case(checkpoint: str) -> dict:
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager").eval()
    windows = [window(72, 5, model.config.vocab_size), window(40, 6, model.config.vocab_size)]
    ids = [torch.tensor([each]) for each in windows]
    with torch.no_grad():
        teacher = [model(each).logits.log_softmax(-1) for each in ids]
    columns, weights = {}, {}
    for name, (layer, part) in PROJECTIONS.items():
        linear = getattr(model.model.layers[layer].mlp, part)
        codes, scale, offset = coded(linear.weight.detach())
        scale.requires_grad_(), offset.requires_grad_()
        n, k = codes.shape
        blocked = scale[:, :, None] * (codes.reshape(n, k // BLOCK, BLOCK) - 1.5) + offset[:, :, None]
        columns[name] = {"scale": scale, "offset": offset}
        weights[f"model.layers.{layer}.mlp.{part}.weight"] = blocked.reshape(n, k)
    total = sum(
        (log.exp() * (log - torch.func.functional_call(model, weights, (each,)).logits.log_softmax(-1))).sum()
        for each, log in zip(ids, teacher)
    )
    loss = total / sum(len(each) for each in windows)
    loss.backward()
    gradients = {
        name: {key: [float(f"{x:.7g}") for x in value.grad.flatten().tolist()] for key, value in parts.items()}
        for name, parts in columns.items()
    }
    return {"windows": windows, "loss": loss.item(), "gradients": gradients}


path = Path(__file__).parent.parent / "fixtures/calibrate/decoder-gradients.json"
cases = {name: case(checkpoint) for name, checkpoint in (argument.split("=", 1) for argument in sys.argv[1:])}
path.write_text(json.dumps({"block": BLOCK, "cases": cases}, separators=(",", ":")) + "\n")

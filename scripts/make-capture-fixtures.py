"""Expected statistics of the decoder of test/support/decoder.ts, by a forward pass of its own in NumPy, float64.

Writes fixtures/calibrate/decoder-statistics.json. Run with any Python that has NumPy: python3 scripts/make-capture-fixtures.py
"""
import json
import pathlib

import numpy as np

SPEC = {"layers": 2, "hidden": 16, "ffn": 24, "vocabulary": 40}
LENGTHS = [5, 9, 9, 9, 5, 7]


def noise(count, seed):
    """The numbers of `noise` in decoder.ts: a linear congruential generator, rounded to float32."""
    state = (seed * 2654435761 + 1) % 2**32
    out = []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append(state / 2**32 - 0.5)
    return np.array(out, np.float32)


def norm(x):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + np.float64(np.float32(1e-5))) * 1.5


def main():
    hidden, ffn, vocabulary = SPEC["hidden"], SPEC["ffn"], SPEC["vocabulary"]
    made = 0

    def weight(k, n):
        nonlocal made
        w = (noise(k * n, 17 + made) * np.float32(0.5)).astype(np.float64).reshape(k, n)
        made += 1
        return w

    embed = noise(vocabulary * hidden, 1).astype(np.float64).reshape(vocabulary, hidden)
    layers = []
    for _ in range(SPEC["layers"]):
        shapes = [("q", hidden, hidden), ("k", hidden, hidden), ("v", hidden, hidden), ("o", hidden, hidden)]
        shapes += [("gate", hidden, ffn), ("up", hidden, ffn), ("down", ffn, hidden)]
        layers.append({name: weight(k, n) for name, k, n in shapes})
    rows = {}

    def seen(group, x):
        rows.setdefault(group, []).append(x)
        return x

    for at, length in enumerate(LENGTHS):
        x = embed[[(i * 7 + at * 3 + 1) % 40 for i in range(length)]]
        mask = np.where(np.tril(np.ones((length, length))) > 0, 0.0, -1e4)
        for index, w in enumerate(layers):
            h = seen(f"layers.{index}.attention-in", norm(x))
            scores = (h @ w["q"]) @ (h @ w["k"]).T + mask
            p = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = seen(f"layers.{index}.o-in", p / p.sum(-1, keepdims=True) @ (h @ w["v"]))
            x = x + mixed @ w["o"]
            h = seen(f"layers.{index}.ffn-in", norm(x))
            gate = h @ w["gate"]
            x = x + seen(f"layers.{index}.down-in", gate / (1 + np.exp(-gate)) * (h @ w["up"])) @ w["down"]
        seen("head-in", norm(x))
    groups = {}
    for group, parts in rows.items():
        x = np.concatenate(parts)
        upper = np.triu_indices(x.shape[1])
        groups[group] = {
            "tokens": len(x),
            "gram": [float(f"{v:.9g}") for v in (x.T @ x)[upper]],
            "sum": [float(f"{v:.9g}") for v in x.sum(0)],
        }
    target = pathlib.Path(__file__).parent.parent / "fixtures/calibrate/decoder-statistics.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"spec": SPEC, "lengths": LENGTHS, "groups": groups}, separators=(",", ":")) + "\n")


main()

"""Writes fixtures/solver: small problems solved a second time, in NumPy and float64, with nothing clever.

The parent code is searched over all 2^bits candidates, errors are fed back with the Cholesky factor of the inverse, and the
tables come from a dense solve. Run: python3 scripts/solver-fixtures.py (needs NumPy only; tests do not need Python).
"""
import json
import os
import numpy as np

OUT = os.path.join(os.path.dirname(__file__), "..", "fixtures", "solver")
RIDGE, DAMPING = 1e-6, 1e-2


def cut(q, parent, r, kind):
    step = 1 << (parent - r)
    if kind == "prefix" or step == 1:
        return q // step
    c = (q + step // 2) // step
    return np.minimum(c, 2**r - 1) if kind == "paper" else c


def spans(k, g):
    return [(s, min(k, s + g)) for s in range(0, k, g)]


def grid(w, case):
    """Scale and zero point per row and block, rounded to float32 like the product's."""
    top = 2 ** case["parent"] - 1
    half = 2 ** (case["parent"] - 1)
    lo = np.stack([w[:, a:b].min(1) for a, b in spans(w.shape[1], case["block"])], 1)
    hi = np.stack([w[:, a:b].max(1) for a, b in spans(w.shape[1], case["block"])], 1)
    f = np.float32
    if not case["symmetric"]:
        scale = ((np.maximum(hi, 0).astype(f) - np.minimum(lo, 0).astype(f)) / f(top)).astype(f)
        return scale.astype(float), np.rint((-np.minimum(lo, 0).astype(f) / scale).astype(f)).astype(float)
    big = np.where(np.abs(lo) > np.abs(hi), lo, hi)
    scale = -big / half if case["decode"] == "signed" else np.abs(big) / max(half - 1, 1)
    return scale.astype(f).astype(float), np.full(lo.shape, float(half))


def tied(scale, zero, case, r):
    step = 2 ** (case["parent"] - r)
    middle = (step - 1) / 2 if case["slice"] == "prefix" else 0.0
    return scale * step, scale * (middle - zero)


def refit(w, c, h, g, kind, r):
    """Least squares of all blocks of a row together."""
    k = w.shape[1]
    part = spans(k, g)
    mid = 2.0 ** (r - 1) - (0.0 if kind == "signed" else 0.5)
    a_out, b_out = np.zeros((len(w), len(part))), np.zeros((len(w), len(part)))
    for n in range(len(w)):
        features = np.zeros((2 * len(part), k))
        for u, (s, e) in enumerate(part):
            features[u, s:e] = c[n, s:e] - mid
            features[len(part) + u, s:e] = 1
        if kind != "ab":
            features = features[: len(part)]
        normal = features @ h @ features.T
        normal[np.diag_indices(len(normal))] *= 1 + RIDGE
        theta = np.linalg.solve(normal, features @ h @ w[n])
        a_out[n] = theta[: len(part)]
        b_out[n] = theta[len(part) :] if kind == "ab" else 0
    return a_out, b_out - a_out * mid


def levels(case, tables, n, u):
    """Level of every parent code in every precision, [precisions, 2^parent]."""
    q = np.arange(2 ** case["parent"])
    return np.stack([t[0][n, u] * cut(q, case["parent"], r, case["slice"]) + t[1][n, u] for r, t in zip(case["planes"], tables)])


def gptq(w, u_factor, case, tables, lam):
    codes = np.zeros(w.shape, int)
    mean = case["codes"] == "mean"
    for n in range(len(w)):
        copies = np.repeat(w[n][None], 1 if mean else len(lam), 0)
        for j in range(w.shape[1]):
            v = levels(case, tables, n, j // case["block"])
            q = int(np.argmin((lam[:, None] * (v - copies[:, j][:, None]) ** 2).sum(0)))
            codes[n, j] = q
            target = v[lam > 0, q].mean()[None] if mean else v[:, q]
            error = (copies[:, j] - target) / u_factor[j, j]
            copies[:, j + 1 :] -= error[:, None] * u_factor[j, j + 1 :]
    return codes


def decode(codes, case, tables):
    block = np.arange(codes.shape[1]) // case["block"]
    return np.stack([t[0][:, block] * cut(codes, case["parent"], r, case["slice"]) + t[1][:, block] for r, t in zip(case["planes"], tables)])


def descend(w, h, codes, case, tables, lam):
    codes = codes.copy()
    gradient = (w[None] - decode(codes, case, tables)) @ h
    for _ in range(case["sweeps"]):
        for n in range(len(w)):
            for j in range(w.shape[1]):
                v = levels(case, tables, n, j // case["block"])
                old = v[:, codes[n, j]]
                target = old + gradient[:, n, j] / h[j, j]
                q = int(np.argmin((lam[:, None] * (v - target[:, None]) ** 2).sum(0)))
                gradient[:, n] -= (v[:, q] - old)[:, None] * h[j]
                codes[n, j] = q
    return codes


def solve(w, h, case):
    lam = np.array([case["lambda"].get(str(r), 0.0) for r in case["planes"]])
    scale, zero = grid(w, case)
    block = np.arange(w.shape[1]) // case["block"]
    f = np.float32
    ideal = (w.astype(f) / scale[:, block].astype(f)).astype(f) + zero[:, block].astype(f)
    codes = np.clip(np.rint(ideal), 0, 2 ** case["parent"] - 1).astype(int)

    same_block = block[:, None] == block[None]

    def fit(local=False):
        """All blocks of a row together; `local` is what GPTQ starts from, each block by itself."""
        out = []
        for r in case["planes"]:
            parent = r == 8 or (r == case["parent"] and len(case["planes"]) > 1)
            keep = case["decode"] == "tied" or (parent and case["decode"] != "ab")
            c = cut(codes, case["parent"], r, case["slice"])
            out.append(tied(scale, zero, case, r) if keep else refit(w, c, np.where(same_block, h, 0) if local else h, case["block"], case["decode"], r))
        return out

    if case["codes"] != "round":
        damped = h + DAMPING * h.diagonal().mean() * np.eye(len(h))
        codes = gptq(w, np.linalg.cholesky(np.linalg.inv(damped)).T, case, fit(local=True), lam)
    for _ in range(case["rounds"]):
        codes = descend(w, h, codes, case, fit(), lam)
    tables = fit()
    difference = w[None] - decode(codes, case, tables)
    error = np.einsum("rnk,kj,rnj->r", difference, h, difference) / np.einsum("nk,kj,nj->", w, h, w)
    return codes, tables, error


def main():
    rng = np.random.default_rng(7)
    k, n = 84, 12
    x = rng.normal(size=(400, k)) @ rng.normal(size=(k, k)) * 0.1 + 0.3
    h = (x.T @ x / 400).astype(np.float32)
    w = (rng.normal(size=(n, k)) * 0.05).astype(np.float32)
    t2 = {str(r): 2.0 ** (r - 2) for r in range(2, 9)}
    base = dict(parent=8, planes=[8, 6, 4, 3, 2], block=32, slice="prefix", decode="ab", symmetric=False, codes="gptq", rounds=1, sweeps=2)
    cases = {
        "best": {},
        "gptq-only": dict(rounds=0, block=16),
        "rounded": dict(codes="round", rounds=0),
        "many-blocks": dict(codes="round", rounds=0, block=3, planes=[8, 4, 2]),
        "mid-point": dict(decode="mid", symmetric=True),
        "signed": dict(decode="signed", symmetric=True, slice="paper", planes=[8, 4, 2]),
        "paper-tied": dict(decode="tied", slice="paper", planes=[8, 4, 2], block=84),
        "extra": dict(slice="extra", planes=[8, 4, 2]),
        "matgptq": dict(codes="mean", decode="tied", slice="paper", planes=[8, 4, 2], rounds=0),
        "four-alone": dict(parent=4, planes=[4]),
        "without-eight": dict(planes=[8, 5, 2], rounds=0, bits=[5, 2]),
    }
    h.tofile(os.path.join(OUT, "gram.f32"))
    w.tofile(os.path.join(OUT, "weights.f32"))
    table = []
    for name, change in cases.items():
        case = {**base, **change}
        case["bits"] = case.get("bits", case["planes"])
        case["lambda"] = {str(r): t2[str(r)] for r in case["bits"]}
        codes, tables, error = solve(w.astype(float), h.astype(float), case)
        codes.astype(np.uint8).tofile(os.path.join(OUT, f"{name}.codes"))
        np.stack([np.stack(t) for t in tables]).astype(np.float32).tofile(os.path.join(OUT, f"{name}.tables"))
        table.append({"name": name, "rows": n, "cols": k, **case, "error": [float(e) for e in error]})
    with open(os.path.join(OUT, "cases.json"), "w") as file:
        json.dump(table, file, indent=1)
        file.write("\n")


main()

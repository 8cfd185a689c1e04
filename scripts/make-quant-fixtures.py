"""Writes fixtures/quant/*.json: what numpy computes for the arithmetic of src/quant, by other means than the code under test.

Run by hand (python scripts/make-quant-fixtures.py, numpy >= 1.24); tests only read the result.
"""

import json
import pathlib

import numpy as np

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "quant"
BITS = (2, 3, 4, 5, 6, 7, 8)
rng = np.random.default_rng(20250302)


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(value, separators=(",", ":")) + "\n")


def ints(x):
    return np.asarray(x).astype(np.int64).ravel().tolist()


def floats(x):
    """float32 values, exact in JSON as float64."""
    return np.asarray(x, dtype=np.float32).astype(np.float64).ravel().tolist()


def blocks_of(row, block):
    return [row[i : i + block] for i in range(0, len(row), block)]


def half():
    patterns = rng.integers(0, 2**32, 400, dtype=np.uint64).astype(np.uint32)
    near = (rng.standard_normal(400) * 2.0 ** rng.integers(-27, 17, 400)).astype(np.float32)
    h = rng.integers(0, 0x7C00, 200).astype(np.uint16).view(np.float16).astype(np.float64)
    up = np.nextafter(np.float16(h), np.float16(np.inf)).astype(np.float64)
    ties = np.where(np.isfinite(up), (h + np.where(np.isfinite(up), up, 0)) / 2, 65520.0).astype(np.float32)
    edges = np.array([0, -0.0, 2**-24, 2**-25, -(2**-25), 65504, 65519.996, 65520, -65520, 1e30, np.inf, -np.inf], np.float32)
    bfloat_ties = ((rng.integers(0, 0x7F7F, 100).astype(np.uint32) << 16) | 0x8000).view(np.float32)
    x = np.concatenate([patterns.view(np.float32), near, ties, -ties, bfloat_ties, edges])
    x = x[~np.isnan(x)]
    with np.errstate(over="ignore"):
        f16 = x.astype(np.float16).view(np.uint16)
    # bfloat16: the nearer of the two truncations, the even one on a tie
    bits = x.view(np.uint32).astype(np.uint64)
    low, rest = bits >> 16, bits & 0xFFFF
    bf16 = np.where((rest > 0x8000) | ((rest == 0x8000) & (low % 2 == 1)), low + 1, low)
    write("half", {"float32Bits": ints(x.view(np.uint32)), "float16": ints(f16), "bfloat16": ints(bf16)})


def grid():
    rows, k, block = 5, 40, 16
    w = (rng.standard_normal((rows, k)) * 0.05).astype(np.float32)
    w[1, :16] = np.abs(w[1, :16])  # one-sided block
    w[2, 32:] = 0  # empty ragged block
    cases = []
    for kind in ("asymmetric", "symmetric", "signed"):
        for bits in (8, 4, 2):
            scale, zero, codes = [], [], []
            for row in w.astype(np.float64):
                for x in blocks_of(row, block):
                    half_range = 2 ** (bits - 1)
                    lo, hi = min(x.min(), 0), max(x.max(), 0)
                    if kind == "asymmetric":
                        a = (hi - lo) / (2**bits - 1)
                    elif kind == "symmetric":
                        a = max(hi, -lo) / max(half_range - 1, 1)
                    else:
                        a = -(lo if -lo > hi else hi) / half_range
                    a = float(np.float32(a)) if a != 0 else 2.0**-24
                    z = np.rint(-lo / a) if kind == "asymmetric" else half_range
                    scale.append(a)
                    zero.append(z)
                    codes += ints(np.clip(np.rint(x / a + z), 0, 2**bits - 1))
            cases.append({"kind": kind, "bits": bits, "scale": floats(scale), "zero": ints(zero), "codes": codes})
    write("grid", {"rows": rows, "k": k, "block": block, "weights": floats(w), "cases": cases})
    return w, cases[0]


def slice_definition(q, kind, bits):
    """Written with real division and floor(x + 1/2), not with shifts."""
    x = q / 2.0 ** (8 - bits)
    if kind == "prefix":
        return np.floor(x)
    c = np.floor(x + 0.5)
    return np.minimum(c, 2**bits - 1) if kind == "paper" else c


def slices():
    q = np.arange(256)
    kinds = ("paper", "extra", "prefix")
    even = {b: int((np.minimum(np.rint(q / 2.0 ** (8 - b)), 2**b - 1) != slice_definition(q, "paper", b)).sum()) for b in BITS}
    tables = {kind: {b: ints(slice_definition(q, kind, b)) for b in BITS[:-1]} for kind in kinds}
    for kind in kinds:
        tables[kind][8] = ints(q)
    write("slice", {"tables": tables, "halfToEvenDifferences": even})


def tables(w, parent):
    rows, k, block = 5, 40, 16
    q = np.array(parent["codes"]).reshape(rows, k)
    cases = []
    for kind in ("prefix", "paper"):
        for bits in (8, 4, 3, 2):
            c = q.astype(np.float64) if bits == 8 else slice_definition(q, kind, bits)
            for decode in ("ab", "mid", "signed"):
                scale, offset, error = [], [], 0.0
                for wr, cr in zip(w.astype(np.float64), c):
                    for x, code in zip(blocks_of(wr, block), blocks_of(cr, block)):
                        if decode == "ab":
                            a, b = np.linalg.lstsq(np.stack([code, np.ones_like(code)], 1), x, rcond=None)[0]
                        else:
                            zp = 2.0 ** (bits - 1) - (0.5 if decode == "mid" else 0)
                            a = np.linalg.lstsq((code - zp)[:, None], x, rcond=None)[0][0]
                            b = -a * zp
                        scale.append(a)
                        offset.append(b)
                        error += float(((a * code + b - x) ** 2).sum())
                cases.append({"slice": kind, "bits": bits, "decode": decode, "scale": floats(scale), "offset": floats(offset), "error": error})
    write("tables", {"cases": cases})


def bits_lsb(values, width):
    """Fields -> bytes by way of single bits, lowest first."""
    v = np.asarray(values, dtype=np.uint8).reshape(-1, 1)
    return np.packbits(np.unpackbits(v, axis=1, bitorder="little")[:, :width].reshape(-1), bitorder="little")


def pack():
    rows, k, block = 3, 40, 16
    count = -(-k // block)
    cases = []
    for bits in (2, 4, 8):
        codes = rng.integers(0, 2**bits, (rows, k))
        padded = np.full((rows, count * block), 2 ** (bits - 1))
        padded[:, :k] = codes
        zero = rng.integers(0, 2**bits, (rows, count))
        signed = (codes - 2 ** (bits - 1)).T.astype(np.int8).view(np.uint8)
        cases.append(
            {
                "bits": bits,
                "codes": ints(codes),
                "matmulnbits": ints(np.concatenate([bits_lsb(row, bits) for row in padded])),
                "zero": ints(zero),
                "zeroPacked": ints(np.concatenate([bits_lsb(row, bits) for row in zero])),
                "unsignedQdq": ints(bits_lsb(codes.T.ravel(), bits)),
                "signedQdq": ints(bits_lsb(signed.ravel(), bits)),
            }
        )
    write("pack", {"rows": rows, "k": k, "block": block, "cases": cases})


def planes():
    """Container bytes of every precision, from the parent codes alone."""
    rows, k, block = 3, 40, 16
    count = -(-k // block)
    q = rng.integers(0, 256, (rows, k))
    padded = np.full((rows, count * block), 128)
    padded[:, :k] = q
    joined = {}
    for bits in BITS:
        m = 2 if bits == 2 else 4 if bits <= 4 else 8
        container = np.floor(padded / 2.0 ** (8 - bits)) * 2 ** (m - bits)
        joined[bits] = ints(np.concatenate([bits_lsb(row, m) for row in container]))
    write("planes", {"rows": rows, "k": k, "block": block, "codes": ints(q), "containers": joined})


def compress():
    cases = []
    for signed in (False, True):
        x = np.abs(rng.standard_normal(50)) * 0.01 + 1e-4
        if signed:
            x *= rng.choice([-1, 1], 50)
        x[16:32] *= 1e-3  # a group in the subnormal range of its super-scale
        x = x.astype(np.float32).astype(np.float64)
        top = 127 if signed else 255
        all16 = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
        supers, codes = [], []
        for group in blocks_of(x, 16):
            unit = all16[np.searchsorted(all16, np.abs(group).max() / top)]  # the first one not below
            supers.append(unit)
            codes += ints(np.rint(group / unit))
        cases.append({"signed": signed, "values": floats(x), "supers": ints(np.array(supers, np.float16).view(np.uint16)), "codes": codes})
    write("compress", {"cases": cases})


half()
slices()
tables(*grid())
pack()
planes()
compress()

"""Runs the models that `node dist/scripts/models-table.js --print --keep FOLDER` leaves in ONNX Runtime for Python, and prints the
relative error of the int8 logits of each to its source: check-models.py FOLDER. bfloat16 sources, which run nowhere on processors, are
compared in the float32 form that was kept beside them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

TOKENS = 24
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}


def feeds(session):
    ids = np.array([[3 + (at * 37) % 90 for at in range(TOKENS)]], np.int64)
    made = {}
    for each in session.get_inputs():
        kind, dims = TYPES[each.type], each.shape
        if each.name == "input_ids":
            made[each.name] = ids
        elif "mask" in each.name:
            made[each.name] = np.ones_like(ids)
        elif each.name == "position_ids":
            made[each.name] = np.arange(TOKENS, dtype=kind)[None]
        elif each.name == "use_cache_branch":
            made[each.name] = np.zeros(1, kind)
        elif each.name.startswith("past"):
            made[each.name] = np.zeros((1, dims[1], 0, dims[3]), kind)
        elif each.name in ("inputs_embeds", "per_layer_inputs"):
            rows = np.random.default_rng(7).standard_normal((200, *dims[2:]))
            made[each.name] = rows[ids].astype(kind)
        else:
            raise ValueError(f"no value for {each.name}")
    return made


def logits(path):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(["logits"], feeds(session))[0].astype(np.float64)


def errors(folder, row):
    widened = folder / "widened.onnx"
    exact = logits(widened if widened.exists() else folder / row["source"])
    near = logits(folder / "set" / "m_int8.onnx")
    by_token = np.linalg.norm(exact - near, axis=-1) / np.linalg.norm(exact, axis=-1)
    return np.linalg.norm(exact - near) / np.linalg.norm(exact), np.median(by_token)


def main():
    folders = sorted((each for each in Path(sys.argv[1]).iterdir() if (each / "row.json").exists()), key=lambda each: int(each.name))
    print(f"ONNX Runtime {ort.__version__} for Python")
    for folder in folders:
        row = json.loads((folder / "row.json").read_text())
        name = f"{row['architecture']} | {row['exporter']}"
        if not (folder / "set" / "m_int8.onnx").exists():
            print(f"{name}: refused")
            continue
        whole, median = errors(folder, row)
        print(f"{name}: {whole:.4f}, median of the tokens {median:.4f}")


main()

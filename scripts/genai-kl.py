"""KL of the logits of onnxruntime-genai to those of ONNX Runtime for two forms of one model, nats per position.

    python scripts/genai-kl.py GENAI_FOLDER MODEL.onnx TOKENIZER.json TEXT.jsonl [WINDOWS] [TOKENS]

GENAI_FOLDER is genai/intN of a package; MODEL.onnx is the graph of the same precision in the nested set, or the float export.
Needs onnxruntime, onnxruntime-genai, tokenizers and numpy; not run by the tests.
"""

import json
import sys

import numpy as np
import onnxruntime
import onnxruntime_genai as og
from tokenizers import Tokenizer


def log_softmax(x):
    x = x.astype(np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def feeds_of(session, ids):
    """Ids from an empty cache, whatever inputs the export names."""
    n = len(ids)
    feeds = {}
    for port in session.get_inputs():
        if port.name == "input_ids":
            feeds[port.name] = np.array([ids], np.int64)
        elif port.name == "attention_mask":
            feeds[port.name] = np.ones((1, n), np.int64)
        elif port.name == "position_ids":
            feeds[port.name] = np.arange(n, dtype=np.int64)[None]
        else:
            shape = [d if isinstance(d, int) else (1 if at == 0 else 0) for at, d in enumerate(port.shape)]
            feeds[port.name] = np.zeros(shape, np.float16 if "float16" in port.type else np.float32)
    return feeds


def main(folder, model, tokenizer, text, windows="4", tokens="64"):
    encoder = Tokenizer.from_file(tokenizer)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    other = og.Model(folder)
    with open(text, encoding="utf-8") as file:
        texts = [json.loads(next(file))["text"] for _ in range(int(windows))]
    total, same, count = 0.0, 0, 0
    for each in texts:
        ids = encoder.encode(each, add_special_tokens=True).ids[: int(tokens)]
        expected = log_softmax(session.run(["logits"], feeds_of(session, ids))[0][0])
        params = og.GeneratorParams(other)
        params.set_search_options(max_length=len(ids) + 1)
        generator = og.Generator(other, params)
        # All at once, as the other side: kernels for one row and for many round differently.
        generator.append_tokens(np.array([ids], np.int32))
        found = log_softmax(np.asarray(generator.get_output("logits")).reshape(-1, expected.shape[-1]))
        if len(found) != len(expected):
            raise SystemExit(f"onnxruntime-genai gives the logits of {len(found)} of {len(expected)} positions")
        total += (np.exp(expected) * (expected - found)).sum()
        same += (expected.argmax(-1) == found.argmax(-1)).sum()
        count += len(ids)
    print(f"KL {total / count:.3g}, same likeliest token {100 * same / count:.1f} %, {count} positions")


main(*sys.argv[1:])

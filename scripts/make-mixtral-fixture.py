"""Makes fixtures/models/mixtral-tiny: a mixture of experts in the form of Mixtral, trained to give the logits of
fixtures/models/mistral-656k. Attention, norms and embedding start from that model, and each expert from some of the neurons of its
feed-forward block; training text is stories-calibration.txt and what the teacher writes itself.

Run by hand (torch, onnx, tokenizers; some minutes on one core): make-mixtral-fixture.py OUTPUT_FOLDER [STEPS]
"""

import sys
import time
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from torch import nn

ROOT = Path(__file__).resolve().parent.parent / "fixtures"
TEACHER = ROOT / "models" / "mistral-656k"
HIDDEN, HEADS, KV_HEADS, WIDTH, LAYERS, VOCABULARY = 128, 8, 4, 16, 2, 2048
EXPERTS, TOP, EXPERT_FFN, FFN = 4, 2, 96, 384
LENGTH, TEXTS = 128, 256


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(HIDDEN))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.o_proj = (nn.Linear(HIDDEN, HIDDEN, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(HIDDEN, KV_HEADS * WIDTH, bias=False) for _ in range(2))

    def forward(self, x, rotation, mask):
        batch, length, _ = x.shape
        q, k, v = (p(x).view(batch, length, -1, WIDTH).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        q, k = (rotated(each, rotation) for each in (q, k))
        k, v = (repeated(each) for each in (k, v))
        scores = q @ k.transpose(2, 3) * WIDTH**-0.5 + mask
        mixed = scores.softmax(-1) @ v
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, HIDDEN))


def rotated(x, rotation):
    cos, sin = rotation
    left, right = x[..., : WIDTH // 2], x[..., WIDTH // 2 :]
    return x * cos + torch.cat((-right, left), -1) * sin


def repeated(x):
    batch, _, length, _ = x.shape
    many = x[:, :, None].expand(batch, KV_HEADS, HEADS // KV_HEADS, length, WIDTH)
    return many.reshape(batch, HEADS, length, WIDTH)


class Expert(nn.Module):
    def __init__(self, width=EXPERT_FFN):
        super().__init__()
        self.w1, self.w3 = (nn.Linear(HIDDEN, width, bias=False) for _ in range(2))
        self.w2 = nn.Linear(width, HIDDEN, bias=False)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Mixture(nn.Module):
    """The `MixtralSparseMoeBlock` of transformers; all experts are visited in turn, as exporters need it."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(HIDDEN, EXPERTS, bias=False)
        self.experts = nn.ModuleList(Expert() for _ in range(EXPERTS))
        self.dense = True

    def forward(self, x):
        batch, length, _ = x.shape
        flat = x.reshape(-1, HIDDEN)
        weights = self.gate(flat).softmax(-1)
        self.shares = weights
        weights, chosen = torch.topk(weights, TOP, dim=-1)
        weights = weights / weights.sum(-1, keepdim=True)
        self.used = F.one_hot(chosen, num_classes=EXPERTS).float().sum(1)
        if self.dense:
            share = torch.zeros(flat.shape[0], EXPERTS).scatter(1, chosen, weights)
            total = sum(share[:, at, None] * expert(flat) for at, expert in enumerate(self.experts))
            return total.view(batch, length, HIDDEN)
        mask = F.one_hot(chosen, num_classes=EXPERTS).permute(2, 1, 0)
        total = torch.zeros_like(flat)
        for at, expert in enumerate(self.experts):
            rank, row = torch.where(mask[at])
            made = expert(flat[None, row].reshape(-1, HIDDEN)) * weights[row, rank, None]
            total.index_add_(0, row, made)
        return total.reshape(batch, length, HIDDEN)


class Layer(nn.Module):
    def __init__(self, dense):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()
        self.self_attn = Attention()
        self.mlp = Expert(FFN) if dense else Mixture()

    def forward(self, x, rotation, mask):
        x = x + self.self_attn(self.input_layernorm(x), rotation, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, dense):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, HIDDEN)
        self.layers = nn.ModuleList(Layer(dense) for _ in range(LAYERS))
        self.norm = Norm()

    def forward(self, input_ids, attention_mask):
        at = torch.arange(input_ids.shape[1])
        angles = at[:, None].float() * 10000.0 ** (-torch.arange(WIDTH // 2).float() / (WIDTH // 2))
        angles = torch.cat((angles, angles), -1)
        allowed = (at[None, :] <= at[:, None])[None, None] & (attention_mask[:, None, None, :] > 0)
        mask = torch.where(allowed, 0.0, -1e9)
        x = self.embed_tokens(input_ids)
        for layer in self.layers:
            x = layer(x, (angles.cos(), angles.sin()), mask)
        return self.norm(x) @ self.embed_tokens.weight.T


def teacher():
    graph = onnx.load(str(TEACHER / "model.onnx")).graph
    arrays = {each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in graph.initializer}
    model = Decoder(dense=True)
    state = {}
    for node in graph.node:
        parts = node.name.strip("/").split("/")
        if node.op_type == "MatMul" and parts[-2].endswith("_proj"):
            name = ".".join(parts[1:-1]) + ".weight"
            for old, new in (("gate_proj", "w1"), ("up_proj", "w3"), ("down_proj", "w2")):
                name = name.replace(old, new)
            state[name] = arrays[node.input[1]].T
    for name, array in arrays.items():
        if name.startswith("model.") and name.endswith("weight"):
            state[name.removeprefix("model.")] = array
    model.load_state_dict(state)
    return model.eval()


@torch.no_grad()
def mean_input(model, layer, ids):
    """What reaches a feed-forward block on average, [hidden]."""
    seen = []
    hook = model.layers[layer].mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(ids, torch.ones_like(ids))
    hook.remove()
    return seen[0].mean((0, 1))


def student_of(model, texts, random):
    student = Decoder(dense=False)
    own = student.state_dict()
    for name, value in model.state_dict().items():
        if ".mlp." not in name:
            own[name] = value.clone()
            continue
        layer, role = name.split(".")[1], name.split(".")[-2]
        order = torch.from_numpy(np.random.default_rng(int(layer)).permutation(FFN))
        for expert in range(EXPERTS):
            rows = order[expert * EXPERT_FFN : (expert + 1) * EXPERT_FFN]
            part = value[:, rows] * TOP if role == "w2" else value[rows]
            own[f"layers.{layer}.mlp.experts.{expert}.{role}.weight"] = part.clone()
    for layer in range(LAYERS):
        own[f"layers.{layer}.mlp.gate.weight"] = torch.randn(EXPERTS, HIDDEN, generator=random) * 0.3
    # The last expert of the last layer is rarely used, as some are in real models.
    mean = mean_input(model, LAYERS - 1, texts[:64])
    own[f"layers.{LAYERS - 1}.mlp.gate.weight"][-1] -= 2 * mean / mean.pow(2).sum()
    student.load_state_dict(own)
    return student


@torch.no_grad()
def written(model, count, random):
    """Texts that the teacher samples after BOS."""
    ids = torch.ones(count, 1, dtype=torch.long)
    for _ in range(LENGTH - 1):
        logits = model(ids, torch.ones_like(ids))[:, -1]
        ids = torch.cat((ids, torch.multinomial(logits.softmax(-1), 1, generator=random)), 1)
    return ids


def stories():
    tokenizer = Tokenizer.from_file(str(TEACHER / "tokenizer.json"))
    text = (ROOT / "text" / "stories-calibration.txt").read_text(encoding="utf-8")
    ids = [id for story in text.split("\n\n") for id in [1, *tokenizer.encode(story, add_special_tokens=False).ids]]
    rows = len(ids) // LENGTH
    return torch.tensor(ids[: rows * LENGTH]).view(rows, LENGTH)


def train(model, student, texts, steps, random):
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.1)
    start = time.time()
    for step in range(steps):
        ids = texts[torch.randint(0, len(texts), (16,), generator=random)]
        ones = torch.ones_like(ids)
        with torch.no_grad():
            target = model(ids, ones).log_softmax(-1)
        loss = F.kl_div(student(ids, ones).log_softmax(-1), target, log_target=True, reduction="sum") / ids.numel()
        # Experts of the first layer are used alike; in the last one, what rarely happens stays rare.
        mixture = student.layers[0].mlp
        balance = EXPERTS * (mixture.used.mean(0) / TOP * mixture.shares.mean(0)).sum()
        optimizer.zero_grad()
        (loss + 0.01 * balance).backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step(), schedule.step()
        if step % 50 == 49:
            used = [[round(x, 2) for x in (each.mlp.used.mean(0) / TOP).tolist()] for each in student.layers]
            print(f"{step + 1}: KL {loss.item():.4f}, shares {used}, {time.time() - start:.0f} s", flush=True)


def halved(model):
    """Weights of two dimensions in float16, with a Cast before their use: half the size of the file."""
    graph, casts = model.graph, []
    arrays = {each.name: each for each in graph.initializer}
    table = numpy_helper.to_array(arrays["embed_tokens.weight"])
    for name, each in arrays.items():  # The exporter stores the head a second time.
        if list(each.dims) == [HIDDEN, VOCABULARY] and np.array_equal(numpy_helper.to_array(each), table.T):
            graph.initializer.remove(each)
            casts.append(helper.make_node("Transpose", ["embed_tokens.weight"], [name], name="lm_head/Transpose", perm=[1, 0]))
    for each in list(graph.initializer):
        array = numpy_helper.to_array(each)
        if array.dtype != np.float32 or array.ndim != 2:
            continue
        name = each.name
        each.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], name=f"{name}/Cast", to=TensorProto.FLOAT))
    casts.sort(key=lambda node: node.op_type)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def export(student, folder):
    for layer in student.layers:
        layer.mlp.dense = False
    ids = torch.randint(3, VOCABULARY, (2, 9))
    axes = {0: "batch_size", 1: "sequence_length"}
    path = folder / "model.onnx"
    torch.onnx.export(
        student.eval(),
        (ids, torch.ones_like(ids)),
        str(path),
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": axes},
        opset_version=18,
        dynamo=False,
    )
    onnx.save(halved(onnx.load(str(path))), str(path))


def main():
    folder, steps = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 600
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1), torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    model = teacher()
    texts = torch.cat((stories(), written(model, TEXTS, random)))
    print(f"{len(texts)} texts of {LENGTH} tokens", flush=True)
    student = student_of(model, texts, random)
    train(model, student, texts, steps, random)
    # What is stored is what was trained.
    with torch.no_grad():
        for value in student.parameters():
            if value.ndim == 2:
                value.copy_(value.half().float())
    export(student, folder)
    print(f"{(folder / 'model.onnx').stat().st_size} bytes")


main()

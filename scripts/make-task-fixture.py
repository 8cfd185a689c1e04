"""Writes fixtures/report/task-likelihoods.json: log-likelihoods of the answers of questions in every form a task file has,
computed by PyTorch and transformers from the ids of Python's `tokenizers`.

Run by hand: make-task-fixture.py CHECKPOINT, with the checkpoint that fixtures/models/mistral-656k was exported from; tests
only read the result.
"""

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

ITEMS = [
    {"query": "Question: Where did the little cat sleep?\n", "choices": ["In the big tree.", "On the bed."], "gold": 1},
    {"query": "Question: What did Tom find in the park?", "choices": ["A ball.", "a blue shiny stone", "Zebras"], "gold": 0},
    {"query": "The girl was sad because", "choices": ["her toy was lost.", "the cake was very yummy."], "gold": 0},
    {"query": "It rained all day, therefore", "choices": ["they played inside.", "they went to the caf\u00e9."], "gold": 0},
    {"query": "Once upon a time", "choices": ["there was a little dog named Max.", "banana of the is."], "gold": 0},
    {
        "context_options": ["Lily gave the doll to Sue so Lily", "Lily gave the doll to Sue so Sue"],
        "continuation": "was happy to play with it.",
        "gold": 1,
    },
    {
        "context_options": ["The ball did not fit in the box because the ball", "The ball did not fit in the box because the box"],
        "continuation": "was too big.",
        "gold": 0,
    },
]


def pairs(item: dict) -> list[tuple[str, str]]:
    if "context_options" in item:
        return [(context, " " + item["continuation"]) for context in item["context_options"]]
    query = item["query"].rstrip()
    prompt = query + "\nAnswer:" if query.startswith("Question:") else query
    return [(prompt, " " + choice) for choice in item["choices"]]


def likelihood(model, tokenizer: Tokenizer, context: str, ending: str) -> float:
    """Sum of log p over the ids by which the text with the ending differs from the context alone."""
    alone = tokenizer.encode(context, add_special_tokens=False).ids
    whole = tokenizer.encode(context + ending, add_special_tokens=False).ids
    start = next(i for i, token in enumerate(whole) if i >= len(alone) or token != alone[i])
    ids = torch.tensor([[1, *whole]])
    with torch.no_grad():
        chances = model(ids).logits[0].double().log_softmax(-1)
    return sum(chances[position, ids[0, position + 1]].item() for position in range(start, len(whole)))


def main(checkpoint: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = Tokenizer.from_file(str(Path(checkpoint) / "tokenizer.json"))
    likelihoods = [[likelihood(model, tokenizer, *pair) for pair in pairs(item)] for item in ITEMS]
    target = Path(__file__).parent.parent / "fixtures/report/task-likelihoods.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"items": ITEMS, "likelihoods": likelihoods}, indent=1, ensure_ascii=False) + "\n")


main(sys.argv[1])

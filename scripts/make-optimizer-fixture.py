"""Writes fixtures/calibrate/optimizer.json: steps of torch.optim.AdamW and rates of PyTorch's schedulers (torch 2).

Run by hand; tests only read the result.
"""

import json
from pathlib import Path

import torch

torch.manual_seed(1)
STEPS, WARM_UP, RATE, FLOOR = 12, 4, 0.05, 0.002


def rates() -> list[float]:
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=RATE)
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / WARM_UP, 1.0, WARM_UP - 1)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS - WARM_UP, FLOOR)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warm, cosine], [WARM_UP])
    found = []
    for _ in range(STEPS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def run(options: dict[str, float], scheduled: list[float]) -> dict:
    """Two parameters, the second at a tenth of the rate and without decay."""
    start = [torch.randn(5), torch.randn(3) * 10]
    parameters = [value.clone().requires_grad_() for value in start]
    groups = [{"params": [parameters[0]]}, {"params": [parameters[1]], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(
        groups, betas=(options["beta1"], options["beta2"]), eps=options["epsilon"], weight_decay=options["weightDecay"]
    )
    gradients, values = [], []
    for rate in scheduled:
        optimizer.param_groups[0]["lr"] = rate
        optimizer.param_groups[1]["lr"] = rate / 10
        gradient = [torch.randn(5), torch.randn(3) * 1e-3]
        for parameter, each in zip(parameters, gradient):
            parameter.grad = each
        optimizer.step()
        gradients.append([each.tolist() for each in gradient])
        values.append([each.detach().tolist() for each in parameters])
    return {"options": options, "start": [each.tolist() for each in start], "gradients": gradients, "values": values}


scheduled = rates()
cases = [
    {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weightDecay": 0.0},
    {"beta1": 0.9, "beta2": 0.99, "epsilon": 1e-6, "weightDecay": 0.1},
]
fixture = {
    "schedule": {"rate": RATE, "steps": STEPS, "warmUp": WARM_UP, "floor": FLOOR, "rates": scheduled},
    "cases": [run(options, scheduled) for options in cases],
}
target = Path(__file__).parent.parent / "fixtures/calibrate/optimizer.json"
target.parent.mkdir(parents=True, exist_ok=True)
target.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")

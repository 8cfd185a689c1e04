#!/bin/sh
# Compiles a model and checks it against a budget, on any service or by hand. Exit code 3: a limit is missed.
#   MODEL=model.onnx IDS=windows.jsonl BUDGET=matquant.budget.json sh examples/ci/matquant.sh
set -eu
: "${MODEL:?}" "${IDS:?}"
matquant=${MATQUANT:-npx --yes --package onnx-matquant matquant}
out=${OUT:-matquant-out}
# MATQUANT may be several words.
$matquant compile "$MODEL" -o "$out" --preset "${PRESET:-data-free}" --work "${CACHE:-.matquant-cache}/work"
$matquant verify "$MODEL" "$out" --budget "${BUDGET:-matquant.budget.json}" --ids "$IDS" --windows auto --junit "$out.xml" --summary "$out.md"

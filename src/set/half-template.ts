/** A template that computes in float16, out of one that computes in float32 and what its activations were measured to be. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { computeFloat16 } from '../../passes/compute-float16.js';
import { float32Nodes, float32Values } from '../analysis/float32-nodes.js';
import { activationRanges } from '../capture/index.js';
import { PLACEHOLDER_DOMAIN } from '../emit/sites.js';
import { temporaryFolder } from '../files/temporary.js';
import type { Context } from '../log.js';
import { cloneModel } from '../onnx/ir/clone.js';
import { type Model, valuesIn } from '../onnx/ir/graph.js';
import { FLOAT16_MAX } from '../onnx/ir/half.js';
import { Rewriter } from '../onnx/rewrite/rewriter.js';
import { runPasses, step } from '../onnx/rewrite/run-passes.js';
import { createRandom } from '../random.js';
import { ortRuntime } from '../runtime/ort.js';
import { readWindows, type TextOptions } from '../text/index.js';
import { halveCaches } from './half-caches.js';
import { type ModelParts, type Selection, writeModel } from './set-output.js';
import type { OpenTemplate } from './set-template.js';
import { SetTensors } from './set-tensors.js';

/** Values are float16 up to an eighth of its range: other text makes larger ones than the text that was measured. */
export const LARGEST_IN_FLOAT16: number = FLOAT16_MAX / 8;

/** What was found out while a graph was changed to float16. */
export interface Float16Facts {
  /** Values that stay float32 because of their range, the largest first; what is computed inside norms is not listed. */
  readonly wide: readonly { readonly name: string; readonly largest: number | 'infinite' }[];
  /** Values that were measured. */
  readonly measured: number;
  /** What they were measured on. */
  readonly on: 'text' | 'random ids';
}

/** Windows, and tokens in each, that ranges are measured on. */
const WINDOWS = 4;
const TOKENS = 128;

/** Measures the model of a selection, and gives its set with a template in float16, caches included. */
export async function openHalf(
  open: OpenTemplate,
  selection: Selection,
  text: TextOptions | undefined,
  context: Pick<Context, 'signal'>,
): Promise<{ readonly open: OpenTemplate; readonly facts: Float16Facts }> {
  const { set, layout, template } = open;
  const { accuracyLevel, data } = set.manifest;
  const tensors = new SetTensors(data, set.dataPath);
  const reader = tensors.reader(layout);
  try {
    const half = await halfTemplate({ template, reader, accuracyLevel }, selection, text, context);
    return { open: { ...open, template: half.template }, facts: half.facts };
  } finally {
    tensors.close();
  }
}

async function halfTemplate(
  parts: ModelParts,
  selection: Selection,
  text: TextOptions | undefined,
  { signal }: Pick<Context, 'signal'>,
): Promise<{ readonly template: Model; readonly facts: Float16Facts }> {
  const folder = temporaryFolder('float');
  try {
    const path = join(folder, 'model.onnx');
    writeModel(parts, selection, path);
    const names = new Set([...valuesIn(parts.template.graph)].map(({ name }) => name));
    const windows = (vocabulary: number | undefined): readonly Int32Array[] => rangeWindows(text, vocabulary);
    const ranges = await activationRanges(path, { runtime: ortRuntime, names, windows, signal });
    const beyond = [...ranges].filter(([, largest]) => largest > LARGEST_IN_FLOAT16);
    const template = inFloat16(parts.template, new Set(beyond.map(([name]) => name)));
    const norms = madeInNorms(parts.template);
    const wide = beyond
      .filter(([name]) => !norms.has(name))
      .toSorted(([, a], [, b]) => b - a)
      .map(([name, largest]) => ({ name, largest: Number.isFinite(largest) ? largest : ('infinite' as const) }));
    return { template, facts: { wide, measured: ranges.size, on: text === undefined ? 'random ids' : 'text' } };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Names of values that are float32 in any case: squares, means and quotients of norms. */
function madeInNorms(template: Model): ReadonlySet<string> {
  const kept = float32Nodes(template, float32Values(template), new Set());
  const nodes = [...kept].filter(([, reason]) => reason === 'norm').map(([node]) => node);
  return new Set(nodes.flatMap(({ outputs }) => outputs.map((value) => value?.name ?? '')));
}

/** A copy of a template whose activations are float16, but for those named. */
export function inFloat16(template: Model, wide: ReadonlySet<string>): Model {
  const { model } = cloneModel(template);
  runPasses(model, [step(computeFloat16, {}, wide)], [PLACEHOLDER_DOMAIN]);
  halveCaches(new Rewriter(model));
  return model;
}

/** The windows that ranges are measured on: of a text, or random ids of a vocabulary. */
export function rangeWindows(text: TextOptions | undefined, vocabulary = 256): readonly Int32Array[] {
  if (text !== undefined) return readWindows(text, { window: TOKENS, limit: WINDOWS, vocabulary });
  const random = createRandom(0).fork('ranges');
  return Array.from({ length: WINDOWS }, () => Int32Array.from({ length: TOKENS }, () => random.integer(vocabulary)));
}

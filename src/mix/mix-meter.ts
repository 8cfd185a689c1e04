/** Opens a set so that any mix of it can be run and compared with a reference, without writing a file. */

import { basename } from 'node:path';
import { digestOfWindows } from '../capture/index.js';
import { fail } from '../diagnostics.js';
import { logitsFor } from '../evaluate/index.js';
import { machineOf } from '../files/machine.js';
import { KernelPool } from '../kernels/pool.js';
import type { Context } from '../log.js';
import { requireSound } from '../onnx/convert/check-model.js';
import type { Input, MeterRequest } from '../options/index.js';
import type { Precision } from '../quant/precision.js';
import { type Decoder, openDecoder } from '../runtime/decoder.js';
import { readHints } from '../runtime/hints.js';
import { ortRuntime } from '../runtime/ort.js';
import { denseWeights, type OpenTemplate, requireData, SetTensors } from '../set/index.js';
import { requireText } from '../source/index.js';
import { readWindows, requireIdsBelow, type TextInput } from '../text/index.js';
import { DivergenceMeter } from './search/divergence.js';
import { elasticGraph } from './search/elastic-graph.js';
import { type ElasticOptions, ElasticRunner } from './search/elastic-runner.js';
import type { Mix } from './search/types.js';

/** Text and reference for measurements, with defaults left out. */
export type MeterInput = Input<Omit<MeterRequest, 'text'>, 'window' | 'tokens' | 'threads' | 'memoryBytes'> & {
  readonly text: TextInput;
};

/** An open set; close it whatever happens. */
export interface OpenMeter {
  readonly meter: DivergenceMeter;
  /** Every projection at its highest precision. */
  readonly parent: Mix;
  /** Digest of the windows. */
  readonly text: string;
  /** What is compared with: `parent`, or the name of the original. */
  readonly reference: string;
  close(): Promise<void>;
}

/** Ids of a large vocabulary to compare: KL of int4 to int8 of Gemma 3 270M within 1 % of that over all 262,144. */
const COMPARED_IDS = 8192;

/** Runs the reference and leaves the meter ready. */
export async function openMeter(open: OpenTemplate, request: MeterRequest, context: Context): Promise<OpenMeter> {
  const { layout } = open;
  requireData(open.set, layout.byteLength);
  const windows = windowsOf(request);
  requireIdsBelow(windows, Number.POSITIVE_INFINITY, 'text');
  const tensors = new SetTensors(open.set.manifest.data, open.set.dataPath);
  const reader = tensors.reader(layout);
  const graph = elasticGraph(open.template, reader);
  if (!('ids' in request.text)) requireText(graph.model, request.original ?? open.set.path);
  const machine = machineOf(request);
  const { threads } = machine;
  const pool = new KernelPool(threads);
  if (request.original !== undefined) requireSound(request.original);
  const hints = readHints(request.original ?? open.set.path);
  const weights: ElasticOptions['weights'] = (place, bits) => denseWeights(reader, place, bits);
  const { signal } = context;
  const runner = new ElasticRunner({ graph, weights, windows, runtime: ortRuntime, machine, hints, signal });
  let original: Decoder | undefined;
  const close = async (): Promise<void> => {
    await runner.close();
    await pool.close();
    await original?.session.close();
    tensors.close();
  };
  const parent: Mix = new Map(layout.projections.map(({ id, chain }) => [id, chain.at(-1) as Precision]));
  try {
    if (request.original !== undefined) original = await openDecoder(ortRuntime, request.original, { threads }, hints);
    const decoder = original;
    const meter = await DivergenceMeter.open({
      runner,
      graph,
      pool,
      windows,
      parent,
      vocabulary: COMPARED_IDS,
      ...(decoder && { reference: (at: number) => logitsFor(decoder, windows[at] as Int32Array) }),
    });
    await original?.session.close();
    original = undefined;
    const reference = request.original === undefined ? 'parent' : basename(request.original);
    return { meter, parent, text: digestOfWindows(windows), reference, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function windowsOf({ text, window, tokens, skip = 0 }: MeterRequest): readonly Int32Array[] {
  const all = readWindows(text, { window, limit: Math.ceil((tokens + skip) / 2) });
  const windows: Int32Array[] = [];
  let seen = 0;
  for (const each of all) {
    if (seen >= tokens + skip) break;
    if (seen >= skip && each.length >= 2) windows.push(each);
    seen += each.length;
  }
  if (windows.length > 0) return windows;
  const where = 'ids' in text ? text.ids : text.files.join(', ');
  const searched = skip === 0 ? '' : `, and the first ${skip} are those of the search`;
  return fail('empty-text', where, `The text has ${seen} tokens${searched}: none are left to measure on`);
}

/** Mixed precision by layer or projection: chosen under a budget or given, and written as one more model of a set. */

import { fail } from '../diagnostics.js';
import { type Context, silentContext } from '../log.js';
import type { MeterRequest } from '../options/index.js';
import { checkOptions, type Input } from '../options/index.js';
import type { SetLayout } from '../quant/layout.js';
import {
  guardSetOutput,
  isSameFolder,
  type OpenTemplate,
  openSet,
  openTemplate,
  type SetOutput,
  type WrittenFile,
  writeManifest,
} from '../set/index.js';
import { textFiles } from '../text/index.js';
import { type BitsTable, readBitsFile, writeBitsFile } from './bits-file.js';
import { fitGoal, writeTable } from './mix-fit.js';
import { type MixGoal, planGoal, type SearchedGoal } from './mix-goal.js';
import { type MeterInput, type OpenMeter, openMeter } from './mix-meter.js';
import type { MixFiles } from './mix-output.js';
import { type Method, MixChooser } from './mix-search.js';
import { type FixedBits, fixedMix, setUp } from './mix-setup.js';
import type { Granularity } from './mix-units.js';
import type { Shape } from './search/shapes.js';
import type { Mix } from './search/types.js';
import { sensitivityBeside } from './sensitivity-file.js';

export type { MixGoal } from './mix-goal.js';
export type { FixedBits } from './mix-setup.js';

/** How precisions are chosen. Without text the choice uses saved sensitivities, or else the errors that the solver reported. */
export interface MixSearch {
  /** What gets a precision of its own; default `layer`. */
  readonly per?: Granularity;
  /** Default: `local` with text, `dp` without. */
  readonly method?: Method;
  /** A named shape in place of a search. */
  readonly shape?: Shape;
  /** Precisions to choose from; default those of the set. */
  readonly bits?: readonly number[];
  /** Projections that keep given bits. */
  readonly fixed?: readonly FixedBits[];
  /** Most mixes that a search runs; default 200. */
  readonly evaluations?: number;
  /** Text to measure on. */
  readonly measure?: MeterRequest;
  /** More files of sensitivities, beside NAME.sensitivity.json. */
  readonly sensitivities?: readonly string[];
  /** Random seed. */
  readonly seed?: number;
}

/** The options of `mix` with all defaults filled in; `MixInput` is what a caller passes. */
export interface MixOptions {
  /** The .json of a set. */
  readonly set: string;
  /** What to reach. */
  readonly goal: MixGoal;
  /** How to search; not used with a bits file. */
  readonly search?: MixSearch;
  /** The .onnx file to write; beside the set by default. */
  readonly output?: string;
  /** Write a self-contained model instead of a graph on the data file of the set. */
  readonly standalone: boolean;
  /** Write the precisions as a bits file too. */
  readonly saveBits?: string;
  /** Replace files of the same names that this tool did not write. Inputs are never replaced. */
  readonly overwrite?: boolean;
}

/** The mix that was written. */
export interface MixResult {
  /** What the model is called in the set. */
  readonly name: string;
  readonly files: readonly WrittenFile[];
  /** The graph and the bytes it reads. */
  readonly totalBytes: number;
  /** Bits of a code on average, as stored; tables not included. */
  readonly averageBits: number;
  /** Bits per quantized weight with tables and biases. */
  readonly storedBitsPerWeight: number;
  /** Average bits of each layer. */
  readonly layers: readonly { readonly layer: number; readonly bits: number }[];
  /** Precision of each projection. */
  readonly bits: BitsTable;
  /** How it was found; absent for a bits file. */
  readonly search?: SearchReport;
}

/** How a mix was found. */
export interface SearchReport {
  readonly method: Method | Shape;
  readonly per: Granularity;
  /** KL on the text of the search to its reference; absent without text. */
  readonly kl?: number;
  /** Sum of the estimated sensitivities. */
  readonly estimate: number;
  /** `parent`, or the name of the original. */
  readonly reference?: string;
  /** Digest of the text. */
  readonly text?: string;
  /** Mixes that the search ran. */
  readonly evaluations: number;
  readonly sensitivityEvaluations: number;
  readonly seconds: number;
}

export const DEFAULT_EVALUATIONS = 200;

/** What `mix` takes. */
export type MixInput = Input<Omit<MixOptions, 'search'>, 'standalone'> & {
  readonly search?: (Omit<MixSearch, 'measure'> & { readonly measure?: MeterInput | undefined }) | undefined;
};

/**
 * Chooses or takes a precision for each layer or projection and writes one more graph on the data file of the set. Fails with
 * `bad-usage` if no mix reaches the goal.
 */
export async function mix(input: MixInput, context: Context = silentContext()): Promise<MixResult> {
  const options = checkOptions<MixOptions>('mix', input);
  const { goal, search = {} } = options;
  guardSetOutput(outputsOf(options));
  const open = openTemplate(options.set);
  const fixed = fixedMix(search.fixed ?? [], open.layout);
  if ('bitsFile' in goal) {
    const table = { ...readBitsFile(goal.bitsFile, open.layout), ...Object.fromEntries(fixed) };
    return written(open, options, { name: 'mix', table, files: writeTable(open, 'mix', table, options) });
  }
  const model = search.measure && (await openMeter(open, search.measure, context));
  try {
    return written(open, options, await searched(open, { ...options, goal, search, fixed, model }, context));
  } finally {
    await model?.close();
  }
}

/** What a mix reads and writes; without an output the name of the graph is found later. */
function outputsOf({ set, output, standalone, goal, search = {}, saveBits, overwrite }: MixOptions): SetOutput {
  const { measure, sensitivities = [] } = search;
  return {
    set,
    output,
    form: standalone || (output !== undefined && !isSameFolder(set, output)) ? 'pair' : 'set',
    models: measure?.original === undefined ? [] : [measure.original],
    inputs: [...textFiles(measure?.text), ...sensitivities, ...('bitsFile' in goal ? [goal.bitsFile] : [])],
    files: [
      ...(saveBits === undefined ? [] : [{ path: saveBits, kind: 'bits' } as const]),
      ...(measure === undefined ? [] : [{ path: sensitivityBeside(set), kind: 'sensitivity' } as const]),
    ],
    overwrite,
  };
}

/** A mix that was written. */
interface Written {
  readonly name: string;
  readonly table: BitsTable;
  readonly files: MixFiles;
  readonly search?: SearchReport;
}

type Searching = MixOptions & {
  readonly goal: SearchedGoal;
  readonly search: MixSearch;
  readonly fixed: Mix;
  readonly model: OpenMeter | undefined;
};

async function searched(open: OpenTemplate, options: Searching, context: Context): Promise<Written> {
  const started = performance.now();
  const { search, fixed, model, goal, standalone } = options;
  const { per = 'layer', shape, evaluations = DEFAULT_EVALUATIONS, seed = 0 } = search;
  const method = methodOf(search, model !== undefined);
  const plan = planGoal(goal, open, standalone ? 'containers' : 'planes');
  const sensitivities = search.sensitivities ?? [];
  const setup = await setUp(open, { per, bits: search.bits, fixed, plan, model, sensitivities }, context);
  const { layout } = open;
  const chooser = new MixChooser(
    { layout, units: setup.units, fixed, cost: plan.cost, method, evaluations, seed, model },
    context,
  );
  const name = shape === undefined ? plan.name : `${shape}_${plan.name.replace(/^mix_/, '')}`;
  const { chosen, files } = await fitGoal(open, chooser, { ...options, plan, name, shape }, context);
  const report: SearchReport = {
    method: shape ?? method,
    per,
    ...(chosen.kl !== undefined && { kl: chosen.kl }),
    estimate: chosen.estimate,
    ...(model && { reference: model.reference, text: model.text }),
    evaluations: chosen.evaluations,
    sensitivityEvaluations: setup.sensitivityEvaluations,
    seconds: (performance.now() - started) / 1000,
  };
  return { name, table: chosen.table, files, search: report };
}

function methodOf({ method }: MixSearch, measured: boolean): Method {
  if (!measured && (method === 'local' || method === 'evolution'))
    fail('bad-usage', 'search.method', `The method ${method} runs the model and needs text`);
  return method ?? (measured ? 'local' : 'dp');
}

function written(
  { set, layout }: OpenTemplate,
  options: MixOptions,
  { name, table, files, search }: Written,
): MixResult {
  if (options.saveBits !== undefined) writeBitsFile(options.saveBits, table);
  if (search !== undefined && files.listed) recordSearch(set.path, name, options.goal, search);
  const { listed: _, ...sizes } = files;
  return { name, ...sizes, layers: layerBits(layout, table), bits: table, ...(search && { search }) };
}

/** The manifest says how a mix of the set was found; without times, so that equal runs write equal files. */
function recordSearch(path: string, name: string, goal: MixGoal, { seconds: _, ...search }: SearchReport): void {
  const { manifest } = openSet(path);
  const known = (manifest.provenance['mixes'] ?? {}) as Readonly<Record<string, unknown>>;
  const mixes = { ...known, [name]: { goal, ...search } };
  writeManifest(path, { ...manifest, provenance: { ...manifest.provenance, mixes } });
}

/** Average bits of each layer, by its weights. */
function layerBits({ projections }: SetLayout, table: BitsTable): MixResult['layers'] {
  const sums = new Map<number, { bits: number; weights: number }>();
  for (const { id, layer, k, n } of projections) {
    const sum = sums.get(layer) ?? { bits: 0, weights: 0 };
    sums.set(layer, { bits: sum.bits + (table[id] ?? 0) * k * n, weights: sum.weights + k * n });
  }
  return [...sums].map(([layer, { bits, weights }]) => ({ layer, bits: bits / weights }));
}

/** The front of size against quality: uniform precisions, named shapes and searched mixes of a set, scored on text of their own. */

import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fail } from '../diagnostics.js';
import { sealedJson } from '../files/seal.js';
import { staged } from '../files/staging.js';
import { type Context, silentContext } from '../log.js';
import type { MeterRequest } from '../options/index.js';
import { checkOptions, type Input } from '../options/index.js';
import { bitsOfMix, bitsPerWeight } from '../quant/layout-use.js';
import { digestOfSet, guardSetOutput, type OpenTemplate, openTemplate, type SetOutput } from '../set/index.js';
import { textFiles } from '../text/index.js';
import type { BitsTable } from './bits-file.js';
import { DEFAULT_EVALUATIONS, type MixSearch } from './mix.js';
import { planGoal, readBytes } from './mix-goal.js';
import { type MeterInput, type OpenMeter, openMeter } from './mix-meter.js';
import { type Chosen, type Method, MixChooser } from './mix-search.js';
import { setUp } from './mix-setup.js';
import type { Granularity } from './mix-units.js';
import { SHAPES } from './search/shapes.js';
import type { Mix } from './search/types.js';
import { sensitivityBeside } from './sensitivity-file.js';

/** The options of `sweep` with all defaults filled in; `SweepInput` is what a caller passes. */
export interface SweepOptions {
  /** The .json of a set. */
  readonly set: string;
  /** Bits on average of the shapes and searched mixes. */
  readonly averageBits: readonly number[];
  /** How to search, and the text to measure on. */
  readonly search: MixSearch & { readonly measure: MeterRequest };
  /** Searches at each average; the first of them may be measured. */
  readonly methods: readonly Method[];
  /** Where all points are scored; by default the text of the search goes on. */
  readonly score?: MeterRequest;
  /** The .json file to write; NAME.sweep.json beside the set by default. */
  readonly output?: string;
  /** Replace files of the same names that this tool did not write. Inputs are never replaced. */
  readonly overwrite?: boolean;
}

/** One mix of a sweep: its size and its quality. */
export interface SweepPoint {
  /** `int4`, `pyramid 3`, `local 3`. */
  readonly name: string;
  readonly kind: 'uniform' | 'shape' | 'search';
  readonly averageBits: number;
  readonly storedBitsPerWeight: number;
  /** The largest graph of the set, and what the mix reads of the data. */
  readonly bytes: number;
  /** KL on the text of the score, nats per position. */
  readonly kl: number;
  readonly klStandardError: number;
  readonly nll: number;
  readonly deltaNll: number;
  /** KL on the text of the search, nats per position. */
  readonly searchKl: number;
  /** Mixes that the search ran. */
  readonly evaluations: number;
  readonly seconds: number;
  /** No other point has both fewer bytes and less KL. */
  readonly isBest: boolean;
  readonly bits: BitsTable;
}

/** The file that `sweep` writes. */
export interface SweepResult {
  readonly format: 'matquant-sweep';
  readonly version: 1;
  /** Digest of the set's data. */
  readonly set: string;
  readonly per: Granularity;
  /** `parent`, or the name of the original. */
  readonly reference: string;
  readonly referenceNll: number;
  readonly positions: number;
  readonly sensitivityEvaluations: number;
  readonly points: readonly SweepPoint[];
}

/** A point before it is scored. */
interface Draft extends Pick<SweepPoint, 'name' | 'kind' | 'seconds'> {
  readonly chosen: Chosen;
}

/** What `sweep` takes. */
export type SweepInput = Input<Omit<SweepOptions, 'search' | 'score'>, 'averageBits' | 'methods'> & {
  readonly search: Omit<MixSearch, 'measure'> & { readonly measure: MeterInput };
  readonly score?: MeterInput | undefined;
};

/**
 * Scores uniform precisions, named shapes and searched mixes of a set, and saves the result for `report`. Returns the result
 * and its path.
 */
export async function sweep(
  input: SweepInput,
  context: Context = silentContext(),
): Promise<SweepResult & { readonly path: string }> {
  const options = checkOptions<SweepOptions>('sweep', input);
  guardSetOutput(outputsOf(options));
  const open = openTemplate(options.set);
  const { drafts, sensitivityEvaluations } = await drawUp(open, options, context);
  const scored = await openMeter(open, options.score ?? behind(options.search.measure), context);
  try {
    const points = await scoreAll(open, drafts, scored, context);
    const result: SweepResult = {
      format: 'matquant-sweep',
      version: 1,
      set: digestOfSet(open.set.manifest),
      per: options.search.per ?? 'layer',
      reference: scored.reference,
      referenceNll: scored.meter.referenceNll,
      positions: points[0]?.positions ?? 0,
      sensitivityEvaluations,
      points: points.map(({ positions: _, ...point }) => point),
    };
    const path = outputOf(options);
    staged(path, (temporary) => writeFileSync(temporary, sealedJson(result)));
    return { ...result, path };
  } finally {
    await scored.close();
  }
}

const outputOf = ({ set, output }: SweepOptions): string => output ?? join(dirname(set), `${stemOf(set)}.sweep.json`);

function outputsOf(options: SweepOptions): SetOutput {
  const { set, search, score, overwrite } = options;
  const originals = [search.measure.original, score?.original].filter((path) => path !== undefined);
  return {
    set,
    form: 'set',
    models: originals,
    inputs: [...textFiles(search.measure.text), ...textFiles(score?.text), ...(search.sensitivities ?? [])],
    files: [
      { path: outputOf(options), kind: 'sweep' },
      { path: sensitivityBeside(set), kind: 'sensitivity' },
    ],
    overwrite,
  };
}
/** As many tokens as are scored by default, behind those of the search. */
const behind = (measure: MeterRequest): MeterRequest => ({
  ...measure,
  tokens: SCORED_TOKENS,
  skip: (measure.skip ?? 0) + measure.tokens,
});
const SCORED_TOKENS = 4096;

const stemOf = (path: string): string => (path.split(/[/\\]/).at(-1) ?? path).replace(/\.json$/, '');

/** All mixes, found with the text of the search. */
async function drawUp(
  open: OpenTemplate,
  { search, averageBits, methods }: SweepOptions,
  context: Context,
): Promise<{ readonly drafts: readonly Draft[]; readonly sensitivityEvaluations: number }> {
  const { layout } = open;
  const model = await openMeter(open, search.measure, context);
  try {
    const { per = 'layer', evaluations = DEFAULT_EVALUATIONS, seed = 0, sensitivities = [] } = search;
    const fixed: Mix = new Map();
    const goals = averageBits.map((bits) => ({ bits, plan: planGoal({ averageBits: bits }, open, 'planes') }));
    const plan = goals[0]?.plan ?? fail('bad-usage', 'averageBits', 'No average bits are given');
    const setup = await setUp(open, { per, bits: search.bits, fixed, plan, model, sensitivities }, context);
    const shared = { layout, units: setup.units, fixed, cost: plan.cost, evaluations, seed, model };
    const chooserOf = (method: Method): MixChooser => new MixChooser({ ...shared, method }, context);
    const plain = chooserOf('dp');
    const drafts: Draft[] = [];
    const add = async (name: string, kind: Draft['kind'], choose: () => Promise<Chosen | undefined>): Promise<void> => {
      const started = performance.now();
      const chosen = await choose();
      if (chosen !== undefined) drafts.push({ name, kind, chosen, seconds: (performance.now() - started) / 1000 });
    };
    for (const bits of layout.bits) await add(`int${bits}`, 'uniform', () => plain.uniform(bits));
    for (const { bits, plan: goal } of goals) {
      for (const shape of SHAPES) await add(`${shape} ${bits}`, 'shape', () => plain.shaped(shape, goal.budget));
      for (const method of methods)
        await add(`${method} ${bits}`, 'search', () => chooserOf(method).within(goal.budget));
    }
    return { drafts, sensitivityEvaluations: setup.sensitivityEvaluations };
  } finally {
    await model.close();
  }
}

async function scoreAll(
  open: OpenTemplate,
  drafts: readonly Draft[],
  { meter }: OpenMeter,
  context: Context,
): Promise<readonly (SweepPoint & { readonly positions: number })[]> {
  const points: (SweepPoint & { readonly positions: number })[] = [];
  for (const [at, { name, kind, seconds, chosen }] of drafts.entries()) {
    context.signal.throwIfAborted();
    const { table, evaluations } = chosen;
    const { kl, standardError, nll, deltaNll, positions } = await meter.measure(new Map(Object.entries(table)));
    const bitsOf = bitsOfMix(open.layout, table);
    const { average, stored } = bitsPerWeight(open.layout, bitsOf, false);
    points.push({
      name,
      kind,
      averageBits: average,
      storedBitsPerWeight: stored,
      bytes: readBytes(open, bitsOf),
      kl,
      klStandardError: standardError,
      nll,
      deltaNll,
      searchKl: chosen.kl ?? Number.NaN,
      evaluations,
      seconds,
      isBest: false,
      bits: table,
      positions,
    });
    context.progress.update({ stage: 'score', done: at + 1, total: drafts.length, detail: name });
  }
  return points.map((point) => ({ ...point, isBest: !points.some((other) => beats(other, point)) }));
}

const beats = (a: SweepPoint, b: SweepPoint): boolean =>
  a.bytes <= b.bytes && a.kl <= b.kl && (a.bytes < b.bytes || a.kl < b.kl);

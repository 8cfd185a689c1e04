/**
 * The methods of quantization, one row each: what a method needs, how its codes are chosen, what it trains, and what it may be
 * combined with. The recipe's schema, its checks, the solver, the memory estimate, the command line and docs/recipes.md read this table.
 */

/** Name of a quantization method; docs/recipes.md has the table. */
export type MethodName =
  | 'data-free'
  | 'best'
  | 'rtn'
  | 'gptq'
  | 'matgptq'
  | 'sliced-minmax'
  | 'omniquant'
  | 'matquant'
  | 'qat';

/**
 * What a method reads of the float model. `random-ids`: activation statistics, of random token ids where there is no text.
 * `statistics`: those of text. `activations`: the text itself, block by block. `text`: the text, end to end.
 */
export type Need = 'weights' | 'random-ids' | 'statistics' | 'activations' | 'text';

/** How the solver chooses codes; the options of each are in src/solve/solve-options.ts. */
export type Solving = 'rounding' | 'random-ids' | 'clipping' | 'mean' | 'gptq' | 'pr-gptq';

export interface MethodRow {
  /** One sentence. */
  readonly help: string;
  readonly needs: Need;
  readonly solving: Solving;
  /** The recipe field that says how the method trains blocks (`train`) or weights (`qat`). Its defaults hold where the recipe says nothing. */
  readonly trains?: 'train' | 'qat';
  /** Whether the field `prefix` may be set, and whether little text makes the solver take the options of sets without text. */
  readonly adapts: boolean;
  /** Most precisions of a set; any number where it is not given. */
  readonly mostBits?: number;
}

export const METHODS: Readonly<Record<MethodName, MethodRow>> = {
  'data-free': {
    help: 'GPTQ for all precisions at once under the statistics of random token ids.',
    needs: 'random-ids',
    solving: 'random-ids',
    adapts: false,
  },
  best: {
    help: 'PR-GPTQ: codes that all precisions share, then refit of tables and coordinate descent.',
    needs: 'statistics',
    solving: 'pr-gptq',
    adapts: true,
  },
  rtn: {
    help: 'Rounding to nearest, the usual baseline.',
    needs: 'weights',
    solving: 'rounding',
    adapts: false,
  },
  gptq: {
    help: 'GPTQ with no refit and no descent, a baseline.',
    needs: 'statistics',
    solving: 'gptq',
    adapts: true,
  },
  matgptq: {
    help: 'GPTQ on the weighted mean of the slices (MatGPTQ), a baseline.',
    needs: 'statistics',
    solving: 'mean',
    adapts: false,
  },
  'sliced-minmax': {
    help: 'Rounding to nearest at 8 bits and slices of that, a baseline.',
    needs: 'weights',
    solving: 'rounding',
    adapts: false,
  },
  omniquant: {
    help: 'OmniQuant: ranges and scales trained block by block, for one precision.',
    needs: 'activations',
    solving: 'clipping',
    trains: 'train',
    adapts: false,
    mostBits: 1,
  },
  matquant: {
    help: 'MatQuant: the same for several precisions that share codes.',
    needs: 'activations',
    solving: 'clipping',
    trains: 'train',
    adapts: false,
  },
  qat: {
    help: 'Quantization-aware training of feed-forward weights end to end.',
    needs: 'text',
    solving: 'rounding',
    trains: 'qat',
    adapts: false,
  },
};

export const METHOD_NAMES: readonly MethodName[] = Object.keys(METHODS) as MethodName[];

/** Methods that a predicate holds for, as a sentence lists them. */
export function methodsThat(holds: (row: MethodRow) => boolean): string {
  const names = METHOD_NAMES.filter((name) => holds(METHODS[name]));
  return [names.slice(0, -1).join(', '), ...names.slice(-1)].filter((part) => part !== '').join(' and ');
}

/** Whether a method works on activation statistics. */
export const takesStatistics = (method: MethodName): boolean =>
  METHODS[method].needs === 'statistics' || METHODS[method].needs === 'random-ids';

/** Whether a method works without text and without statistics of it. */
export const worksWithoutText = ({ needs }: MethodRow): boolean => needs === 'weights' || needs === 'random-ids';

/** The weights that a recipe gives to the tokens of its statistics: computed when the first is asked for, and kept beside the statistics. */
import { createHash } from 'node:crypto';
import { inputOfExperts, type Projection } from '../analysis/projection.js';
import { groupsOfOutputs, weighTokens } from '../autodiff/index.js';
import { outputMatrices, type RowWeighting, type WeightedRows, type WeightFacts } from '../capture/index.js';
import { fail } from '../diagnostics.js';
import type { Machine } from '../files/machine.js';
import { RecordFolder, type RecordFormat } from '../files/record-folder.js';
import type { Context } from '../log.js';
import { createRandom } from '../random.js';
import type { Recipe } from '../recipe/index.js';
import { readHints } from '../runtime/hints.js';
import { ortRuntime } from '../runtime/ort.js';
import { inFloat32, type Source } from '../source/index.js';
import { tokensIn } from '../text/index.js';
import { TOOL } from '../version.js';

/** What is weighed, and where weights are kept. */
export interface FisherRequest {
  readonly source: Source;
  readonly recipe: Recipe;
  readonly windows: readonly Int32Array[];
  readonly projections: readonly Projection[];
  readonly machine: Machine;
  /** Digest of model and text. */
  readonly digest: string;
  /** Folder of the weights. */
  readonly folder: string;
}

/** What weights follow from; undefined where all tokens weigh alike. */
export const weightFacts = ({ fisher }: Recipe, seed: number): WeightFacts | undefined =>
  fisher && { kind: 'fisher', groups: fisher.groups, seed };

/** Tokens of equal weight for each input below which weights lose more than they gain (docs/decisions/fisher.md). */
const ENOUGH = 16;

/** (Σw)² / Σw²: as many tokens of equal weight have the same variance. */
function effectiveOf(weights: Float64Array): number {
  const sum = weights.reduce((total, each) => total + each, 0);
  const squares = weights.reduce((total, each) => total + each * each, 0);
  return squares > 0 ? sum ** 2 / squares : weights.length;
}

/** Raised when other weights are found for the same text. */
const REVISION = 1;

/** A group of outputs of a projection. */
interface Part {
  readonly projection: Projection;
  /** All outputs without. */
  readonly group?: number;
}

export class FisherWeights implements RowWeighting {
  readonly facts: WeightFacts;
  readonly #request: FisherRequest;
  readonly #context: Context;
  readonly #files: RecordFolder<Float32Array>;
  readonly #parts: Map<string, readonly Part[]> = new Map();
  #weighed: Promise<void> | undefined;

  constructor(request: FisherRequest, facts: WeightFacts, context: Context) {
    requireTokens(request.source);
    this.facts = facts;
    this.#request = request;
    this.#context = context;
    this.#files = new RecordFolder(request.folder, context.log, FORMAT);
  }

  matrices({ id, projections }: Parameters<RowWeighting['matrices']>[0]): readonly string[] {
    this.#parts.set(
      id,
      projections.map((projection) => ({ projection })),
    );
    const own = projections.flatMap((projection) => {
      const names = projection.role === 'head' ? [] : outputMatrices(projection.id, projection.n, this.facts.groups);
      names.forEach((name, group) => {
        this.#parts.set(name, [{ projection, group }]);
      });
      return names;
    });
    return [id, ...own];
  }

  async rows(matrix: string): Promise<WeightedRows> {
    this.#weighed ??= this.#weigh().then(() => this.#warn());
    await this.#weighed;
    const parts = this.#parts.get(matrix) as readonly Part[];
    const sums = new Float64Array(this.#tokens);
    for (const part of parts) this.#load(part.projection, part.group, sums);
    const mean = sums.reduce((sum, each) => sum + each, 0) / sums.length;
    // A projection that the loss does not depend on is solved with weights that are alike.
    return { weights: Float32Array.from(sums, (each) => (mean > 0 ? each / mean : 1)), mean };
  }

  get #tokens(): number {
    return tokensIn(this.#request.windows);
  }

  /** Adds the mean squares of one group of outputs, or those of all. */
  #load(projection: Projection, group: number | undefined, sums: Float64Array): void {
    const found = this.#files.find(this.#key(projection));
    if (found === undefined) throw new Error(`the weights of ${projection.id} are not there`);
    const width = found.length / sums.length;
    const ranges = groupsOfOutputs(projection.n, width);
    ranges.forEach(({ start, end }, at) => {
      if (group !== undefined && group !== at) return;
      const share = group === undefined ? (end - start) / projection.n : 1;
      for (let token = 0; token < sums.length; token++)
        sums[token] = (sums[token] as number) + share * (found[token * width + at] as number);
    });
  }

  #key({ id }: Projection): string {
    const { digest } = this.#request;
    return createHash('sha256')
      .update(JSON.stringify([TOOL, REVISION, digest, this.facts, id]))
      .digest('hex');
  }

  /** Says where few tokens have most of the weight: such statistics are worth no more than those of so few tokens. */
  #warn(): void {
    const tokens = this.#tokens;
    const found = this.#request.projections.map((projection) => {
      const sums = new Float64Array(tokens);
      this.#load(projection, undefined, sums);
      return { projection, effective: effectiveOf(sums) };
    });
    const least = found.toSorted((a, b) => a.effective / a.projection.k - b.effective / b.projection.k)[0];
    if (least === undefined || least.effective >= ENOUGH * least.projection.k) return;
    const { projection, effective } = least;
    this.#context.log.warn(
      `The weights of ${tokens} tokens are worth ${Math.round(effective)} tokens of equal weight at ${projection.id}, which has ${projection.k} inputs: give more text, or leave \`fisher\` out.`,
    );
  }

  /** Runs the model back, unless an earlier run has kept all weights. */
  async #weigh(): Promise<void> {
    const { source, recipe, projections, windows, machine } = this.#request;
    if (projections.every((projection) => this.#files.find(this.#key(projection)) !== undefined)) return;
    const wide = inFloat32(source, recipe);
    const wanted = new Set(projections.map(({ id }) => id));
    const random = createRandom(this.facts.seed).fork('labels');
    await weighTokens({
      model: wide.model,
      analysis: wide.analysis,
      windows,
      projections: wide.analysis.projections.filter(({ id }) => wanted.has(id)),
      groups: this.facts.groups,
      draws: Float32Array.from({ length: this.#tokens }, () => random.uniform()),
      runtime: ortRuntime,
      machine,
      hints: readHints(source.path),
      signal: this.#context.signal,
      onProgress: (done) => this.#context.progress.update({ stage: 'weigh tokens', done, total: 1 }),
      save: (projection, weights) => this.#files.save(this.#key(projection), weights),
    });
  }
}

/** Error code `recipe` for a model with experts: routing chooses the tokens that reach one, and no gradient goes through its choice. */
function requireTokens({ analysis }: Source): void {
  const expert = analysis.projections.find(({ group }) => inputOfExperts(group) !== undefined);
  if (expert !== undefined)
    fail('recipe', expert.id, '`fisher` weighs the tokens of a model without experts: leave it out for this one');
}

const FORMAT: RecordFormat<Float32Array> = {
  kind: 'weights',
  encode: (weights) => ({ facts: {}, columns: [{ name: 'weights', data: weights }] }),
  decode: ({ arrays }) => arrays.get('weights') as Float32Array,
};

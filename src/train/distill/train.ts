/**
 * Distillation of the tables of one precision: Adam on scale and centred offset of every block, so that the sliced model's output
 * follows the float model's on text. Codes stay, so all other precisions stay as they are. What counts is the divergence on text
 * that no step sees, computed with tables as they will be stored: the best tables there are kept, which may be those at the start.
 * As long as no evaluation was better than the start, the rate was too large: it goes back and takes half of it (Gemma 3 270M, block 32,
 * int3: 5e-3 turns .155 into .222, where int2 gains most at 6e-3; every block size and model has its own largest rate).
 */
import { AdamW, cosineRate, type Schedule } from '../optimizer.js';
import type { TaughtExample } from './chain.js';
import { type HeldOutEvaluation, readState, type State, writeState } from './checkpoint.js';
import type { Distilled, DistillOptions, DistillRequest } from './request.js';
import { type Columns, columnsOf, type Learning, withColumns } from './student.js';
import type { Example } from './text.js';

/** Rates fall to this share of the largest at the end. */
const FLOOR = 0.05;
const WARM_UP = 10;
/** Weight of the loss so far in the smoothed one. */
const SMOOTHING = 0.95;
/** Steps from which the time of a step is told; the first one also builds the graphs. */
const TIMED = 3;

export async function distillTables<C extends Columns>(request: DistillRequest<C>): Promise<Distilled<C>> {
  const run = new Run(request);
  await run.start();
  while (!run.finished) await run.next();
  return run.result();
}

/** A distillation between two steps. */
class Run<C extends Columns> {
  readonly #request: DistillRequest<C>;
  readonly #values: readonly Float32Array[];
  readonly #adam: AdamW;
  #steps: number;
  #rate: Schedule;
  #evaluations: HeldOutEvaluation[] = [];
  #best: readonly Float32Array[];
  #smoothed: number | undefined;
  #stopped = false;
  /** How often the rate was halved. */
  #halvings = 0;
  #times: number[] = [];

  constructor(request: DistillRequest<C>) {
    this.#request = request;
    this.#values = columnsOf(request.tables).map((column) => column.slice());
    this.#best = this.#values.map((column) => column.slice());
    this.#adam = new AdamW(parametersOf(request.tables, this.#values, request.options), { beta2: 0.99 });
    this.#steps = request.options.steps;
    this.#rate = this.#schedule();
  }

  get finished(): boolean {
    return this.#stopped || this.#adam.steps >= this.#steps;
  }

  /** Goes on from a checkpoint, or evaluates the tables as they are. */
  async start(): Promise<void> {
    const { checkpoint, log } = this.#request;
    const state = checkpoint === undefined ? undefined : readState(checkpoint, log);
    if (state !== undefined && state.values.length === this.#values.length) this.#restore(state);
    else await this.#evaluate();
  }

  async next(): Promise<void> {
    const { chain, options, signal, onStep } = this.#request;
    signal?.throwIfAborted();
    const at = this.#adam.steps;
    const started = performance.now();
    const { loss, gradients } = await chain.step(this.#taught(this.#exampleAt(at)), this.#tables(this.#values));
    this.#adam.step(gradients, this.#rate(at));
    this.#request.confine?.(this.#tables(this.#values));
    this.#smoothed = this.#smoothed === undefined ? loss : SMOOTHING * this.#smoothed + (1 - SMOOTHING) * loss;
    this.#time((performance.now() - started) / 1000);
    onStep?.(at + 1, this.#steps, this.#smoothed, this.#evaluations.at(-1)?.kept ?? 0);
    if ((at + 1) % options.every === 0 || this.finished) await this.#evaluate();
  }

  result(): Distilled<C> {
    return { tables: this.#tables(this.#best), looks: this.#evaluations, steps: this.#adam.steps };
  }

  /** Evaluates the tables on held-out text, keeps the best, and writes the state down. */
  async #evaluate(): Promise<void> {
    const { stored, options, checkpoint } = this.#request;
    const kept = await this.#divergence(stored(this.#tables(this.#values)));
    const before = Math.min(...this.#evaluations.map((each) => each.kept));
    const loss = this.#smoothed === undefined ? {} : { loss: this.#smoothed };
    this.#evaluations.push({ step: this.#adam.steps, ...loss, kept });
    if (kept < before) this.#best = this.#values.map((column) => column.slice());
    const best = this.#evaluations.findIndex((each) => each.kept === Math.min(before, kept));
    this.#stopped = this.#evaluations.length - 1 - best >= options.patience;
    if (best === 0 && this.#adam.steps > 0) this.#retreat();
    if (checkpoint !== undefined) writeState(checkpoint, this.#state());
  }

  /** Starts again at half the rate, with what is left of the steps. */
  #retreat(): void {
    this.#halvings++;
    this.#rate = this.#schedule();
    this.#best.forEach((column, at) => this.#values[at]?.set(column));
    const none = this.#values.map(({ length }) => [new Float32Array(length), new Float32Array(length)] as const);
    this.#adam.restore(this.#adam.steps, none);
  }

  async #divergence(tables: Learning<C>): Promise<number> {
    const { text, kept, options, chain, signal } = this.#request;
    let sum = 0;
    let positions = 0;
    for (const example of text.examples(kept, options.batch)) {
      signal?.throwIfAborted();
      sum += example.positions * (await chain.loss(this.#taught(example), tables));
      positions += example.positions;
    }
    return sum / positions;
  }

  /** The windows of a step: every window once, in an order of its own for each time through the text. */
  #exampleAt(step: number): Example {
    const { text, rows, options, random } = this.#request;
    const taken = Array.from({ length: options.batch }, (_, slot) => {
      const at = step * options.batch + slot;
      const epoch = Math.floor(at / rows.length);
      return random.fork(`epoch ${epoch}`).shuffle(rows)[at % rows.length] as number;
    });
    return text.example(taken, options.batch);
  }

  #taught(example: Example): TaughtExample {
    return { example, teacher: this.#request.teacher.states(example.rows) };
  }

  #tables(columns: readonly Float32Array[]): Learning<C> {
    return withColumns(this.#request.tables, columns);
  }

  /** Where time was given, the number of steps follows from the first ones; evaluations take about a fifth of a step each window. */
  #time(seconds: number): void {
    const { minutes } = this.#request.options;
    this.#times.push(seconds);
    if (minutes === undefined || this.#adam.steps !== TIMED) return;
    const each = Math.min(...this.#times);
    this.#steps = Math.max(TIMED, Math.floor((minutes * 60) / (each * 1.2)));
    this.#rate = this.#schedule();
  }

  #schedule(): Schedule {
    const rate = this.#request.options.rate / 2 ** this.#halvings;
    const warmUp = this.#request.options.warmUp ?? WARM_UP;
    return cosineRate(rate, this.#steps, Math.min(warmUp, this.#steps), FLOOR * rate);
  }

  #state(): State {
    const { moments, steps: step } = this.#adam;
    return {
      step,
      steps: this.#steps,
      finished: this.finished,
      halvings: this.#halvings,
      smoothed: this.#smoothed,
      looks: this.#evaluations,
      values: this.#values,
      means: moments.map(([mean]) => mean),
      squares: moments.map(([, square]) => square),
      best: this.#best,
    };
  }

  #restore(state: State): void {
    state.values.forEach((column, at) => {
      this.#values[at]?.set(column);
    });
    this.#adam.restore(
      state.step,
      state.means.map((mean, at) => [mean, state.squares[at] as Float32Array] as const),
    );
    this.#steps = state.steps;
    this.#halvings = state.halvings;
    this.#rate = this.#schedule();
    this.#evaluations = [...state.looks];
    this.#best = state.best;
    this.#smoothed = state.smoothed;
    this.#stopped = state.finished;
  }
}

/** Outputs are sums of many weights: their bias moves so much more than an entry of a table (docs/decisions/distillation.md). */
const BIAS_RATE = 4;

/** What learns of a projection moves in units of its mean scale, or of its mean weight. */
function parametersOf(
  learning: Learning,
  values: readonly Float32Array[],
  options: DistillOptions,
): { values: Float32Array; rate: number }[] {
  const rates = [...learning.values()].flatMap((columns) => {
    const unit = 'weight' in columns ? columns.weight : columns.scale;
    const rate = unit.reduce((sum, each) => sum + Math.abs(each), 0) / unit.length;
    if ('weight' in columns) return [rate];
    const codeRate = (options.codeRate ?? 0) / options.rate;
    return [
      rate,
      ...(columns.offset ? [rate] : []),
      ...(columns.bias ? [BIAS_RATE * rate] : []),
      ...(columns.latent ? [codeRate] : []),
    ];
  });
  return values.map((column, at) => ({ values: column, rate: rates[at] as number }));
}

/**
 * AdamW (Loshchilov and Hutter 2019, algorithm 2, in the form PyTorch computes it) and the schedules of its rate. Parameters are
 * changed in place, one after another, so that the same gradients always give the same numbers.
 */

/** Numbers to learn. */
export interface Parameter {
  readonly values: Float32Array;
  /** Factor of the scheduled rate, for parameters of different magnitude; default 1. */
  readonly rate?: number;
  /** Instead of the optimizer's. */
  readonly weightDecay?: number;
}

export interface AdamWOptions {
  /** Decay of the mean of gradients; default 0.9. */
  readonly beta1?: number;
  /** Decay of the mean of their squares; default 0.999. */
  readonly beta2?: number;
  /** Keeps the division finite; default 1e-8. */
  readonly epsilon?: number;
  /** Share of a parameter that a step at rate 1 takes away; default 0. */
  readonly weightDecay?: number;
}

/** A parameter with its running means. */
interface State {
  readonly parameter: Parameter;
  readonly mean: Float32Array;
  readonly square: Float32Array;
}

export class AdamW {
  readonly #states: readonly State[];
  readonly #options: Required<AdamWOptions>;
  #steps = 0;

  constructor(parameters: readonly Parameter[], options: AdamWOptions = {}) {
    this.#options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, ...options };
    this.#states = parameters.map((parameter) => ({
      parameter,
      mean: new Float32Array(parameter.values.length),
      square: new Float32Array(parameter.values.length),
    }));
  }

  /** Steps taken. */
  get steps(): number {
    return this.#steps;
  }

  /** The running means, parameter by parameter: mean, then mean of squares. With `steps` they are all that a checkpoint needs. */
  get moments(): readonly (readonly [Float32Array, Float32Array])[] {
    return this.#states.map(({ mean, square }) => [mean, square]);
  }

  /** Goes on from a checkpoint. */
  restore(steps: number, moments: readonly (readonly [Float32Array, Float32Array])[]): void {
    this.#steps = steps;
    this.#states.forEach(({ mean, square }, at) => {
      mean.set(moments[at]?.[0] ?? []);
      square.set(moments[at]?.[1] ?? []);
    });
  }

  /** Moves all parameters against their gradients, which come in the order of the parameters. */
  step(gradients: readonly Float32Array[], rate: number): void {
    if (gradients.length !== this.#states.length) {
      throw new RangeError(`${this.#states.length} parameters, ${gradients.length} gradients`);
    }
    this.#steps++;
    this.#states.forEach((state, at) => this.#update(state, gradients[at] as Float32Array, rate));
  }

  #update({ parameter, mean, square }: State, gradient: Float32Array, scheduled: number): void {
    const { values } = parameter;
    if (gradient.length !== values.length)
      throw new RangeError(`${values.length} values, ${gradient.length} gradients`);
    const { beta1, beta2, epsilon } = this.#options;
    const rate = scheduled * (parameter.rate ?? 1);
    const kept = 1 - rate * (parameter.weightDecay ?? this.#options.weightDecay);
    const stride = rate / (1 - beta1 ** this.#steps);
    const root = Math.sqrt(1 - beta2 ** this.#steps);
    for (let i = 0; i < values.length; i++) {
      const slope = gradient[i] as number;
      const m = beta1 * (mean[i] as number) + (1 - beta1) * slope;
      const v = beta2 * (square[i] as number) + (1 - beta2) * slope * slope;
      mean[i] = m;
      square[i] = v;
      values[i] = (values[i] as number) * kept - (stride * m) / (Math.sqrt(v) / root + epsilon);
    }
  }
}

/** The rate of a step, counted from 0. */
export type Schedule = (step: number) => number;

/** The same rate at every step, after a linear warm-up over the first `warmUp` steps. */
export function constantRate(rate: number, warmUp = 0): Schedule {
  return (step) => rate * Math.min(1, (step + 1) / Math.max(1, warmUp));
}

/** Half a cosine from `rate` at the end of the warm-up down to `floor` after `steps` steps (Loshchilov and Hutter 2017). */
export function cosineRate(rate: number, steps: number, warmUp = 0, floor = 0): Schedule {
  return (step) => {
    if (step < warmUp) return (rate * (step + 1)) / warmUp;
    const done = Math.min(1, (step - warmUp) / Math.max(1, steps - warmUp));
    return floor + (rate - floor) * 0.5 * (1 + Math.cos(Math.PI * done));
  };
}

/**
 * Several precisions of one set of weights, trained together: Σ λ_r L(model at r) (MatQuant eq. 7 end to end), with terms where a
 * larger precision is the teacher of a smaller one (co-distillation).
 */
import type { Chain, ChainStep, TaughtExample } from './chain.js';
import type { Trainable } from './request.js';
import { columnsOf, type Learning } from './student.js';

export interface MixtureTerm {
  /** The model at the precision that learns. */
  readonly chain: Chain;
  readonly weight: number;
  /** Gives the output that is the target, taken for a constant; without, what the chain's objective says. */
  readonly teacher?: Pick<Chain, 'hidden'> | undefined;
}

export class Mixture implements Trainable {
  readonly #terms: readonly MixtureTerm[];

  constructor(terms: readonly MixtureTerm[]) {
    this.#terms = terms;
  }

  async loss(taught: TaughtExample, learning: Learning): Promise<number> {
    let sum = 0;
    for (const term of this.#terms)
      sum += term.weight * (await term.chain.loss(await withTeacher(term, taught, learning), learning));
    return sum;
  }

  async step(taught: TaughtExample, learning: Learning): Promise<ChainStep> {
    const gradients = columnsOf(learning).map(({ length }) => new Float32Array(length));
    let loss = 0;
    for (const term of this.#terms) {
      const step = await term.chain.step(await withTeacher(term, taught, learning), learning);
      loss += term.weight * step.loss;
      step.gradients.forEach((gradient, at) => addTo(gradients[at] as Float32Array, gradient, term.weight));
    }
    return { loss, gradients };
  }
}

async function withTeacher(
  { teacher }: MixtureTerm,
  taught: TaughtExample,
  learning: Learning,
): Promise<TaughtExample> {
  return teacher === undefined ? taught : { ...taught, teacher: await teacher.hidden(taught, learning) };
}

function addTo(sum: Float32Array, gradient: Float32Array, weight: number): void {
  for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] as number) + weight * (gradient[at] as number);
}

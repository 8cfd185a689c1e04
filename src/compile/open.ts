/** The first stage: a model is opened, and everything it must pass before work begins is asked. */

import type { InputWatch } from '../files/input-watch.js';
import { type Machine, machineOf } from '../files/machine.js';
import type { Context } from '../log.js';
import { requireMemory } from '../solve/index.js';
import {
  openSource,
  requireComplete,
  requireFeedable,
  requireFfn,
  requireFinite,
  type Source,
  wasQuantized,
  watchModel,
} from '../source/index.js';
import { Clock } from './clock.js';
import type { Asked } from './compile-options.js';
import { requireTarget } from './target.js';
import { fitRest } from './target-size.js';

/** A compilation under way: options with the recipe fitted to the target size, and the source. */
export interface Job extends Asked {
  readonly source: Source;
  readonly machine: Machine;
  readonly inputs: InputWatch;
  readonly context: Context;
  readonly clock: Clock;
}

/** Opens the model, and asks everything that it must pass. It is opened once, and never changed. */
export function open(asked: Asked, inputs: InputWatch, context: Context): Job {
  const job = reopen(asked, inputs, context);
  const { source, machine, clock, options } = job;
  const { recipe } = options;
  requireTarget(source, recipe, context, !options.standalone);
  requireFfn(source);
  requireFeedable(source);
  if (wasQuantized(source))
    context.log.warn(
      'The source is quantized. Its weights are taken as float ones, and figures compare with it: they do not hold what it lost itself.',
    );
  if (options.strict) requireComplete(source, recipe);
  requireMemory(source, recipe, machine.memoryBytes);
  requireFinite(source, context);
  clock.lap('read');
  return job;
}

/** Opens a model that has passed the questions of `open` before, as its digest says. */
export function reopen({ options: asked, stem }: Asked, inputs: InputWatch, context: Context): Job {
  const clock = new Clock();
  const { source, recipe } = fitRest(openSource(asked.model, asked.recipe), asked.recipe, asked.targetBytes);
  watchModel(inputs, source.model);
  const options = { ...asked, recipe };
  return { options, stem, source, machine: machineOf(options), inputs, context, clock };
}

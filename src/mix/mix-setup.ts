/** Puts together what a search needs: the units of a set, and what is known of their damage. */
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';
import { effectiveBits, type SetLayout } from '../quant/layout.js';
import { isPrecision, type Precision } from '../quant/precision.js';
import { type OpenTemplate, readCompiled } from '../set/index.js';
import { damageOf, solvedErrors } from './mix-damage.js';
import type { GoalPlan } from './mix-goal.js';
import type { OpenMeter } from './mix-meter.js';
import { type Granularity, unitsOf } from './mix-units.js';
import type { Mix, Unit } from './search/types.js';
import { measureSensitivity } from './sensitivity.js';
import { measuredDamage, readSensitivity, sensitivityPath } from './sensitivity-file.js';

/** Projections whose id matches a pattern keep these bits. */
export interface FixedBits {
  /** A regular expression over projection ids. */
  readonly match: string;
  readonly bits: number;
}

export interface SetupRequest {
  readonly per: Granularity;
  /** Precisions to choose from; default those of the set. */
  readonly bits: readonly number[] | undefined;
  readonly fixed: Mix;
  readonly plan: Pick<GoalPlan, 'cost' | 'option'>;
  readonly model: OpenMeter | undefined;
  /** More files of sensitivities. */
  readonly sensitivities: readonly string[];
}

export interface Setup {
  readonly units: readonly Unit[];
  readonly sensitivityEvaluations: number;
}

/** The units with the best estimates there are; measures the missing ones when there is a model. */
export async function setUp(open: OpenTemplate, request: SetupRequest, context: Context): Promise<Setup> {
  const { layout, set } = open;
  const { per, fixed, plan, model } = request;
  const bits = choosable(request.bits, layout);
  const base = { layout, per, bits, cost: plan.cost, fixed: new Set(fixed.keys()) };
  const bare = unitsOf({ ...base, damage: () => 0 });
  const measured = model === undefined ? undefined : await measureSensitivity(open, model, bare, context);
  const entries = [
    ...(measured?.entries ?? readSensitivity(sensitivityPath(set), set.manifest)),
    ...request.sensitivities.flatMap((path) => readNamed(path, open)),
  ];
  if (plan.option === 'goal.maxKl' && entries.length === 0)
    fail('bad-usage', plan.option, 'A bound on KL needs text, or a sensitivity file next to the set');
  const damage = damageOf(layout, measuredDamage(entries), solvedErrors(readCompiled(set)));
  return { units: unitsOf({ ...base, damage }), sensitivityEvaluations: measured?.evaluations ?? 0 };
}

function readNamed(path: string, { set }: OpenTemplate): ReturnType<typeof readSensitivity> {
  const entries = readSensitivity(path, set.manifest);
  return entries.length > 0 ? entries : fail('file-missing', path, 'There are no sensitivities');
}

function choosable(asked: readonly number[] | undefined, layout: SetLayout): readonly Precision[] {
  const missing = asked?.find((bits) => !layout.bits.some((own) => own === bits));
  if (missing !== undefined)
    fail('no-precision', 'search.bits', `The set has int${layout.bits.join(', int')}, not int${missing}`);
  return layout.bits.filter((bits) => asked?.includes(bits) ?? true);
}

/** Projections that patterns decide; of several that match the last counts. */
export function fixedMix(patterns: readonly FixedBits[], layout: SetLayout): Mix {
  const mix = new Map<string, Precision>();
  for (const { match, bits } of patterns) {
    if (!(isPrecision(bits) && layout.bits.includes(bits)))
      fail('no-precision', 'search.fixed', `The set has int${layout.bits.join(', int')}, not int${bits}`);
    const pattern = expression(match);
    const places = layout.projections.filter(({ id }) => pattern.test(id));
    if (places.length === 0) fail('bad-usage', 'search.fixed', `No projection matches ${match}`);
    for (const place of places) mix.set(place.id, effectiveBits(place, bits));
  }
  return mix;
}

function expression(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    return fail('bad-usage', 'search.fixed', `${text} is not a regular expression`);
  }
}

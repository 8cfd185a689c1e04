/** A block whose weights are fake-quantized with ranges that learn: OmniQuant and MatQuant. */
import type { Projection, Site } from '../../analysis/projection.js';
import type { Value } from '../../onnx/ir/graph.js';
import type { GraphBuilder } from '../../onnx/rewrite/builder.js';
import type { Precision } from '../../quant/precision.js';
import { projectionsOf, type TrainBlock } from './block.js';
import type { Changes, Student, Weights } from './block-graph.js';
import {
  clippedParent,
  columnOf,
  decodeSlice,
  loosened,
  type ParentCodes,
  scaleWeight,
  sliceParent,
  splitBlocks,
  timesWeight,
} from './fake-quant.js';
import {
  type Learnable,
  type Learned,
  learnable,
  namesOf,
  type StudentPlan,
  scaleNamesOf,
  shapeOf,
  shiftNamesOf,
} from './learnables.js';

/** The numbers that learn, at their start. */
function learnablesOf(block: TrainBlock, plan: StudentPlan, starts: Learned): readonly Learnable[] {
  const own = projectionsOf(block).flatMap((projection) => ofProjection(projection, plan, starts));
  return [...own, ...scalesOf(block, plan), ...shiftsOf(block, plan)];
}

function scalesOf(block: TrainBlock, plan: StudentPlan): readonly Learnable[] {
  if (!plan.learn.has('scale')) return [];
  const { input, hidden } = scaleNamesOf(block.id);
  const inner = learnable('scale', hidden, [block.down.k]);
  return plan.entry === 'kept' ? [inner] : [inner, learnable('scale', input, [block.gate.k])];
}

function shiftsOf(block: TrainBlock, plan: StudentPlan): readonly Learnable[] {
  if (!plan.learn.has('shift')) return [];
  const { input, hidden } = shiftNamesOf(block.id);
  return [learnable('shift', input, [block.gate.k]), learnable('shift', hidden, [block.down.k])];
}

function ofProjection(projection: Projection, plan: StudentPlan, starts: Learned): readonly Learnable[] {
  const { n, k } = projection;
  const names = namesOf(projection.id);
  const dims = [n, shapeOf(projection, plan).blocks.count];
  const made: Learnable[] = [];
  if (plan.learn.has('clip'))
    for (const name of [names.upper, names.lower]) {
      const plain = learnable('clip', name, dims, plan.start);
      made.push({ ...plain, values: starts.get(name)?.slice() ?? plain.values });
    }
  if (plan.learn.has('rounding')) made.push(learnable('rounding', names.nudge, [n, k], 0, 0.5));
  for (const bits of plan.learn.has('tables') ? plan.bits : []) {
    made.push(learnable('tables', names.stretch(bits), dims), learnable('tables', names.shift(bits), dims));
  }
  return made;
}

/** `starts` are values of ranges by name, where they do not start as the plan says. */
export function clipStudent(block: TrainBlock, plan: StudentPlan, starts: Learned = new Map()): Student {
  const learnables = learnablesOf(block, plan, starts);
  return {
    learnables,
    build(b, copyOf) {
      const inputs = new Map(learnables.map(({ name, dims }) => [name, b.input(name, 'float32', dims)]));
      const graph: StudentGraph = { b, plan, block, inputs };
      const parents = new Map(projectionsOf(block).map((each) => [each, parentOf(graph, each, copyOf)]));
      return {
        wrt: [...inputs.values()],
        weights: (bits) => weightsAt(graph, parents, bits, copyOf),
        entry: (input) => entered(graph, input),
        changes: changesOf(graph, copyOf),
      };
    },
  };
}

interface StudentGraph {
  readonly b: GraphBuilder;
  readonly plan: StudentPlan;
  readonly block: TrainBlock;
  readonly inputs: ReadonlyMap<string, Value>;
}

function parentOf(graph: StudentGraph, projection: Projection, copyOf: (value: Value) => Value): ParentCodes {
  const { b, plan, inputs } = graph;
  const shape = shapeOf(projection, plan);
  const names = namesOf(projection.id);
  const column = (name: string): Value =>
    columnOf(b, shape, inputs.get(name) ?? fixedStart(graph, shape.n, shape.blocks.count));
  const weights = splitBlocks(b, shape, scaled(graph, projection, copyOf(projection.weight.source)));
  const range = { upper: column(names.upper), lower: column(names.lower) };
  const nudge = inputs.get(names.nudge);
  return clippedParent(
    b,
    shape,
    weights,
    range,
    { bits: plan.parent, symmetric: plan.symmetric },
    nudge && splitBlocks(b, shape, codesOf(graph, projection, nudge)),
  );
}

/** Ranges that do not learn are the plain ones: σ(20) is 1 in float32. */
function fixedStart({ b }: StudentGraph, n: number, count: number): Value {
  return b.op('Expand', [b.scalar(20), b.integers([n, count])]);
}

/** Nudges [n, k] as parts of a code, in the stored layout. */
function codesOf({ b, plan }: StudentGraph, { weight }: Projection, nudge: Value): Value {
  const codes = b.op('Mul', [nudge, b.scalar(nudgeWindow(plan))]);
  return weight.layout === 'NK' ? codes : b.op('Transpose', [codes]);
}

/** A weight may move by half a step of the smallest precision either way. */
export const nudgeWindow = ({ bits, parent }: StudentPlan): number => 2 ** (parent - Math.min(...bits));

/** W ⊙ s of the equivalent transform: s on the columns of gate and up, 1/t on the rows of up, t on the columns of down. */
function scaled(graph: StudentGraph, projection: Projection, weight: Value): Value {
  const { b, plan, block, inputs } = graph;
  const names = scaleNamesOf(block.id);
  const [logS, logT] = [inputs.get(names.input), inputs.get(names.hidden)];
  if (logT === undefined) return weight;
  const shape = shapeOf(projection, plan);
  if (projection === block.down) return scaleWeight(b, shape, weight, 'k', b.op('Exp', [logT]));
  const columns = logS === undefined ? weight : scaleWeight(b, shape, weight, 'k', b.op('Exp', [logS]));
  return projection === block.gate ? columns : scaleWeight(b, shape, columns, 'n', b.op('Exp', [b.op('Neg', [logT])]));
}

function weightsAt(
  graph: StudentGraph,
  parents: ReadonlyMap<Projection, ParentCodes>,
  bits: Precision,
  copyOf: (value: Value) => Value,
): Weights {
  const { b, plan, inputs } = graph;
  const replaced = new Map<Value, Value>();
  for (const [projection, parent] of parents) {
    const shape = shapeOf(projection, plan);
    const names = namesOf(projection.id);
    const [stretch, shift] = [inputs.get(names.stretch(bits)), inputs.get(names.shift(bits))];
    const tied = sliceParent(b, parent, plan.slice, bits);
    const sliced =
      stretch === undefined || shift === undefined
        ? tied
        : loosened(b, tied, bits, { stretch: columnOf(b, shape, stretch), shift: columnOf(b, shape, shift) });
    replaced.set(copyOf(projection.weight.source), decodeSlice(b, shape, sliced));
  }
  return replaced;
}

/** X ⊘ s − δ. */
function entered({ b, block, inputs }: StudentGraph, input: Value): Value {
  const logS = inputs.get(scaleNamesOf(block.id).input);
  const scaled = logS === undefined ? input : b.op('Mul', [input, b.op('Exp', [b.op('Neg', [logS])])]);
  const delta = inputs.get(shiftNamesOf(block.id).input);
  return delta === undefined ? scaled : b.op('Sub', [scaled, delta]);
}

/** What `down` reads loses its δ, and every projection gets back what its δ took: δ(W ⊙ s) with the exact weights. */
function changesOf(graph: StudentGraph, copyOf: (value: Value) => Value): Changes {
  const { b, block, plan, inputs } = graph;
  const { input, hidden } = shiftNamesOf(block.id);
  const changes = new Map<Value, (value: Value) => Value>();
  const inner = inputs.get(hidden);
  if (inner !== undefined)
    changes.set(copyOf((block.sites.get(block.down) as Site).input), (value) => b.op('Sub', [value, inner]));
  for (const [projection, { output, alpha }] of block.sites) {
    const delta = inputs.get(projection === block.down ? hidden : input);
    if (delta === undefined) continue;
    const exact = scaled(graph, projection, copyOf(projection.weight.source));
    const restored = b.op('Mul', [timesWeight(b, shapeOf(projection, plan), delta, exact), b.scalar(alpha)]);
    changes.set(copyOf(output), (value) => b.op('Add', [value, restored]));
  }
  return changes;
}

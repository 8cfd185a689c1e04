/**
 * A set as one float model whose quantized weights are chosen at run time. The template's placeholders become plain products;
 * the model is cut into segments, and in each segment the weights of its projections are inputs of the session. So one open
 * session serves every mix of precisions, and a mix that differs late is run from there on.
 */
import { type Pack, packProjections } from '../../../passes/pack-projections.js';
import type { Execution } from '../../analysis/execution.js';
import type { ModelAnalysis, Projection } from '../../analysis/projection.js';
import { analyse } from '../../analysis/projections.js';
import type { Segment } from '../../analysis/segments.js';
import { planCapture } from '../../capture/index.js';
import { fail } from '../../diagnostics.js';
import type { Emitter } from '../../emit/emitter.js';
import { type Filling, fillTemplate } from '../../emit/fill.js';
import { PLACEHOLDER_DOMAIN } from '../../emit/sites.js';
import type { At } from '../../emit/tables.js';
import { cloneModel } from '../../onnx/ir/clone.js';
import type { Model, Value } from '../../onnx/ir/graph.js';
import { lazyTensor, type Tensor } from '../../onnx/ir/tensor.js';
import { Rewriter } from '../../onnx/rewrite/rewriter.js';
import { runPasses, step } from '../../onnx/rewrite/run-passes.js';
import type { ProjectionPlace, SetLayout } from '../../quant/layout.js';
import type { Precision } from '../../quant/precision.js';
import { packPrefix, type SetReader } from '../../set/index.js';

/** Ŵ [k, n] of a projection at a precision, raised to the projection's own lowest; a last row is its bias, see `elasticRows`. */
export type WeightsAt = (place: ProjectionPlace, bits: number) => Float32Array;

export interface ElasticGraph {
  readonly model: Model;
  readonly execution: Execution;
  readonly analysis: ModelAnalysis;
  readonly segments: readonly ElasticSegment[];
  readonly logits: Value;
  /** The head, when its rows can be left out: see `sampled-vocabulary.ts`. */
  readonly head: Projection | undefined;
}

export interface ElasticSegment {
  readonly segment: Segment;
  /** Weights that are inputs here, by projection. */
  readonly weights: readonly { readonly place: ProjectionPlace; readonly value: Value }[];
}

/** Plans the elastic form of a template. Nothing is read but what tells an embedding from a head. Segments hold one layer, unless told. */
export function elasticGraph(template: Model, reader: SetReader, maxWeightBytes?: number): ElasticGraph {
  const { model } = cloneModel(template);
  const { layout } = reader;
  fillTables(model, reader);
  const weights = fillDense(model, layout);
  const analysis = analyse(model);
  const logits = logitsOf(model);
  const plan = planCapture(model, analysis, {
    scope: () => false,
    targets: [logits],
    ...(maxWeightBytes !== undefined && { maxWeightBytes }),
  });
  const segments = plan.segments.map((segment): ElasticSegment => {
    const read = new Set(segment.nodes.flatMap(({ inputs }) => inputs));
    const own = [...weights].filter(([value]) => read.has(value));
    const values = own.map(([value]) => value);
    return {
      segment: { ...segment, graphInputs: [...segment.graphInputs, ...values] },
      weights: own.map(([value, place]) => ({ place, value })),
    };
  });
  const { execution } = plan;
  const head = separateHead(execution, analysis, segments);
  return { model, execution, analysis, segments, logits: execution.resolve(logits), head };
}

/** Rows of the input that holds Ŵ: one more for the bias where some precision has one. */
export const elasticRows = ({ k, tables }: ProjectionPlace): number => k + (tables.some(({ bias }) => bias) ? 1 : 0);

/** Every placeholder becomes MatMul(X, Ŵ); Ŵ is an initializer that nobody reads, since the segments take it as an input. */
function fillDense(model: Model, layout: SetLayout): ReadonlyMap<Value, ProjectionPlace> {
  const weights = new Map<Value, ProjectionPlace>();
  fillTemplate(new Rewriter(model), layout.projections, {
    table: (emitter, at) => {
      const whole = emitter.initializer(`${at.name}_dense`, unread(at.place));
      weights.set(whole, at.place);
      const { weight, bias } = splitBias(emitter, at, whole);
      return { scale: () => weight, zero: undefined, offset: undefined, bias };
    },
    product:
      (emitter, { anchor, place, name }, table) =>
      (site, input, dtype) => {
        const weight = table.scale('float32');
        const own = dtype === 'float32' ? weight : emitter.cast(anchor, place.id, weight, dtype, `${name}/dense/Cast`);
        return { op: 'MatMul', inputs: [input, own], name: `${site.node.name}_dense` };
      },
    rows: ({ id }) => fail('unsupported-model', id, 'The projection is read row by row'),
  });
  return weights;
}

/** Nested token tables at their highest precision, as self-contained models have them: mixes do not choose theirs. */
function fillTables(model: Model, reader: SetReader): void {
  const { layout, tensor } = reader;
  const filling: Filling = {
    layout: { ...layout, projections: [] },
    tensor,
    bitsOf: () => layout.bits.at(-1) as Precision,
    accuracyLevel: 0,
    isPartial: true,
  };
  const pack: Pack = (place, bits) => packPrefix(reader, place, bits);
  if (layout.tokenTables !== undefined)
    runPasses(model, [step(packProjections, {}, { ...filling, pack })], [PLACEHOLDER_DOMAIN]);
}

/** Ŵ and the bias out of one input. */
function splitBias(
  emitter: Emitter,
  { anchor, place: { id, k, n, tables }, name }: At,
  whole: Value,
): { readonly weight: Value; readonly bias: Value | undefined } {
  if (!tables.some(({ bias }) => bias)) return { weight: whole, bias: undefined };
  const rows = (from: number, to: number): Value => emitter.slice(anchor, id, whole, from, to, `${name}/dense/Slice`);
  return { weight: rows(0, k), bias: emitter.reshape(anchor, id, rows(k, k + 1), [n], `${name}/dense/Reshape`) };
}

const unread = (place: ProjectionPlace): Tensor =>
  lazyTensor('float32', [elasticRows(place), place.n], () =>
    fail('unsupported-model', place.id, 'The projection runs outside of the segments'),
  );

function logitsOf({ graph }: Model): Value {
  const named = graph.outputs.find(({ name }) => name === 'logits');
  const others = graph.outputs.filter(({ name, type }) => !name.startsWith('present') && type?.shape?.length === 3);
  return (
    named ??
    (others.length === 1 ? others[0] : undefined) ??
    fail('unsupported-model', 'graph', 'The model has no output logits')
  );
}

/** Operators between head and logits that work on each logit by itself. */
const POINTWISE: ReadonlySet<string> = new Set(['Mul', 'Div', 'Tanh', 'Cast', 'Identity']);
/** Operators between the stored table and the head that keep rows rows. */
const CARRIERS: ReadonlySet<string> = new Set(['Transpose', 'Cast', 'Identity']);

/** The head, if it is a product of its own segment's weights, and only pointwise operators follow. */
function separateHead(
  execution: Execution,
  { projections, embedding }: ModelAnalysis,
  segments: readonly ElasticSegment[],
): Projection | undefined {
  const head = projections.find(({ role }) => role === 'head');
  const [site, ...others] = head?.sites ?? [];
  if (site === undefined || others.length > 0 || site.bias !== undefined) return undefined;
  const home = segments.find(({ segment }) => segment.nodes.includes(site.node));
  const embeds = home?.segment.nodes.some((node) => embedding?.nodes.includes(node)) ?? true;
  const apart = !embeds && execution.nodes.includes(site.node) && site.walk.every(({ op }) => CARRIERS.has(op));
  return apart && leadsPointwise(site.output) ? head : undefined;
}

function leadsPointwise(value: Value): boolean {
  return [...value.uses].every(({ node }) => {
    if (!POINTWISE.has(node.op)) return false;
    return node.outputs.every((output) => output === undefined || leadsPointwise(output));
  });
}

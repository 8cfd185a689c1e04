/**
 * One segment as a model of its own: inputs are what it reads from before, outputs what later segments read, and for each
 * group of projections the Gram matrix of their input, computed inside the runtime.
 */
import { elementTypeOf } from '../analysis/element-types.js';
import type { Execution } from '../analysis/execution.js';
import type { Segment } from '../analysis/segments.js';
import { fail } from '../diagnostics.js';
import { int } from '../onnx/ir/attribute.js';
import { DTYPES, type DType } from '../onnx/ir/dtype.js';
import type { Model, Value, ValueType } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import { type Extraction, extractModel } from '../onnx/rewrite/extract.js';
import { prune } from '../onnx/rewrite/prune.js';
import { Rewriter } from '../onnx/rewrite/rewriter.js';
import { computeInFloat32, computeInFloat64 } from '../onnx/rewrite/widen-arithmetic.js';
import { addGram, type GramOutputs } from './gram.js';

/** Asks for the Gram matrix of a value. */
export interface GramRequest {
  readonly group: string;
  /** X [..., K]. */
  readonly input: Value;
  readonly k: number;
  /** Also Xᵀ(X_float - X) against an input X_float of the same shape. */
  readonly change: boolean;
  /** Rows have weights of their own: the input `row_scale/GROUP` [rows, 1] holds their square roots. */
  readonly ownWeights?: boolean;
}

export interface SegmentRequest {
  readonly segment: Segment;
  readonly execution: Execution;
  readonly grams: readonly GramRequest[];
  /** Values to hand out as they are. */
  readonly extra: readonly Value[];
  /** False when only Grams are wanted and no later segment is run. */
  readonly carry: boolean;
  /** Rows have weights; the input `row_scale` [rows, 1] holds their square roots. */
  readonly weighted: boolean;
  /** Compute in float64, with float64 at the edges. */
  readonly inFloat64?: boolean;
  readonly replaced: ReadonlyMap<Value, Tensor>;
}

/** A value of the original at the edge of a segment's model. `dtype` is its type at the edge. */
export interface Edge {
  readonly name: string;
  readonly value: Value;
  readonly dtype: DType;
}

/** The outputs for one group, and the value they are made from. */
export interface SegmentGram extends GramOutputs {
  readonly value: Value;
  /** The input with the square roots of the weights of its rows, where it has one of its own. */
  readonly rowScale: string | undefined;
}

export interface SegmentModel {
  readonly model: Model;
  /** Inputs of the whole model that are read here. */
  readonly graphInputs: readonly Edge[];
  readonly liveIn: readonly Edge[];
  readonly liveOut: readonly Edge[];
  readonly extra: readonly Edge[];
  readonly grams: readonly SegmentGram[];
  readonly rowScale: string | undefined;
}

/** Half precision does not cross the edge of a session: it is cast to float32 there, which is exact. */
const edgeType = (dtype: DType): DType => (dtype === 'float16' || dtype === 'bfloat16' ? 'float32' : dtype);

export function buildSegmentModel(original: Model, request: SegmentRequest): SegmentModel {
  const { segment, execution, replaced } = request;
  const typeOf = (value: Value): DType =>
    elementTypeOf(value, execution.resolve) ?? fail('unsupported-model', value.name, 'the element type cannot be told');
  const extraction = extractModel(original, {
    name: `segment_${segment.index}`,
    nodes: segment.nodes,
    inputs: [...segment.graphInputs, ...segment.liveIn].map((value) => ({
      value,
      type: inputType(value, typeOf(value)),
    })),
    resolve: execution.resolve,
    replaced,
  });
  const rewriter = new Rewriter(extraction.model);
  const context: Context = { rewriter, extraction, typeOf };
  const graphInputs = segment.graphInputs.map((value) => inputEdge(context, value));
  const liveIn = segment.liveIn.map((value) => inputEdge(context, value));
  const rowScale = request.grams.length > 0 ? rowScaleInput(rewriter) : undefined;
  const grams = request.grams.flatMap(({ ownWeights, ...gram }) => {
    if (rowScale === undefined) return [];
    const input = asFloat32(context, extraction.copyOf(gram.input), typeOf(gram.input));
    const own = ownWeights ? rowScaleInput(rewriter, `row_scale/${gram.group}`) : undefined;
    const weighted = own !== undefined || request.weighted;
    const outputs = addGram(rewriter, { ...gram, input, rowScale: own ?? rowScale, weighted });
    return [{ ...outputs, value: gram.input, rowScale: own?.name }];
  });
  const liveOut = request.carry ? segment.liveOut.map((value) => outputEdge(context, value)) : [];
  const extra = request.extra.map((value) => outputEdge(context, value));
  prune(rewriter);
  if (request.inFloat64) computeInFloat64(rewriter);
  else computeInFloat32(rewriter);
  const edges = (found: readonly Edge[]): readonly Edge[] => (request.inFloat64 ? found.map(inFloat64) : found);
  return {
    model: extraction.model,
    graphInputs: edges(graphInputs),
    liveIn: edges(liveIn),
    liveOut: edges(liveOut),
    extra: edges(extra),
    grams,
    rowScale: rowScale?.name,
  };
}

const inFloat64 = (edge: Edge): Edge => (edge.dtype === 'float32' ? { ...edge, dtype: 'float64' } : edge);

interface Context {
  readonly rewriter: Rewriter;
  readonly extraction: Extraction;
  readonly typeOf: (value: Value) => DType;
}

/** Shapes of inputs are as free as the original's; carried values are known by their element type alone. */
function inputType(value: Value, dtype: DType): ValueType {
  return { dtype: edgeType(dtype), shape: value.isInput ? value.type?.shape : undefined };
}

function rowScaleInput(rewriter: Rewriter, name = 'row_scale'): Value {
  return rewriter.addInput(rewriter.model.graph, name, { dtype: 'float32', shape: ['rows', 1] });
}

/** The input's readers get it in the type of the graph. */
function inputEdge({ rewriter, extraction, typeOf }: Context, value: Value): Edge {
  const copy = extraction.copyOf(value);
  const own = typeOf(value);
  const dtype = edgeType(own);
  const [first] = rewriter.model.graph.nodes;
  if (dtype !== own && first !== undefined) {
    const readers = [...copy.uses];
    const attributes = { to: int(DTYPES[own].onnx) };
    const cast = rewriter.insert(first, { name: `${copy.name}_cast`, op: 'Cast', inputs: [copy], attributes });
    for (const { node, slot } of readers) rewriter.replaceInput(node, slot, cast);
  }
  return { name: copy.name, value, dtype };
}

function outputEdge(context: Context, value: Value): Edge {
  const own = context.typeOf(value);
  const dtype = edgeType(own);
  const { rewriter, extraction } = context;
  const copy = extraction.copyOf(value);
  const output = dtype === own ? copy : asFloat32(context, copy, own);
  if (!output.isOutput) rewriter.addOutput(rewriter.model.graph, output, { dtype, shape: undefined });
  return { name: output.name, value, dtype };
}

function asFloat32({ rewriter }: Context, value: Value, dtype: DType): Value {
  if (dtype === 'float32') return value;
  const attributes = { to: int(DTYPES.float32.onnx) };
  return rewriter.insert(rewriter.model.graph, { name: `${value.name}_f32`, op: 'Cast', inputs: [value], attributes });
}

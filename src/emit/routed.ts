/**
 * Values that may have no rows: what routing takes out of a batch for one expert. ONNX Runtime up to 1.30 gives sums of such
 * values the shape of their input, so block sums of them are products with a matrix of ones.
 */
import { constantOf } from '../analysis/constants.js';
import { type Model, type Node, nodesOf, type Value } from '../onnx/ir/graph.js';

/** Operators whose output has as many rows as the data says. */
const CHOOSERS: ReadonlySet<string> = new Set(['NonZero', 'Compress', 'Unique', 'StringSplit']);
/** Look-ups by an index: as many rows as the index has. */
const LOOKUPS: ReadonlySet<string> = new Set(['Gather', 'GatherND', 'GatherElements']);
/** Other data inputs of these change elements, not the number of rows. */
const FIRST_ONLY: ReadonlySet<string> = new Set([
  'ScatterND',
  'ScatterElements',
  'Scatter',
  'Reshape',
  'Expand',
  'MatMul',
  'Gemm',
]);

export class RoutedRows {
  readonly #model: Model;
  readonly #known: Map<Value, boolean> = new Map();
  #hasChoosers: boolean | undefined;

  constructor(model: Model) {
    this.#model = model;
  }

  /** True when the number of rows of a value is chosen by data. */
  has(value: Value): boolean {
    this.#hasChoosers ??= [...nodesOf(this.#model.graph)].some(({ op }) => CHOOSERS.has(op));
    return this.#hasChoosers && this.#reaches(value);
  }

  #reaches(value: Value): boolean {
    const known = this.#known.get(value);
    if (known !== undefined) return known;
    const seen = new Set<Value>([value]);
    let found = false;
    for (const each of seen) {
      found ||= this.#known.get(each) === true || (each.producer !== undefined && CHOOSERS.has(each.producer.op));
      if (found) break;
      for (const next of sourcesOf(each.producer)) if (next !== undefined) seen.add(next);
    }
    this.#known.set(value, found);
    return found;
  }
}

/** The inputs that decide the number of rows. */
function sourcesOf(node: Node | undefined): readonly (Value | undefined)[] {
  if (node === undefined) return [];
  if (LOOKUPS.has(node.op)) return [node.inputs[1], ...(isRowIndex(node) ? [] : [node.inputs[0]])];
  const isProduct = FIRST_ONLY.has(node.op) || node.domain !== '' || node.op.endsWith('Normalization');
  return isProduct ? [node.inputs[0]] : node.inputs;
}

/** A look-up along the first axis replaces the rows; by one number it drops the axis, and the next one has the rows. */
function isRowIndex(node: Node): boolean {
  const axis = node.attributes.get('axis');
  const isOne = constantOf(node.inputs[1])?.shape.length === 0;
  return node.op === 'Gather' && !isOne && (axis?.kind !== 'int' || axis.value === 0n);
}

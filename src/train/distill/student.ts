/** The student: the float model with codes in its projections, of one precision and with tables that learn, or of weights that learn. */
import type { Projection } from '../../analysis/projection.js';
import { denseTensor } from '../../capture/index.js';
import type { Node, Value } from '../../onnx/ir/graph.js';
import { float32s } from '../../onnx/ir/tensor.js';
import type { GraphBuilder } from '../../onnx/rewrite/builder.js';
import { decodeTable } from '../../quant/tables.js';
import type { Feeds } from '../../runtime/runtime.js';
import {
  type CentredColumns,
  columnFeeds,
  decodeColumns,
  type FrozenCodes,
  replaceWeight,
  tableWeight,
} from '../table-parameters.js';
import { placeWeight, type WeightStudent, weightFeeds } from './weight-student.js';

export interface StudentProjection {
  readonly projection: Projection;
  readonly codes: FrozenCodes;
  /** The table as the set stores it. */
  readonly columns: CentredColumns;
  /** False for a table that other precisions use as well: it stays. */
  readonly learns: boolean;
}

/** A projection of the student, of either kind. */
export type AnyStudent = StudentProjection | WeightStudent;

/** What learns of a projection: its table, or its weights in the layout that the model stores. */
export type Columns = CentredColumns | { readonly weight: Float32Array };
export type Learning<C extends Columns = Columns> = ReadonlyMap<string, C>;

/** Tables by projection id. */
export type Tables = Learning<CentredColumns>;

/** The arrays of what learns, by the names that their inputs have behind the projection's. */
function arraysOf(columns: Columns): readonly (readonly [string, Float32Array])[] {
  if ('weight' in columns) return [['weight', columns.weight]];
  const { scale, offset, bias, latent } = columns;
  const arrays = [
    ['scale', scale] as const,
    ['offset', offset] as const,
    ['bias', bias] as const,
    ['latent', latent] as const,
  ];
  return arrays.flatMap(([name, array]) => (array === undefined ? [] : [[name, array] as const]));
}

/** All columns that learn in a fixed order: what an optimizer moves. */
export const columnsOf = (learning: Learning): readonly Float32Array[] =>
  [...learning.values()].flatMap((columns) => arraysOf(columns).map(([, array]) => array));

/** Names of their inputs, in the same order. */
export const inputsOf = (learning: Learning): readonly string[] =>
  [...learning].flatMap(([id, columns]) =>
    arraysOf(columns).map(([name]) => `${id}/${name === 'latent' ? 'codes' : name}`),
  );

/** Learning of the same form with other columns, in the order of `columnsOf`. */
export function withColumns<C extends Columns>(learning: Learning<C>, columns: readonly Float32Array[]): Learning<C> {
  let next = 0;
  const filled = [...learning].map(([id, old]): [string, C] => {
    const arrays = arraysOf(old).map(([name]) => [name, columns[next++] as Float32Array] as const);
    return [id, { ...old, ...Object.fromEntries(arrays) }];
  });
  return new Map(filled);
}

/** Puts the student's weights into a part of the model, the nodes of a segment; returns the inputs that learn. */
export function placeStudent(
  b: GraphBuilder,
  copyOf: (value: Value) => Value,
  student: readonly AnyStudent[],
  nodes: readonly Node[],
): readonly Value[] {
  return student.flatMap((each) => {
    const inputs: Value[] = [];
    replaceWeight(b, copyOf(each.projection.weight.source), () => {
      const made = 'plan' in each ? placeWeight(b, each) : placeTable(b, each);
      inputs.push(...('input' in made ? [made.input] : made.inputs));
      return made.weight;
    });
    return 'plan' in each ? inputs : [...inputs, ...placeBias(b, copyOf, each, nodes)];
  });
}

/** Adds the bias of a projection to its outputs; returns it where it learns. */
function placeBias(
  b: GraphBuilder,
  copyOf: (value: Value) => Value,
  { projection, codes, columns: { bias }, learns }: StudentProjection,
  nodes: readonly Node[],
): readonly Value[] {
  if (bias === undefined) return [];
  const name = `${codes.name}/bias`;
  const value = learns ? b.input(name, 'float32', [codes.n]) : b.constant(float32s(bias, [codes.n]), name);
  for (const site of projection.sites.filter(({ node }) => nodes.includes(node))) {
    const output = copyOf(site.output);
    const readers = [...output.uses];
    const sum = b.op('Add', [output, value]);
    for (const { node, slot } of readers) b.rewriter.replaceInput(node, slot, sum);
  }
  return learns ? [value] : [];
}

/** The weight of a projection, with the inputs of its table that learn. */
export function placeTable(
  b: GraphBuilder,
  { projection, codes, columns, learns }: StudentProjection,
): { readonly weight: Value; readonly inputs: readonly Value[] } {
  if (!learns) {
    const dense = decodeTable(codes.codes, codes.blocks, decodeColumns(columns, codes));
    return { weight: b.constant(denseTensor(projection, dense), `${codes.name}/weight`), inputs: [] };
  }
  const made = tableWeight(b, codes, projection.weight.layout, columns.latent !== undefined);
  const inputs = [made.scale, made.offset, made.codes].filter((each) => each !== undefined);
  return { weight: made.weight, inputs };
}

/** Feeds of what learns among some projections. */
export function learningFeeds(student: readonly AnyStudent[], learning: Learning): Feeds {
  const feeds = student
    .filter(({ learns }) => learns)
    .map((each) => {
      const columns = learning.get(each.projection.id) as Columns;
      return 'weight' in columns
        ? weightFeeds(each.projection, columns.weight)
        : columnFeeds(columns, (each as StudentProjection).codes);
    });
  return Object.assign({}, ...feeds);
}

/**
 * The element type of a value where the file does not say: exporters without value_info are common. Enough of ONNX's type
 * rules for the operators of a decoder: a table of those that change the type, every other one keeps that of an input.
 */
import type { DType } from '../onnx/ir/dtype.js';
import { dtypeOf } from '../onnx/ir/dtype.js';
import { intAttribute, type Node, stringAttribute, type Value } from '../onnx/ir/graph.js';

type Rule = (node: Node) => DType | { readonly like: number } | undefined;

const constant =
  (dtype: DType): Rule =>
  () =>
    dtype;
const like =
  (slot: number): Rule =>
  () => ({ like: slot });

const tensorAttribute =
  (name: string, fallback: DType): Rule =>
  (node) => {
    const attribute = node.attributes.get(name);
    return attribute?.kind === 'tensor' ? attribute.value.dtype : fallback;
  };

const CONSTANT_KINDS: Readonly<Record<string, DType>> = {
  float: 'float32',
  floats: 'float32',
  int: 'int64',
  ints: 'int64',
};

const constantNode: Rule = (node) => {
  const [attribute] = [...node.attributes.values()];
  if (attribute?.kind === 'tensor') return attribute.value.dtype;
  return attribute === undefined ? undefined : CONSTANT_KINDS[attribute.kind];
};

const BOOL_OPS = [
  'And',
  'Or',
  'Not',
  'Xor',
  'Equal',
  'Less',
  'LessOrEqual',
  'Greater',
  'GreaterOrEqual',
  'IsNaN',
  'IsInf',
];

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...BOOL_OPS.map((op): [string, Rule] => [op, constant('bool')]),
  ...['Shape', 'Size', 'NonZero', 'ArgMax', 'ArgMin'].map((op): [string, Rule] => [op, constant('int64')]),
  ['Cast', (node) => dtypeOf(intAttribute(node, 'to', 0))],
  ['Constant', constantNode],
  ['ConstantOfShape', tensorAttribute('value', 'float32')],
  ['Where', like(1)],
  ['CastLike', like(1)],
  ['DequantizeLinear', like(1)],
  ['GatherBlockQuantized', like(2)],
  ['Rows', (node) => stringAttribute(node, 'dtype', 'float32') as DType],
]);

/** The element type of a value, or undefined when it cannot be told. */
export function elementTypeOf(value: Value, resolve: (value: Value) => Value = (same) => same): DType | undefined {
  let current = resolve(value);
  // A walk up the graph ends at an input, an initializer or a node that fixes the type.
  for (;;) {
    const known = current.type?.dtype ?? current.initializer?.dtype;
    if (known !== undefined || current.producer === undefined) return known;
    const found = RULES.get(current.producer.op)?.(current.producer) ?? { like: 0 };
    if (typeof found === 'string') return found;
    const next = current.producer.inputs[found.like];
    if (next === undefined) return undefined;
    current = resolve(next);
  }
}

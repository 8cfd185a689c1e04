/**
 * Models as text, in the syntax of `onnx.printer` (onnx/docs/Syntax.md), for golden files and for the state of a graph when a pass
 * breaks it. Tensors of more than sixteen elements are printed as a digest of their bytes.
 */
import { createHash } from 'node:crypto';
import type { Attribute } from './attribute.js';
import { DTYPES, type DType } from './dtype.js';
import type { Dim, Graph, Model, Node, Value, ValueType } from './graph.js';
import { sizeOf, type Tensor } from './tensor.js';

/** Prints a model; the text ends with a newline. */
export function printModel(model: Model): string {
  const opsets = [...model.opsets]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([domain, version]) => `"${domain}" : ${version}`);
  const metadata = [...model.metadata].map(([key, text]) => `${quote(key)}: ${quote(text)}`);
  const header = [`ir_version: ${model.irVersion}`, `opset_import: [${opsets.join(', ')}]`];
  if (metadata.length > 0) header.push(`metadata_props: [${metadata.join(', ')}]`);
  return `<\n${header.map((line) => `  ${line}`).join(',\n')}\n>\n${printGraph(model.graph)}\n`;
}

/** Prints one graph and the graphs nested in it; `indent` is that of the line it starts on. */
export function printGraph(graph: Graph, indent = ''): string {
  const inputs = graph.inputs.map((value) => `${printType(value.type)}${printName(value.name)}${printDefault(value)}`);
  const outputs = graph.outputs.map((value) => `${printType(value.type)}${printName(value.name)}`);
  const held = [...graph.initializers].filter((value) => !value.isInput);
  const head = `${printName(graph.name || 'graph')} (${inputs.join(', ')}) => (${outputs.join(', ')})`;
  const initializers = held.map((value) => `${indent}  ${printInitializer(value)}`).join(',\n');
  const list = held.length === 0 ? '' : `\n${indent}<\n${initializers}\n${indent}>`;
  const nodes = graph.nodes.map((node) => `${indent}  ${printNode(node, `${indent}  `)}\n`).join('');
  return `${head}${list}\n${indent}{\n${nodes}${indent}}`;
}

/** `[name] y = domain.Op <attributes> (x, w)`. */
export function printNode(node: Node, indent = ''): string {
  const name = node.name === '' ? '' : `[${printName(node.name)}] `;
  const op = node.domain === '' ? node.op : `${node.domain}.${node.op}`;
  const attributes = [...node.attributes].sort(([a], [b]) => (a < b ? -1 : 1));
  const list = attributes.map(([key, attribute]) => `${key}: ${printAttribute(attribute, indent)}`).join(', ');
  const names = (values: Node['inputs']): string => values.map((value) => printName(value?.name ?? '')).join(', ');
  return `${name}${names(node.outputs)} = ${op} ${list === '' ? '' : `<${list}> `}(${names(node.inputs)})`;
}

function printAttribute(attribute: Attribute, indent: string): string {
  switch (attribute.kind) {
    case 'int':
      return `int = ${attribute.value}`;
    case 'float':
      return `float = ${printNumber(attribute.value)}`;
    case 'string':
      return `string = ${quote(attribute.value)}`;
    case 'ints':
      return `ints = [${attribute.value.join(', ')}]`;
    case 'floats':
      return `floats = [${attribute.value.map(printNumber).join(', ')}]`;
    case 'strings':
      return `strings = [${attribute.value.map(quote).join(', ')}]`;
    case 'tensor':
      return `tensor = ${printTensorType(attribute.value)} ${printElements(attribute.value)}`;
    case 'graph':
      return `graph = ${printGraph(attribute.value, indent)}`;
    case 'graphs':
      return `graphs = [${attribute.value.map((graph) => printGraph(graph, indent)).join(', ')}]`;
    case 'tensors':
      return `tensors = [${attribute.value.map((each) => `${printTensorType(each)} ${printElements(each)}`).join(', ')}]`;
    case 'opaque':
      return 'opaque';
  }
}

/** The printer's names of element types; the others are spelled as here. */
const TYPE_NAMES: Partial<Record<DType, string>> = { float32: 'float', float64: 'double' };

/** Element type names of the text syntax. */
export function typeName(dtype: DType): string {
  return TYPE_NAMES[dtype] ?? dtype;
}

function printType(type: ValueType | undefined): string {
  if (type?.dtype === undefined) return '';
  const dims = type.shape?.map((dim: Dim) => (typeof dim === 'string' ? printName(dim) : (dim ?? '?')));
  return `${typeName(type.dtype)}${dims === undefined ? '[]' : dims.length === 0 ? '' : `[${dims.join(', ')}]`} `;
}

/** A name is quoted where it would not read as one word. */
export function printName(name: string): string {
  return /^[^\s,()<>{}[\]="]*$/.test(name) ? name : quote(name);
}

const quote = (text: string): string => JSON.stringify(text);

function printDefault(value: Value): string {
  return value.initializer === undefined ? '' : ` = ${printElements(value.initializer)}`;
}

function printInitializer(value: Value): string {
  return `${printTensorType(value.initializer as Tensor)} ${printName(value.name)} = ${printElements(value.initializer as Tensor)}`;
}

function printTensorType(tensor: Tensor): string {
  return `${typeName(tensor.dtype)}${tensor.shape.length === 0 ? '' : `[${tensor.shape.join(', ')}]`}`;
}

/** Tensors with more elements than this are printed as a digest. */
const MAX_ELEMENTS = 16;

function printElements(tensor: Tensor): string {
  const size = sizeOf(tensor);
  if (size > MAX_ELEMENTS || READERS[tensor.dtype] === undefined)
    return `{ ${size} elements, sha256 ${digest(tensor)} }`;
  return `{${elementsOf(tensor).map(printNumber).join(', ')}}`;
}

function digest(tensor: Tensor): string {
  const hash = createHash('sha256');
  const step = 1 << 22;
  for (let at = 0; at < tensor.byteLength; at += step)
    hash.update(tensor.bytes(at, Math.min(at + step, tensor.byteLength)));
  return hash.digest('hex').slice(0, 12);
}

type Reader = (view: DataView, at: number) => number | bigint;

const READERS: Partial<Record<DType, Reader>> = {
  float32: (view, at) => view.getFloat32(at, true),
  float64: (view, at) => view.getFloat64(at, true),
  int64: (view, at) => view.getBigInt64(at, true),
  uint64: (view, at) => view.getBigUint64(at, true),
  int32: (view, at) => view.getInt32(at, true),
  uint32: (view, at) => view.getUint32(at, true),
  int16: (view, at) => view.getInt16(at, true),
  uint16: (view, at) => view.getUint16(at, true),
  int8: (view, at) => view.getInt8(at),
  uint8: (view, at) => view.getUint8(at),
  bool: (view, at) => view.getUint8(at),
};

function elementsOf(tensor: Tensor): readonly (number | bigint)[] {
  const bytes = tensor.bytes();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = READERS[tensor.dtype] as Reader;
  return Array.from({ length: sizeOf(tensor) }, (_, index) => read(view, (index * DTYPES[tensor.dtype].bits) / 8));
}

/** Float32 numbers in their shortest decimal form. */
function printNumber(value: number | bigint): string {
  if (typeof value === 'bigint' || Number.isInteger(value) || !Number.isFinite(value)) return String(value);
  for (let digits = 1; digits < 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === Math.fround(value)) return String(Number(text));
  }
  return String(value);
}

/**
 * Models as text, in the syntax of `onnx.printer` (onnx/docs/Syntax.md), for golden files and for the state of a graph when a pass
 * breaks it. Tensors of more than sixteen elements are told apart by a digest of their bytes.
 */
import type { Attribute } from './attribute.js';
import type { Graph, Model, Node, Value, ValueType } from './graph.js';
import { printElements, printNumber, printTensorType, typeName } from './print-tensor.js';

export interface PrintOptions {
  /** Tell large tensors apart by a digest of their bytes (default), or only by their size, which reads nothing. */
  readonly digests?: boolean;
}

/** Prints a model; the text ends with a newline. */
export function printModel(model: Model, { digests = true }: PrintOptions = {}): string {
  return new Printer(digests).model(model);
}

class Printer {
  readonly #digests: boolean;

  constructor(digests: boolean) {
    this.#digests = digests;
  }

  model({ irVersion, opsets, metadata, graph }: Model): string {
    const domains = [...opsets].sort(([a], [b]) => (a < b ? -1 : 1));
    const imports = domains.map(([domain, version]) => `"${domain}" : ${version}`);
    const header = [`ir_version: ${irVersion}`, `opset_import: [${imports.join(', ')}]`];
    const entries = [...metadata].map(([key, text]) => `${quote(key)}: ${quote(text)}`);
    if (entries.length > 0) header.push(`metadata_props: [${entries.join(', ')}]`);
    return `<\n${header.map((line) => `  ${line}`).join(',\n')}\n>\n${this.#graph(graph, '')}\n`;
  }

  /** `indent` is that of the line the graph starts on. */
  #graph({ name, inputs, outputs, initializers, nodes }: Graph, indent: string): string {
    const given = inputs.map((value) => `${printType(value.type)}${printName(value.name)}${this.#default(value)}`);
    const made = outputs.map((value) => `${printType(value.type)}${printName(value.name)}`);
    const held = [...initializers].filter((value) => !value.isInput).map((value) => this.#initializer(value));
    const list =
      held.length === 0 ? '' : `\n${indent}<\n${held.map((line) => `${indent}  ${line}`).join(',\n')}\n${indent}>`;
    const lines = nodes.map((node) => `${indent}  ${this.#node(node, `${indent}  `)}\n`);
    const head = `${printName(name || 'graph')} (${given.join(', ')}) => (${made.join(', ')})`;
    return `${head}${list}\n${indent}{\n${lines.join('')}${indent}}`;
  }

  /** `[name] y = domain.Op <attributes> (x, w)`. */
  #node({ name, op, domain, inputs, outputs, attributes }: Node, indent: string): string {
    const sorted = [...attributes].sort(([a], [b]) => (a < b ? -1 : 1));
    const list = sorted.map(([key, attribute]) => `${key}: ${this.#attribute(attribute, indent)}`).join(', ');
    const names = (values: Node['inputs']): string => values.map((value) => printName(value?.name ?? '')).join(', ');
    const label = name === '' ? '' : `[${printName(name)}] `;
    const operator = domain === '' ? op : `${domain}.${op}`;
    return `${label}${names(outputs)} = ${operator} ${list === '' ? '' : `<${list}> `}(${names(inputs)})`;
  }

  #attribute(attribute: Attribute, indent: string): string {
    const list = (parts: readonly string[]): string => `[${parts.join(', ')}]`;
    switch (attribute.kind) {
      case 'int':
        return `int = ${attribute.value}`;
      case 'float':
        return `float = ${printNumber(attribute.value)}`;
      case 'string':
        return `string = ${quote(attribute.value)}`;
      case 'ints':
        return `ints = ${list(attribute.value.map(String))}`;
      case 'floats':
        return `floats = ${list(attribute.value.map(printNumber))}`;
      case 'strings':
        return `strings = ${list(attribute.value.map(quote))}`;
      case 'tensor':
        return `tensor = ${printTensorType(attribute.value)} ${printElements(attribute.value, this.#digests)}`;
      case 'tensors':
        return `tensors = ${list(attribute.value.map((each) => printElements(each, this.#digests)))}`;
      case 'graph':
        return `graph = ${this.#graph(attribute.value, indent)}`;
      case 'graphs':
        return `graphs = ${list(attribute.value.map((each) => this.#graph(each, indent)))}`;
      case 'opaque':
        return 'opaque';
    }
  }

  #default({ initializer }: Value): string {
    return initializer === undefined ? '' : ` = ${printElements(initializer, this.#digests)}`;
  }

  #initializer({ name, initializer }: Value): string {
    if (initializer === undefined) return `${printName(name)} without a tensor`;
    return `${printTensorType(initializer)} ${printName(name)} = ${printElements(initializer, this.#digests)}`;
  }
}

function printType(type: ValueType | undefined): string {
  if (type?.dtype === undefined) return '';
  if (type.shape === undefined) return `${typeName(type.dtype)}[] `;
  if (type.shape.length === 0) return `${typeName(type.dtype)} `;
  const dims = type.shape.map((dim) => (typeof dim === 'string' ? printName(dim) : (dim ?? '?')));
  return `${typeName(type.dtype)}[${dims.join(', ')}] `;
}

/** A name is quoted where it would not read as one word. */
function printName(name: string): string {
  return /^[^\s,()<>{}[\]="]*$/.test(name) ? name : quote(name);
}

const quote = (text: string): string => JSON.stringify(text);

/**
 * Reads the text of golden inputs: the syntax that `ir/print.ts` writes, with one addition. A tensor may be `random(7)`: float32
 * or integer elements from a seed, for weights that nobody wants to spell out.
 */
import {
  type Attribute,
  float,
  graph as graphAttribute,
  int,
  ints,
  string,
  tensor,
} from '../../src/onnx/ir/attribute.js';
import { DTYPES, type DType, elementCount } from '../../src/onnx/ir/dtype.js';
import type { Graph, Model, Value, ValueType } from '../../src/onnx/ir/graph.js';
import * as mutate from '../../src/onnx/ir/mutate.js';
import { type Tensor, tensorOf } from '../../src/onnx/ir/tensor.js';
import { noise } from './decoder.js';

/** Parses one model. Throws an Error that quotes the place. */
export function parseModel(text: string): Model {
  return new Parser(tokensOf(text)).model();
}

const TOKEN = /\s*(?:"((?:[^"\\]|\\.)*)"|(=>|[,()<>{}[\]=])|([^\s,()<>{}[\]="]+))/y;

interface Token {
  readonly kind: 'text' | 'mark' | 'word';
  readonly text: string;
}

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  const source = text.trimEnd();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.length) {
    const at = TOKEN.lastIndex;
    const found = TOKEN.exec(source);
    if (found === null) throw new Error(`cannot read ${JSON.stringify(source.slice(at, at + 20))}`);
    const [, quoted, mark, word = ''] = found;
    if (quoted !== undefined) tokens.push({ kind: 'text', text: JSON.parse(`"${quoted}"`) as string });
    else tokens.push(mark === undefined ? { kind: 'word', text: word } : { kind: 'mark', text: mark });
  }
  return tokens;
}

/** The values that a graph can see, by name. */
class Names {
  readonly #own: Map<string, Value> = new Map();
  readonly #graph: Graph;
  readonly #outer: Names | undefined;

  constructor(graph: Graph, outer: Names | undefined) {
    this.#graph = graph;
    this.#outer = outer;
  }

  declare(name: string, type?: ValueType): Value {
    const value = this.#own.get(name) ?? mutate.newValue(this.#graph, name, type);
    this.#own.set(name, value);
    return value;
  }

  resolve(name: string): Value | undefined {
    return this.#own.get(name) ?? this.#outer?.resolve(name);
  }
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  model(): Model {
    const opsets = new Map<string, number>();
    this.#expect('<');
    this.#expect('ir_version:');
    const irVersion = Number(this.#next());
    this.#expect(',');
    this.#expect('opset_import:');
    this.#list('[', ']', () => {
      const domain = this.#next();
      this.#expect(':');
      opsets.set(domain, Number(this.#next()));
    });
    this.#expect('>');
    return mutate.newModel(this.#graph(undefined), irVersion, opsets);
  }

  #graph(outer: Names | undefined): Graph {
    const graph = mutate.newGraph(this.#next());
    const names = new Names(graph, outer);
    this.#list('(', ')', () => {
      const type = this.#type();
      const value = names.declare(this.#next(), type);
      mutate.addInput(graph, value);
      if (this.#accept('=')) mutate.setInitializer(value, this.#elements(type));
    });
    this.#expect('=>');
    const outputs: (readonly [string, ValueType | undefined])[] = [];
    this.#list('(', ')', () => {
      const type = this.#isType() ? this.#type() : undefined;
      outputs.push([this.#next(), type]);
    });
    if (this.#peek() === '<') this.#list('<', '>', () => this.#initializer(names));
    this.#expect('{');
    while (!this.#accept('}')) this.#node(graph, names);
    for (const [name, type] of outputs) {
      const value = names.resolve(name) ?? this.#fail(`nothing makes ${name}`);
      if (type !== undefined) mutate.setType(value, type);
      mutate.addOutput(graph, value);
    }
    return graph;
  }

  #initializer(names: Names): void {
    const type = this.#type();
    const value = names.declare(this.#next());
    this.#expect('=');
    mutate.setInitializer(value, this.#elements(type));
  }

  #node(graph: Graph, names: Names): void {
    let name = '';
    if (this.#peek() === '[') this.#list('[', ']', () => (name = this.#next()));
    const outputs: string[] = [];
    do outputs.push(this.#peek() === '=' || this.#peek() === ',' ? '' : this.#next());
    while (this.#accept(','));
    this.#expect('=');
    const operator = this.#next();
    const dot = operator.lastIndexOf('.');
    const attributes: [string, Attribute][] = [];
    if (this.#peek() === '<') this.#list('<', '>', () => attributes.push(this.#attribute(names)));
    const spec = { name, op: operator.slice(dot + 1), domain: operator.slice(0, Math.max(dot, 0)), attributes };
    const node = mutate.newNode(graph, spec);
    this.#inputs().forEach((input, slot) => {
      const value = input === '' ? undefined : (names.resolve(input) ?? this.#fail(`nothing makes ${input}`));
      mutate.connect(node, slot, value);
    });
    outputs.forEach((output, slot) => mutate.produce(node, slot, output === '' ? undefined : names.declare(output)));
  }

  /** Inputs may be absent: nothing between two commas. */
  #inputs(): readonly string[] {
    const inputs: string[] = [];
    this.#expect('(');
    if (this.#accept(')')) return inputs;
    do inputs.push(this.#peek() === ',' || this.#peek() === ')' ? '' : this.#next());
    while (this.#accept(','));
    this.#expect(')');
    return inputs;
  }

  #attribute(names: Names): [string, Attribute] {
    const name = this.#next().replace(/:$/, '');
    const kind = this.#next();
    this.#expect('=');
    const numbers = (): number[] => this.#collect('[', ']').map(Number);
    switch (kind) {
      case 'int':
        return [name, int(BigInt(this.#next()))];
      case 'float':
        return [name, float(Number(this.#next()))];
      case 'string':
        return [name, string(this.#next())];
      case 'ints':
        return [name, ints(numbers())];
      case 'floats':
        return [name, { kind: 'floats', value: numbers() }];
      case 'tensor':
        return [name, tensor(this.#elements(this.#type()))];
      case 'graph':
        return [name, graphAttribute(this.#graph(names))];
      default:
        return this.#fail(`attributes of kind ${kind} are not read`);
    }
  }

  #isType(): boolean {
    return this.#peek() in TYPES;
  }

  #type(): ValueType & { readonly dtype: DType } {
    const dtype = TYPES[this.#next()] ?? this.#fail('an element type is expected');
    const dims = this.#peek() === '[' ? this.#collect('[', ']') : [];
    return { dtype, shape: dims.map((dim) => (/^\d+$/.test(dim) ? Number(dim) : dim === '?' ? undefined : dim)) };
  }

  #elements({ dtype, shape }: ValueType & { readonly dtype: DType }): Tensor {
    const dims = (shape ?? []).map(Number);
    const seeded = this.#accept('random');
    const numbers = this.#collect(seeded ? '(' : '{', seeded ? ')' : '}').map(Number);
    const values = seeded ? [...noise(elementCount(dims), numbers[0] ?? 0)] : numbers;
    return tensorOf(
      dtype,
      dims,
      bytesOf(dtype, seeded && !DTYPES[dtype].isFloat ? values.map((v) => Math.round(v * 64)) : values),
    );
  }

  #collect(open: string, close: string): readonly string[] {
    const words: string[] = [];
    this.#list(open, close, () => words.push(this.#next()));
    return words;
  }

  #list(open: string, close: string, item: () => void): void {
    this.#expect(open);
    if (this.#accept(close)) return;
    do item();
    while (this.#accept(','));
    this.#expect(close);
  }

  #peek(): string {
    return this.#tokens[this.#at]?.text ?? '';
  }

  #next(): string {
    const token = this.#tokens[this.#at++];
    if (token === undefined || token.kind === 'mark') return this.#fail('a word is expected');
    return token.text;
  }

  #accept(text: string): boolean {
    const found = this.#peek() === text;
    if (found) this.#at++;
    return found;
  }

  #expect(text: string): void {
    if (!this.#accept(text)) this.#fail(`${text} is expected`);
  }

  #fail(message: string): never {
    const around = this.#tokens.slice(Math.max(0, this.#at - 4), this.#at + 4).map((token) => token.text);
    throw new Error(`${message} near: ${around.join(' ')}`);
  }
}

/** Element types by the names of the text syntax. */
const TYPES: Readonly<Record<string, DType>> = {
  ...(Object.fromEntries(Object.keys(DTYPES).map((dtype) => [dtype, dtype])) as Record<string, DType>),
  float: 'float32',
  double: 'float64',
};

function bytesOf(dtype: DType, values: readonly number[]): ArrayBufferView {
  switch (dtype) {
    case 'float32':
      return Float32Array.from(values);
    case 'float64':
      return Float64Array.from(values);
    case 'int64':
      return BigInt64Array.from(values, BigInt);
    case 'int32':
      return Int32Array.from(values);
    case 'int8':
      return Int8Array.from(values);
    case 'uint8':
    case 'bool':
      return Uint8Array.from(values);
    default:
      throw new Error(`no elements of ${dtype} are read`);
  }
}

/** Small encoded models, written by hand so that no code under test takes part. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CompilerError, type ErrorCode } from '../../../src/diagnostics.js';
import { temporaryFolder } from '../../support/paths.js';

/** A varint. */
export function varint(value: number | bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}

/** A length-delimited field. */
export function field(number: number, contents: readonly number[] | string): number[] {
  const bytes = typeof contents === 'string' ? [...Buffer.from(contents)] : contents;
  return [...varint(number * 8 + 2), ...varint(bytes.length), ...bytes];
}

/** A varint field. */
export function whole(number: number, value: number | bigint): number[] {
  return [...varint(number * 8), ...varint(value)];
}

/** `ModelProto`: IR 8, opset 17 and a graph of these bytes. */
export function model(graph: readonly number[], ...more: readonly number[][]): Uint8Array {
  return Uint8Array.from([...whole(1, 8), ...field(7, graph), ...field(8, whole(2, 17)), ...more.flat()]);
}

/** `ValueInfoProto` of a float tensor with these dimensions. */
export function floatInfo(name: string, dims: readonly number[]): number[] {
  const shape = dims.flatMap((dim) => field(1, whole(1, dim)));
  return [...field(1, name), ...field(2, field(1, [...whole(1, 1), ...field(2, shape)]))];
}

/** `NodeProto`. */
export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  ...more: readonly number[][]
): number[] {
  const names = [...inputs.flatMap((name) => field(1, name)), ...outputs.flatMap((name) => field(2, name))];
  return [...names, ...field(4, op), ...more.flat()];
}

/** `TensorProto` of type uint8 (2) with one dimension; `more` says where the bytes are. */
export function tensor(name: string, length: number, ...more: readonly number[][]): number[] {
  return [...whole(1, length), ...whole(2, 2), ...field(8, name), ...more.flat()];
}

/** The fields of external data, in the given order. */
export function external(entries: Readonly<Record<string, string>>): number[] {
  const pairs = Object.entries(entries).flatMap(([key, value]) => field(13, [...field(1, key), ...field(2, value)]));
  return [...pairs, ...whole(14, 1)];
}

/** Writes bytes to a file of a new folder. */
export function file(bytes: Uint8Array, name = 'model.onnx'): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, bytes);
  return path;
}

/** The code of the error that an action ends with. */
export function codeOf(action: () => unknown): ErrorCode | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof CompilerError) return error.code;
    throw error;
  }
  return undefined;
}

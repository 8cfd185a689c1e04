/** States of a distillation as files: a JSON header and float32 arrays, so that an interrupted run goes on to the same bytes. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { staged } from '../../convert/output.js';

/** One look at the text that is kept back. */
export interface Look {
  /** Steps taken. */
  readonly step: number;
  /** Divergence on the step's own text, smoothed; absent before the first step. */
  readonly loss?: number;
  /** Divergence on the text that is kept back, with tables as they are stored. */
  readonly kept: number;
}

export interface State {
  /** Steps taken. */
  readonly step: number;
  /** Steps in all: where time was given, this was told from the first ones. */
  readonly steps: number;
  readonly finished: boolean;
  /** How often the rate was halved. */
  readonly halvings: number;
  readonly smoothed: number | undefined;
  readonly looks: readonly Look[];
  /** Columns that learn, their running means, and the columns that were best on the text that is kept back. */
  readonly values: readonly Float32Array[];
  readonly means: readonly Float32Array[];
  readonly squares: readonly Float32Array[];
  readonly best: readonly Float32Array[];
}

type Header = Omit<State, 'values' | 'means' | 'squares' | 'best'> & { readonly lengths: readonly number[] };

export function writeState(path: string, state: State): void {
  const { values, means, squares, best, ...rest } = state;
  const header: Header = { ...rest, lengths: values.map((column) => column.length) };
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  const columns = [...values, ...means, ...squares, ...best];
  const views = columns.map((column) => Buffer.from(column.buffer, column.byteOffset, column.byteLength));
  mkdirSync(dirname(path), { recursive: true });
  staged(path, (temporary) => writeFileSync(temporary, Buffer.concat([length, text, ...views])));
}

/** The state in a file, or undefined when there is none or not a whole one. */
export function readState(path: string): State | undefined {
  let file: Buffer;
  try {
    file = readFileSync(path);
  } catch {
    return undefined;
  }
  try {
    const start = 4 + file.readUInt32LE(0);
    const { lengths, ...header } = JSON.parse(file.toString('utf8', 4, start)) as Header;
    const total = lengths.reduce((sum, length) => sum + length, 0);
    if (file.length !== start + 16 * total) return undefined;
    let at = start;
    const take = (): Float32Array[] =>
      lengths.map((length) => {
        const column = new Float32Array(length);
        new Uint8Array(column.buffer).set(file.subarray(at, at + 4 * length));
        at += 4 * length;
        return column;
      });
    return { ...header, values: take(), means: take(), squares: take(), best: take() };
  } catch {
    return undefined;
  }
}

export const removeState = (path: string): void => rmSync(path, { force: true });

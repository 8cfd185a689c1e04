/** Reading the wire format of protobuf field by field, from a file or from memory, without trusting any length in it. */
import { type CompilerError, fail } from '../../diagnostics.js';
import type { Payload } from '../../files/payload.js';

/** Wire types of protobuf; 3 and 4 open and close groups, which ONNX never uses but unknown fields may. */
export const WIRE = { varint: 0, fixed64: 1, bytes: 2, startGroup: 3, endGroup: 4, fixed32: 5 } as const;

/** Levels of nesting that protobuf implementations accept by default. */
export const DEPTH_LIMIT = 100;

const WINDOW = 1 << 16;

/**
 * How much a message may unfold to when it is decoded, in units of about 40 bytes of heap: an empty message of two bytes in a
 * file becomes an object of 300. 2^26 units are 8 million fields; exports of 270 M parameters have about 100 000.
 */
const BUDGET = 2 ** 26;
const UNITS_PER_FIELD = 8;

export interface Key {
  readonly field: number;
  readonly wire: number;
}

/** A position in the bytes. Small reads go through a window of 64 KiB, so that headers cost few system calls. */
export class Cursor {
  position = 0;
  readonly source: Payload;
  readonly #at: string;
  #window: Uint8Array = new Uint8Array(0);
  #windowStart = 0;
  #spent = 0;

  constructor(source: Payload, at: string) {
    this.source = source;
    this.#at = at;
  }

  /** The next varint, which must end before `end`. Values from 2^53 on are inexact, but larger than any length. */
  varint(end: number): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      if (this.position >= end) this.short('a number is cut off', end);
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    return this.broken('a number has more than ten bytes');
  }

  key(end: number): Key {
    this.spend(UNITS_PER_FIELD);
    const key = this.varint(end);
    const wire = key % 8;
    const field = (key - wire) / 8;
    if (field < 1 || field >= 2 ** 29) this.broken(`field number ${field} does not exist`);
    return { field, wire };
  }

  /** A length that fits before `end`. */
  size(end: number): number {
    const size = this.varint(end);
    if (size > end - this.position) {
      this.short(`a field of ${size} bytes starts, but ${end - this.position} bytes are left`, end);
    }
    return size;
  }

  /** Passes over the value of a field whose key was read. */
  skip(key: Key, end: number): void {
    if (key.wire === WIRE.startGroup) this.#skipGroup(key, end);
    else this.#skipPlain(key, end);
  }

  /** Counts what a field will take once it is decoded. */
  spend(units: number): void {
    this.#spent += units;
    if (this.#spent <= BUDGET) return;
    fail('message-too-large', this.#at, 'the message has more fields than any model');
  }

  /** Reports bytes that end too early: the file was cut when it is the file that ends, else the contents are broken. */
  short(message: string, end: number): never {
    // Exporters write ir_version, key 08, first: without it this was never a model.
    const isModel = this.source.length > 0 && this.source.read(0, 1)[0] === 0x08;
    const code: CompilerError['code'] = isModel && end === this.source.length ? 'truncated' : 'not-onnx';
    return fail(code, this.#at, `${message} at byte ${this.position}`);
  }

  broken(message: string): never {
    return fail('not-onnx', this.#at, `${message} at byte ${this.position}`);
  }

  tooDeep(): never {
    return fail('too-deep', this.#at, `more than ${DEPTH_LIMIT} messages are nested at byte ${this.position}`);
  }

  #skipPlain(key: Key, end: number): void {
    if (key.wire === WIRE.varint) this.varint(end);
    else if (key.wire === WIRE.bytes) this.#advance(this.size(end), end);
    else if (key.wire === WIRE.fixed64) this.#advance(8, end);
    else if (key.wire === WIRE.fixed32) this.#advance(4, end);
    else this.broken(`field ${key.field} has wire type ${key.wire}`);
  }

  #skipGroup(key: Key, end: number): void {
    const open = [key.field];
    while (open.length > 0) {
      const inner = this.key(end);
      if (inner.wire === WIRE.startGroup) open.push(inner.field);
      else if (inner.wire !== WIRE.endGroup) this.#skipPlain(inner, end);
      else if (open.pop() !== inner.field) this.broken(`group ${inner.field} ends but was not open`);
      if (open.length > DEPTH_LIMIT) this.tooDeep();
    }
  }

  #advance(count: number, end: number): void {
    if (count > end - this.position) this.short(`a field of ${count} bytes is cut off`, end);
    this.position += count;
  }

  #byte(): number {
    const offset = this.position - this.#windowStart;
    const byte = offset >= 0 ? this.#window[offset] : undefined;
    if (byte !== undefined) {
      this.position++;
      return byte;
    }
    this.#windowStart = this.position;
    this.#window = this.source.read(this.position, Math.min(this.position + WINDOW, this.source.length));
    return this.#byte();
  }
}

/** The bytes of a varint for a whole number below 2^53. */
export function varintBytes(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

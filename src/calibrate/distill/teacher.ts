/** The teacher: last hidden states of the float model, computed once for all steps and precisions, and kept in one file. */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelAnalysis } from '../../analysis/projection.js';
import { stagedFilesAsync } from '../../convert/output.js';
import { fail, isRuntimeFailure } from '../../diagnostics.js';
import type { Model, Value } from '../../ir/graph.js';
import type { DecoderHints } from '../../runtime/hints.js';
import type { Runtime } from '../../runtime/runtime.js';
import { planCapture } from '../groups.js';
import { SegmentRunner } from '../segment-runner.js';
import { digestOfWindows } from '../statistics.js';
import { headOf } from './head.js';
import type { DistillText } from './text.js';

export interface TeacherRequest {
  readonly model: Model;
  readonly analysis: ModelAnalysis;
  readonly modelDigest: string;
  readonly text: DistillText;
  readonly runtime: Runtime;
  readonly threads: number;
  readonly memoryBytes: number;
  readonly hints?: DecoderHints;
  /** Where the file is kept, and found again; without it a temporary folder that `close` removes. */
  readonly folder?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number) => void;
}

/** An open file of hidden states, [windows, length, hidden] float32. */
export class Teacher {
  readonly #descriptor: number;
  readonly #window: number;
  readonly #temporary: string | undefined;

  constructor(path: string, window: number, temporary: string | undefined) {
    this.#descriptor = openSync(path, 'r');
    this.#window = window;
    this.#temporary = temporary;
  }

  /** The hidden states of some windows, one after another. */
  states(rows: readonly number[]): Float32Array {
    const states = new Float32Array(rows.length * this.#window);
    rows.forEach((row, at) => {
      const bytes = new Uint8Array(states.buffer, at * this.#window * 4, this.#window * 4);
      const count = readSync(this.#descriptor, bytes, 0, bytes.length, row * bytes.length);
      if (count !== bytes.length) fail('truncated', 'teacher', 'The file of hidden states was cut short while in use');
    });
    return states;
  }

  close(): void {
    closeSync(this.#descriptor);
    if (this.#temporary !== undefined) rmSync(this.#temporary, { recursive: true, force: true });
  }
}

/** Runs the float model over the text, or finds what an earlier run kept. */
export async function openTeacher(request: TeacherRequest): Promise<Teacher> {
  const { model, analysis, modelDigest, text, folder } = request;
  const temporary = folder === undefined ? mkdtempSync(join(tmpdir(), 'matquant-teacher-')) : undefined;
  const { projection, hidden } = headOf(model, analysis, planCapture(model, analysis).execution);
  const name = createHash('sha256')
    .update(`${modelDigest} ${digestOfWindows(text.windows)}`)
    .digest('hex');
  const place = folder ?? (temporary as string);
  const path = join(place, `${name}.hidden`);
  try {
    mkdirSync(place, { recursive: true });
    if (!existsSync(path))
      await stagedFilesAsync([path], ([target]) => captureAnyhow(request, hidden, target as string));
    return new Teacher(path, text.length * projection.k, temporary);
  } catch (error) {
    if (temporary !== undefined) rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** A model that cannot run several windows at once, whatever its inputs say, is run window by window. */
async function captureAnyhow(request: TeacherRequest, hidden: Value, path: string): Promise<void> {
  try {
    await capture(request, hidden, path, undefined);
  } catch (error) {
    if (!isRuntimeFailure(error)) throw error;
    await capture(request, hidden, path, 1);
  }
}

async function capture(request: TeacherRequest, hidden: Value, path: string, batch: number | undefined): Promise<void> {
  const { model, analysis, text, runtime, threads, memoryBytes, hints, signal, onProgress } = request;
  const runner = new SegmentRunner(model, analysis, text.windows, runtime, {
    scope: () => false,
    targets: [hidden],
    threads,
    memoryBytes,
    ...(batch !== undefined && { batch }),
    ...(hints !== undefined && { hints }),
    ...(signal !== undefined && { signal }),
  });
  const descriptor = openSync(path, 'w');
  try {
    const stream = runner.stream();
    const total = runner.segments.length * runner.batches.length;
    let done = 0;
    for (const segment of runner.segments) {
      const extra = segment.targets.includes(hidden) ? [hidden] : [];
      const advance = segment.index < runner.segments.length - 1;
      await runner.run(stream, {
        extra,
        advance,
        onBatch: (_, found) => {
          const data = found.get(hidden)?.data;
          if (data !== undefined) writeAll(descriptor, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
          onProgress?.(++done / total);
        },
      });
    }
  } finally {
    closeSync(descriptor);
    runner.close();
  }
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done, bytes.length - done);
}

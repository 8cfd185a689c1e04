/** The teacher: last hidden states of the float model, computed once for all steps and precisions, and kept in one file. */

import { createHash } from 'node:crypto';
import { closeSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelAnalysis } from '../../analysis/projection.js';
import { headOf } from '../../autodiff/index.js';
import { digestOfWindows, planCapture, SegmentRunner } from '../../capture/index.js';
import { fail, isRuntimeFailure } from '../../diagnostics.js';
import { keptIn, type Machine } from '../../files/machine.js';
import { checkRecord, type RecordName, RecordWriter, unlessDamaged } from '../../files/record.js';
import { stagedFilesAsync } from '../../files/staging.js';
import { temporaryFolder } from '../../files/temporary.js';
import { readFully } from '../../files/transfer.js';
import type { Log } from '../../log.js';
import type { Model, Value } from '../../onnx/ir/graph.js';
import type { DecoderHints } from '../../runtime/hints.js';
import type { Runtime } from '../../runtime/runtime.js';
import type { DistillText } from './text.js';

export interface TeacherRequest {
  readonly model: Model;
  readonly analysis: ModelAnalysis;
  readonly modelDigest: string;
  readonly text: DistillText;
  readonly runtime: Runtime;
  /** Its work folder keeps the file, where it is found again; otherwise it lies in a temporary folder that `close` removes. */
  readonly machine: Machine;
  readonly hints?: DecoderHints;
  /** Told when that file is damaged. */
  readonly log?: Log;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number) => void;
}

/** An open record of hidden states, [windows, length, hidden] float32. */
export class Teacher {
  readonly #descriptor: number;
  readonly #start: number;
  readonly #window: number;
  readonly #temporary: string | undefined;

  /** The states begin at byte `start`; `window` is the number of numbers of one window. */
  constructor(path: string, start: number, window: number, temporary: string | undefined) {
    this.#descriptor = openSync(path, 'r');
    this.#start = start;
    this.#window = window;
    this.#temporary = temporary;
  }

  /** The hidden states of some windows, one after another. */
  states(rows: readonly number[]): Float32Array {
    const states = new Float32Array(rows.length * this.#window);
    rows.forEach((row, at) => {
      const bytes = new Uint8Array(states.buffer, at * this.#window * 4, this.#window * 4);
      const count = readFully(this.#descriptor, bytes, this.#start + row * bytes.length);
      if (count < bytes.length) fail('truncated', 'teacher', 'The file of hidden states was cut short while in use');
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
  const { model, analysis, modelDigest, text, machine } = request;
  const folder = keptIn(machine, 'teacher');
  const temporary = folder === undefined ? temporaryFolder('teacher', machine.temporary) : undefined;
  const { projection, hidden } = headOf(model, analysis, planCapture(model, analysis).execution);
  const name = createHash('sha256')
    .update(`${modelDigest} ${digestOfWindows(text.windows)}`)
    .digest('hex');
  const place = folder ?? (temporary as string);
  const path = join(place, `${name}.hidden`);
  try {
    const record: RecordName = { kind: 'hidden', key: name };
    const shape = [text.windows.length, text.length, projection.k];
    const begin = (target: string): RecordWriter =>
      new RecordWriter(target, record, {}, [{ name: 'hidden', dtype: 'F32', shape }]);
    let start = unlessDamaged(path, request.log, () => checkRecord(path, record));
    if (start === undefined) {
      await stagedFilesAsync([path], ([target]) => captureAnyhow(request, hidden, () => begin(target as string)));
      start = checkRecord(path, record);
    }
    return new Teacher(path, start, text.length * projection.k, temporary);
  } catch (error) {
    if (temporary !== undefined) rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** A model that cannot run several windows at once, whatever its inputs say, is run window by window. */
async function captureAnyhow(request: TeacherRequest, hidden: Value, open: () => RecordWriter): Promise<void> {
  try {
    await capture(request, hidden, open, undefined);
  } catch (error) {
    if (!isRuntimeFailure(error)) throw error;
    await capture(request, hidden, open, 1);
  }
}

async function capture(
  request: TeacherRequest,
  hidden: Value,
  open: () => RecordWriter,
  batch: number | undefined,
): Promise<void> {
  const { model, analysis, text, runtime, machine, hints, signal, onProgress } = request;
  const runner = new SegmentRunner(model, analysis, text.windows, runtime, {
    scope: () => false,
    targets: [hidden],
    machine,
    ...(batch !== undefined && { batch }),
    ...(hints !== undefined && { hints }),
    ...(signal !== undefined && { signal }),
  });
  const writer = open();
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
          if (data !== undefined) writer.append(data);
          onProgress?.(++done / total);
        },
      });
    }
    writer.finish();
  } catch (error) {
    writer.abandon();
    throw error;
  } finally {
    runner.close();
  }
}

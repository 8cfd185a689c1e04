/** States of a distillation as records, so that an interrupted run goes on to the same bytes. */
import { basename } from 'node:path';
import { findRecord, type RecordContents, type RecordName } from '../../files/record.js';
import { saveRecord } from '../../files/staged-record.js';
import type { Log } from '../../log.js';
import type { CompiledDistillation } from '../../set/index.js';

/** One evaluation on held-out text. */
export type HeldOutEvaluation = CompiledDistillation['looks'][number];

export interface State {
  /** Steps taken. */
  readonly step: number;
  /** Steps in all: where time was given, this was told from the first ones. */
  readonly steps: number;
  readonly finished: boolean;
  /** How often the rate was halved. */
  readonly halvings: number;
  readonly smoothed: number | undefined;
  readonly looks: readonly HeldOutEvaluation[];
  /** Columns that learn, their running means, and the columns that were best on held-out text. */
  readonly values: readonly Float32Array[];
  readonly means: readonly Float32Array[];
  readonly squares: readonly Float32Array[];
  readonly best: readonly Float32Array[];
}

const GROUPS = ['values', 'means', 'squares', 'best'] as const;

type Facts = Omit<State, (typeof GROUPS)[number]>;

/** The file is named by what the state was made from. */
const nameOf = (path: string): RecordName => ({ kind: 'distilled', key: basename(path) });

export function writeState(path: string, state: State): void {
  const { values: _, means: __, squares: ___, best: ____, ...facts } = state;
  const columns = GROUPS.flatMap((group) => state[group].map((data, at) => ({ name: `${group} ${at}`, data })));
  saveRecord(path, nameOf(path), facts, columns);
}

/** The state in a file, or undefined when there is none or, which is said, a damaged one. */
export function readState(path: string, log: Log): State | undefined {
  return findRecord(path, nameOf(path), log, decode);
}

function decode({ facts, arrays }: RecordContents): State {
  const take = (group: string): readonly Float32Array[] =>
    [...arrays].flatMap(([name, data]) => (name.startsWith(`${group} `) ? [data as Float32Array] : []));
  const { smoothed, ...rest } = facts as Facts;
  return {
    ...rest,
    smoothed,
    values: take('values'),
    means: take('means'),
    squares: take('squares'),
    best: take('best'),
  };
}

/** What a computation may take of the machine it runs on: made once by each public function, handed on as one value. */
import { join } from 'node:path';

/** Told of every file of results that was found or written, by its path. */
export type OnKept = (path: string) => void;

export interface Machine {
  readonly threads: number;
  /** Bytes that the stages may take; a part of the work may be given a share. */
  readonly memoryBytes: number;
  /** Folder of results that a later run takes up; nothing is kept without one. */
  readonly workFolder?: string | undefined;
  /** Where temporary folders are made; the system's without one. */
  readonly temporary?: string | undefined;
  /** Told of the results of this run in the work folder, but for statistics. */
  readonly onKept?: OnKept | undefined;
}

/** The options of public functions that say it. */
export interface MachineOptions {
  readonly threads: number;
  readonly memoryBytes: number;
  readonly work?: string | undefined;
  readonly workDir?: string | undefined;
}

/** The machine that options name; temporary files go to the work folder unless something else is said. */
export const machineOf = ({ threads, memoryBytes, work, workDir = work }: MachineOptions): Machine => ({
  threads,
  memoryBytes,
  workFolder: work,
  temporary: workDir,
});

/** The folder of one kind of results inside the work folder. */
export const keptIn = ({ workFolder }: Machine, kind: string): string | undefined =>
  workFolder === undefined ? undefined : join(workFolder, kind);

/** The same machine with a share of the memory. */
export const shareOf = (machine: Machine, share: number): Machine => ({
  ...machine,
  memoryBytes: machine.memoryBytes * share,
});

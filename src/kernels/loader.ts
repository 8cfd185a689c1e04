/** The WebAssembly kernels of `assembly/`, compiled once per process and instantiated once per thread on one shared memory. */
import { readFileSync } from 'node:fs';

/** Does rows or tiles `begin` to `end` of what the plan at address `plan` describes; see `assembly/plan.ts`. */
export type Kernel = (plan: number, begin: number, end: number, scratch: number) => void;

export type KernelName =
  | 'convertRows'
  | 'correctRows'
  | 'dataFree'
  | 'gramCopy'
  | 'factorFill'
  | 'factorDiagonal'
  | 'factorPanel'
  | 'factorUpdate'
  | 'factorFinish'
  | 'blockSums'
  | 'blockGram'
  | 'solveRows'
  | 'clipRows'
  | 'measureRows'
  | 'scoreRows';

/** The kernels; what a solver plan asks of its caller: scratch per thread and rows per range; and one without a plan. */
export type Kernels = Readonly<Record<KernelName, Kernel>> & {
  readonly scratchBytes: (plan: number) => number;
  readonly tileRows: (plan: number) => number;
  /** See `assembly/widen.ts`. */
  readonly widenPlane: (
    source: number,
    length: number,
    ratio: number,
    tables: number,
    target: number,
    onto: boolean,
  ) => void;
};

/** The first 64 KiB hold the constants of the module; the arena begins behind them. */
export const ARENA_START = 65_536;
/** 4 GiB: all that 32-bit addresses reach. */
export const MAXIMUM_PAGES = 65_536;

let compiled: WebAssembly.Module | undefined;

/** The compiled module; synchronous, because it is a few kilobytes. */
export function kernelModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('../../kernels.wasm', import.meta.url)));
  return compiled;
}

/** The kernels over `memory`. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Kernels;
}

/** What a plan is: one file that says which units a compilation consists of. */
import type { CompileInput, CompileOptions } from '../compile/index.js';
import type { Format } from '../package/index.js';

/**
 * What a unit does. `capture`: statistics of one shard of the text. `random`: those of random token ids. `solve`: codes and tables of
 * the projections that share an input. `table`: the embedding or the head. `train`, `prefix`, `tune` and `distill`: a stage that goes
 * through the whole model. `emit`: the set, which `mergePlan` writes.
 */
export type UnitKind = 'capture' | 'random' | 'solve' | 'table' | 'train' | 'prefix' | 'tune' | 'distill' | 'emit';

/** What a unit is expected to take. */
export interface UnitCost {
  /** Multiplications and additions. */
  readonly flops: number;
  /** Seconds on two cores of 2023; a guess for the order of units and a first estimate of time. */
  readonly seconds: number;
}

/** What a unit is of: numbers from 1, names as `matquant inspect` has them. */
export interface UnitSubject {
  readonly shard?: number;
  readonly shards?: number;
  readonly windows?: number;
  readonly tokens?: number;
  /** The input that projections share, such as `layers.3.ffn-in`. */
  readonly group?: string;
  /** Their ids. */
  readonly projections?: readonly string[];
  readonly table?: string;
  readonly precisions?: readonly number[];
}

/** One piece of work: idempotent, deterministic, with results that are files of the work folder. */
export interface PlanUnit {
  /** Letters, digits, dots, hyphens and underscores; part of file names. */
  readonly id: string;
  readonly kind: UnitKind;
  /** Ids of units whose results it reads. */
  readonly needs: readonly string[];
  /** Least memory in bytes; activations use what a worker has more. `distill` and `emit` take what the plan was made for. */
  readonly memoryBytes: number;
  readonly cost: UnitCost;
  readonly of: UnitSubject;
}

/** A file that was read when the plan was made. */
export interface PlannedFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Options of `compile` that a plan fixes: all but the output and the machine. Paths that are relative begin at the plan's folder. */
export type PlannedOptions = Omit<CompileInput, 'output' | 'work' | 'threads' | 'overwrite' | 'provenance' | 'hub'> &
  Pick<CompileOptions, 'recipe' | 'memoryBytes' | 'seed' | 'shards'> & {
    /** What the set becomes a package for, as of `compileFor`. */
    readonly for?: readonly Format[];
  };

/** `PLAN/plan.json`, sealed by a digest of its own text. A function of model, text, options and tool version alone. */
export interface Plan {
  readonly format: 'matquant-plan';
  readonly version: 1;
  /** Name and version of the tool; a worker of another version is refused. */
  readonly tool: string;
  /** Raised when units or their results change within a version of the tool. */
  readonly revision: number;
  /** Version of ONNX Runtime, which statistics depend on in their last digits. */
  readonly runtime: string;
  readonly options: PlannedOptions;
  /** Where the text comes from, for the manifest. */
  readonly textSource?: string;
  /** Folder of results; relative to the plan's folder. */
  readonly work: string;
  /** Digest of weights and graph, which names statistics. */
  readonly model: string;
  /** Files of model and text in the order in which they are read. */
  readonly inputs: readonly PlannedFile[];
  /** Files that an object store holds for workers, by their paths in the folder of a worker. */
  readonly files?: readonly PlannedFile[];
  /** Units; each comes behind those it needs. */
  readonly units: readonly PlanUnit[];
}

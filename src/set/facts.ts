/**
 * NAME.report.json: what only the compilation knew of a set, free of times, so that equal runs write equal files. The manifest,
 * the page, `--json` and the printed table say these facts; this is where they are declared.
 */

import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { isFile } from '../files/file-state.js';
import { startsAsManifest } from '../files/listed-files.js';
import { readSavedJson } from '../files/saved-json.js';
import { sealedJson } from '../files/seal.js';
import { schemaIssues } from '../schema-issues.js';
import type { PrecisionError, TableReport } from '../solve/index.js';
import { digestOfSet } from './set-identity.js';
import { type OpenSet, openSet } from './set-manifest.js';

/** What `compile` found out and the set itself does not hold. Free of times, so that equal runs write equal files. */
export interface CompiledFacts {
  /** Graph file and external data of the source. */
  readonly sourceBytes: number;
  readonly calibrationTokens: number;
  readonly refused: readonly Refusal[];
  readonly projections: readonly CompiledProjection[];
  /** Embedding and head, where they were quantized. */
  readonly tables: readonly CompiledTable[];
  /** Blocks that were trained by gradient. */
  readonly training?: readonly BlockTraining[] | undefined;
  /** Precisions whose tables were distilled. */
  readonly distill?: readonly CompiledDistillation[] | undefined;
  /** Training of the weights, of all precisions together; its bits are the lowest. */
  readonly weights?: CompiledDistillation | undefined;
}

/** Distillation of the tables of one precision. */
export interface CompiledDistillation {
  readonly bits: number;
  readonly steps: number;
  readonly tokens: number;
  /** Divergence on held-out text, at the start and of the tables that were chosen, nats per position. */
  readonly kept: { readonly before: number; readonly after: number };
  /** Along the steps: smoothed divergence of the steps' own text, and that on held-out text. */
  readonly looks: readonly { readonly step: number; readonly loss?: number | undefined; readonly kept: number }[];
}

/** How the training of one block went. Losses are relative to the energy of the float block's output. */
export interface BlockTraining {
  readonly layer: number;
  readonly segment: number;
  /** Where the tables of one precision were trained. */
  readonly bits?: number | undefined;
  /** Of every step. */
  readonly losses: readonly number[];
  /** Mean over the same rows before and after. */
  readonly start: number;
  readonly end: number;
  /** Steps taken back because a number was not finite. */
  readonly retries: number;
  /** Projections that keep the numbers they started with. */
  readonly fallback: readonly string[];
}

/** A quantized table of the vocabulary [rows, cols]. */
export type CompiledTable = Omit<TableReport, 'seconds'>;

/** Something that stayed as it was. */
export interface Refusal {
  readonly at: string;
  readonly code: string;
  readonly reason: string;
}

/** A quantized projection: shape, errors, code histogram. */
export interface CompiledProjection {
  readonly id: string;
  readonly layer: number;
  readonly role: string;
  readonly k: number;
  readonly n: number;
  /** By precision (`int4`): error relative to the energy of the output, of plain rounding and of what was stored. */
  readonly error?: Readonly<Record<string, PrecisionError>> | undefined;
  readonly damping?: number | undefined;
  /** Occurrences of each parent code 0…255. */
  readonly codes: readonly number[];
  /** The same before training, where codes were trained. */
  readonly codesBefore?: readonly number[] | undefined;
}

/** NAME.report.json: `compile` writes this much, `report` adds the rest. */
interface ReportFile {
  readonly format: 'matquant-report';
  readonly version: 1;
  /** Digest of the set's data. */
  readonly set?: string | undefined;
  readonly compiled?: CompiledFacts | undefined;
}

const pair = z.object({ before: z.number(), after: z.number() });
const looked = z.object({
  bits: z.number(),
  steps: z.number(),
  tokens: z.number(),
  kept: pair,
  looks: z.array(z.object({ step: z.number(), loss: z.number().optional(), kept: z.number() })),
});
const compiled = z.object({
  sourceBytes: z.number(),
  calibrationTokens: z.number(),
  refused: z.array(z.object({ at: z.string(), code: z.string(), reason: z.string() })),
  projections: z.array(
    z.object({
      id: z.string(),
      layer: z.number(),
      role: z.string(),
      k: z.number(),
      n: z.number(),
      error: z.record(z.string(), pair).optional(),
      damping: z.number().optional(),
      codes: z.array(z.number()).length(256),
      codesBefore: z.array(z.number()).length(256).optional(),
    }),
  ),
  tables: z.array(
    z.object({
      name: z.string(),
      tied: z.boolean(),
      bits: z.number(),
      block: z.number(),
      rows: z.number(),
      cols: z.number(),
      bytes: z.number(),
      error: pair,
    }),
  ),
  distill: z.array(looked).optional(),
  weights: looked.optional(),
  training: z
    .array(
      z.object({
        layer: z.number(),
        segment: z.number(),
        bits: z.number().optional(),
        losses: z.array(z.number()),
        start: z.number(),
        end: z.number(),
        retries: z.number(),
        fallback: z.array(z.string()),
      }),
    )
    .optional(),
});

const reportFile: z.ZodType<ReportFile> = z.object({
  format: z.literal('matquant-report'),
  version: z.literal(1),
  set: z.string().optional(),
  compiled: compiled.optional(),
});

/** Opens the one set of a folder, or the set of a .json file. */
export function openSetOf(path: string): OpenSet {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) fail('file-missing', path, 'There is no such folder');
  if (!stats.isDirectory()) return openSet(path);
  const names = readdirSync(path)
    .filter((name) => /(?<!\.(?:report|eval|compile))\.json$/.test(name))
    .filter((name) => startsAsManifest(join(path, name)))
    .sort();
  const [first, ...others] = names;
  if (first === undefined) fail('not-a-set', path, 'The folder holds no set');
  if (others.length > 0)
    fail(
      'bad-usage',
      path,
      `The folder holds several sets; name one of ${names.map((name) => join(path, name)).join(', ')}`,
    );
  return openSet(join(path, first));
}

/** File name stem of a set: NAME of NAME.json. */
export const stemOf = ({ path }: OpenSet): string => basename(path).replace(/\.json$/, '');

/** What `compile` wrote beside the set; undefined when it is not there. */
export function readCompiled(set: OpenSet): CompiledFacts | undefined {
  const path = join(set.folder, `${stemOf(set)}.report.json`);
  if (!isFile(path)) return undefined;
  const { compiled: facts, set: of } = readChecked(path, reportFile);
  if (of !== undefined && of !== digestOfSet(set.manifest))
    fail('report-input', path, 'The file belongs to another set');
  const ids = set.manifest.layout.projections.map(({ id }) => id).join();
  if (
    facts !== undefined &&
    facts.projections
      .map(({ id }) => id)
      .sort()
      .join() !== ids.split(',').sort().join()
  )
    fail('report-input', path, 'The file belongs to another set');
  return facts;
}

/** Writes what `compile` knows of a set with these digests, or of self-contained models, into the staged folder. */
export function writeCompiled(path: string, facts: CompiledFacts, of?: Parameters<typeof digestOfSet>[0]): void {
  const set = of && { set: digestOfSet(of) };
  const file = { format: 'matquant-report', version: 1, ...set, compiled: facts };
  writeFileSync(path, sealedJson(reportFile.parse(file)));
}

/** A JSON file checked by a schema. Error codes `file-missing` and `report-input`. */
export function readChecked<T>(path: string, schema: z.ZodType<T>): T {
  if (!isFile(path)) fail('file-missing', path, 'There is no such file');
  const parsed = readSavedJson(path);
  const result = schema.safeParse(parsed);
  if (result.success) return result.data;
  return fail('report-input', path, `The file is not valid: ${schemaIssues(result.error, parsed)}`);
}

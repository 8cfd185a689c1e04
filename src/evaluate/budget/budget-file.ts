/** `matquant.budget.json`: what each model of a set may cost. One schema checks it and is published as JSON Schema. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { fail } from '../../diagnostics.js';
import { schemaIssues } from '../../schema-issues.js';
import { jsonLines } from './json-lines.js';

/** What one model may cost; every field is described by the schema below. */
export interface Budget {
  readonly model: string;
  readonly maxKl?: number;
  readonly maxNllIncrease?: number;
  readonly minTop1?: number;
  readonly minAccuracy?: Readonly<Record<string, number>>;
  readonly maxBytes?: number;
  readonly maxStoredBits?: number;
  readonly minSpeed?: number;
  readonly maxLoadMemory?: number;
  readonly tolerance: number;
  readonly reason?: string;
}

const share = z.number().min(0).max(1);
const positive = z.number().positive();
const bytes = z.int().min(1);

/** Every limit of a budget. */
const limits = {
  maxKl: z.number().nonnegative().describe('Most KL to the float model, nats per position').exactOptional(),
  maxNllIncrease: z
    .number()
    .nonnegative()
    .describe('Most added negative log-likelihood, nats per token')
    .exactOptional(),
  minTop1: share.describe('Least share of equal likeliest tokens, 0 to 1').exactOptional(),
  minAccuracy: z
    .record(z.string(), share)
    .describe('Least share of right answers by task, the name of its file without the suffix')
    .exactOptional(),
  maxBytes: bytes.describe('Most bytes to download: graph, and data files up to what it reads').exactOptional(),
  maxStoredBits: positive.describe('Most stored bits per quantized weight, tables included').exactOptional(),
  minSpeed: positive.describe('Least tokens per second relative to the float model in the same run').exactOptional(),
  maxLoadMemory: bytes.describe('Most bytes that the process grows by when the model is opened').exactOptional(),
};

const budget: z.ZodType<Budget> = z
  .strictObject({
    model: z.string().min(1).describe('int4, the name of a mix, or the name of a .onnx file'),
    ...limits,
    tolerance: share.default(0).describe('Share by which every limit of this budget may be passed'),
    reason: z.string().min(1).describe('Why the limits are what they are; shown where one is missed').exactOptional(),
  })
  .refine((value) => Object.keys(limits).some((name) => name in value), {
    error: `takes at least one of ${Object.keys(limits).join(', ')}`,
  });

const file: z.ZodType<{ $schema?: string; budgets: Budget[] }> = z.strictObject({
  $schema: z.string().describe('Address of this schema, for editors').exactOptional(),
  budgets: z.array(budget).min(1).describe('One budget for each model; a model may have several'),
});

/** A budget file as it was read. */
export interface BudgetFile {
  readonly path: string;
  readonly budgets: readonly Budget[];
  /** The line of a limit, such as `budgets[0].maxKl`. */
  readonly lines: ReadonlyMap<string, number>;
}

/** Reads and checks a budget file. Fails with `file-missing` or `budget`. */
export function readBudgets(path: string): BudgetFile {
  const text = readText(path);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    fail('budget', path, `The budget file is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const result = file.safeParse(parsed);
  if (!result.success) fail('budget', path, `The budget file is not valid: ${schemaIssues(result.error, parsed)}`);
  return { path, budgets: result.data.budgets, lines: jsonLines(text) };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  } catch {
    return fail('file-missing', path, 'The budget file cannot be opened');
  }
}

/** The published JSON Schema of budget files. */
export function budgetJsonSchema(): unknown {
  const { properties, ...rest } = z.toJSONSchema(file, { io: 'input' });
  return { ...rest, title: 'matquant.budget.json', properties };
}

/**
 * Statistics on disk. `statistics.json` says what they were made from and lists the groups; each group is one record named by group
 * and digest. Every file is written beside its target and renamed, and has the digest of its own contents.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { unlessDamaged } from '../files/record.js';
import { sealedJson } from '../files/seal.js';
import { readSealed } from '../files/sealed-json.js';
import { staged } from '../files/staging.js';
import type { Log } from '../log.js';
import {
  type GroupStatistics,
  headerOf,
  mergeGroups,
  mergeHeaders,
  type Statistics,
  type StatisticsHeader,
} from './statistics.js';
import { checkTensors, readTensors, writeTensors } from './statistics-tensors.js';

const INDEX = 'statistics.json';

const indexSchema = z.strictObject({
  version: z.number(),
  digest: z.string(),
  model: z.string(),
  text: z.string(),
  windows: z.number(),
  tokens: z.number(),
  firstWeight: z.number(),
  counts: z.strictObject({ contexts: z.number(), ids: z.number() }).optional(),
  inFloat64: z.literal(true).optional(),
  weights: z.strictObject({ kind: z.literal('fisher'), groups: z.number(), seed: z.number() }).optional(),
  groups: z.array(z.strictObject({ group: z.string(), file: z.string().regex(/^[^/\\]+$/) })),
});

/** A folder that statistics are written to, group by group. */
export class StatisticsFolder {
  readonly folder: string;
  readonly header: StatisticsHeader;

  constructor(folder: string, header: StatisticsHeader) {
    this.folder = folder;
    this.header = header;
  }

  /** True when the group of an earlier run with the same digest is there, and as it was written; a damaged one is said. */
  async has(group: string, log?: Log): Promise<boolean> {
    const path = join(this.folder, this.fileOf(group));
    const found = unlessDamaged(path, log, () => {
      checkTensors(path, group, this.header.digest);
      return true;
    });
    return found === true;
  }

  async save(statistics: GroupStatistics): Promise<void> {
    writeTensors(join(this.folder, this.fileOf(statistics.group)), this.header.digest, statistics);
  }

  /** Writes the index: from now on the folder is complete. */
  async finish(groups: readonly string[]): Promise<Statistics> {
    const listed = groups.map((group) => ({ group, file: this.fileOf(group) }));
    const text = sealedJson({ ...this.header, groups: listed }, 1);
    staged(join(this.folder, INDEX), (path) => writeFileSync(path, text));
    return openStatistics(this.folder);
  }

  /** Name of the group's file. */
  fileOf(group: string): string {
    return `${group.replace(/[^\w.-]/g, '_')}.${this.header.digest.slice(0, 16)}.safetensors`;
  }
}

/**
 * Opens a complete folder. With `expected`, its digest must hold. Error code `statistics` otherwise, or `damaged-file`, also of
 * `load`, when a file is not as it was written.
 */
export async function openStatistics(folder: string, expected?: StatisticsHeader): Promise<Statistics> {
  const { groups, ...header } = readIndex(folder);
  if (headerOf(header).digest !== header.digest) fail('statistics', folder, 'the index does not hold its own digest');
  if (expected !== undefined && expected.digest !== header.digest) {
    fail('statistics', folder, 'the statistics were made from another model, text or version');
  }
  const files = new Map(groups.map(({ group, file }) => [group, join(folder, file)]));
  return {
    header,
    groups: [...files.keys()],
    load: async (group) => {
      const path = files.get(group) ?? fail('statistics', folder, `the statistics do not have the group ${group}`);
      return readTensors(path, group, header.digest);
    },
  };
}

/**
 * Statistics that hold for `expected`; undefined when the folder has none, others, or damaged ones. A damaged index is said here,
 * damaged groups by `StatisticsFolder.has`, which whoever makes them again asks.
 */
export async function findStatistics(
  folder: string,
  expected: StatisticsHeader,
  log?: Log,
): Promise<Statistics | undefined> {
  const path = join(folder, INDEX);
  const index = unlessDamaged(path, log, () => readSealed(path));
  if (index === undefined || (index as Partial<StatisticsHeader>).digest !== expected.digest) return undefined;
  const found = await openStatistics(folder, expected);
  const target = new StatisticsFolder(folder, expected);
  for (const group of found.groups) if (!(await target.has(group))) return undefined;
  return found;
}

/** Checks every file of statistics, so that damage is found before they are used. Errors as of `openStatistics`. */
export function checkStatistics(folder: string): void {
  const { digest, groups } = readIndex(folder);
  for (const { group, file } of groups) checkTensors(join(folder, file), group, digest);
}

/** The files of a complete folder of statistics, the index last. Errors as of `openStatistics`. */
export const filesOfStatistics = (folder: string): readonly string[] => [
  ...readIndex(folder).groups.map(({ file }) => join(folder, file)),
  join(folder, INDEX),
];

/** The sum of captures of one model over different texts, added group by group when one is asked for. */
export function mergeStatistics(parts: readonly Statistics[]): Statistics {
  const header = mergeHeaders(parts.map((part) => part.header));
  const groups = parts[0]?.groups ?? [];
  for (const part of parts) {
    const same = part.groups.length === groups.length && part.groups.every((group) => groups.includes(group));
    if (!same) fail('statistics', part.header.digest, 'the statistics do not have the same groups');
  }
  const load = async (group: string): Promise<GroupStatistics> => {
    const [first, ...others] = parts as readonly [Statistics, ...Statistics[]];
    let total = await first.load(group);
    for (const part of others) total = mergeGroups(total, await part.load(group));
    return total;
  };
  return { header, groups, load };
}

/** Writes statistics into a folder, one group in memory at a time. */
export async function saveStatistics({ header, groups, load }: Statistics, folder: string): Promise<void> {
  const target = new StatisticsFolder(folder, header);
  for (const group of groups) await target.save(await load(group));
  await target.finish(groups);
}

function readIndex(folder: string): z.infer<typeof indexSchema> {
  const path = join(folder, INDEX);
  if (!existsSync(path)) fail('statistics', path, 'there is no index of statistics');
  const parsed = indexSchema.safeParse(readSealed(path));
  return parsed.success ? parsed.data : fail('statistics', path, 'the index of the statistics cannot be read');
}

/**
 * Statistics on disk. `statistics.json` says what they were made from and lists the groups; each group is one safetensors file
 * (8 bytes of header length, a JSON header, raw little-endian data) named by group and digest. Every file is written beside its
 * target and renamed, so a file that is there is whole.
 */
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import {
  type GroupStatistics,
  headerOf,
  mergeGroups,
  mergeHeaders,
  type Statistics,
  type StatisticsHeader,
} from './statistics.js';
import { readTensors, writeTensors } from './statistics-tensors.js';

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

  /** True when the group of an earlier run with the same digest is there. */
  async has(group: string): Promise<boolean> {
    return stat(join(this.folder, this.fileOf(group))).then(
      () => true,
      () => false,
    );
  }

  async save(statistics: GroupStatistics): Promise<void> {
    const target = join(this.folder, this.fileOf(statistics.group));
    await staged(target, (path) => writeTensors(path, this.header.digest, statistics));
  }

  /** Writes the index: from now on the folder is complete. */
  async finish(groups: readonly string[]): Promise<Statistics> {
    const listed = groups.map((group) => ({ group, file: this.fileOf(group) }));
    const text = `${JSON.stringify({ ...this.header, groups: listed }, null, 1)}\n`;
    await staged(join(this.folder, INDEX), (path) => writeFile(path, text));
    return openStatistics(this.folder);
  }

  /** Name of the group's file. */
  fileOf(group: string): string {
    return `${group.replace(/[^\w.-]/g, '_')}.${this.header.digest.slice(0, 16)}.safetensors`;
  }
}

/** Opens a complete folder. With `expected`, its digest must hold. Error code `statistics` otherwise. */
export async function openStatistics(folder: string, expected?: StatisticsHeader): Promise<Statistics> {
  const { groups, ...header } = await readIndex(folder);
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

/** Statistics that hold for `expected`, or undefined when the folder has none or others. */
export async function findStatistics(folder: string, expected: StatisticsHeader): Promise<Statistics | undefined> {
  try {
    const found = await openStatistics(folder, expected);
    const target = new StatisticsFolder(folder, expected);
    for (const group of found.groups) if (!(await target.has(group))) return undefined;
    return found;
  } catch {
    return undefined;
  }
}

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

async function readIndex(folder: string): Promise<z.infer<typeof indexSchema>> {
  const path = join(folder, INDEX);
  const text = await readFile(path, 'utf8').catch(() => fail('statistics', path, 'there is no index of statistics'));
  try {
    return indexSchema.parse(JSON.parse(text));
  } catch {
    return fail('statistics', path, 'the index of the statistics cannot be read');
  }
}

/** Writes a file beside its target and renames it; leaves nothing behind when that fails. */
async function staged(target: string, write: (path: string) => Promise<void>): Promise<void> {
  const path = `${target}.${process.pid}.part`;
  try {
    await mkdir(join(target, '..'), { recursive: true });
    await write(path);
    await rename(path, target);
  } catch (error) {
    await rm(path, { force: true });
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    fail('disk-full', target, 'there is no room for the statistics');
  }
}

/**
 * A set with one data file per precision, for loaders whose cache goes by URL (transformers.js): NAME.<id>.rest.data,
 * NAME.<id>.int2.data and so on, with graphs that read them. A larger precision then downloads only the files that it adds.
 */
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fail } from '../diagnostics.js';
import { stagedFolder } from '../files/staging.js';
import { readExactly, writeFully } from '../files/transfer.js';
import { relocateData } from '../onnx/convert/relocate-data.js';
import { requireData } from './set-digests.js';
import { type OpenSet, openSet } from './set-manifest.js';

/** Options of `splitPlanes`. */
export interface SplitPlanesOptions {
  /** The .json of a set. */
  readonly set: string;
  /** Folder to write; it must not be there. */
  readonly output: string;
}

/** A graph with the data files that it reads, in their order. */
export interface SplitGraph {
  readonly file: string;
  /** `int4`, or the name of a mix. */
  readonly name: string;
  readonly data: readonly string[];
}

/** A data file with the range of the set's data file that it holds. */
interface Part {
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

const STEP = 8 << 20;

/**
 * Writes the graphs of a set, as far as its data file goes, with one data file per precision. Fails with `not-a-set`, `damaged`,
 * and `output-exists`; then nothing is written.
 */
export async function splitPlanes({ set: path, output }: SplitPlanesOptions): Promise<readonly SplitGraph[]> {
  const set = openSet(path);
  if (existsSync(output)) fail('output-exists', output, 'The folder is there already');
  const graphs = set.manifest.graphs.filter(({ bytesNeeded }) => bytesNeeded <= set.dataBytes);
  const needed = Math.max(...graphs.map(({ bytesNeeded }) => bytesNeeded));
  requireData(set, needed);
  const parts = partsOf(set).filter(({ start }) => start < needed);
  await stagedFolder(output, async (folder) => {
    for (const part of parts) copy(set.dataPath, part, join(folder, part.file));
    for (const { file } of graphs) writeFileSync(join(folder, file), relocate(join(set.folder, file), parts));
  });
  return graphs.map(({ file, name, bytesNeeded }) => ({
    file,
    name,
    data: parts.filter(({ start }) => start < bytesNeeded).map((part) => part.file),
  }));
}

/** The rest, and one part per section with the padding before it. */
function partsOf({ manifest }: OpenSet): readonly Part[] {
  const stem = basename(manifest.data, '.data');
  const { sections } = manifest;
  const first = sections[0]?.start ?? manifest.layout.byteLength;
  const ends = [0, first, ...sections.map(({ end }) => end)];
  return ['rest', ...sections.map(({ bits }) => `int${bits}`)].map((name, at) => ({
    file: `${stem}.${name}.data`,
    start: ends[at] as number,
    end: ends[at + 1] as number,
  }));
}

function relocate(graph: string, parts: readonly Part[]): Uint8Array {
  return relocateData(graph, ({ offset }) => {
    const part = parts.find(({ start, end }) => start <= offset && offset < end);
    return part === undefined
      ? fail('damaged', graph, `A tensor lies at byte ${offset}, in no section of the set`)
      : { location: part.file, offset: offset - part.start };
  });
}

function copy(source: string, { start, end }: Part, target: string): void {
  const [input, output] = [openSync(source, 'r'), openSync(target, 'wx')];
  try {
    for (let at = start; at < end; at += STEP) {
      writeFully(output, readExactly(input, at, Math.min(at + STEP, end), source), at - start);
    }
  } finally {
    closeSync(input);
    closeSync(output);
  }
}

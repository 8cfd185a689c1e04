/**
 * Measures programs for benchmarks (Linux): wall and processor time, peak of memory, and the time `cp` takes for the same bytes
 * in the same run, because a disk shared with others is not the same disk twice. Prints a table and lines of CSV.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

export interface Measured {
  readonly name: string;
  readonly wallSeconds: number;
  /** User and system time of all threads. */
  readonly cpuSeconds: number;
  /** Largest resident set, pages of mapped files included. */
  readonly peakRss: number;
  /** Largest part of it that belongs to the process alone (heap, arrays), sampled every 50 ms. */
  readonly peakPrivate: number;
  /** What the program printed. */
  readonly output: string;
}

export interface Copied {
  readonly bytes: number;
  readonly seconds: number;
}

const HOOK = fileURLToPath(new URL('./measure-hook.js', import.meta.url));
const SAMPLE_MS = 50;

/** Runs `node ARGS…` and measures it. A program that fails throws, with the end of what it printed. */
export async function measureNode(name: string, args: readonly string[], cwd?: string): Promise<Measured> {
  const start = performance.now();
  const child = spawn(process.execPath, ['--import', HOOK, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  });
  const sampler = samplePrivate(child);
  const [output, errors, report] = await Promise.all(
    [child.stdout, child.stderr, child.stdio[3]].map((stream) => textOf(stream as Readable)),
  );
  const code = await exitOf(child);
  const wallSeconds = (performance.now() - start) / 1000;
  const peakPrivate = sampler.stop();
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${`${output}${errors}`.slice(-2000)}`);
  const { user, system, peakRss } = JSON.parse(report ?? '') as { user: number; system: number; peakRss: number };
  return { name, wallSeconds, cpuSeconds: user + system, peakRss, peakPrivate, output: output ?? '' };
}

/** Copies files with `cp` into a temporary folder below `folder`, waits until they are on the disk, and removes them. */
export async function measureCopy(paths: readonly string[], folder: string): Promise<Copied> {
  const target = mkdtempSync(join(folder, 'copy-'));
  try {
    const start = performance.now();
    const child = spawn('sh', [
      '-c',
      'target=$1; shift; cp -- "$@" "$target" && sync "$target"/*',
      'sh',
      target,
      ...paths,
    ]);
    const code = await exitOf(child);
    if (code !== 0) throw new Error(`cp ended with ${code}`);
    const seconds = (performance.now() - start) / 1000;
    return { bytes: paths.reduce((sum, path) => sum + statSync(path).size, 0), seconds };
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

const COLUMNS = ['name', 'wall s', 'CPU s', 'peak MiB', 'private MiB', 'x cp'] as const;

/** One line per measurement; the last column is wall time over that of the copy. */
export function rowsOf(measured: readonly Measured[], copied?: Copied): readonly (readonly string[])[] {
  const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
  return measured.map((each) => [
    each.name,
    each.wallSeconds.toFixed(2),
    each.cpuSeconds.toFixed(2),
    mebibytes(each.peakRss),
    mebibytes(each.peakPrivate),
    copied === undefined ? '' : (each.wallSeconds / copied.seconds).toFixed(2),
  ]);
}

/** Aligned columns under a header, and the copy they are compared with. */
export function tableOf(measured: readonly Measured[], copied?: Copied): string {
  const rows = [COLUMNS, ...rowsOf(measured, copied)];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  '),
  );
  const note =
    copied === undefined ? [] : [`cp of ${(copied.bytes / 1e9).toFixed(3)} GB: ${copied.seconds.toFixed(2)} s`];
  return [...lines.map((line) => line.trimEnd()), ...note].join('\n');
}

/** The same as CSV, header first. */
export function csvOf(measured: readonly Measured[], copied?: Copied): string {
  const quoted = (cell: string): string => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  return [COLUMNS, ...rowsOf(measured, copied)].map((row) => row.map(quoted).join(',')).join('\n');
}

function exitOf(child: ChildProcess): Promise<number | string> {
  const now = child.exitCode ?? child.signalCode;
  if (now !== null) return Promise.resolve(now);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'nothing'));
  });
}

async function textOf(stream: Readable): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString('utf8');
}

function samplePrivate(child: ChildProcess): { stop(): number } {
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, privateBytes(child.pid));
  }, SAMPLE_MS);
  return {
    stop: () => {
      clearInterval(timer);
      return peak;
    },
  };
}

/** Anonymous resident bytes now; 0 once the process is gone. */
function privateBytes(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^RssAnon:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

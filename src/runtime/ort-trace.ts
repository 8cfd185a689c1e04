/** Which nodes of a session ran, from the profile that ONNX Runtime writes. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutedNode } from './runtime.js';

/** A place for the profile of one session. */
export class Trace {
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'matquant-trace-'));

  /** What the names of profiles begin with. */
  get prefix(): string {
    return join(this.#folder, 'profile');
  }

  /** The nodes of a profile that is complete, each once. */
  read(): readonly ExecutedNode[] {
    return readdirSync(this.#folder).flatMap((file) => nodesOf(readFileSync(join(this.#folder, file), 'utf8')));
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** One event of a profile; a run of a node is an event NAME_kernel_time. */
interface ProfileEvent {
  readonly cat?: string;
  readonly name?: string;
  readonly args?: { readonly op_name?: string; readonly output_size?: string };
}

const SUFFIX = '_kernel_time';

function nodesOf(profile: string): readonly ExecutedNode[] {
  const found = new Map<string, ExecutedNode>();
  for (const { cat, name, args } of JSON.parse(profile) as readonly ProfileEvent[]) {
    if (cat !== 'Node' || name === undefined || !name.endsWith(SUFFIX)) continue;
    const node = name.slice(0, -SUFFIX.length);
    const outputBytes = Math.max(Number(args?.output_size ?? 0), found.get(node)?.outputBytes ?? 0);
    found.set(node, { name: node, op: args?.op_name ?? '', outputBytes });
  }
  return [...found.values()];
}

/** Writes the report page of a set. */
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';

export interface ReportOptions {
  /** Folder of a set. */
  readonly folder: string;
  /** The .html file to write; beside the set by default. */
  readonly output?: string;
}

export interface ReportResult {
  readonly path: string;
  readonly bytes: number;
}

export async function report(options: ReportOptions, _context: Context): Promise<ReportResult> {
  return fail('bad-usage', options.folder, 'report is not available yet');
}

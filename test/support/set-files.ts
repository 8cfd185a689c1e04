/** Files of a set on disk, found by what their names look like. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The one data file of a set in a folder: `STEM.<id>.data`. */
export function dataIn(folder: string): string {
  const [name, ...others] = readdirSync(folder).filter((file) => /\.[0-9a-f]{8}\.data$/.test(file));
  if (name === undefined || others.length > 0) throw new Error(`${folder} has not one data file of a set`);
  return join(folder, name);
}

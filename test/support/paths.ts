/** Where things are, seen from the compiled tests in dist/test. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the project, with a trailing separator. */
export const root: string = fileURLToPath(new URL('../../../', import.meta.url));

/** The absolute path of a file below fixtures/. */
export const fixture = (name: string): string => join(root, 'fixtures', name);

/** Makes a new empty folder for one test. */
export const temporaryFolder = (): string => mkdtempSync(join(tmpdir(), 'matquant-test-'));

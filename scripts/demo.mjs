/** Builds what is needed, then runs the demonstration (scripts/demo.ts). Plain Node, so that it runs in a fresh clone. */
import { build } from './build.mjs';
import { root, run } from './install.mjs';

process.chdir(root);
process.exitCode = build() && run(process.execPath, ['dist/scripts/demo.js']) ? 0 : 1;

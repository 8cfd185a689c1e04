/**
 * Prints the error of every gradient rule against central differences in ONNX Runtime.
 *
 *   npm run gradients
 */

import { RULES } from '../src/autodiff/rules.js';
import { table } from '../src/cli/render.js';
import { CASES, gradientError } from '../test/support/gradient-cases.js';

const found: { readonly name: string; readonly error: number }[] = [];
for (const [name, test] of Object.entries(CASES)) found.push({ name, error: await gradientError(test) });
found.sort((a, b) => b.error - a.error);
const rows = found.map(({ name, error }) => [name, error.toExponential(1)]);
console.log(table([{ title: 'rule' }, { title: 'relative error', align: 'right' }], rows));
console.log(
  `${Object.keys(RULES).length} rules, ${found.length} of them by themselves; the worst: ${rows[0]?.join(' ')}`,
);

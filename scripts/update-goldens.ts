/** Renews the expected text of every golden file. Read the difference before committing it. */
import { writeFileSync } from 'node:fs';
import { goldenCases, renewed, rewritten } from '../test/support/golden.js';

for (const golden of goldenCases()) {
  const expected = rewritten(golden);
  if (expected === golden.expected) continue;
  writeFileSync(golden.path, renewed(golden, expected));
  console.log(`renewed ${golden.title}`);
}

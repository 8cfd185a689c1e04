/** Renews the expected text of every golden file, the pages in docs that are generated, and the schema of budget files. Read the difference before committing it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { goldenCases, renewed, rewritten } from '../test/support/golden.js';
import { root } from '../test/support/paths.js';
import { apiPage } from './api-page.js';
import { budgetSchemaText } from './budget-schema.js';
import { hubExportsPageOf } from './hub-exports-page.js';
import { recipePage } from './recipe-page.js';
import { runtimePage } from './runtime-page.js';
import { troubleshootingPage } from './troubleshooting-page.js';

for (const golden of goldenCases()) {
  const expected = rewritten(golden);
  if (expected === golden.expected) continue;
  writeFileSync(golden.path, renewed(golden, expected));
  console.log(`renewed ${golden.title}`);
}
writeFileSync(join(root, 'docs/recipes.md'), recipePage());
writeFileSync(join(root, 'docs/runtimes.md'), runtimePage());
writeFileSync(join(root, 'docs/hub-exports.md'), hubExportsPageOf(join(root, 'docs/models.md')));
writeFileSync(join(root, 'docs/troubleshooting.md'), troubleshootingPage(root));
writeFileSync(join(root, 'docs/matquant.budget.schema.json'), budgetSchemaText());
writeFileSync(join(root, 'docs/api.md'), apiPage(join(root, 'dist')).text);

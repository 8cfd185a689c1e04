import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { messagesOf } from '../../scripts/troubleshooting/messages.js';
import { codesLeftOut, troubleshootingPage } from '../../scripts/troubleshooting-page.js';
import { ERRORS, REFUSALS } from '../../src/diagnostics.js';
import { root } from '../support/paths.js';

it('docs/troubleshooting.md says what the table of diagnostics says; npm run golden renews it', () => {
  expect(readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8')).toBe(troubleshootingPage(root));
});

it('has one row for every code; new ones get a usual cause in scripts/troubleshooting/subjects.ts', () => {
  expect(codesLeftOut()).toEqual([]);
  const rows = troubleshootingPage(root).match(/^\| `[a-z0-9-]+` \| .* \| .* \|/gm) ?? [];
  expect(rows).toHaveLength(Object.keys(ERRORS).length + Object.keys(REFUSALS).length);
});

it('names flags, not options of the library, in what to do', () => {
  const page = troubleshootingPage(root);
  expect(page).toContain('| raise --memory, or use a recipe that needs less |');
  expect(page).not.toMatch(/`(memoryBytes|embeddingBits|initializerInputs|dequantizeSource)`/);
});

it('has the words of messages, with a sign in the place of what differs', () => {
  const source = `
    fail('no-graph', at, 'There is no .onnx file in it');
    fail('budget', path, \`The budget file is not valid: \${issues(\`a \${b({ c: ')' })}\`)}\`);
    throw new CompilerError('disk-full', [a, 'b, c'].join(), isFull ? 'there is no room for it' : \`\${n} bytes are free\`);
    fail('no-such-code', at, 'This is no code at all');
    fail('numeric', at, message);`;
  expect(messagesOf(source)).toEqual([
    { code: 'no-graph', text: 'There is no .onnx file in it' },
    { code: 'budget', text: 'The budget file is not valid: …' },
    { code: 'disk-full', text: 'there is no room for it' },
    { code: 'disk-full', text: '… bytes are free' },
  ]);
});

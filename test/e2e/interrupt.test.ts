import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { fixture, root, temporaryFolder } from '../support/paths.js';

describe('an interrupt', () => {
  it('ends a compilation with 130 and leaves nothing behind', async () => {
    const folder = temporaryFolder();
    const model = fixture('models/gemma3-tiny/model.onnx');
    const args = ['compile', model, '-o', join(folder, 'out'), '--preset', 'data-free'];
    const child = spawn(process.execPath, [join(root, 'dist/src/cli/main.js'), ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (stderr === '') child.kill('SIGINT');
      stderr += text;
    });

    const [code] = (await once(child, 'close')) as [number | null];

    expect({ code, stderr }).toEqual({ code: 130, stderr: expect.stringContaining('Interrupted') });
    expect(readdirSync(folder)).toEqual([]);
  });
});

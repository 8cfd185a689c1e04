/** The command against a hub: killed in the middle of a download, and run again. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type HubServer, startHub } from '../support/hub-server.js';
import { fixture, root as project, temporaryFolder } from '../support/paths.js';

const root = temporaryFolder();
const file = (name: string): Buffer => readFileSync(fixture(`models/mistral-656k/${name}`));
const FILES = {
  'config.json': file('config.json'),
  'model.onnx': file('model.onnx'),
  'tokenizer.json': file('tokenizer.json'),
};
let server: HubServer;

beforeAll(async () => {
  server = await startHub([{ id: 'models/org/stories', files: FILES }]);
  mkdirSync(join(root, 'cwd'));
});
afterAll(async () => {
  await server.close();
  rmSync(root, { recursive: true });
});

function start(...args: readonly string[]): {
  readonly child: ReturnType<typeof spawn>;
  readonly stderr: () => string;
} {
  const env = { PATH: process.env['PATH'], HF_ENDPOINT: server.endpoint, HF_HOME: join(root, 'home') };
  const main = join(project, 'dist/src/cli/main.js');
  const child = spawn(process.execPath, [main, ...args], { cwd: join(root, 'cwd'), env });
  let stderr = '';
  child.stderr.on('data', (piece) => {
    stderr += piece;
  });
  return { child, stderr: () => stderr };
}

it('goes on where it was killed, and leaves a set in NAME-matquant', async () => {
  const blobs = join(root, 'home/hub/models--org--stories/blobs');
  const part = (): string | undefined =>
    (existsSync(blobs) ? readdirSync(blobs) : []).find((name) => name.endsWith('.incomplete'));
  server.stalls.set('model.onnx', 1_500_000);
  const killed = start('inspect', 'hf:org/stories').child;
  while (part() === undefined || statSync(join(blobs, part() as string)).size < 1_000_000) await sleep(20);
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  expect(existsSync(join(blobs, (part() as string).replace('.incomplete', '')))).toBe(false);

  server.downloads.length = 0;
  const { child, stderr } = start('compile', 'hf:org/stories', '--preset', 'data-free', '--bits', '8,4');
  const [code] = await once(child, 'exit');
  expect({ code, stderr: stderr() }).toMatchObject({ code: 0, stderr: expect.stringContaining('MB, model.onnx') });
  const begun = server.downloads.find((line) => line.startsWith('model.onnx')) ?? '';
  expect(Number.parseInt(begun.split(' ')[1] ?? '0', 10)).toBeGreaterThanOrEqual(1_000_000);
  expect(existsSync(join(root, 'cwd/stories-matquant/model_int4.onnx'))).toBe(true);
});

it('ends with exit code 2 and one sentence where the hub has no such model', async () => {
  const { child, stderr } = start('compile', 'hf:org/none');
  expect((await once(child, 'exit'))[0]).toBe(2);
  expect(stderr()).toMatch(
    /^The hub at \S+ has no such model, or it is private \[hub-not-found\] at org\/none; .*HF_TOKEN\.\n$/m,
  );
  expect(readdirSync(join(root, 'cwd'))).not.toContain('none-matquant');
});

import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { type CompileResult, compile } from '../../src/compile/compile.js';
import type { CompilerError } from '../../src/diagnostics.js';
import { evaluateModels } from '../../src/evaluate/evaluate.js';
import { type Context, silentContext } from '../../src/log.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { COMPILE } from '../support/compile.js';
import { temporaryFolder } from '../support/paths.js';
import { gemma3 } from '../support/stories.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));
const recipe = parseRecipe({ method: 'rtn', block: 64, bits: [8, 4] }, 'test');
const compiled = (memoryBytes: number, context: Context = silentContext()): Promise<CompileResult> =>
  compile({ ...COMPILE, model: gemma3, output: join(root, 'set'), recipe, memoryBytes }, context);

describe('a bound on memory', () => {
  it('that is too small is refused with the least that is accepted', async () => {
    const error = await compiled(2 ** 26).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'memory-bound' });
    expect(existsSync(join(root, 'set'))).toBe(false);
    const least = Number(/needs (\d+)MB/.exec((error as CompilerError).message)?.[1]) * 1e6;
    await expect(compiled(least - 2e6)).rejects.toMatchObject({ code: 'memory-bound' });
    const said: string[] = [];
    const log = { info: () => undefined, warn: (text: string) => said.push(text) };
    const { precisions } = await compiled(least, { ...silentContext(), log });
    expect(precisions.map(({ probe }) => probe)).toEqual([undefined, undefined]);
    expect(said).toEqual([expect.stringMatching(/needs \d+ MB/)]);
  });

  it('with room for the check gives probes, from one model open at a time', async () => {
    const { precisions } = await compiled(2e9);
    expect(precisions.every(({ probe }) => probe !== undefined)).toBe(true);
    const candidates = ['m_int4.onnx', 'm_int8.onnx'].map((name) => join(root, 'set', name));
    let open = 0;
    let most = 0;
    const runtime: typeof ortRuntime = {
      open: async (model, options) => {
        const session = await ortRuntime.open(model, options);
        most = Math.max(most, ++open);
        const close = (): Promise<void> => {
          open--;
          return session.close();
        };
        return {
          inputs: session.inputs,
          outputs: session.outputs,
          at: session.at,
          run: (...args) => session.run(...args),
          close,
        };
      },
    };
    const windows = [Int32Array.from({ length: 24 }, (_, at) => 3 + at), Int32Array.of(5, 9, 4)];
    const options = { runtime, reference: gemma3, candidates, windows, threads: 1, speed: false };
    const together = await evaluateModels(options);
    expect(most).toBe(3);
    most = 0;
    const apart = await evaluateModels({ ...options, apart: true });
    expect([most, open]).toEqual([1, 0]);
    const scores = ({ reference, candidates: all }: typeof apart): unknown => [
      reference.nll,
      all.map(({ kl, top1 }) => [kl, top1]),
    ];
    expect(scores(apart)).toEqual(scores(together));
  });
});

import { copyFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { evaluateModels } from '../../src/evaluate/evaluate.js';
import { groupsOf } from '../../src/evaluate/evaluate-groups.js';
import { silentContext } from '../../src/log.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import type { Runtime } from '../../src/runtime/runtime.js';
import { fakeSession } from '../support/fake-session.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { gemma3, heldWindows, mistral } from '../support/stories.js';

const runtime = ortRuntime;

describe('evaluate', () => {
  it('gives the NLL that PyTorch gives for the same weights and stories', async () => {
    const { reference, candidates } = await evaluateModels({
      runtime,
      reference: mistral,
      candidates: [gemma3],
      windows: heldWindows(),
      threads: 2,
      speed: false,
    });
    expect(reference.positions).toBe(18_104);
    expect(reference.nll).toBeCloseTo(3.179766, 5);
    expect(reference.nllStandardError).toBeCloseTo(0.0276, 3);
    expect(reference.windows).toHaveLength(84);
    const [gemma] = candidates;
    expect(gemma?.nll).toBeCloseTo(4.029288, 5);
    expect(gemma?.deltaNll).toBeCloseTo(4.029288 - 3.179766, 5);
    expect(gemma?.kl).toBeGreaterThan(0.5);
    expect(gemma?.top1).toBeLessThan(0.6);
    expect(gemma?.tokensPerSecond).toBe(0);
    const data = statSync(`${gemma3}.data`).size;
    expect(gemma?.fileBytes).toBe(statSync(gemma3).size + data);
    expect(gemma?.downloadBytes).toBe(gemma?.fileBytes);
    expect(reference.fileBytes).toBe(statSync(mistral).size);
  });

  it('finds a model equal to itself, and gives the same figures in groups', async () => {
    const copy = join(temporaryFolder(), 'copy.onnx');
    copyFileSync(mistral, copy);
    const options = {
      runtime,
      reference: mistral,
      candidates: [copy, gemma3, mistral],
      windows: heldWindows(3),
      threads: 1,
      speed: false,
    };
    const together = await evaluateModels(options);
    const { reference, candidates } = await evaluateModels({ ...options, memory: 1 });
    expect(candidates.map(({ kl, top1, deltaNll }) => [kl, top1, deltaNll])[0]).toEqual([0, 1, 0]);
    expect(candidates.map(({ path }) => path)).toEqual(options.candidates);
    expect(candidates.map(({ kl, nll }) => [kl, nll])).toEqual(together.candidates.map(({ kl, nll }) => [kl, nll]));
    expect(reference.nll).toBe(together.reference.nll);
  });

  it('measures speed, decoding where there is a cache', async () => {
    const updates: number[] = [];
    const { reference, candidates } = await evaluateModels({
      runtime,
      reference: mistral,
      candidates: [gemma3],
      windows: heldWindows(2),
      threads: 1,
      storedBitsPerWeight: (path) => path.length,
      progress: { update: ({ done, total }) => updates.push(done / total) },
    });
    expect(reference.tokensPerSecond).toBe(reference.decodeTokensPerSecond);
    expect(reference.prefillTokensPerSecond).toBeGreaterThan(0);
    expect(candidates[0]?.tokensPerSecond).toBe(candidates[0]?.prefillTokensPerSecond);
    expect(candidates[0]).not.toHaveProperty('decodeTokensPerSecond');
    expect(candidates[0]?.storedBitsPerWeight).toBe(gemma3.length);
    expect(updates).toEqual([0.5, 1]);
  });

  it('runs the reference alone', async () => {
    const result = await evaluateModels({
      runtime,
      reference: mistral,
      candidates: [],
      windows: heldWindows(1),
      speed: false,
    });
    expect(result.candidates).toEqual([]);
    expect(result.reference.positions).toBeGreaterThan(100);
  });

  it('refuses what cannot be scored, and closes every session', async () => {
    let open = 0;
    const counting: Runtime = {
      open: async (model, options) => {
        const session = await runtime.open(model, options);
        open++;
        return {
          ...session,
          inputs: session.inputs,
          outputs: session.outputs,
          at: session.at,
          run: (feeds, fetches) => session.run(feeds, fetches),
          close: async () => {
            open--;
            await session.close();
          },
        };
      },
    };
    const base = { runtime: counting, reference: mistral, candidates: [], speed: false };
    await expect(evaluateModels({ ...base, windows: [] })).rejects.toMatchObject({ code: 'empty-text' });
    await expect(evaluateModels({ ...base, windows: [[1, -4]] })).rejects.toMatchObject({ code: 'bad-ids' });
    await expect(evaluateModels({ ...base, windows: [[1, 5000]] })).rejects.toMatchObject({ code: 'bad-ids' });
    const missing = { ...base, candidates: [fixture('models/none.onnx')], windows: [[1, 2]] };
    await expect(evaluateModels(missing)).rejects.toMatchObject({ code: 'file-missing' });
    const stopped = silentContext(AbortSignal.abort()).signal;
    await expect(evaluateModels({ ...base, windows: [[1, 2]], signal: stopped })).rejects.toThrow('aborted');
    expect(open).toBe(0);
  });

  it('says which model gives no finite numbers', async () => {
    const inputs = { input_ids: ['int64', 'b', 'n'] } as const;
    const broken: Runtime = {
      open: async () =>
        fakeSession(inputs, { logits: ['float32', 'b', 'n', 4] }, () => ({
          logits: { dtype: 'float32', dims: [1, 2, 4], data: new Float32Array(8).fill(Number.NaN) },
        })),
    };
    const options = { runtime: broken, reference: mistral, candidates: [], windows: [[1, 2]], speed: false };
    await expect(evaluateModels(options)).rejects.toMatchObject({ code: 'runtime-failed', at: mistral });
  });
});

describe('groupsOf', () => {
  const bytes = (path: string): number => Number(path.slice(1));
  it('fills groups up to the memory with the reference in each', () => {
    expect(groupsOf(['a10', 'b10', 'c10'], 'r10', bytes, 60)).toEqual([['a10', 'b10', 'c10']]);
    expect(groupsOf(['a10', 'b10', 'c10'], 'r10', bytes, 45)).toEqual([['a10', 'b10'], ['c10']]);
    expect(groupsOf(['a90', 'b90'], 'r10', bytes, 45)).toEqual([['a90'], ['b90']]);
    expect(groupsOf([], 'r10', bytes, 1)).toEqual([[]]);
  });
});

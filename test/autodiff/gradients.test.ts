/** Every row of the gradient table against central differences in ONNX Runtime. */
import { describe, expect, it } from '@jest/globals';
import { RULES } from '../../src/autodiff/rules.js';
import { CASES, type Case, gradientError, WITHOUT_CASE } from '../support/gradient-cases.js';

describe('gradients', () => {
  it('has a case for every rule', () => {
    expect(Object.keys(RULES).filter((name) => !(name in CASES) && !WITHOUT_CASE.has(name))).toEqual([]);
  });
  it.each(Object.keys(CASES))('%s agrees with central differences', async (name) => {
    expect(await gradientError(CASES[name] as Case)).toBeLessThan(1e-3);
  });
});

import { expect, it } from '@jest/globals';
import { judge } from '../../src/evaluate/verdict.js';

it.each([
  ['most', 1, { low: 0.8, high: 1.1 }, 1.2, 'pass', true],
  ['most', 1, { low: 0.8, high: 1.1 }, 1.05, 'unclear', true],
  ['most', 1, { low: 0.8, high: 1.1 }, 0.9, 'unclear', false],
  ['most', 1, { low: 0.8, high: 1.1 }, 0.7, 'miss', false],
  ['least', 0.9, { low: 0.8, high: 0.95 }, 0.7, 'pass', true],
  ['least', 0.9, { low: 0.8, high: 0.95 }, 0.85, 'unclear', true],
  ['least', 0.9, { low: 0.8, high: 0.95 }, 0.92, 'unclear', false],
  ['least', 0.9, { low: 0.8, high: 0.95 }, 0.99, 'miss', false],
  ['most', 5, undefined, 5, 'pass', true],
  ['least', 5, undefined, 6, 'miss', false],
  ['most', 5, 'unknown', 6, 'unclear', true],
] as const)('at %s: %d in %j against %d is %s', (side, value, interval, limit, verdict, passed) => {
  expect(judge(value, limit, side, interval)).toEqual({ verdict, passed });
});

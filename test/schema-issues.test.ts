import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { schemaIssues } from '../src/schema-issues.js';

const schema = z.strictObject({
  bits: z.array(z.union([z.literal(2), z.literal(4)])).default([2]),
  block: z.union([z.literal(32), z.literal('channel')]).default(32),
  method: z.enum(['best', 'fast']),
  lambda: z.union([z.number().positive(), z.record(z.string(), z.number())]).default(1),
  distill: z.strictObject({ steps: z.number().int() }).optional(),
});

const said = (value: unknown): string => schemaIssues(schema.safeParse(value).error as z.ZodError, value);

describe('issues of a schema', () => {
  it('say what a field holds and what it takes', () => {
    expect(said({ method: 'best', bits: [2, 9] })).toBe('bits[1] is 9, and takes 2, 4');
    expect(said({ method: 'best', block: 33 })).toBe('block is 33, and takes 32, channel');
    expect(said({ method: 'slow' })).toBe('method is "slow", and takes best, fast');
    expect(said({})).toBe('method is missing, and takes best, fast');
  });

  it('name fields that do not exist, at their place', () => {
    expect(said({ method: 'best', blok: 32 })).toBe('there is no field blok');
    expect(said({ method: 'best', distill: { steps: 1, minute: 2 } })).toBe('there is no field distill.minute');
  });

  it('say which kind of value a field takes, in plain words', () => {
    expect(said({ method: 'best', distill: { steps: 'x' } })).toBe('distill.steps is "x", and takes a number');
    expect(said({ method: 'best', distill: { steps: 1.5 } })).toBe('distill.steps is 1.5, and takes a whole number');
    expect(said({ method: 'best', distill: { steps: Number.NaN } })).toBe('distill.steps is NaN, and takes a number');
    expect(said({ method: 'best', lambda: 'x' })).toBe('lambda is "x", and takes a number or an object');
    expect(said({ method: 'best', lambda: { a: 'x' } })).not.toMatch(/expected|received|Invalid/);
    expect(said({ method: 'best', bits: 4 })).toBe('bits is 4, and takes a list');
    expect(said('text')).toBe('the value is "text", and takes an object');
  });

  it('say the bounds of a field', () => {
    const bounded = z.strictObject({
      least: z.number().min(2).optional(),
      more: z.number().positive().optional(),
      most: z.number().max(7).optional(),
      text: z.string().min(1).optional(),
      list: z.array(z.number()).min(1).optional(),
      own: z
        .string()
        .refine(() => false, { error: 'takes a file name' })
        .optional(),
    });
    const found = (value: object): string => schemaIssues(bounded.safeParse(value).error as z.ZodError, value);
    expect(found({ least: 1 })).toBe('least is 1, and takes a number of at least 2');
    expect(found({ more: 0 })).toBe('more is 0, and takes a number more than 0');
    expect(found({ most: 8 })).toBe('most is 8, and takes a number of at most 7');
    expect(found({ text: '' })).toBe('text is "", and takes text that is not empty');
    expect(found({ list: [] })).toBe('list is [], and takes at least 1 entry');
    expect(found({ own: 'a/b' })).toBe('own is "a/b", and takes a file name');
  });

  it('stop after three', () => {
    expect(said({ bits: [9, 8, 7], method: 'best', block: 1 })).toMatch(/bits\[2\] is 7.*; and 1 more$/);
  });
});

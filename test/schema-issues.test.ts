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

  it('keep the words of other rules', () => {
    expect(said({ method: 'best', distill: { steps: 'x' } })).toMatch(/^distill\.steps: .*expected number/);
    expect(said({ method: 'best', lambda: 'x' })).toMatch(/^lambda: /);
    expect(said('text')).toMatch(/expected object/);
  });

  it('stop after three', () => {
    expect(said({ bits: [9, 8, 7], method: 'best', block: 1 })).toMatch(/bits\[2\] is 7.*; and 1 more$/);
  });
});

/** Mutations of JSON: a value deleted, replaced by one of another kind, renamed, repeated or nested too deep. */
import type { Random } from '../../src/random.js';
import { type Changed, mutateBytes, pick } from './mutate-bytes.js';

type Container = Record<string, unknown>;

/** Values that a schema should have an opinion on. */
const ODD: readonly unknown[] = [
  null,
  -1,
  0,
  1e308,
  2 ** 53,
  1.5,
  7,
  64,
  '',
  '../x',
  '\0',
  '4',
  '__proto__',
  '\ud800',
  'x'.repeat(10_000),
  [],
  {},
  true,
  [[[[]]]],
];

const RULES: Readonly<Record<string, (owner: Container, key: string, random: Random) => void>> = {
  delete: (owner, key) => {
    delete owner[key];
  },
  replace: (owner, key, random) => {
    owner[key] = pick(ODD, random);
  },
  extra: (owner, key) => {
    owner[`${key}x`] = owner[key];
  },
  number: (owner, key, random) => {
    const value = owner[key];
    owner[key] = typeof value === 'number' ? value + pick([-1, 1, 64, -64, 0.5, 4096], random) : pick(ODD, random);
  },
  repeat: (owner, key) => {
    const value = owner[key];
    owner[key] = Array.isArray(value) ? [...value, ...value] : [value, value];
  },
  deep: (owner, key, random) => {
    let value: unknown = owner[key];
    for (let depth = pick([3, 100, 1000], random); depth > 0; depth--) value = [value];
    owner[key] = value;
  },
};

/** A mutated copy of a JSON text. Three in ten are mutated as bytes. */
export function mutateJson(text: Uint8Array, random: Random): Changed {
  if (random.uniform() < 0.3) return mutateBytes(text, random);
  const { note, value } = mutateValue(JSON.parse(new TextDecoder().decode(text)), random);
  return { note, bytes: new TextEncoder().encode(JSON.stringify(value)) };
}

/** A value with one to three places changed; `value` itself is changed. */
export function mutateValue(value: unknown, random: Random): { readonly note: string; readonly value: unknown } {
  const notes: string[] = [];
  for (let left = 1 + random.integer(3); left > 0; left--) {
    const place = placeIn(value, random);
    if (place === undefined) break;
    const [name, rule] = pick(Object.entries(RULES), random);
    rule(place.owner, place.key, random);
    notes.push(`${name} ${place.key.slice(0, 20)}`);
  }
  return { note: `json:${notes.join(', ')}`, value };
}

/** Some key of some container, found by walking down by chance. */
function placeIn(value: unknown, random: Random): { readonly owner: Container; readonly key: string } | undefined {
  let owner = value as Container;
  for (;;) {
    if (typeof owner !== 'object' || owner === null) return undefined;
    const keys = Object.keys(owner);
    if (keys.length === 0) return undefined;
    const key = pick(keys, random);
    const inner = owner[key];
    const open = typeof inner === 'object' && inner !== null && Object.keys(inner).length > 0;
    if (!open || random.uniform() < 0.15) return { owner, key };
    owner = inner as Container;
  }
}

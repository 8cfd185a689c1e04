/** Reads the values of flags that are more than text. Each function names the flag it complains about. */
import { fail } from '../diagnostics.js';

const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** `4GiB`, `1.5gb`, `800MB`, `123456` as a count of bytes. */
export function byteCount(flag: string, text: string): number {
  const [, number = '', unit = 'b'] = /^(\d+(?:\.\d+)?)\s*([a-z]+)?$/.exec(text.trim().toLowerCase()) ?? [];
  const factor = UNITS[unit];
  const bytes = Math.round(Number(number) * (factor ?? Number.NaN));
  if (number !== '' && Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  return fail('bad-usage', flag, `${text} is not a size such as 4GiB or 800MB`);
}

/** A whole number of at least `least`. */
export function wholeNumber(flag: string, text: string, least = 1): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
  return fail('bad-usage', flag, `${text} is not a whole number of at least ${least}`);
}

/** A finite number of at least `least`. */
export function decimalNumber(flag: string, text: string, least = 0): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= least) return value;
  return fail('bad-usage', flag, `${text} is not a number of at least ${least}`);
}

/** `8,6,4,3,2` as whole numbers. */
export function numberList(flag: string, text: string): readonly number[] {
  return text.split(',').map((part) => wholeNumber(flag, part.trim()));
}

/** `2:3,8:7` as numbers by precision, or one number or word as it is. */
export function bitsOrPairs(flag: string, text: string): string | number | Readonly<Record<string, number>> {
  if (/^\d+$/.test(text)) return Number(text);
  if (!text.includes(':')) return text;
  const pairs = text.split(',').map((pair) => {
    const [, bits, own] = /^\s*(\d+)\s*:\s*(\d+)\s*$/.exec(pair) ?? [];
    return bits === undefined ? fail('bad-usage', flag, `${text} is not a list such as 2:3,8:7`) : [bits, Number(own)];
  });
  return Object.fromEntries(pairs);
}

/** Applies a reader when the flag is there; an object to spread, so that absent stays absent. */
export function given<K extends string, T>(
  key: K,
  text: string | undefined,
  read: (text: string) => T,
): { readonly [P in K]?: T } {
  return (text === undefined ? {} : { [key]: read(text) }) as { readonly [P in K]?: T };
}

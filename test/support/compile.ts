/** What tests of `compile` seldom vary. */
export const COMPILE = {
  name: 'm',
  threads: 2,
  memoryBytes: 2e9,
  seed: 0,
  standalone: false,
  strict: false,
} as const;

/** What objects of an object store say of units, read anew where they have changed since the last look. */
import { failureSchema, type UnitFailure } from '../../failures.js';
import { parseUnitKey, UNITS } from './keys.js';
import type { ListedObject, S3Objects, StoredText } from './objects.js';

/** What is known of one unit. */
export interface UnitState {
  readonly done: StoredText | undefined;
  readonly claim: StoredText | undefined;
  readonly failures: readonly UnitFailure[];
  /** Keys of its failures. */
  readonly failureKeys: readonly string[];
  readonly losses: number;
}

export const NO_STATE: UnitState = { done: undefined, claim: undefined, failures: [], failureKeys: [], losses: 0 };

/** Requests at a time. */
const AT_ONCE = 8;

export class UnitStates {
  readonly #objects: S3Objects;
  #texts: ReadonlyMap<string, StoredText> = new Map();

  constructor(objects: S3Objects) {
    this.#objects = objects;
  }

  /** The states of all units of which anything is said. */
  async read(): Promise<ReadonlyMap<string, UnitState>> {
    const listed = await this.#objects.list(UNITS);
    const texts = await this.#textsOf(listed.filter(({ key }) => parseUnitKey(key)?.kind !== 'lost'));
    this.#texts = texts;
    const states = new Map<string, UnitState>();
    for (const { key } of listed) {
      const parsed = parseUnitKey(key);
      if (parsed === undefined) continue;
      states.set(parsed.unit, withObject(states.get(parsed.unit) ?? NO_STATE, key, parsed.kind, texts.get(key)));
    }
    return states;
  }

  async #textsOf(listed: readonly ListedObject[]): Promise<ReadonlyMap<string, StoredText>> {
    const texts = new Map<string, StoredText>();
    await eachOf(listed, async ({ key, etag }) => {
      const known = this.#texts.get(key);
      const text = known?.etag === etag ? known : await this.#objects.text(key);
      if (text !== undefined) texts.set(key, text);
    });
    return texts;
  }
}

function withObject(
  state: UnitState,
  key: string,
  kind: 'done' | 'claim' | 'failed' | 'lost',
  text: StoredText | undefined,
): UnitState {
  if (kind === 'lost') return { ...state, losses: state.losses + 1 };
  if (kind !== 'failed') return { ...state, [kind]: text };
  const failure = text === undefined ? undefined : failureOf(text.text);
  const failures = failure === undefined ? state.failures : [...state.failures, failure];
  return { ...state, failures, failureKeys: [...state.failureKeys, key] };
}

/** A damaged record counts as none. */
function failureOf(text: string): UnitFailure | undefined {
  try {
    return failureSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Does something with each item, some at a time. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  const run = async (): Promise<void> => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, run));
}

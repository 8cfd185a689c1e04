import { describe, expect, it } from '@jest/globals';
import { Recent } from '../../../src/mix/search/recent.js';

describe('what was used last', () => {
  it('stays up to a size, the oldest goes first', async () => {
    const dropped: string[] = [];
    const made: string[] = [];
    const recent = new Recent<string>(10, async (value) => void dropped.push(value));
    const get = (key: string, size: number): Promise<string> =>
      recent.get(key, size, () => {
        made.push(key);
        return key;
      });
    await get('a', 4);
    await get('b', 4);
    await get('a', 4);
    await get('c', 4);
    expect(dropped).toEqual(['b']);
    await get('a', 4);
    await get('huge', 100);
    expect(dropped).toEqual(['b', 'c', 'a']);
    await get('a', 4);
    expect(made).toEqual(['a', 'b', 'c', 'huge', 'a']);
    await recent.clear();
    expect(dropped.slice(3)).toEqual(['huge', 'a']);
  });
});

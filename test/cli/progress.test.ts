import { describe, expect, it } from '@jest/globals';
import { createProgress } from '../../src/cli/progress.js';

/** A terminal that keeps what is written, and a clock that is set by hand. */
function setUp(isTTY: boolean) {
  const written: string[] = [];
  const clock = { now: 0 };
  const terminal = { isTTY, columns: 60, write: (text: string) => written.push(text) };
  return { written, clock, progress: createProgress(terminal, () => clock.now) };
}

describe('createProgress', () => {
  it('prints a line now and then without a terminal, and always the last', () => {
    const { written, clock, progress } = setUp(false);
    for (let done = 0; done <= 100; done++) {
      clock.now = done * 250;
      progress.update({ stage: 'solve', done, total: 100 });
    }
    expect(written).toEqual(['solve 0 %\n', 'solve 40 %, 15 s left\n', 'solve 80 %, 5 s left\n', 'solve 100 %\n']);
  });

  it('renews one line on a terminal at a limited rate and clears it at the end', () => {
    const { written, clock, progress } = setUp(true);
    for (let done = 0; done <= 1000; done++) {
      clock.now = done;
      progress.update({ stage: 'solve', done, total: 1000, detail: 'layers.0.gate' });
    }
    expect(written.length).toBeLessThan(15);
    expect(written[0]).toContain('solve [........................] 0 %, layers.0.gate');
    expect(written.every((text) => text.startsWith('\r\u001b[K') && text.length <= 60 + 4)).toBe(true);
    expect(written.at(-1)).toBe('\r\u001b[K');
  });

  it('starts a new estimate with each stage', () => {
    const { written, clock, progress } = setUp(false);
    progress.update({ stage: 'capture', done: 1, total: 1 });
    clock.now = 60_000;
    progress.update({ stage: 'solve', done: 5, total: 10 });
    clock.now = 75_000;
    progress.update({ stage: 'solve', done: 8, total: 10 });
    expect(written).toEqual(['capture 100 %\n', 'solve 50 %\n', 'solve 80 %, 10 s left\n']);
  });

  it('starts a new estimate when a stage begins again', () => {
    const { written, clock, progress } = setUp(false);
    progress.update({ stage: 'search', done: 1, total: 20 });
    clock.now = 600_000;
    progress.update({ stage: 'search', done: 20, total: 20 });
    progress.update({ stage: 'search', done: 1, total: 20 });
    clock.now = 610_000;
    progress.update({ stage: 'search', done: 11, total: 20 });
    expect(written.slice(2)).toEqual(['search 5 %\n', 'search 55 %, 9 s left\n']);
  });
});

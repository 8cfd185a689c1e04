/** What is measured of a program that is known, and how it is printed. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { csvOf, measureCopy, measureNode, tableOf } from '../../scripts/measure.js';
import { temporaryFolder } from '../support/paths.js';

const PROGRAM = `
  const held = new Uint8Array(200 * 2 ** 20).fill(1);
  const end = performance.now() + 300;
  while (performance.now() < end) held[0]++;
  setTimeout(() => console.log('done', held[1]), 200);
`;

describe('a measured program', () => {
  it('is seen with its time, its memory and what it printed', async () => {
    const measured = await measureNode('hold', ['-e', PROGRAM]);
    expect(measured.output).toBe('done 1\n');
    // 500 ms of waiting and 200 MiB that are held, with room for what Node.js itself takes and for a busy machine.
    expect(measured.wallSeconds).toBeGreaterThan(0.3);
    expect(measured.cpuSeconds).toBeGreaterThan(0);
    expect(measured.peakRss / 2 ** 20).toBeGreaterThan(140);
    expect(measured.peakRss / 2 ** 20).toBeLessThan(1000);
    expect(measured.peakPrivate / 2 ** 20).toBeGreaterThan(140);
    expect(measured.peakPrivate).toBeLessThanOrEqual(measured.peakRss);
  });

  it('that fails throws with what it printed', async () => {
    await expect(measureNode('fail', ['-e', 'console.error("no luck"); process.exit(3)'])).rejects.toThrow(
      /fail ended with 3: no luck/,
    );
  });
});

describe('the report', () => {
  const measured = [
    { name: 'a, b', wallSeconds: 3, cpuSeconds: 4.5, peakRss: 300 * 2 ** 20, peakPrivate: 2 ** 20, output: '' },
  ];

  it('is CSV and a table, compared with the copy', () => {
    const copied = { bytes: 2e9, seconds: 1.5 };
    expect(csvOf(measured, copied)).toBe('name,wall s,CPU s,peak MiB,private MiB,x cp\n"a, b",3.00,4.50,300,1,2.00');
    expect(tableOf(measured, copied).split('\n')).toEqual([
      'name  wall s  CPU s  peak MiB  private MiB  x cp',
      'a, b    3.00   4.50       300            1  2.00',
      'cp of 2.000 GB: 1.50 s',
    ]);
  });

  it('knows how long cp takes', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), new Uint8Array(1_000_000));
    const copied = await measureCopy([join(folder, 'file')], folder);
    expect(copied.bytes).toBe(1_000_000);
    expect(copied.seconds).toBeGreaterThan(0);
  });
});

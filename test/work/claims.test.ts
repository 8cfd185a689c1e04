import { existsSync, mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ownerTag } from '../../src/files/owner.js';
import { BEAT_OFFSET, claimText, factsOf, textOf } from '../../src/work/claim-text.js';
import { Claims } from '../../src/work/claims.js';
import { lossesOf } from '../../src/work/losses.js';
import { listening } from '../support/listening.js';
import { temporaryFolder } from '../support/paths.js';

const root = temporaryFolder();
const path = join(root, 'claims/unit.json');
const foreign = { owner: 'mq00000000-1-1.aaaaaaaa', worker: 'elsewhere-1', threads: 1 };
let time = 0;
const opened: Claims[] = [];
const said = listening();

const claims = (): Claims => {
  const made = new Claims(root, { leaseSeconds: 60, threads: 1, now: () => time }, said.log);
  opened.push(made);
  return made;
};

beforeEach(() => {
  for (const name of ['claims', 'lost']) rmSync(join(root, name), { recursive: true, force: true });
  mkdirSync(join(root, 'claims'));
  said.said.length = 0;
});
afterAll(() => {
  for (const each of opened) each.close();
  rmSync(root, { recursive: true });
});

/** Seconds since 1970. */
const DATES: readonly (readonly [string, number])[] = [
  ['1970', 1],
  ['now', Date.now() / 1000],
  ['2096', 4e9],
];

describe('a claim of another machine', () => {
  const writeAt = (date: number, beat: number): void => {
    writeFileSync(path, claimText(foreign).replace('0000000000', String(beat).padStart(10, '0')));
    utimesSync(path, date, date);
  };

  it.each(DATES)('dated %s is taken over when the observer has seen it unchanged for the lease', (_, date) => {
    const own = claims();
    writeAt(date, 0);
    time = 1e6;
    expect(own.take('unit')).toBeUndefined();
    time += 59_999;
    expect(own.take('unit')).toBeUndefined();
    time += 1;
    const claim = own.take('unit');
    expect(factsOf(textOf(path) ?? '')?.owner).toContain(ownerTag());
    expect(said.said).toEqual([expect.stringMatching(/^elsewhere-1 has not finished unit/)]);
    expect(lossesOf(root, 'unit')).toBe(1);
    claim?.release();
    expect(readdirSync(join(root, 'claims'))).toEqual([]);
  });

  it.each(DATES)('dated %s is respected while it changes', (_, date) => {
    const own = claims();
    for (let beat = 0; beat < 5; beat++) {
      writeAt(date, beat);
      time += 59_000;
      expect(own.take('unit')).toBeUndefined();
    }
    expect([said.said, lossesOf(root, 'unit')]).toEqual([[], 0]);
  });

  it.each(['', '{"beat":"0000000000","ownex":"a"}', 'null'])('that is not whole (%j) counts like any other', (text) => {
    const own = claims();
    writeFileSync(path, text);
    expect(own.take('unit')).toBeUndefined();
    time += 60_000;
    own.take('unit')?.release();
    expect(existsSync(path)).toBe(false);
  });
});

describe('a claim of this machine', () => {
  it('is respected while its process runs, and free when that has ended', () => {
    const [first, second] = [claims(), claims()];
    const claim = first.take('unit');
    expect(claim).toBeDefined();
    expect(second.take('unit')).toBeUndefined();
    claim?.release();
    const again = second.take('unit');
    expect(again).toBeDefined();
    again?.release();
    const ended = ownerTag().replace(/-\d+-\d+$/, '-4194303-1');
    writeFileSync(path, claimText({ ...foreign, owner: `${ended}.aaaaaaaa` }));
    const taken = first.take('unit');
    expect(taken).toBeDefined();
    taken?.release();
  });

  it('that was taken over is not given up by its first owner', () => {
    const [first, second] = [claims(), claims()];
    const lost = first.take('unit');
    expect(second.take('unit')).toBeUndefined();
    const text = textOf(path) as string;
    time += 60_000;
    // Its heartbeat may have come in between.
    writeFileSync(path, text);
    expect(second.take('unit')).toBeDefined();
    lost?.release();
    expect(textOf(path)).not.toBe(text);
    expect(existsSync(path)).toBe(true);
  });

  it('has its beat in a fixed place', () => {
    expect(claimText(foreign).slice(BEAT_OFFSET, BEAT_OFFSET + 10)).toBe('0000000000');
    expect(factsOf(claimText(foreign))).toEqual({ beat: '0000000000', ...foreign });
  });
});

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { staged, stagedFiles, stagedFilesAsync, stagedFolder } from '../../src/files/staging.js';
import { codeOf } from '../onnx/proto/support.js';
import { temporaryFolder } from '../support/paths.js';

const contents = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => [entry.name, readFileSync(join(entry.parentPath, entry.name), 'utf8')]),
  );

describe('staged', () => {
  it('shows the target only when it is complete, and leaves nothing else', () => {
    const folder = temporaryFolder();
    const target = join(folder, 'out');
    const result = staged(target, (temporary) => {
      writeFileSync(temporary, 'new');
      expect(existsSync(target)).toBe(false);
      return 7;
    });
    expect(result).toBe(7);
    expect(contents(folder)).toEqual({ out: 'new' });
  });

  it('keeps the old file when writing fails', () => {
    const folder = temporaryFolder();
    const target = join(folder, 'out');
    writeFileSync(target, 'old');
    const write = (temporary: string): void => {
      writeFileSync(temporary, 'half');
      throw new Error('stop');
    };
    expect(() => staged(target, write)).toThrow('stop');
    expect(contents(folder)).toEqual({ out: 'old' });
  });

  it('makes the folders of its target, and takes them away again when writing fails', () => {
    const folder = temporaryFolder();
    const target = join(folder, 'a', 'b', 'out');
    const fails = (): void => {
      throw new Error('stop');
    };
    expect(() => staged(target, fails)).toThrow('stop');
    expect(readdirSync(folder)).toEqual([]);
    staged(target, (temporary) => writeFileSync(temporary, 'new'));
    expect(contents(folder)).toEqual({ out: 'new' });
  });

  it('refuses a target below a file', () => {
    const file = join(temporaryFolder(), 'file');
    writeFileSync(file, 'old');
    expect(codeOf(() => staged(join(file, 'a', 'out'), () => {}))).toBe('output-exists');
  });

  it('writes several files or none', async () => {
    const folder = temporaryFolder();
    const targets = [join(folder, 'a'), join(folder, 'b')];
    const half = async ([first]: readonly string[]): Promise<void> => {
      writeFileSync(first as string, 'x');
      throw new Error('stop');
    };
    await expect(stagedFilesAsync(targets, half)).rejects.toThrow('stop');
    expect(contents(folder)).toEqual({});
    stagedFiles(targets, (paths) => paths.forEach((path, index) => writeFileSync(path, String(index))));
    expect(contents(folder)).toEqual({ a: '0', b: '1' });
  });

  it('leaves out a file that was not made', () => {
    const folder = temporaryFolder();
    stagedFiles([join(folder, 'a'), join(folder, 'b')], ([, second]) => writeFileSync(second as string, 'only'));
    expect(contents(folder)).toEqual({ b: 'only' });
  });

  it('has a code for places that cannot be written', () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'taken'));
    const write = (temporary: string): void => writeFileSync(temporary, 'x');
    expect(codeOf(() => staged(join(folder, 'taken'), write))).toBe('output-exists');
    const full = (): never => {
      throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    };
    expect(codeOf(() => staged(join(folder, 'x'), full))).toBe('disk-full');
    expect(readdirSync(folder)).toEqual(['taken']);
  });
});

describe('stagedFolder', () => {
  const write = async (folder: string): Promise<void> => {
    mkdirSync(join(folder, 'sub'));
    writeFileSync(join(folder, 'a'), 'new a');
    writeFileSync(join(folder, 'sub/b'), 'new b');
  };

  it('makes a folder, or brings an existing one up to date', async () => {
    const parent = temporaryFolder();
    const target = join(parent, 'out');
    await stagedFolder(target, write);
    expect(contents(target)).toEqual({ a: 'new a', b: 'new b' });
    writeFileSync(join(target, 'a'), 'old a');
    writeFileSync(join(target, 'other'), 'mine');
    await stagedFolder(target, write, ['a']);
    expect(contents(target)).toEqual({ a: 'new a', b: 'new b', other: 'mine' });
    expect(readdirSync(parent)).toEqual(['out']);
  });

  it('leaves nothing behind when it fails', async () => {
    const parent = temporaryFolder();
    const fails = async (folder: string): Promise<void> => {
      await write(folder);
      throw new Error('stop');
    };
    await expect(stagedFolder(join(parent, 'out'), fails)).rejects.toThrow('stop');
    expect(readdirSync(parent)).toEqual([]);
  });
});

import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { root } from '../support/paths.js';

interface Packed {
  readonly files: readonly { readonly path: string; readonly mode: number }[];
  readonly unpackedSize: number;
}

/** What npm would publish, without building and without the network. */
function packed(): Packed {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts', '--offline'];
  const output = execFileSync('npm', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const parsed = JSON.parse(output) as readonly Packed[] | Readonly<Record<string, Packed>>;
  const [first] = Object.values(parsed);
  if (first === undefined) throw new Error('npm pack named no package');
  return first;
}

interface Locked {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly optionalDependencies?: object }>>;
}

describe('the lock file', () => {
  const text = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const { packages } = JSON.parse(text) as Locked;

  it('names the optional packages of every platform, without which npm ci refuses it', () => {
    const optional = Object.values(packages).flatMap(({ optionalDependencies = {} }) =>
      Object.keys(optionalDependencies),
    );
    const missing = optional.filter((name) => packages[`node_modules/${name}`]?.version === undefined);
    expect(optional.length).toBeGreaterThan(10);
    expect(missing).toEqual([]);
  });

  it('names no host', () => {
    expect(text).not.toContain('"resolved": "http');
  });
});

describe('the package', () => {
  const { files, unpackedSize } = packed();
  const paths = files.map(({ path }) => path);

  it('holds the command, the library, its types and the kernels', () => {
    const needed = [
      'package.json',
      'LICENSE',
      'CHANGELOG.md',
      'dist/src/cli/main.js',
      'dist/src/index.js',
      'dist/src/index.d.ts',
      'dist/kernels.wasm',
    ];
    expect(needed.filter((path) => !paths.includes(path))).toEqual([]);
  });

  it('holds no tests, fixtures, sources, maps or models', () => {
    const unwanted = /(^|\/)(test|fixtures|scripts)\/|\.(map|onnx|data|tsbuildinfo)$|(?<!\.d)\.ts$/;
    expect(paths.filter((path) => unwanted.test(path))).toEqual([]);
    expect(unpackedSize).toBeLessThan(5e6);
  });

  it('has a command that can be run', () => {
    const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { bin: { matquant: string } };
    expect(readFileSync(join(root, bin.matquant), 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
    expect(statSync(join(root, bin.matquant)).mode & 0o111).not.toBe(0);
  });

  it('needs only packages that are declared', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    const code = paths.filter((path) => path.endsWith('.js'));
    const imports = code.flatMap((path) => [
      ...readFileSync(join(root, path), 'utf8').matchAll(/^(?:import|export)\b[^;]*?from '([^'.][^']*)'/gm),
    ]);
    const names = imports.map(([, name = '']) =>
      name
        .split('/')
        .slice(0, name.startsWith('@') ? 2 : 1)
        .join('/'),
    );
    const known = new Set([...Object.keys(dependencies), 'onnx-matquant']);
    const undeclared = names.filter((name) => !name.startsWith('node:') && !known.has(name));
    expect(undeclared).toEqual([]);
  });
});

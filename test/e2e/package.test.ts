import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
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
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

interface LockedPackage {
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: object;
  readonly hasInstallScript?: boolean;
}

/** The packages that an installation brings along, by their place in the lock file. */
function installed(packages: Locked['packages']): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (name: string, from: string): void => {
    const nested = `${from}/node_modules/${name}`;
    if (packages[nested] === undefined && from !== '') {
      visit(name, from.replace(/\/?node_modules\/(@[^/]+\/)?[^/]+$/, ''));
      return;
    }
    const key = from === '' ? `node_modules/${name}` : nested;
    if (found.has(key) || packages[key] === undefined) return;
    found.add(key);
    for (const each of Object.keys(packages[key]?.dependencies ?? {})) visit(each, key);
  };
  for (const name of Object.keys(packages['']?.dependencies ?? {})) visit(name, '');
  return found;
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

  it('brings one package with an install script, which docs/install.md says how to skip', () => {
    const scripts = [...installed(packages)].filter((name) => packages[name]?.hasInstallScript);
    expect(scripts).toEqual(['node_modules/onnxruntime-node']);
    const page = readFileSync(join(root, 'docs/install.md'), 'utf8');
    expect(page).toContain(`Of its ${installed(packages).size} dependencies one has an install script`);
    expect(page).toContain(`onnxruntime-node\` ${packages['node_modules/onnxruntime-node']?.version}`);
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

  it('holds nothing but what is listed', () => {
    const listed =
      /^(dist\/(src|passes)\/.*\.(js|d\.ts)|dist\/kernels\.wasm|docs\/.*\.(md|png|svg|json)|examples\/.*\.(sh|yml|html|md|js|css)|(README|CHANGELOG)\.md|LICENSE|package\.json)$/;
    expect(paths.filter((path) => !listed.test(path))).toEqual([]);
    expect(paths).toContain('docs/matquant.budget.schema.json');
  });

  it('runs nothing on installation', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    expect(
      Object.keys(scripts).filter((name) => /^(pre|post)?install$|^prepare$|^preprepare$|^postprepare$/.test(name)),
    ).toEqual([]);
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

describe('a release', () => {
  const check = (tag: string): string =>
    spawnSync(process.execPath, [join(root, 'scripts/check-release.mjs'), tag], { encoding: 'utf8' }).stderr;
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string };

  it('has one version everywhere', () => {
    // The heading of the changelog says "unreleased" until there is a tag.
    expect(check(`v${version}`)).not.toMatch(/tag|version\.ts|action\.yml/);
    expect(check('v0.0.0')).toContain(`the tag is v0.0.0, package.json says ${version}`);
  });

  it('is made by workflows whose files are there', () => {
    for (const name of ['ci', 'release']) {
      const text = readFileSync(join(root, `.github/workflows/${name}.yml`), 'utf8');
      const scripts = [...text.matchAll(/(?:scripts|fixtures)\/[\w./-]+/g)].map(([path]) => path);
      expect(scripts.length).toBeGreaterThan(0);
      expect(scripts.filter((path) => !existsSync(join(root, path)))).toEqual([]);
    }
  });

  it('has a container whose base is pinned', () => {
    const bases = [...readFileSync(join(root, 'Dockerfile'), 'utf8').matchAll(/^FROM (\S+)/gm)].map(([, base]) => base);
    expect(bases).toEqual(Array(2).fill(expect.stringMatching(/^node:20\.\d+\.\d+-bookworm-slim$/)));
  });
});

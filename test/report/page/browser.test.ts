import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { renderPage } from '../../../src/report/page/page.js';
import { temporaryFolder } from '../../support/paths.js';
import { REPORT } from '../../support/report-data.js';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const browser = (process.env['PATH'] ?? '')
  .split(delimiter)
  .flatMap((folder) => NAMES.map((name) => join(folder, name)))
  .find((path) => existsSync(path));

/** Puts the page into a frame of a width and writes what it finds into the title. */
const harness = (width: number): string => `<!doctype html><title>waiting</title>
<iframe src="page.html" style="width:${width}px;height:800px;border:0"></iframe>
<script>
onload = () => {
  const { document: page, getComputedStyle: styleOf } = document.querySelector('iframe').contentWindow;
  document.title = JSON.stringify({
    scrollWidth: page.documentElement.scrollWidth,
    tables: page.querySelectorAll('table').length,
    small: [...page.querySelectorAll('svg text')].filter((text) => text.getBoundingClientRect().height < 8).length,
    background: styleOf(page.body).backgroundColor,
    resources: page.defaultView.performance.getEntriesByType('resource').map(({ name }) => name),
  });
};
</script>`;

interface Found {
  readonly scrollWidth: number;
  readonly tables: number;
  readonly small: number;
  readonly background: string;
  readonly resources: readonly string[];
}

let folder: string;
beforeAll(async () => {
  folder = temporaryFolder();
  writeFileSync(join(folder, 'page.html'), await renderPage(REPORT));
});
afterAll(() => rmSync(folder, { recursive: true }));

function open(width: number, scheme: 'dark' | 'light'): { readonly found: Found; readonly messages: string } {
  writeFileSync(join(folder, 'frame.html'), harness(width));
  const { stdout, stderr } = spawnSync(
    browser as string,
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--allow-file-access-from-files',
      '--enable-logging=stderr',
      `--user-data-dir=${join(folder, 'profile')}`,
      `--blink-settings=preferredColorScheme=${scheme === 'dark' ? 0 : 1}`,
      '--virtual-time-budget=5000',
      '--dump-dom',
      pathToFileURL(join(folder, 'frame.html')).href,
    ],
    { encoding: 'utf8', timeout: 50_000 },
  );
  const title = /<title>(.*?)<\/title>/.exec(stdout)?.[1] ?? 'no title';
  const found = JSON.parse(title.replaceAll('&quot;', '"')) as Found;
  return {
    found,
    messages: stderr
      .split('\n')
      .filter((line) => line.includes('CONSOLE'))
      .join('\n'),
  };
}

const found = browser === undefined ? 'skipped: no Chromium on PATH' : 'Chromium';
describe(`the page in a browser (${found})`, () => {
  const test = browser === undefined ? it.skip : it;

  test.each([
    [1200, 'light', 'rgb(255, 255, 255)'],
    [400, 'light', 'rgb(255, 255, 255)'],
    [400, 'dark', 'rgb(20, 24, 29)'],
  ] as const)('fits %d px, %s, without errors or requests', (width, scheme, background) => {
    const { found, messages } = open(width, scheme);
    expect(messages).toBe('');
    expect(found.scrollWidth).toBeLessThanOrEqual(width);
    expect(found.tables).toBeGreaterThan(10);
    expect(found.small).toBe(0);
    expect(found.background).toBe(background);
    expect(found.resources).toEqual([]);
  });
});

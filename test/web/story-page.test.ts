/** examples/web in a real Chromium. `MATQUANT_PICTURE=FILE.png` keeps a picture of it. */
import { afterAll, describe, expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { openWebLab, PATIENCE, type WebLab } from '../support/web-lab.js';

const found = await openWebLab();
const lab = found as WebLab;
const needsChromium = found === undefined ? it.skip : it;
afterAll(() => found?.close());

/** Waits between tokens, so that the story lasts longer than the downloads. */
const SLOWER =
  'const later = setTimeout; globalThis.setTimeout = (task, after = 20, ...rest) => later(task, after, ...rest);';

/** Opens the page; `messages` collects errors and warnings of the console. */
async function openPage(
  query: string,
  width: number,
  colorScheme: 'light' | 'dark',
  messages: string[],
): Promise<Page> {
  const page = await lab.newPage({ viewport: { width, height: 720 }, colorScheme });
  await page.addInitScript(SLOWER);
  page.on('console', (message) => {
    if (message.type() !== 'log' && message.type() !== 'info') messages.push(message.text());
  });
  page.on('pageerror', (error) => messages.push(error.message));
  await page.goto(`${lab.server.url}${query}`);
  return page;
}

const textOf = (page: Page, id: string): Promise<string | null> => page.textContent(`#${id}`);

describe(`the story page (${found === undefined ? 'skipped: no Chromium' : 'Chromium'})`, () => {
  needsChromium(
    'answers with int2, and sharpens to int4 and int8 in one story',
    async () => {
      const messages: string[] = [];
      const page = await openPage('?tokens=400&temperature=0', 720, 'light', messages);
      const written = (model: string) =>
        page.waitForFunction(`document.querySelector('#story [data-model=${model}]')?.textContent.length > 40`);
      const before = ['', 'int2', 'int4'];
      // What a larger precision adds comes when the smaller one has written something.
      lab.server.behaviour.hold = async () => {
        const model = before.shift();
        if (model) await written(model);
      };
      await page.click('#start');
      await written('int8');
      expect(await textOf(page, 'first')).toMatch(/^\d+\.\d s$/);
      const picture = process.env['MATQUANT_PICTURE'];
      if (picture !== undefined) await page.screenshot({ path: picture, fullPage: true });
      await page.click('#stop');
      await page.waitForFunction('document.querySelector("#stop").disabled');
      const models = await page.$$eval('#story [data-model]', (spans) => spans.map((span) => span.textContent !== ''));
      expect(models).toEqual([true, true, true]);
      expect(await textOf(page, 'precision')).toBe('int8');
      expect(await textOf(page, 'bytes')).toBe('1.9 MB');
      expect(await textOf(page, 'speed')).toMatch(/^\d+\.\d tokens\/s$/);
      expect(messages).toEqual([]);
      await page.context().close();
    },
    4 * PATIENCE,
  );

  needsChromium(
    'fits 400 px and the dark scheme, can be used by keyboard, and says when the set is not there',
    async () => {
      const page = await openPage('?set=elsewhere/model.json', 400, 'dark', []);
      const width = await page.evaluate<number>('document.documentElement.scrollWidth');
      expect(width).toBeLessThanOrEqual(400);
      expect(await page.evaluate('getComputedStyle(document.documentElement).backgroundColor')).toBe('rgb(20, 24, 29)');
      const unnamed = 'button:not(:has(*)):empty, textarea:not([id]), progress:not([id])';
      expect(await page.$$(unnamed)).toEqual([]);
      await page.focus('#prompt');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.waitForFunction('document.querySelector("#status").className === "error"');
      expect(await textOf(page, 'status')).toBe('tokenizer.json: the server answered 404');
      await page.context().close();
    },
  );
});

/** How the codes of each precision are spread. */
import { significant } from '../../format.js';
import type { ReportData } from './data.js';
import type { Html } from './html.js';
import { codesPlot } from './plot-codes.js';
import { paragraph, plots, type Section } from './section.js';
import { number, table, text } from './table.js';

export async function codesSection({ histograms }: ReportData): Promise<Section | undefined> {
  if (histograms.length === 0) return undefined;
  const figures: Html[] = [];
  for (const histogram of histograms) figures.push(await codesPlot(histogram));
  const percent = (level: number): string => `${(100 * level).toFixed(2)} %`;
  const isTrained = histograms.some(({ before }) => before !== undefined);
  const rows = histograms.map(({ name, counts, meanLevel, before, entropyBits }) => [
    name,
    counts.length,
    ...(isTrained ? [percent((before ?? { meanLevel }).meanLevel)] : []),
    percent(meanLevel),
    significant(entropyBits),
  ]);
  const levels = isTrained ? [number('mean level before training'), number('mean level')] : [number('mean level')];
  return {
    id: 'codes',
    title: 'Codes',
    body: [
      paragraph(
        'Every smaller model reads the leading bits of the same parent codes. The mean level is the mean code divided by the highest code: 50 % if codes are symmetric about the middle; training for the smaller slices moves the parent to the right. Entropy is the number of bits per code that an ideal coder would store.',
      ),
      table('Codes by precision', [text('precision'), number('levels'), ...levels, number('entropy, bits')], rows),
      plots(...figures),
    ],
  };
}

/** Sizes of the models of the set. */
import { byteSize, significant } from '../../format.js';
import type { ReportData } from './data.js';
import { sizesPlot } from './plot-sizes.js';
import { paragraph, plots, type Section } from './section.js';
import { number, table, text } from './table.js';

export async function sizesSection({ models, compiled, dataFile, rest }: ReportData): Promise<Section> {
  const source = compiled?.sourceBytes;
  const rows = models.map(({ name, file, averageBits, storedBitsPerWeight, graphBytes, dataBytes }) => [
    name,
    file,
    byteSize(graphBytes),
    byteSize(dataBytes),
    byteSize(graphBytes + dataBytes),
    ...(source === undefined ? [] : [`${significant(source / (graphBytes + dataBytes))}×`]),
    significant(averageBits),
    significant(storedBitsPerWeight),
  ]);
  const columns = [
    text('model'),
    text('file'),
    number('graph'),
    number('of the data'),
    number('together'),
    ...(source === undefined ? [] : [number('smaller by')]),
    number('bits per code'),
    number('stored bits per weight'),
  ];
  return {
    id: 'sizes',
    title: 'Sizes',
    body: [
      paragraph(
        `All models read one file, ${dataFile}. A model needs the bytes from the start of the file to the size given here, so a smaller model is a shorter download. `,
        `${byteSize(rest.bytes)} of it are ${rest.tensors} tensors that all models share, such as embeddings and normalizations. `,
        source !== undefined && `The source takes ${byteSize(source)}. `,
        models.some(({ bits }) => typeof bits !== 'number') &&
          'The size of a mix is the size of all bytes that it reads. ',
        'Stored bits per weight count codes, scales and offsets on disk.',
      ),
      table('Sizes by model', columns, rows),
      plots(await sizesPlot(models)),
    ],
  };
}

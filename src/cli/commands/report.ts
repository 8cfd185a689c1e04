import { report } from '../../pipeline/report.js';
import { type Command, defineCommand } from '../command.js';
import { byteSize } from '../render.js';
import { given } from '../values.js';

export const reportCommand: Command = defineCommand({
  usage: 'report <folder>',
  summary: 'Write one self-contained HTML page about a set: sizes, quality, what was refused',
  positionals: { folder: { type: 'string', describe: 'Folder written by compile', required: true } },
  options: { out: { type: 'string', alias: 'o', describe: 'HTML file to write (default: in the folder)' } },
  examples: [['report out', 'writes the page into the folder']],
  async run({ folder, out }, context) {
    const result = await report({ folder, ...given('output', out, String) }, context);
    return { data: result, text: `${result.path} (${byteSize(result.bytes)})` };
  },
});

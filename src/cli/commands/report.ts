import { describeOption as help } from '../../options/index.js';
import { type Command, defineCommand } from '../command.js';
import { overwriteFlag } from '../options.js';
import { fileList, paragraphs } from '../render.js';
import { given } from '../values.js';

export const reportCommand: Command = defineCommand({
  usage: 'report <folder>',
  summary: 'Write one self-contained HTML page about a set, and its data as JSON',
  positionals: {
    folder: { type: 'string', describe: help('report', 'folder'), required: true },
  },
  options: {
    out: { type: 'string', alias: 'o', describe: help('report', 'output') },
    ...overwriteFlag,
    eval: { type: 'array', describe: help('report', 'evaluations') },
    sweep: { type: 'array', describe: help('report', 'sweeps') },
    run: {
      type: 'string',
      describe: help('report', 'run'),
    },
  },
  examples: [
    ['report out', 'writes the page into the folder'],
    ['report out --eval held.json -o page.html', 'with scores of `eval … --json > held.json`'],
  ],
  async run({ folder, out, eval: evaluations, sweep: sweeps, run, overwrite }, context) {
    const { report } = await import('../../report/index.js');
    const result = await report(
      {
        folder,
        ...given('output', out, String),
        ...(evaluations && { evaluations }),
        ...(sweeps && { sweeps }),
        ...given('run', run, String),
        overwrite,
      },
      context,
    );
    const missing = result.notes.map((note) => `  ${note}`);
    return {
      data: result,
      text: paragraphs(
        fileList([result, result.json]),
        missing.length === 0 ? '' : ['Not in the report:', ...missing].join('\n'),
      ),
    };
  },
});

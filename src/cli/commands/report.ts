import { type Command, defineCommand } from '../command.js';
import { overwriteFlag } from '../options.js';
import { fileList, paragraphs } from '../render.js';
import { given } from '../values.js';

export const reportCommand: Command = defineCommand({
  usage: 'report <folder>',
  summary: 'Write one self-contained HTML page about a set, and its data as JSON',
  positionals: {
    folder: { type: 'string', describe: 'Folder written by compile, or the .json of a set', required: true },
  },
  options: {
    out: { type: 'string', alias: 'o', describe: 'HTML file to write (default: NAME.report.html in the folder)' },
    ...overwriteFlag,
    eval: { type: 'array', describe: 'Saved output of eval --json (default: *.eval.json in the folder)' },
    sweep: { type: 'array', describe: 'Files that sweep wrote (default: *.sweep.json in the folder)' },
    run: {
      type: 'string',
      describe: 'Saved output of compile --json, for times (default: NAME.compile.json in the folder)',
    },
  },
  examples: [
    ['report out', 'writes the page into the folder'],
    ['report out --eval held.json -o page.html', 'with scores of `eval … --json > held.json`'],
  ],
  async run({ folder, out, eval: evaluations, sweep: sweeps, run, overwrite }, context) {
    const { report } = await import('../../pipeline/reporting/report.js');
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

import { describeOption as help } from '../../options/index.js';
import { type Command, defineCommand } from '../command.js';
import { overwriteFlag, threadsOf } from '../options.js';
import { given } from '../values.js';
import { renderCompiled } from './compile.js';

export const mergeCommand: Command = defineCommand({
  usage: 'merge <plan>',
  summary: 'Write the set of a plan whose units are done',
  positionals: { plan: { type: 'string', describe: help('merge', 'plan'), required: true } },
  options: {
    out: { type: 'string', alias: 'o', describe: help('merge', 'output') },
    provenance: { type: 'string', describe: help('merge', 'provenance') },
    ...overwriteFlag,
    threads: { type: 'string', describe: help('merge', 'threads'), group: 'Machine:' },
    'work-dir': { type: 'string', describe: help('merge', 'workDir'), group: 'Machine:' },
  },
  examples: [
    ['merge plan -o out', 'the same bytes as compile with the options of the plan'],
    ['merge s3://BUCKET/PLAN -o out', 'of a plan on an object store'],
  ],
  async run(values, context) {
    const { mergePlan } = await import('../../work/index.js');
    const result = await mergePlan(
      {
        plan: values.plan,
        ...given('output', values.out, String),
        ...given('provenance', values.provenance, String),
        overwrite: values.overwrite,
        ...threadsOf(values),
        ...given('workDir', values['work-dir'], String),
      },
      context,
    );
    return { data: result, text: renderCompiled(result) };
  },
});

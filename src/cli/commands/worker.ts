import { defaultOf, describeOption as help } from '../../options/index.js';
import type { WorkResult } from '../../work/index.js';
import { type Command, defineCommand } from '../command.js';
import { threadsOf } from '../options.js';
import { counted, duration } from '../render.js';
import { byteCount, decimalNumber, given } from '../values.js';

const group = 'Machine:';

export const workerCommand: Command = defineCommand({
  usage: 'worker <plan>',
  summary: 'Run units of a plan until it is done, beside any number of other workers',
  positionals: { plan: { type: 'string', describe: help('work', 'plan'), required: true } },
  options: {
    unit: { type: 'string', describe: help('work', 'unit') },
    queue: { type: 'string', describe: help('work', 'queue') },
    once: { type: 'boolean', describe: help('work', 'once') },
    retry: { type: 'boolean', describe: help('work', 'retry') },
    poll: { type: 'string', default: defaultOf('work', 'pollSeconds'), describe: help('work', 'pollSeconds') },
    lease: { type: 'string', default: defaultOf('work', 'leaseSeconds'), describe: help('work', 'leaseSeconds') },
    threads: { type: 'string', describe: help('work', 'threads'), group },
    memory: { type: 'string', describe: help('work', 'memoryBytes'), group },
    'work-dir': { type: 'string', describe: help('work', 'workDir'), group },
  },
  examples: [
    ['worker plan', 'all units; Ctrl-C finishes the one under way, a second one stops'],
    ['worker plan --unit 3/8 --memory 8GiB', 'the third of eight tasks of an array job'],
    ['worker plan --queue redis://host:6379', 'units from BullMQ; the plan is shared all the same'],
    ['worker s3://BUCKET/PLAN --work-dir /scratch', 'a plan on an object store'],
    ['worker plan --retry', 'again, after what made units fail was repaired'],
  ],
  async run(values, context) {
    const { work } = await import('../../work/index.js');
    const started = performance.now();
    const result = await work(
      {
        plan: values.plan,
        ...given('unit', values.unit, String),
        ...given('queue', values.queue, String),
        once: values.once,
        retry: values.retry,
        pollSeconds: decimalNumber('--poll', values.poll),
        leaseSeconds: decimalNumber('--lease', values.lease),
        ...threadsOf(values),
        ...given('memoryBytes', values.memory, (text) => byteCount('--memory', text)),
        ...given('workDir', values['work-dir'], String),
      },
      context,
    );
    const seconds = (performance.now() - started) / 1000;
    return { data: result, text: render(result, seconds), ...(result.interrupted && { exitCode: 130 as const }) };
  },
});

function render({ ran, done, units, interrupted }: WorkResult, seconds: number): string {
  const stopped = interrupted ? 'Interrupted. ' : '';
  return `${stopped}${counted(ran.length, 'unit')} run in ${duration(seconds)}; ${done} of ${units} are done.`;
}

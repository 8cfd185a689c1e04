import { describeOption as help } from '../../options/index.js';
import { pause } from '../../pause.js';
import type { PlanStatus } from '../../work/index.js';
import { type Command, defineCommand } from '../command.js';
import { byteSize, counted, duration, paragraphs, right, table } from '../render.js';

/** Seconds between two looks. */
const INTERVAL = 2;

export const statusCommand: Command = defineCommand({
  usage: 'status <plan>',
  summary: 'Show how far a plan is: done, running, failed, time left and memory',
  positionals: { plan: { type: 'string', describe: help('status', 'plan'), required: true } },
  options: { watch: { type: 'boolean', describe: 'Look again every 2 seconds until nothing is left to run' } },
  examples: [
    ['status plan --watch', 'until all units are done'],
    ['status plan --json', 'for programs'],
  ],
  async run({ plan, watch }, context) {
    const { planStatus } = await import('../../work/index.js');
    let status = await planStatus({ plan }, context);
    while (watch && isOpen(status) && !context.signal.aborted) {
      context.progress.update({ stage: 'plan', done: status.done, total: status.total - 1, detail: lineOf(status) });
      await pause(1000 * INTERVAL, context.signal);
      status = await planStatus({ plan }, context);
    }
    return { data: status, text: render(status) };
  },
});

/** True while a worker may still do something: the last unit is the set itself. */
const isOpen = ({ running, waiting, kinds }: PlanStatus): boolean =>
  running + waiting - (kinds.find(({ kind }) => kind === 'emit')?.waiting ?? 0) > 0;

const lineOf = ({ done, total, running, failed, secondsLeft }: PlanStatus): string =>
  `${done} of ${total - 1} done, ${running} running, ${failed} failed, ${duration(secondsLeft)} left`;

function render(status: PlanStatus): string {
  const rows = status.kinds.map((each) => [
    each.kind,
    ...[each.done, each.running, each.failed, each.blocked, each.waiting].map(String),
    duration(each.seconds),
    byteSize(each.memoryBytes),
    each.peakMemoryBytes === 0 ? '' : byteSize(each.peakMemoryBytes),
  ]);
  const titles = ['done', 'running', 'failed', 'blocked', 'waiting', 'time', 'least memory', 'peak'];
  const { runningUnits, failedUnits, lostUnits, unitsPerHour } = status;
  return paragraphs(
    table([{ title: 'units' }, ...titles.map(right)], rows),
    runningUnits.map(({ unit, worker }) => `running: ${unit} on ${worker}`).join('\n'),
    failedUnits.map(failedLine).join('\n'),
    lostUnits.map(lostLine).join('\n'),
    unitsPerHour === undefined
      ? ''
      : `${unitsPerHour.toPrecision(3)} units an hour for each worker, ${duration(status.secondsLeft)} left.`,
    isOpen(status) || status.failed > 0
      ? ''
      : `All units are done; matquant merge ${status.folder} -o OUT writes the set.`,
  );
}

const lostLine = ({ unit, times }: PlanStatus['lostUnits'][number]): string =>
  `not finished ${counted(times, 'time')}: ${unit}; its workers were killed, perhaps for lack of memory`;

function failedLine({ unit, times, code, at, message, worker, blocks }: PlanStatus['failedUnits'][number]): string {
  const waiting = blocks.length === 0 ? '' : `; blocks ${counted(blocks.length, 'unit')}`;
  return `failed ${counted(times, 'time')}: ${unit} on ${worker}: ${message} [${code}] at ${at}${waiting}`;
}

/**
 * Breaks things on purpose and sees what the commands do: kills, signals, damaged files, full disks, inputs that change under way,
 * outputs over inputs, absurd options. Right is a refusal with a code, or the result that nothing broken gives. Prints one table; exit
 * code 1 when a row is not right.
 *   npm run faults -- [--only kill,data] [--short] [--tries N] [--json] [--markdown] [--save FILE.csv] [--root FOLDER OF ANOTHER BUILD]
 * --tries is the most of one row (all by default). --save adds rows to a file of figures, or replaces them; --from FILE.csv prints such figures without running anything.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { right, table } from '../src/cli/render.js';
import { type Bench, openBench } from './faults/bench.js';
import { type Figures, readFigures, saveFigures } from './faults/figures.js';
import { damageRows } from './faults/rows-damage.js';
import { inputRows } from './faults/rows-input.js';
import { killRows } from './faults/rows-kill.js';
import { machineRows } from './faults/rows-machine.js';
import { leaks, messageRows } from './faults/rows-message.js';
import { modelRows } from './faults/rows-model.js';
import { qualityRows } from './faults/rows-quality.js';
import { type Row, some, type Try, type Verdict } from './faults/verdict.js';
import { here } from './fuzz/target.js';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    short: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    markdown: { type: 'boolean', default: false },
    save: { type: 'string' },
    from: { type: 'string' },
    tries: { type: 'string', default: '1000' },
    jobs: { type: 'string', default: '2' },
    root: { type: 'string', default: here },
  },
});

const ROWS: readonly Row[] = [
  ...killRows,
  ...damageRows,
  ...inputRows,
  ...machineRows,
  ...modelRows,
  ...messageRows,
  ...qualityRows,
  leaks,
];
/** Figures of the commit before all of this was looked at, for the table of docs/reliability.md. */
const BEFORE = join(here, 'scripts/faults/before.csv');

interface Counted extends Figures {
  /** One line for every try that was not right. */
  readonly details: readonly string[];
}

const scratch = mkdtempSync(join(tmpdir(), 'matquant-faults-'));
let folders = 0;

async function judged({ run }: Try): Promise<Verdict> {
  const folder = join(scratch, `try-${folders++}`);
  mkdirSync(folder);
  try {
    return await run(folder);
  } catch (error) {
    return { how: 'fault', detail: `the harness: ${error instanceof Error ? error.message : String(error)}` };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The tries of a row; where even the sound run that they start from fails, one that says so. */
async function triesOf(row: Row, rooms: Bench): Promise<readonly Try[]> {
  try {
    return await row.tries(rooms);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return [{ name: 'what the row starts from', run: async () => ({ how: 'fault', detail }) }];
  }
}

/** Runs the tries of a row, some at a time. */
async function countRow(row: Row, bench: Bench): Promise<Counted> {
  const rooms = { ...bench, scratch: join(scratch, `row-${folders++}`) };
  mkdirSync(rooms.scratch);
  const waiting = [...some(await triesOf(row, rooms), Number(values.tries))];
  const verdicts: (readonly [string, Verdict])[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      verdicts.push([next.name, await judged(next)]);
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  rmSync(rooms.scratch, { recursive: true, force: true });
  const count = (how: Verdict['how']): number => verdicts.filter(([, verdict]) => verdict.how === how).length;
  const details = verdicts.flatMap(([name, verdict]) =>
    verdict.how === 'right' ? [] : [`${verdict.how}: ${name}: ${verdict.detail}`],
  );
  return {
    name: row.name,
    tried: verdicts.length - count('skipped'),
    right: count('right'),
    silent: count('silent'),
    fault: count('fault'),
    skipped: count('skipped'),
    details,
  };
}

async function countAll(): Promise<readonly Counted[]> {
  const groups = values.only?.split(',');
  const chosen = ROWS.filter(({ group }) => groups?.includes(group) ?? true);
  if (chosen.length === 0)
    throw new RangeError(`--only takes ${[...new Set(ROWS.map(({ group }) => group))].join(', ')}`);
  const bench = await openBench(resolve(values.root), join(scratch, 'bench'), values.short);
  const counted: Counted[] = [];
  for (const row of chosen) {
    const start = performance.now();
    const each = await countRow(row, bench);
    const seconds = ((performance.now() - start) / 1000).toFixed(0);
    if (each.tried + each.skipped > 0) counted.push(each);
    if (values.save !== undefined && each.tried + each.skipped > 0) saveFigures(values.save, each);
    process.stderr.write(`${each.right} of ${each.tried} right in ${seconds} s: ${row.name}\n`);
    for (const detail of each.details) process.stderr.write(`  ${detail}\n`);
  }
  return counted;
}

const shown = ({ tried, right: ok, silent }: Figures): string =>
  tried === 0 ? 'skipped' : `${ok} of ${tried}${silent > 0 ? `, ${silent} silently wrong` : ''}`;

function markdown(all: readonly Figures[]): string {
  const before = new Map(readFigures(BEFORE).map((each) => [each.name, shown(each)]));
  const rows = all.map((each) => `| ${each.name} | ${before.get(each.name) ?? ''} | ${shown(each)} |`);
  return ['| what is tried | right before | right now |', '| --- | --- | --- |', ...rows].join('\n');
}

function render(all: readonly Figures[]): string {
  const titles = ['tried', 'right', 'silently wrong', 'other faults', 'skipped'];
  const rows = all.map((each) => [
    each.name,
    ...[each.tried, each.right, each.silent, each.fault, each.skipped].map(String),
  ]);
  return table([{ title: 'row' }, ...titles.map(right)], rows);
}

const counted =
  values.from === undefined
    ? await countAll().finally(() => rmSync(scratch, { recursive: true, force: true }))
    : readFigures(values.from);
if (values.json) console.log(JSON.stringify(counted));
else console.log(values.markdown ? markdown(counted) : render(counted));
const sum = (part: 'right' | 'silent' | 'fault' | 'tried'): number =>
  counted.reduce((total, each) => total + each[part], 0);
process.stderr.write(
  `${sum('right')} of ${sum('tried')} right, ${sum('silent')} silently wrong, ${sum('fault')} other faults\n`,
);
process.exit(sum('right') === sum('tried') ? 0 : 1);

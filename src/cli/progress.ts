/** Progress on stderr: one line that renews itself on a terminal, a plain line now and then elsewhere. */
import type { Progress, ProgressUpdate } from '../log.js';
import { duration } from './render.js';

/** What progress is written to; `process.stderr` is one. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface ProgressLine extends Progress {
  /** Takes the renewing line away, so that other text can be printed. */
  clear(): void;
}

const TERMINAL_INTERVAL_MS = 100;
const PLAIN_INTERVAL_MS = 10_000;
const BAR_WIDTH = 24;

/** `now` is the clock in milliseconds; tests pass their own. */
export function createProgress(terminal: Terminal, now: () => number = () => performance.now()): ProgressLine {
  return terminal.isTTY ? renewingLine(terminal, now) : plainLines(terminal, now);
}

function renewingLine(terminal: Terminal, now: () => number): ProgressLine {
  const timing = new Timing(now);
  const clear = (): void => void terminal.write('\r\u001b[K');
  return {
    clear,
    update(update) {
      const remaining = timing.remaining(update);
      if (!timing.due(update, TERMINAL_INTERVAL_MS)) return;
      const filled = Math.round(BAR_WIDTH * share(update));
      const bar = '#'.repeat(filled) + '.'.repeat(BAR_WIDTH - filled);
      const line = `${update.stage} [${bar}] ${describe(update, remaining)}`;
      terminal.write(`\r\u001b[K${line.slice(0, (terminal.columns ?? 80) - 1)}`);
      if (update.done >= update.total) clear();
    },
  };
}

function plainLines(terminal: Terminal, now: () => number): ProgressLine {
  const timing = new Timing(now);
  return {
    clear: () => {},
    update(update) {
      const remaining = timing.remaining(update);
      if (timing.due(update, PLAIN_INTERVAL_MS)) terminal.write(`${update.stage} ${describe(update, remaining)}\n`);
    },
  };
}

const share = ({ done, total }: ProgressUpdate): number => (total > 0 ? Math.min(1, done / total) : 1);

function describe(update: ProgressUpdate, remaining: number | undefined): string {
  const percent = `${Math.floor(100 * share(update))} %`;
  const left = remaining === undefined ? '' : `, ${duration(remaining)} left`;
  return `${percent}${left}${update.detail === undefined ? '' : `, ${update.detail}`}`;
}

/** When a stage began and when it was last shown. A stage that goes back has begun again. */
class Timing {
  readonly #now: () => number;
  #stage = '';
  #began = 0;
  #first = 0;
  #last = 0;
  #shown = Number.NEGATIVE_INFINITY;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Seconds until the stage ends at the pace so far; unknown in its first second. */
  remaining(update: ProgressUpdate): number | undefined {
    if (update.stage !== this.#stage || update.done < this.#last) this.#enter(update);
    this.#last = update.done;
    const elapsed = (this.#now() - this.#began) / 1000;
    const moved = update.done - this.#first;
    if (elapsed < 1 || moved <= 0 || update.done >= update.total) return undefined;
    return (elapsed * (update.total - update.done)) / moved;
  }

  /** Whether it is time to show an update: the ends of a stage always, anything between at most once per interval. */
  due(update: ProgressUpdate, interval: number): boolean {
    const atEnd = update.done >= update.total;
    if (!atEnd && this.#now() - this.#shown < interval) return false;
    this.#shown = this.#now();
    return true;
  }

  #enter({ stage, done }: ProgressUpdate): void {
    this.#stage = stage;
    this.#began = this.#now();
    this.#first = done;
    this.#shown = Number.NEGATIVE_INFINITY;
  }
}

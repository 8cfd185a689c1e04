/** The process of units, as its worker sees it: started when there is a unit, and again where it ended. */
import { type ChildProcess, fork } from 'node:child_process';
import type { Context, ProgressUpdate } from '../../log.js';
import { partsOf } from '../failures.js';
import type { PlanStore } from '../store/plan-store.js';
import type { FromProcess, OpenMessage, ToProcess, UnitOutcome } from './unit-messages.js';

export class UnitProcess {
  readonly #open: OpenMessage;
  readonly #store: Pick<PlanStore, 'saveFailure'>;
  readonly #context: Context;
  #child: ChildProcess | undefined;
  readonly #atExit: () => void = () => this.#child?.kill('SIGKILL');

  /** What the process says goes to `context`; what it could not write down itself goes to `store`. */
  constructor(open: OpenMessage, store: Pick<PlanStore, 'saveFailure'>, context: Context) {
    this.#open = open;
    this.#store = store;
    this.#context = context;
  }

  /** Runs a unit, and tells how far it is. A process that ends meanwhile counts as a failure of the unit. */
  async run(unit: string, onProgress: (update: ProgressUpdate) => void): Promise<UnitOutcome> {
    const child = this.#running ?? this.#start();
    const off: (() => void)[] = [];
    const outcome = await new Promise<UnitOutcome | string>((resolve) => {
      const on = (event: string, listener: (...args: never[]) => void): void => {
        child.on(event, listener as () => void);
        off.push(() => child.off(event, listener as () => void));
      };
      on('message', (message: FromProcess) => {
        if ('outcome' in message) resolve(message.outcome);
        if ('say' in message) this.#context.log[message.say](message.text);
        if ('progress' in message) onProgress(message.progress);
      });
      on('error', (error: Error) => resolve(error.message));
      on('exit', (code: number | null, signal: string | null) => resolve(signal ?? `exit code ${code}`));
      child.send({ unit } satisfies ToProcess, (error) => error !== null && resolve(error.message));
    });
    for (const each of off) each();
    if (typeof outcome !== 'string') return outcome;
    this.close();
    const error = new Error(`The process of the unit ended with ${outcome}`);
    return { kind: 'failed', error: partsOf(error), times: await this.#store.saveFailure(unit, error) };
  }

  /** Ends the process, whatever it is at. */
  close(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
    process.removeListener('exit', this.#atExit);
  }

  /** The process, unless it has ended between units. */
  get #running(): ChildProcess | undefined {
    return this.#child?.connected === true && this.#child.exitCode === null ? this.#child : undefined;
  }

  #start(): ChildProcess {
    process.removeListener('exit', this.#atExit);
    process.once('exit', this.#atExit);
    const file = new URL('./unit-child.js', import.meta.url);
    const child = fork(file, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    child.on('error', () => undefined);
    child.send({ open: this.#open } satisfies ToProcess, () => undefined);
    this.#child = child;
    return child;
  }
}

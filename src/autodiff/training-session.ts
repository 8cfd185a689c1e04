/** Steps of training: loss and gradients of a part of a model, computed by the runtime. Moving the parameters is the caller's. */
import { tmpdir } from 'node:os';
import { SegmentFiles } from '../capture/index.js';
import { fail } from '../diagnostics.js';
import { temporaryFolder } from '../files/temporary.js';
import { type Feeds, type OpenOptions, type Runtime, type Session, withSession } from '../runtime/runtime.js';
import { LOSS, TrainingGraph, type TrainingRequest } from './training-graph.js';

export interface TrainingOptions extends OpenOptions {
  /** Where the temporary folder with frozen weights is made; default the system's. */
  readonly folder?: string | undefined;
  /** Files of a part of the model that has other sessions too: they are the caller's to close. Default: a folder of its own. */
  readonly files?: SegmentFiles;
}

/** What one step computed. */
export interface Step {
  readonly loss: number;
  /** In the order of what the loss is differentiated by. */
  readonly gradients: readonly Float32Array[];
}

export class TrainingSession {
  /** Names of the values that the loss is differentiated by. */
  readonly wrt: readonly string[];
  readonly #session: Session;
  readonly #files: SegmentFiles | undefined;
  readonly #gradients: readonly string[];
  /** Dimensions of the inputs, which are those of the observed run for ever. */
  readonly #dims: ReadonlyMap<string, string>;

  private constructor(
    wrt: readonly string[],
    session: Session,
    files: SegmentFiles | undefined,
    gradients: readonly string[],
    feeds: Feeds,
  ) {
    this.wrt = wrt;
    this.#session = session;
    this.#files = files;
    this.#gradients = gradients;
    this.#dims = new Map(Object.entries(feeds).map(([name, { dims }]) => [name, String(dims)]));
  }

  /** Builds the graph for inputs of the shapes of `feeds`, which are run once. Close the session to free files and memory. */
  static async open(
    runtime: Runtime,
    request: TrainingRequest,
    feeds: Feeds,
    { folder = tmpdir(), files: shared, ...options }: TrainingOptions = {},
  ): Promise<TrainingSession> {
    const own = shared === undefined ? new SegmentFiles(temporaryFolder('training', folder)) : undefined;
    const files = shared ?? (own as SegmentFiles);
    try {
      const graph = new TrainingGraph(request);
      const plain = { ...options, optimization: 'disabled' } as const;
      const observed = await graph.observe(feeds, (model) =>
        withSession(runtime, files.write(model), plain, (session) => session.run(feeds)),
      );
      const gradients = graph.differentiate(observed);
      const session = await runtime.open(files.write(graph.model), options);
      const wrt = graph.wrt.map(({ name }) => name);
      return new TrainingSession(wrt, session, own, gradients, feeds);
    } catch (error) {
      own?.close();
      throw error;
    }
  }

  /** Runs one step. `feeds` has the same names and dimensions as the observed ones, parameters among them. */
  async step(feeds: Feeds): Promise<Step> {
    for (const [name, { dims }] of Object.entries(feeds)) {
      const known = this.#dims.get(name);
      if (String(dims) !== known) fail('runtime-failed', name, `The training graph takes [${known}], not [${dims}]`);
    }
    const outputs = await this.#session.run(feeds, [LOSS, ...this.#gradients]);
    const numbers = (name: string): Float32Array => outputs[name]?.data as Float32Array;
    return { loss: numbers(LOSS)[0] as number, gradients: this.#gradients.map(numbers) };
  }

  async close(): Promise<void> {
    await this.#session.close();
    this.#files?.close();
  }
}

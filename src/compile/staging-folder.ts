/** The folder that a compilation is written into before it is published. */

interface Closable {
  close(): void | Promise<void>;
}

/** The folder, with what is open until its files are written: closed together, the last one first. */
export class StagingFolder {
  readonly path: string;
  readonly #open: Closable[] = [];

  constructor(path: string) {
    this.path = path;
  }

  /** Takes something that is to be closed, and gives it back. */
  add<T extends Closable | undefined>(each: T): T {
    if (each !== undefined) this.#open.push(each);
    return each;
  }

  async close(): Promise<void> {
    for (let each = this.#open.pop(); each !== undefined; each = this.#open.pop()) await each.close();
  }
}

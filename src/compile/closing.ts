/** Things that are closed together, the last one first. */
export class Closing {
  readonly #open: { close(): void }[] = [];

  /** Takes something that is to be closed, and gives it back. */
  add<T extends { close(): void } | undefined>(each: T): T {
    if (each !== undefined) this.#open.push(each);
    return each;
  }

  close(): void {
    for (let each = this.#open.pop(); each !== undefined; each = this.#open.pop()) each.close();
  }
}

/** Seconds by stage, for the result of a run. */
export class Clock {
  readonly stages: Record<string, number> = {};
  #last = performance.now();

  lap(stage: string): void {
    const now = performance.now();
    this.stages[stage] = (now - this.#last) / 1000;
    this.#last = now;
  }
}

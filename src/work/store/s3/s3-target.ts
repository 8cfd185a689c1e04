/** An object store that a plan is written to. */
import type { CompileOptions } from '../../../compile/index.js';
import { fail } from '../../../diagnostics.js';
import { planText } from '../../plan-file.js';
import type { Plan } from '../../plan-types.js';
import { refuseOther } from '../folder-target.js';
import type { CarriedFile, PlanTarget } from '../plan-store.js';
import { storeAddress } from './address.js';
import { inputLayout } from './input-layout.js';
import { OBJECTS, objectKey, PLAN_KEY, UNITS } from './keys.js';
import { S3Objects, type StoredText } from './objects.js';

export class S3Target implements PlanTarget {
  readonly carries = true;
  readonly #objects: S3Objects;
  /** The plan that was there at first. */
  readonly #before: StoredText | undefined;

  private constructor(objects: S3Objects, before: StoredText | undefined) {
    this.#objects = objects;
    this.#before = before;
  }

  /** Error codes `bad-usage`, `store` and `store-package`: the store is asked before any work is done. */
  static async open(address: string): Promise<S3Target> {
    const objects = await S3Objects.open(storeAddress(address, 'output'));
    try {
      return new S3Target(objects, await objects.text(PLAN_KEY));
    } catch (error) {
      objects.close();
      throw error;
    }
  }

  guard({ work }: CompileOptions): void {
    if (work !== undefined)
      fail('bad-usage', 'work', '`work` names a folder, and a plan on an object store keeps its results there');
  }

  naming(options: CompileOptions): (path: string) => string {
    return inputLayout(options);
  }

  /** Writes files first, and the plan last. What is said of units of another plan is removed; its objects stay. */
  async save(plan: Plan, files: readonly CarriedFile[], overwrite: boolean): Promise<void> {
    const [text, before] = [planText(plan), this.#before];
    const at = `${this.#objects.address.shown}/${PLAN_KEY}`;
    const isSame = before?.text === text;
    if (before !== undefined && !isSame && !overwrite) refuseOther(at);
    await this.#upload(files, overwrite);
    if (isSame) return;
    await this.#objects.remove((await this.#objects.list(UNITS)).map(({ key }) => key));
    const condition = before === undefined ? ({ absent: true } as const) : { etag: before.etag };
    const written = await this.#objects.put(PLAN_KEY, text, condition);
    if (written === undefined && (await this.#objects.text(PLAN_KEY))?.text !== text) refuseOther(at);
  }

  close(): void {
    this.#objects.close();
  }

  /** Uploads files that are not there, or whose objects have another size; all of them with `again`. */
  async #upload(files: readonly CarriedFile[], again: boolean): Promise<void> {
    const there = new Map((await this.#objects.list(OBJECTS)).map(({ key, bytes }) => [key, bytes]));
    for (const { source, bytes, sha256 } of files) {
      const key = objectKey(sha256);
      if (!again && there.get(key) === bytes) continue;
      await this.#objects.upload(source, key, sha256);
      there.set(key, bytes);
    }
  }
}

/** Opens what a plan is kept in, by its address: `s3://BUCKET/PREFIX` is an object store, everything else a folder. */
import { FolderStore } from './folder-store.js';
import { FolderTarget } from './folder-target.js';
import type { PlanStore, PlanTarget, StoreOptions } from './plan-store.js';

/** Whether an address names an object store. */
export const isStoreAddress = (address: string): boolean => /^s3:\/\//i.test(address);

/**
 * Opens a plan. Error codes `plan` where there is none, `damaged-file` where it is not as it was written, `store` and `store-package`
 * where an object store cannot be used.
 */
export async function openStore(address: string, options: StoreOptions): Promise<PlanStore> {
  if (!isStoreAddress(address)) return new FolderStore(address, options);
  return (await import('./s3/s3-store.js')).S3Store.open(address, options);
}

/** Opens a place for a new plan. Errors as of `openStore`, but for `plan`. */
export async function openTarget(address: string): Promise<PlanTarget> {
  if (!isStoreAddress(address)) return new FolderTarget(address);
  return (await import('./s3/s3-target.js')).S3Target.open(address);
}

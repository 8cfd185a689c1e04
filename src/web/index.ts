/**
 * `onnx-matquant/web`: a nested set in the browser. The smallest model runs after the first part of the data file has arrived;
 * larger precisions fetch only the planes that they add. ONNX Runtime Web is given by the caller, so its version and its
 * backend are the page's choice.
 */
import { fetchWhole } from './download.js';
import { readManifest } from './manifest.js';
import { NestedModel, type OpenOptions } from './nested-model.js';

export { Conversation, type GenerateOptions, type TensorClass, type TensorLike } from './conversation.js';
export { PART_BYTES, type Progress, type ReadOptions } from './data-file.js';
export type { DownloadOptions } from './download.js';
export { NestedError, type NestedErrorCode } from './errors.js';
export type { Manifest, Piece } from './manifest.js';
export { type InputLike, NestedModel, type OpenOptions, type RuntimeLike, type SessionLike } from './nested-model.js';
export { browserStore, noStore, type Store } from './store.js';

/** Opens the set whose manifest is at `url`, at the smallest precision or the one that is named. Fails with a `NestedError`. */
export async function openNested<T>(url: string | URL, options: OpenOptions<T>): Promise<NestedModel<T>> {
  const { location } = globalThis as { location?: { href: string } };
  const address = new URL(url, location?.href).href;
  const manifest = readManifest(await fetchWhole(address, options.signal), address);
  const model = new NestedModel<T>(address, manifest, options);
  const smallest = manifest.graphs.reduce((least, each) => (each.bytesNeeded < least.bytesNeeded ? each : least));
  await model.upgrade(options.bits ?? smallest.name, options);
  return model;
}

/** One thread of the pool: runs kernels on the shared memory as it is told, one range at a time. */
import { parentPort, workerData } from 'node:worker_threads';
import { instantiate, type KernelName } from './loader.js';

/** What a worker is started with. */
export interface WorkerStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
}

/** One range of one kernel. */
export interface Task {
  readonly kernel: KernelName;
  readonly plan: number;
  readonly begin: number;
  readonly end: number;
  readonly scratch: number;
}

const { module, memory } = workerData as WorkerStart;
const kernels = instantiate(module, memory);

parentPort?.on('message', (task: Task) => {
  kernels[task.kernel](task.plan, task.begin, task.end, task.scratch);
  parentPort?.postMessage(null);
});

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
  // A thread that starts while the memory grows may not be told of its new size, against which `memory.fill` and `memory.copy` are
  // checked. This asks for the size, in less than a microsecond.
  memory.grow(0);
  kernels[task.kernel](task.plan, task.begin, task.end, task.scratch);
  parentPort?.postMessage(null);
});

/**
 * Loaded before a command (`node --require`): writes to files whose paths match FULL_DISK fail with ENOSPC, as on a full disk. Linux only,
 * where a descriptor tells its path.
 */
const fs = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');

const full = new RegExp(process.env.FULL_DISK ?? '^$');
const writeSync = fs.writeSync;

function pathOf(descriptor) {
  try {
    return fs.readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return '';
  }
}

fs.writeSync = (descriptor, ...rest) => {
  if (!full.test(pathOf(descriptor))) return writeSync(descriptor, ...rest);
  throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
};
syncBuiltinESMExports();

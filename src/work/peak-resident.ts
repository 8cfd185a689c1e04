/** The largest resident memory of this process, as the kernel counts it. */
import { readFileSync, writeFileSync } from 'node:fs';

/**
 * Begins a new measurement where the system allows it (Linux); elsewhere the peak is that of the whole process. What the kernel tells of the
 * process when it has ended (`time -v`) counts from the last reset too.
 */
export function resetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // The peak so far stays.
  }
}

/** Bytes at the peak since the last reset. */
export function peakResident(): number {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (kilobytes !== undefined) return 1024 * Number(kilobytes);
  } catch {
    // Not Linux.
  }
  return 1024 * process.resourceUsage().maxRSS;
}

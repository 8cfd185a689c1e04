/** Numbers as people read them: sizes, durations, figures. */

const SIZE_UNITS = ['B', 'KB', 'MB', 'GB', 'TB'] as const;

/** Bytes in powers of 1000, as file managers and model hubs show them: 871.2 MB. */
export function byteSize(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (value >= 999.95 && unit < SIZE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${SIZE_UNITS[unit]}`;
}

/** Bytes as `--memory` takes them, rounded up: 872MB. */
export const wholeMegabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)}MB`;

/** Seconds as 8 s, 3 min 20 s or 2 h 5 min. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A number with its noun: 1 unit, 2 units. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** A number in about `digits` significant places, without exponents in the usual range: 0.0076, 1.43, 13.0. */
export function significant(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return String(value);
  const rounded = value.toPrecision(digits);
  return rounded.includes('e') ? String(Number(rounded)) : rounded;
}

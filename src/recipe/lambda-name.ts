/** How weights of the precisions are shown. */

/** `8: 0.1, 4: 0.1, 2: 1`. */
export const nameOf = (lambda: Readonly<Record<number, number>>): string =>
  Object.entries(lambda)
    .sort(([a], [b]) => Number(b) - Number(a))
    .map(([bits, weight]) => `${bits}: ${weight}`)
    .join(', ');

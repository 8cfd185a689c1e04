/** The line of every value in a JSON text, so that a message about one can point at it. */

/** Lines, counted from 1, by path: `budgets[0].maxKl`; a member of an object has the line of its key. */
export function jsonLines(text: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>([['', 1]]);
  const stack: Container[] = [];
  let line = 1;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '\n') line++;
    else take(token, line, stack, lines);
  }
  return lines;
}

/** Text that is valid JSON already, as values, punctuation and line ends. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|\n|[^\s{}[\],:"]+/g;

/** An object or list that is open. */
interface Container {
  readonly path: string;
  readonly isList: boolean;
  /** Of the entry that comes next in a list. */
  index: number;
  /** Of the member whose value comes next in an object. */
  key: string | undefined;
}

function take(token: string, line: number, stack: Container[], lines: Map<string, number>): void {
  const inside = stack.at(-1);
  if (token === '}' || token === ']') stack.pop();
  else if (token === ',' && inside !== undefined) {
    inside.index++;
    inside.key = undefined;
  } else if (token !== ':') value(token, line, stack, lines);
}

function value(token: string, line: number, stack: Container[], lines: Map<string, number>): void {
  const inside = stack.at(-1);
  if (inside !== undefined && !inside.isList && inside.key === undefined) {
    inside.key = String(JSON.parse(token));
    lines.set(placeIn(inside), line);
    return;
  }
  const path = inside === undefined ? '' : placeIn(inside);
  if (!lines.has(path)) lines.set(path, line);
  if (token === '{' || token === '[') stack.push({ path, isList: token === '[', index: 0, key: undefined });
}

function placeIn({ path, isList, index, key }: Container): string {
  if (isList) return `${path}[${index}]`;
  return path === '' ? (key ?? '') : `${path}.${key}`;
}

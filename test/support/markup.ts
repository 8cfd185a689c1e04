/** A strict reader of HTML that our pages must satisfy: every element is closed, in order. */

export interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly (Element | string)[];
}

const VOID = new Set(['meta', 'link', 'br', 'hr', 'col', 'img']);
const TOKEN =
  /<!doctype html>|<\/([a-zA-Z0-9]+)>|<([a-zA-Z][a-zA-Z0-9]*)((?:\s+[a-zA-Z][\w:-]*(?:="[^"<]*")?)*)\s*(\/?)>|([^<]+)/gy;

interface Open {
  readonly name: string;
  readonly attributes: Record<string, string>;
  readonly children: (Element | string)[];
}

/** Parses a page; throws at the first thing that is not well-formed. */
export function parseMarkup(text: string): Element {
  const root: Open = { name: '', attributes: {}, children: [] };
  const stack: Open[] = [root];
  TOKEN.lastIndex = 0;
  let at = 0;
  while (at < text.length) {
    const match = TOKEN.exec(text);
    if (match === null) throw new Error(`not markup at ${at}: ${text.slice(at, at + 80)}`);
    at = TOKEN.lastIndex;
    const [, closed, opened, attributes = '', selfClosing, content] = match;
    const top = stack.at(-1) as Open;
    if (content !== undefined) top.children.push(content);
    else if (closed !== undefined) {
      if (top.name !== closed) throw new Error(`</${closed}> inside <${top.name}> at ${at}`);
      stack.pop();
    } else if (opened !== undefined) {
      const element: Open = { name: opened, attributes: attributesOf(attributes), children: [] };
      top.children.push(element);
      if (selfClosing === '' && !VOID.has(opened)) stack.push(element);
    }
  }
  if (stack.length > 1) throw new Error(`<${stack.at(-1)?.name}> is not closed`);
  return root;
}

function attributesOf(text: string): Record<string, string> {
  const pairs = [...text.matchAll(/([a-zA-Z][\w:-]*)(?:="([^"]*)")?/g)].map(
    ([, name = '', value = '']) => [name, value] as const,
  );
  if (new Set(pairs.map(([name]) => name)).size < pairs.length) throw new Error(`an attribute occurs twice in ${text}`);
  return Object.fromEntries(pairs);
}

/** All elements of a name, in document order. */
export function findAll(element: Element, name: string): readonly Element[] {
  return element.children.flatMap((child) =>
    typeof child === 'string' ? [] : [...(child.name === name ? [child] : []), ...findAll(child, name)],
  );
}

/** Text content with the entities resolved. */
export function textOf(element: Element): string {
  const text = element.children.map((child) => (typeof child === 'string' ? child : textOf(child))).join('');
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&');
}

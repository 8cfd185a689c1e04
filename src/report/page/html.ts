/** HTML as values: text is escaped on the way in, elements close themselves. */

/** Markup that may be placed as it is. */
export interface Html {
  readonly markup: string;
}

/** Text is escaped; false and undefined are left out. */
export type Child = Html | string | number | false | undefined | readonly Child[];

/** `true` is an attribute without a value; false and undefined are left out. */
export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** Elements without an end tag. */
const VOID = new Set(['meta', 'link', 'br', 'hr', 'col', 'img']);

export function element(name: string, attributes: Attributes, ...children: readonly Child[]): Html {
  const start = `<${name}${Object.entries(attributes).map(attribute).join('')}>`;
  return raw(VOID.has(name) ? start : `${start}${markupOf(children)}</${name}>`);
}

export const raw = (markup: string): Html => ({ markup });

export function markupOf(child: Child): string {
  if (child === undefined || child === false) return '';
  if (typeof child === 'string' || typeof child === 'number') return escapeText(String(child));
  return 'markup' in child ? child.markup : child.map(markupOf).join('');
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

const escapeText = (text: string): string => text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character] as string);

function attribute([name, value]: readonly [string, Attributes[string]]): string {
  if (value === undefined || value === false) return '';
  return value === true ? ` ${name}` : ` ${name}="${escapeText(String(value))}"`;
}

/** The rows of a table of options, from the JSON Schema of a function's options. */

interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly description?: string;
}

/** Defaults that depend on the machine. */
const OF_THE_MACHINE: Readonly<Record<string, string>> = { threads: 'all processors' };

/** One row for each option; fields of an option follow it, with its name in front. */
export function optionRows(schema: Schema, inside = ''): readonly string[] {
  const { properties = {}, required = [] } = schema;
  return Object.entries(properties).flatMap(([name, field]) => {
    const place = inside === '' ? name : `${inside}.${name}`;
    const cells = [`\`${place}\``, valuesOf(field), defaultOf(name, field, required), field.description ?? ''];
    return [`| ${cells.join(' | ')} |`, ...(field.properties === undefined ? [] : optionRows(field, place))];
  });
}

function defaultOf(name: string, { default: value }: Schema, required: readonly string[]): string {
  const ofMachine = OF_THE_MACHINE[name];
  if (ofMachine !== undefined) return ofMachine;
  if (value !== undefined) return isEmptyObject(value) ? '–' : `\`${JSON.stringify(value)}\``;
  return required.includes(name) ? 'required' : '–';
}

const isEmptyObject = (value: unknown): boolean =>
  typeof value === 'object' && !Array.isArray(value) && Object.keys(value ?? {}).length === 0;

function valuesOf({ type, anyOf, items, minimum, maximum, ...schema }: Schema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(', ');
  if (anyOf !== undefined) return anyOf.map(valuesOf).join(', ');
  if (type === 'array') return `list of ${valuesOf(items ?? {})}`;
  if (type !== 'number' && type !== 'integer') return type ?? 'object';
  const noun = type === 'integer' ? 'whole number' : 'number';
  if (minimum === undefined || minimum < 0) return noun;
  return maximum === undefined || maximum > 1e9 ? `${noun} from ${minimum}` : `${noun} ${minimum} to ${maximum}`;
}

/** Names of files in the texts of others: a name never becomes anything but a name. */

/** One word of a POSIX shell, on one line. Control characters take Bash's own quotes. */
export function shellWord(text: string): string {
  if (/^[\w./:=,+@%-]+$/.test(text)) return text;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  if (!/[\x00-\x1f\x7f]/.test(text)) return `'${text.replaceAll("'", `'\\''`)}'`;
  const escaped = text
    .replaceAll('\\', '\\\\')
    .replaceAll("'", "\\'")
    // biome-ignore lint/suspicious/noControlCharactersInRegex: see above.
    .replaceAll(/[\x00-\x1f\x7f]/g, (each) => `\\${each.charCodeAt(0).toString(8).padStart(3, '0')}`);
  return `$'${escaped}'`;
}

/** A string of JSON that YAML reads alike: control characters that JSON leaves as they are, and separators of lines, are escaped. */
export const quoted = (text: string): string =>
  JSON.stringify(text).replaceAll(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** A name inside a comment of one line. */
export const commentText = (text: string): string => quoted(text);

/** An argument of a container, in which Kubernetes takes `$(NAME)` for a variable and `$$` for `$`. */
export const containerArgument = (text: string): string => text.replaceAll('$', '$$$$');

/** An expression of a workflow. */
export const expression = (text: string): string => `\${{ ${text} }}`;

/** A value of a workflow, in which GitHub takes two opening braces behind `$` for an expression. */
export const workflowText = (text: string): string => text.replaceAll(/\$\{\{/g, () => expression("'${{'"));

/** Letters, digits and hyphens, at most `longest` of them: part of the names of jobs. Empty where nothing is left. */
export const slugOf = (text: string, longest: number): string =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, longest)
    .replaceAll(/^-+|-+$/g, '');

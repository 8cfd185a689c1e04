/** The text of docs/troubleshooting.md, made from the table of diagnostics and usual causes; `npm run golden` writes it, a test compares it. */
import { join } from 'node:path';
import { errorInFlags, withFlags } from '../src/cli/flag-names.js';
import { type DiagnosticKind, ERRORS, type ErrorCode, REFUSALS, type RefusalCode } from '../src/diagnostics.js';
import { markdownTable } from './markdown.js';
import { type Message, messagesBelow } from './troubleshooting/messages.js';
import { ERROR_SUBJECTS, REFUSAL_SUBJECT } from './troubleshooting/subjects.js';

const HEAD = `# Troubleshooting

An error is one sentence: what is wrong, a code in brackets, the place, and what to do. Search this page for the code, or for words of the
message: [all messages](#messages) are at the end.

\`\`\`
There is no such file [file-missing] at model.onnx; check the path and its permissions.
\`\`\`

With \`--json\` the same is on stdout as \`{ "error": { "code", "at", "message", "remedy" } }\`. \`--debug\` adds the stack. The library throws a
\`CompilerError\` with \`code\`, \`at\` and \`message\`; where this page names a flag, it has an option ([API reference](api.md)).

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | a bug of this tool: run again with \`--debug\` and report what is printed |
| 2 | bad input or usage: the codes of this page |
| 3 | a limit of \`verify\` or \`compare\` is missed |
| 130 | interrupted; no output is half written |

Errors of the browser reader are in [its tutorial](tutorials/browser.md) and in [the example](../examples/web/README.md#what-may-go-wrong).
`;

const TAIL = `## Messages of runtimes

Forms that a runtime lacks are in [runtimes](runtimes.md), with the version that has them. \`--target\` refuses them when a model is compiled.

| message | cause | remedy |
| --- | --- | --- |
| \`Could not find an implementation for GatherBlockQuantized\` | the WebAssembly build of ONNX Runtime has no kernel for a quantized embedding | compile with \`--target browser\` or \`--for transformers.js\` |
| \`'bits' must be 4 or 8\` of GatherBlockQuantized | the WebGPU backend has no look-up in 2 bits | the same, or \`--embedding-bits 4\` |
| \`Only 4b quantization is supported for MatMulNBits op\`, or another complaint about its \`bits\` | a runtime that is older than the precision | update the runtime, or use int4 |
| \`Failed to load external data file\`, \`Module.MountedFiles is not available\` | transformers.js and ONNX Runtime Web load a data file only where they are told of it | \`--for transformers.js\` writes \`use_external_data_format\` into \`config.json\`; with ONNX Runtime Web alone, pass \`externalData\` |
| none, but a nested graph takes long to open or needs much memory | planes are joined when the session is created | \`slice --standalone\` writes a model that needs no joining |
`;

const code = (text: string): string => `\`${text}\``;

const COLUMNS = ['code', 'meaning', 'usual cause', 'what to do'];

/** A cell without what would end it. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

function section<Code extends string>(
  title: string,
  causes: Readonly<Partial<Record<Code, string>>>,
  kindOf: (code: Code) => DiagnosticKind,
): string {
  const rows = (Object.entries(causes) as [Code, string][]).map(([name, cause]) => {
    const { summary, remedy } = kindOf(name);
    return [code(name), summary, cause, remedy].map(cell);
  });
  return `## ${title}\n\n${markdownTable(COLUMNS, rows)}\n`;
}

const errorKind = (name: ErrorCode): DiagnosticKind => ({ ...ERRORS[name], remedy: errorInFlags(name) });
const refusalKind = (name: RefusalCode): DiagnosticKind => ({
  ...REFUSALS[name],
  remedy: withFlags(REFUSALS[name].remedy, 'compile'),
});

/** The messages of all errors by their words. */
function messageSection(messages: readonly Message[]): string {
  const rows = messages.map(({ code: name, text }) => [cell(withFlags(text, 'compile')), code(name)]);
  const intro = 'Read from the source; `…` stands for names and figures.';
  return `## Messages\n\n${intro}\n\n${markdownTable(['message', 'code'], rows)}\n`;
}

/** @param root the folder of the project, whose source has the messages */
export function troubleshootingPage(root: string): string {
  const { title, causes } = REFUSAL_SUBJECT;
  const intro = `\`matquant inspect\` and the result of \`compile\` list every product with a constant weight that stays float, with one of these codes.`;
  const refusals = section(title, causes, refusalKind).replace('\n\n', `\n\n${intro}\n\n`);
  return [
    HEAD,
    ...ERROR_SUBJECTS.map((each) => section(each.title, each.causes, errorKind)),
    refusals,
    TAIL,
    messageSection(messagesBelow([join(root, 'src'), join(root, 'passes')])),
  ].join('\n');
}

/** Codes without a row on the page. */
export function codesLeftOut(): readonly string[] {
  const errors = new Set(ERROR_SUBJECTS.flatMap((subject) => Object.keys(subject.causes)));
  const left = Object.keys(ERRORS).filter((name) => !errors.has(name));
  return [...left, ...Object.keys(REFUSALS).filter((name) => !Object.hasOwn(REFUSAL_SUBJECT.causes, name))];
}

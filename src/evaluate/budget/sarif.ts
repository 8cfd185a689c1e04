/** Limits that are missed or unclear as SARIF 2.1.0, with the line of the budget file. */
import { TOOL } from '../../version.js';
import type { Check } from './checks.js';
import { sentenceOf, titleOf } from './shown.js';

const SCHEMA = 'https://json.schemastore.org/sarif-2.1.0.json';

/** The text of the file. `file` is the budget file, relative to the folder the command ran in. */
export function sarifOf(checks: readonly Check[], file: string | undefined): string {
  const [name = TOOL, version = ''] = TOOL.split(' ');
  const rules = [...new Map(checks.map((check) => [ruleOf(check), check])).entries()].map(([id, check]) => ({
    id,
    shortDescription: { text: `The limit on ${titleOf(check)} holds` },
  }));
  const results = checks.filter(({ verdict }) => verdict !== 'pass').map((check) => resultOf(check, file));
  const driver = { name, version, rules };
  const log = { $schema: SCHEMA, version: '2.1.0', runs: [{ tool: { driver }, results }] };
  return `${JSON.stringify(log, undefined, 2)}\n`;
}

function resultOf(check: Check, file: string | undefined): object {
  const uri = file && encodeURI(file.replaceAll('\\', '/'));
  const physicalLocation = { artifactLocation: { uri }, region: { startLine: check.line ?? 1 } };
  return {
    ruleId: ruleOf(check),
    level: check.passed ? 'warning' : 'error',
    message: { text: sentenceOf(check) },
    ...(uri !== undefined && { locations: [{ physicalLocation }] }),
  };
}

const ruleOf = ({ name }: Check): string => `matquant/${name.replaceAll(' ', '/')}`;

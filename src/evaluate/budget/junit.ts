/** Checks and digests as a JUnit suite, one test case each. */
import type { Finding } from '../verify-digests.js';
import type { Check } from './checks.js';

/** The text of the file. A check fails where its value is beyond the limit. */
export function junitOf(name: string, checks: readonly Check[], findings: readonly Finding[]): string {
  const models = new Set(checks.map(({ model }) => model));
  const cases = checks.map((check) => {
    const failure = check.passed
      ? ''
      : `<failure message="${escaped(`${check.name} is ${check.value}, the limit is ${check.limit}`)}"/>`;
    const title = models.size > 1 ? `${check.model} ${check.name}` : check.name;
    return `  <testcase classname="matquant.verify" name="${escaped(title)}">${failure}</testcase>`;
  });
  const digests = findings.map(({ at, part, problem }) => {
    const failure = problem === undefined ? '' : `<failure message="${escaped(`The ${part} ${problem}`)}"/>`;
    return `  <testcase classname="matquant.verify" name="${escaped(`${at}: ${part}`)}">${failure}</testcase>`;
  });
  const missed = checks.filter(({ passed }) => !passed).length;
  const failures = missed + findings.filter(({ problem }) => problem !== undefined).length;
  const tests = checks.length + findings.length;
  const open = `<testsuite name="${escaped(name)}" tests="${tests}" failures="${failures}">`;
  return ['<?xml version="1.0" encoding="UTF-8"?>', open, ...cases, ...digests, '</testsuite>', ''].join('\n');
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

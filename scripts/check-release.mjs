/**
 * Fails unless a tag is the version of package.json, of the tool, of the action and of a heading in CHANGELOG.md.
 *   node scripts/check-release.mjs v1.2.3
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const read = (name) => readFileSync(fileURLToPath(new URL(`../${name}`, import.meta.url)), 'utf8');
const [tag = ''] = process.argv.slice(2);
const { version, name } = JSON.parse(read('package.json'));
const escaped = version.replaceAll('.', '\\.');
const problems = [
  ...(tag === `v${version}` ? [] : [`the tag is ${tag || 'missing'}, package.json says ${version}`]),
  ...(read('src/version.ts').includes(`'${name} ${version}'`) ? [] : ['src/version.ts has another version']),
  ...(read('action.yml').includes(`default: ${version}\n`) ? [] : ['action.yml has another version by default']),
  ...(new RegExp(`^## ${escaped}( \\(\\d{4}-\\d\\d-\\d\\d\\))?$`, 'm').test(read('CHANGELOG.md'))
    ? []
    : [`CHANGELOG.md has no heading "## ${version}" without "unreleased"`]),
];
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;

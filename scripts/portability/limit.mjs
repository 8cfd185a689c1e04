/** Ways to run Node.js as if this machine's processor had fewer instructions. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { root } from '../install.mjs';

const runtime = 'node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime.so.1';
const CPUID = [0x0f, 0xa2];
/** No instruction in 64-bit mode: cpuid.c answers in its place. */
const TRAP = [0x06, 0xa2];

/** What is missing on this machine for `way`, as one sentence; undefined where nothing is. */
export function missingFor(way) {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return `Instruction sets are limited on Linux with an x86-64 processor; this is ${process.platform} with ${process.arch}.`;
  if (way === 'qemu')
    return has('qemu-x86_64') ? undefined : 'qemu-x86_64 is missing: install QEMU user emulation (Debian: qemu-user).';
  if (!has('cc')) return 'cc is missing: install a C compiler (Debian: gcc), or use --by qemu.';
  return has('objdump') ? undefined : 'objdump is missing: install GNU binutils (Debian: binutils), or use --by qemu.';
}

const has = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

/**
 * Makes what runs under a set: `node`, the file to start, with `before` in front of it on the command line, and the environment
 * of a set. QEMU emulates a processor of that generation. Otherwise a copy of Node.js and of ONNX Runtime, made in `folder`, has
 * its CPUID instructions answered by cpuid.c; child processes inherit that.
 */
export function limiter(way, folder) {
  if (way === 'qemu')
    return {
      commandOf: ({ model }) => ['qemu-x86_64', '-cpu', model, process.execPath],
      environmentOf: () => process.env,
    };
  const bin = join(folder, 'bin');
  const node = join(bin, 'node');
  const shim = join(folder, 'cpuid.so');
  mkdirSync(bin, { recursive: true });
  must('cc', ['-O2', '-shared', '-fPIC', '-o', shim, join(root, 'scripts/portability/cpuid.c'), '-ldl']);
  trapCpuid(realpathSync(process.execPath), node);
  trapCpuid(join(root, runtime), join(folder, 'libonnxruntime.so.1'));
  return {
    commandOf: () => [node],
    environmentOf: ({ clear, tunables }) => ({
      ...process.env,
      CPUID_CLEAR: clear.join(),
      LD_PRELOAD: shim,
      LD_LIBRARY_PATH: folder,
      PATH: `${bin}${delimiter}${process.env['PATH']}`,
      ...(tunables.length > 0 && { GLIBC_TUNABLES: `glibc.cpu.hwcaps=${tunables.map((name) => `-${name}`).join()}` }),
    }),
  };
}

/** Copies a program or library; every CPUID instruction that the disassembler finds becomes a trap. */
function trapCpuid(from, to) {
  const bytes = readFileSync(from);
  // " 12 .text  0228a7b4  000000000013dc00  000000000013dc00  0013dc00  2**6 …": size, two addresses, place in the file.
  const [, address, place] = must('objdump', ['-h', '-w', '-j', '.text', from]).match(/\.text +\w+ +(\w+) +\w+ +(\w+)/);
  const script = 'objdump -d --no-show-raw-insn -j .text "$1" | grep "cpuid *$"';
  const lines = must('sh', ['-c', script, 'sh', from]).trimEnd().split('\n');
  for (const line of lines) {
    const at = Number.parseInt(line, 16) - Number.parseInt(address, 16) + Number.parseInt(place, 16);
    if (bytes[at] !== CPUID[0] || bytes[at + 1] !== CPUID[1]) throw new Error(`${from}: no CPUID at ${at}`);
    bytes.set(TRAP, at);
  }
  writeFileSync(to, bytes);
  chmodSync(to, 0o755);
}

function must(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (status !== 0) throw new Error(`${command} failed: ${error?.message ?? stderr}`);
  return stdout;
}

/**
 * Instruction sets that the tests are run under, the largest first. Each is the processor of this machine without some of what it
 * has: `clear` names the CPUID bits (see cpuid.c), `tunables` the names that glibc knows them by.
 */

/** Bits of one generation of instructions; a set clears those of every later generation as well. */
const VNNI = {
  // AVX512_VNNI; AVX_VNNI and AVX512_BF16; AVX512_FP16 and AMX; AVX_VNNI_INT8, AVX_NE_CONVERT and AVX_VNNI_INT16.
  clear: ['7.0.c=800', '7.1.a=30', '7.0.d=3c00000', '7.1.d=430'],
  tunables: [],
};
const AVX512 = {
  // F, DQ, IFMA, PF, ER, CD, BW, VL; VBMI, VBMI2, BITALG, VPOPCNTDQ; 4VNNIW, 4FMAPS, VP2INTERSECT.
  clear: ['7.0.b=dc230000', '7.0.c=5042', '7.0.d=10c'],
  tunables: ['AVX512F', 'AVX512VL', 'AVX512BW', 'AVX512DQ', 'AVX512CD'],
};
const AVX2 = {
  // AVX2, BMI1, BMI2; VAES, VPCLMULQDQ; FMA, F16C; FMA4.
  clear: ['7.0.b=128', '7.0.c=600', '1.0.c=20001000', '80000001.0.c=10000'],
  tunables: ['AVX2', 'FMA', 'FMA4', 'BMI2'],
};
const AVX = {
  // AVX; XOP.
  clear: ['1.0.c=10000000', '80000001.0.c=800'],
  tunables: ['AVX'],
};

const without = (...generations) => ({
  clear: generations.flatMap(({ clear }) => clear),
  tunables: generations.flatMap(({ tunables }) => tunables),
});

/** `needs`: the flag of /proc/cpuinfo without which this machine has less already. `model`: what QEMU calls such a processor. */
export const INSTRUCTION_SETS = [
  { name: 'avx512-vnni', needs: 'avx512_vnni', ...without() },
  { name: 'avx512', needs: 'avx512f', ...without(VNNI) },
  { name: 'avx2', needs: 'avx2', model: 'Haswell', ...without(VNNI, AVX512) },
  { name: 'avx', needs: 'avx', model: 'SandyBridge', ...without(VNNI, AVX512, AVX2) },
  { name: 'sse4', needs: 'sse4_2', model: 'Nehalem', ...without(VNNI, AVX512, AVX2, AVX) },
];

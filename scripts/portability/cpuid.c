/*
 * Answers the CPUID instructions of a program as a smaller processor would. Loaded with LD_PRELOAD.
 *
 * The program's CPUID instructions (0F A2) have been replaced by 06 A2, which is no instruction in 64-bit mode. Each one raises
 * SIGILL; the handler runs the real CPUID, clears the bits that CPUID_CLEAR names and steps over the two bytes.
 *
 * CPUID_CLEAR: "LEAF.SUBLEAF.REGISTER=MASK" entries between commas, numbers in hexadecimal, REGISTER one of a, b, c, d.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { MOST = 64 };

static struct {
  unsigned leaf, subleaf, mask;
  char name;
} clear[MOST];
static int count;

static int (*real_sigaction)(int, const struct sigaction *, struct sigaction *);

static unsigned masked(unsigned leaf, unsigned subleaf, char name, unsigned value) {
  for (int at = 0; at < count; at++)
    if (clear[at].leaf == leaf && clear[at].subleaf == subleaf && clear[at].name == name) value &= ~clear[at].mask;
  return value;
}

static void answer(int number, siginfo_t *info, void *context) {
  (void)info;
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const unsigned char *code = (const unsigned char *)registers[REG_RIP];
  if (code[0] != 0x06 || code[1] != 0xa2) {
    /* Not ours: the instruction runs again and ends the program as it would have ended without us. */
    const struct sigaction none = {.sa_handler = SIG_DFL};
    real_sigaction(number, &none, NULL);
    return;
  }
  unsigned leaf = (unsigned)registers[REG_RAX], subleaf = (unsigned)registers[REG_RCX], a, b, c, d;
  __cpuid_count(leaf, subleaf, a, b, c, d);
  /* Leaves without subleaves ignore ECX. */
  if (leaf != 7 && leaf != 0xd && leaf != 0x14 && leaf != 0x1d && leaf != 0x24) subleaf = 0;
  registers[REG_RAX] = masked(leaf, subleaf, 'a', a);
  registers[REG_RBX] = masked(leaf, subleaf, 'b', b);
  registers[REG_RCX] = masked(leaf, subleaf, 'c', c);
  registers[REG_RDX] = masked(leaf, subleaf, 'd', d);
  registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void start(void) {
  real_sigaction = (int (*)(int, const struct sigaction *, struct sigaction *))dlsym(RTLD_NEXT, "sigaction");
  const char *text = getenv("CPUID_CLEAR");
  while (text && *text && count < MOST) {
    if (sscanf(text, "%x.%x.%c=%x", &clear[count].leaf, &clear[count].subleaf, &clear[count].name, &clear[count].mask) == 4)
      count++;
    text = strchr(text, ',');
    if (text) text++;
  }
  struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
  real_sigaction(SIGILL, &action, NULL);
}

/* Node.js resets every handler when it starts; ours stays. */
int sigaction(int number, const struct sigaction *action, struct sigaction *old) {
  if (!real_sigaction) real_sigaction = (int (*)(int, const struct sigaction *, struct sigaction *))dlsym(RTLD_NEXT, "sigaction");
  return real_sigaction(number, number == SIGILL ? NULL : action, old);
}

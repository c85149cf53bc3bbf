/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/processor.h"

#include <elf.h>
#include <string.h>

#include "base/macros.h"

/* sysdeps/x86/dl-hwcap.h of glibc 2.36. */
enum {
	LEGACY_SSE2 = 1 << 0,
	LEGACY_X86_64 = 1 << 1,
	LEGACY_AVX512_1 = 1 << 2,
	PLATFORM_FIRST = 48, /* the bit of i586 */
	PLATFORM_I686 = 1,
	PLATFORM_HASWELL = 2,
	PLATFORM_XEON_PHI = 3,
};

static void add_legacy(struct processor *processor, const char *name, uint64_t bit)
{
	processor->legacy_names[processor->legacy_count++] = name;
	processor->legacy |= bit;
}

void processor_any(const struct machine *machine, struct processor *ret_processor)
{
	*ret_processor = (struct processor){.platform = ""};
	if (machine->machine == EM_X86_64)
		add_legacy(ret_processor, "x86_64", LEGACY_X86_64);
	else if (machine->machine == EM_AARCH64)
		ret_processor->platform = machine->platform; /* the kernel says the same of all */
}

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

/* Registers of CPUID. */
enum { EAX, EBX, ECX, EDX };

struct features {
	uint32_t basic[4], extended[4], amd[4];
	uint64_t enabled; /* XCR0: what the kernel saves */
	bool intel;
};

struct need {
	enum { BASIC, EXTENDED, AMD } leaf;
	int reg;
	uint32_t bits;
};

static void read_features(struct features *features)
{
	uint32_t a = 0, b = 0, c = 0, d = 0;

	memset(features, 0, sizeof(*features));
	if (__get_cpuid(0, &a, &b, &c, &d) == 0)
		return;
	features->intel = b == signature_INTEL_ebx && c == signature_INTEL_ecx;
	__get_cpuid(1, &features->basic[EAX], &features->basic[EBX], &features->basic[ECX],
		&features->basic[EDX]);
	__get_cpuid_count(7, 0, &features->extended[EAX], &features->extended[EBX],
		&features->extended[ECX], &features->extended[EDX]);
	__get_cpuid(0x80000001, &features->amd[EAX], &features->amd[EBX], &features->amd[ECX],
		&features->amd[EDX]);
	if ((features->basic[ECX] & bit_OSXSAVE) != 0) {
		__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
		features->enabled = (uint64_t)d << 32 | a;
	}
}

static bool has(const struct features *features, const struct need *needs, size_t count)
{
	const uint32_t *leaves[] = {features->basic, features->extended, features->amd};

	for (size_t i = 0; i < count; i++) {
		if ((leaves[needs[i].leaf][needs[i].reg] & needs[i].bits) != needs[i].bits)
			return false;
	}
	return true;
}

#define HAS(features, table) has(features, table, sizeof(table) / sizeof((table)[0]))

/* The x86-64 psABI's levels; LZCNT is the bit that <cpuid.h> calls bit_LZCNT, in AMD's leaf. */
static const struct need level_2[] = {
	{BASIC, ECX, bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT | bit_CMPXCHG16B},
	{AMD, ECX, bit_LAHF_LM},
};
static const struct need level_3[] = {
	{BASIC, ECX, bit_AVX | bit_F16C | bit_FMA | bit_MOVBE | bit_OSXSAVE},
	{EXTENDED, EBX, bit_AVX2 | bit_BMI | bit_BMI2},
	{AMD, ECX, bit_LZCNT},
};
static const struct need level_4[] = {
	{EXTENDED, EBX, bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL},
};
static const struct need haswell[] = {
	{BASIC, ECX, bit_FMA | bit_MOVBE | bit_POPCNT},
	{EXTENDED, EBX, bit_AVX2 | bit_BMI | bit_BMI2},
	{AMD, ECX, bit_LZCNT},
};
static const struct need xeon_phi[] = {
	{EXTENDED, EBX, bit_AVX512CD | bit_AVX512ER | bit_AVX512PF},
};
static const struct need avx512_1[] = {
	{EXTENDED, EBX, bit_AVX512CD | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL},
};

enum {
	STATE_AVX = 0x6,     /* XMM and YMM */
	STATE_AVX512 = 0xe6, /* and the masks and ZMM */
};

static bool enabled(const struct features *features, uint64_t state)
{
	return (features->enabled & state) == state;
}

static const char *find_level(const struct features *features)
{
	if (!HAS(features, level_2))
		return NULL;
	if (!HAS(features, level_3) || !enabled(features, STATE_AVX))
		return "x86-64-v2";
	if (!HAS(features, level_4) || !enabled(features, STATE_AVX512))
		return "x86-64-v3";
	return "x86-64-v4";
}

/* init_cpu_features() of glibc 2.36: only Intel's processors have a platform of their own. */
static void set_wide(const struct features *features, struct processor *processor)
{
	processor->level = find_level(features);
	processor->platform = "x86_64"; /* the kernel's AT_PLATFORM */
	add_legacy(processor, "x86_64", LEGACY_X86_64);
	if (!features->intel)
		return;
	if (HAS(features, xeon_phi) && enabled(features, STATE_AVX512)) {
		processor->platform = "xeon_phi";
		processor->legacy_platform = UINT64_C(1) << (PLATFORM_FIRST + PLATFORM_XEON_PHI);
		return;
	}
	if (HAS(features, avx512_1) && enabled(features, STATE_AVX512))
		add_legacy(processor, "avx512_1", LEGACY_AVX512_1);
	if (HAS(features, haswell) && enabled(features, STATE_AVX)) {
		processor->platform = "haswell";
		processor->legacy_platform = UINT64_C(1) << (PLATFORM_FIRST + PLATFORM_HASWELL);
	}
}

bool processor_find(const struct machine *machine, struct processor *ret_processor)
{
	struct features features;

	if (machine->machine != EM_X86_64 && machine->machine != EM_386)
		return false;
#ifdef __i386__
	if (machine->machine != EM_386)
		return false;
#endif
	*ret_processor = (struct processor){.platform = machine->platform};
	read_features(&features);
	if (machine->machine == EM_X86_64) {
		set_wide(&features, ret_processor);
		return true;
	}
	ret_processor->platform = "i686";
	ret_processor->legacy_platform = UINT64_C(1) << (PLATFORM_FIRST + PLATFORM_I686);
	if ((features.basic[EDX] & bit_SSE2) != 0)
		add_legacy(ret_processor, "sse2", LEGACY_SSE2);
	return true;
}

#else

bool processor_find(
	const struct machine *machine _unused_, struct processor *ret_processor _unused_)
{
	return false;
}

#endif

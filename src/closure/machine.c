/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/machine.h"

#include <elf.h>
#include <stddef.h>

#include "base/macros.h"

#ifndef EM_LOONGARCH
#define EM_LOONGARCH 258
#endif

enum {
	ARM_HARD_FLOAT = 0x400, /* EF_ARM_ABI_FLOAT_HARD */
	RISCV_FLOAT = 0x6,      /* EF_RISCV_FLOAT_ABI */
	RISCV_DOUBLE = 0x4,     /* EF_RISCV_FLOAT_ABI_DOUBLE */
};

/* Cache flags: glibc's sysdeps/generic/ldconfig.h. The first row that fits counts. */
static const struct machine machines[] = {
	{EM_X86_64, 64, 0, 0, 0, "x86_64-linux-gnu", "lib64", "/lib64/ld-linux-x86-64.so.2", 0x0303,
		"x86_64"},
	{EM_X86_64, 32, 0, 0, 0, "x86_64-linux-gnux32", "libx32", "/libx32/ld-linux-x32.so.2",
		0x0803, "x86_64"},
	{EM_386, 32, 0, 0, 0, "i386-linux-gnu", "lib", "/lib/ld-linux.so.2", 0x0003, "i686"},
	{EM_AARCH64, 64, 0, 0, 0, "aarch64-linux-gnu", "lib64", "/lib/ld-linux-aarch64.so.1",
		0x0a03, "aarch64"},
	{EM_ARM, 32, 0, ARM_HARD_FLOAT, ARM_HARD_FLOAT, "arm-linux-gnueabihf", "lib",
		"/lib/ld-linux-armhf.so.3", 0x0903, "v7l"},
	{EM_ARM, 32, 0, 0, 0, "arm-linux-gnueabi", "lib", "/lib/ld-linux.so.3", 0x0b03, "v5l"},
	{EM_RISCV, 64, 0, RISCV_FLOAT, RISCV_DOUBLE, "riscv64-linux-gnu", "lib64/lp64d",
		"/lib/ld-linux-riscv64-lp64d.so.1", 0x1003, ""},
	{EM_RISCV, 64, 0, 0, 0, "riscv64-linux-gnu", "lib64/lp64",
		"/lib/ld-linux-riscv64-lp64.so.1", 0x0f03, ""},
	{EM_PPC64, 64, 0, 0, 0, "powerpc64le-linux-gnu", "lib64", "/lib64/ld64.so.2", 0x0503,
		"power8"},
	{EM_PPC64, 64, 1, 0, 0, "powerpc64-linux-gnu", "lib64", "/lib64/ld64.so.1", 0x0503,
		"power4"},
	{EM_PPC, 32, 1, 0, 0, "powerpc-linux-gnu", "lib", "/lib/ld.so.1", 0x0003, "powerpc"},
	{EM_S390, 64, 1, 0, 0, "s390x-linux-gnu", "lib64", "/lib/ld64.so.1", 0x0403, "z900"},
	{EM_SPARCV9, 64, 1, 0, 0, "sparc64-linux-gnu", "lib64", "/lib64/ld-linux.so.2", 0x0103,
		"sparcv9"},
	{EM_LOONGARCH, 64, 0, 0, 0, "loongarch64-linux-gnu", "lib64",
		"/lib64/ld-linux-loongarch-lp64d.so.1", 0x1203, "loongarch"},
};

static const struct machine other = {
	EM_NONE, 0, -1, 0, 0, "none", "lib", "/lib/ld.so.1", 0x0003, ""};

const struct machine *machine_find(const struct elf_ident *ident)
{
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		const struct machine *machine = &machines[i];

		if (machine->machine == ident->machine && machine->bits == ident->bits &&
			machine->big_endian == (int)ident->big_endian &&
			(ident->flags & machine->flags_mask) == machine->flags)
			return machine;
	}
	return &other;
}

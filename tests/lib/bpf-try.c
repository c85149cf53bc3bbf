/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hangs eBPF programs where container engines and tracers hang them, with nothing but system calls.
 * In a guest, linked statically.
 *
 * usage: bpf-try device CGROUP     no process of CGROUP opens a device any more
 *        bpf-try kprobe FUNCTION   a program runs whenever the kernel's FUNCTION does, and is seen
 * to
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOVE(register_, value) \
	{ \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (register_), .imm = (value) \
	}
#define CALL(function) \
	{ \
		.code = BPF_JMP | BPF_CALL, .imm = (function) \
	}
#define EXIT \
	{ \
		.code = BPF_JMP | BPF_EXIT \
	}

static char log_text[4096];

static int fail(const char *what)
{
	fprintf(stderr, "bpf-try: %s: %s\n%s", what, strerror(errno), log_text);
	return 1;
}

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int load(uint32_t type, const struct bpf_insn *program, uint32_t count)
{
	union bpf_attr attr = {.prog_type = type,
		.insns = (uintptr_t)program,
		.insn_cnt = count,
		.license = (uintptr_t) "GPL",
		.log_level = 1,
		.log_buf = (uintptr_t)log_text,
		.log_size = sizeof(log_text)};

	return bpf(BPF_PROG_LOAD, &attr);
}

static int deny_devices(const char *cgroup)
{
	const struct bpf_insn program[] = {MOVE(BPF_REG_0, 0), EXIT};
	int loaded = load(BPF_PROG_TYPE_CGROUP_DEVICE, program, 2);
	int folder = open(cgroup, O_RDONLY | O_DIRECTORY);
	union bpf_attr attr = {.target_fd = (uint32_t)folder,
		.attach_bpf_fd = (uint32_t)loaded,
		.attach_type = BPF_CGROUP_DEVICE};

	if (loaded < 0)
		return fail("load a program");
	if (folder < 0)
		return fail(cgroup);
	return bpf(BPF_PROG_ATTACH, &attr) < 0 ? fail("attach it to the cgroup") : 0;
}

static int probe(const char *function)
{
	union bpf_attr array = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
	int map = bpf(BPF_MAP_CREATE, &array);
	/* The map's only value becomes 1: on the stack are the key at -4 and the value at -16. */
	const struct bpf_insn program[] = {
		{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .off = -4, .imm = 0},
		{.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = -16, .imm = 1},
		{.code = BPF_LD | BPF_DW | BPF_IMM,
			.dst_reg = BPF_REG_1,
			.src_reg = BPF_PSEUDO_MAP_FD,
			.imm = map},
		{.code = 0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -4},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_3, .imm = -16},
		MOVE(BPF_REG_4, BPF_ANY),
		CALL(BPF_FUNC_map_update_elem),
		MOVE(BPF_REG_0, 0),
		EXIT,
	};
	struct perf_event_attr event = {
		.size = sizeof(event), .config1 = (uintptr_t)function, .sample_period = 1};
	uint32_t key = 0;
	uint64_t value = 0;
	union bpf_attr look = {
		.map_fd = (uint32_t)map, .key = (uintptr_t)&key, .value = (uintptr_t)&value};
	FILE *type = fopen("/sys/bus/event_source/devices/kprobe/type", "re");
	int loaded, opened;

	if (type == NULL || fscanf(type, "%u", &event.type) != 1)
		return fail("find the probes' type");
	fclose(type);
	if (map < 0)
		return fail("make a map");
	loaded = load(BPF_PROG_TYPE_KPROBE, program, sizeof(program) / sizeof(program[0]));
	if (loaded < 0)
		return fail("load a program");
	opened = (int)syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (opened < 0)
		return fail("probe the function");
	if (ioctl(opened, PERF_EVENT_IOC_SET_BPF, loaded) < 0 ||
		ioctl(opened, PERF_EVENT_IOC_ENABLE, 0) < 0)
		return fail("hang the program on it");
	(void)access("/", F_OK);
	if (bpf(BPF_MAP_LOOKUP_ELEM, &look) < 0)
		return fail("read the map");
	if (value != 1) {
		fprintf(stderr, "bpf-try: the program did not run\n");
		return 1;
	}
	puts("the program ran");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "device") == 0)
		return deny_devices(argv[2]);
	if (argc == 3 && strcmp(argv[1], "kprobe") == 0)
		return probe(argv[2]);
	fprintf(stderr, "usage: bpf-try device CGROUP | kprobe FUNCTION\n");
	return 2;
}

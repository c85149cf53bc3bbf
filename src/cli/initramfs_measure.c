/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/initramfs.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/commands.h"

enum { KERNEL, CMDLINE, FIRMWARE, VCPUS, VCPU_TYPE, GUEST_FEATURES, JSON };

/* Which of the banks RTMRs are. */
enum { SHA384 = 2 };

static const struct cli_option options[] = {
	[KERNEL] = {"kernel", '\0', CLI_VALUE, "FILE",
		"the kernel that QEMU starts: for SEV's kernel hashes", "@file"},
	[CMDLINE] = {"cmdline", '\0', CLI_VALUE, "TEXT", "its command line (an empty one)", NULL},
	[FIRMWARE] = {"ovmf", '\0', CLI_VALUE, "FILE",
		"the firmware: for the launch digest of SEV-SNP", "@file"},
	[VCPUS] = {"vcpus", '\0', CLI_VALUE, "N", "how many processors (1)", NULL},
	[VCPU_TYPE] = {"vcpu-type", '\0', CLI_VALUE, "TYPE",
		"QEMU's name of the processor, or its signature (CPUID leaf 1, EAX) as 0xHEX",
		"EPYC EPYC-Rome EPYC-Milan EPYC-Genoa EPYC-Turin"},
	[GUEST_FEATURES] = {"guest-features", '\0', CLI_VALUE, "N",
		"SEV_FEATURES of the processors' save areas (0x1: SNP)", NULL},
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

/* QEMU's builtin_x86_defs: the versions of one name (EPYC-v4) do not differ in this. */
static const struct {
	const char *name;
	uint32_t signature;
} processors[] = {
	{"EPYC", 0x00800f12},
	{"EPYC-Rome", 0x00830f10},
	{"EPYC-Milan", 0x00a00f11},
	{"EPYC-Genoa", 0x00a10f10},
	{"EPYC-Turin", 0x00b00f00},
};

static int read_hex(const char *option, const char *text, uint64_t most, uint64_t *ret_number,
	struct caisson_error *err)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 0);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number > most)
		return caisson_refuse(err, EINVAL,
			"the option --%s wants a number such as 0x1, not '%s'", option, text);
	*ret_number = number;
	return 0;
}

static int read_type(const char *text, uint32_t *ret_signature, struct caisson_error *err)
{
	uint64_t number;
	int r;

	if (text == NULL)
		return caisson_refuse(
			err, EINVAL, "the launch digest depends on the processor: say --vcpu-type");
	for (size_t i = 0; i < ARRAY_SIZE(processors); i++) {
		size_t size = strlen(processors[i].name);

		if (strncmp(text, processors[i].name, size) == 0 &&
			(text[size] == '\0' || strncmp(text + size, "-v", 2) == 0)) {
			*ret_signature = processors[i].signature;
			return 0;
		}
	}
	r = read_hex("vcpu-type", text, UINT32_MAX, &number, err);
	if (r < 0)
		return caisson_hint(
			err, "known are EPYC, EPYC-Rome, EPYC-Milan, EPYC-Genoa and EPYC-Turin");
	*ret_signature = (uint32_t)number;
	return 0;
}

static int read_options(struct cli_context *context,
	struct caisson_initramfs_measure_options *ret_options, struct caisson_error *err)
{
	struct caisson_initramfs_measure_options measure = {.kernel = cli_value(context, KERNEL),
		.cmdline = cli_value(context, CMDLINE),
		.firmware = cli_value(context, FIRMWARE),
		.vcpus = 1};
	int r = cli_number(
		&command_initramfs_measure, context, VCPUS, 1, 4096, &measure.vcpus, err);

	if (r == 0 && measure.firmware != NULL)
		r = read_type(cli_value(context, VCPU_TYPE), &measure.vcpu_signature, err);
	if (r == 0 && cli_has(context, GUEST_FEATURES))
		r = read_hex("guest-features", cli_value(context, GUEST_FEATURES), UINT64_MAX,
			&measure.guest_features, err);
	if (r < 0)
		return r;
	if (measure.kernel == NULL && measure.cmdline != NULL)
		return caisson_refuse(err, EINVAL, "--cmdline is measured with --kernel alone");
	*ret_options = measure;
	return 0;
}

static void print_text(const struct caisson_initramfs_measurement *measurement, size_t files)
{
	printf("archive (%llu bytes, %zu file%s)\n", (unsigned long long)measurement->size, files,
		files == 1 ? "" : "s");
	for (size_t i = 0; i < ARRAY_SIZE(measurement->banks); i++)
		printf("  %-7s %s\n", measurement->banks[i].name, measurement->banks[i].digest);
	printf("\nTPM PCR 9, extended by the kernel's EFI stub with this archive and nothing else\n");
	for (size_t i = 0; i < ARRAY_SIZE(measurement->banks); i++)
		printf("  %-7s %s\n", measurement->banks[i].name, measurement->banks[i].extended);
	printf("\nTDX RTMR[2], likewise\n  %-7s %s\n", measurement->banks[SHA384].name,
		measurement->banks[SHA384].extended);
	if (measurement->sev_table[0] != '\0')
		printf("\nSEV kernel hashes (QEMU, kernel-hashes=on), sha256\n"
		       "  kernel  %s\n  initrd  %s\n  cmdline %s\n  table   %s\n",
			measurement->sev_kernel, measurement->sev_initrd, measurement->sev_cmdline,
			measurement->sev_table);
	if (measurement->snp_launch[0] != '\0')
		printf("\nSEV-SNP launch digest (QEMU)\n  %-7s %s\n", "sha384",
			measurement->snp_launch);
}

static struct json_object *banks_json(
	const struct caisson_initramfs_measurement *measurement, bool extended)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	for (size_t i = 0; object != NULL && i < ARRAY_SIZE(measurement->banks); i++) {
		if (!json_set_string(object, measurement->banks[i].name,
			    extended ? measurement->banks[i].extended
				     : measurement->banks[i].digest))
			return NULL;
	}
	return take_ptr(object);
}

static struct json_object *sev_json(const struct caisson_initramfs_measurement *measurement)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object != NULL && json_set_string(object, "kernel", measurement->sev_kernel) &&
		json_set_string(object, "initrd", measurement->sev_initrd) &&
		json_set_string(object, "cmdline", measurement->sev_cmdline) &&
		json_set_string(object, "table", measurement->sev_table))
		return take_ptr(object);
	return NULL;
}

static int print_json(
	const struct caisson_initramfs_measurement *measurement, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL || !json_set_uint(object, "size", measurement->size) ||
		!json_set(object, "archive", banks_json(measurement, false)) ||
		!json_set(object, "pcr9_efi_stub", banks_json(measurement, true)) ||
		!json_set_string(object, "rtmr2_efi_stub", measurement->banks[SHA384].extended) ||
		(measurement->sev_table[0] != '\0' &&
			!json_set(object, "sev_kernel_hashes", sev_json(measurement))) ||
		(measurement->snp_launch[0] != '\0' &&
			!json_set_string(object, "snp_launch_digest", measurement->snp_launch)))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}

static int measure(struct cli_context *context, struct caisson_error *err)
{
	struct caisson_initramfs_measure_options measure_options;
	struct caisson_initramfs_measurement measurement;
	int r = read_options(context, &measure_options, err);

	if (r == 0)
		r = caisson_initramfs_measure((const char *const *)context->operands.items,
			&measure_options, &measurement, err);
	if (r < 0)
		return r;
	if (cli_has(context, JSON))
		return print_json(&measurement, err);
	print_text(&measurement, context->operands.count);
	return 0;
}

const struct cli_command command_initramfs_measure = {
	.name = "initramfs measure",
	.summary = "print what a start with a boot archive is measured as",
	.operands = "FILE...",
	.complete = "@file",
	.details = "FILEs together are the archive, one behind the other.\n",
	.options = options,
	.least = 1,
	.run = measure,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/machine.h>
#include <caisson/volume.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"

enum {
	VOLUME,
	NAME,
	MEMORY,
	CPUS,
	ENVIRONMENT,
	ENTRYPOINT,
	WORKDIR,
	USER,
	INTERACTIVE,
	TTY,
	RM,
	CONSOLE,
	PUBLISH,
	NETWORK,
	KERNEL,
	MODULES,
	ACCELERATOR,
	PLATFORM,
	CHANNEL,
	BOOT_TIMEOUT,
	OPTIONS,
};

static const struct cli_option options[] = {
	[VOLUME] = {"volume", 'v', CLI_LIST, "NAME:PATH[:ro]",
		"mount an encrypted volume there; at / it keeps the machine's writable layer",
		"@volume"},
	[NAME] = {"name", '\0', CLI_VALUE, "NAME", "name the machine", NULL},
	[MEMORY] = {"memory", 'm', CLI_VALUE, "SIZE", "give it this much memory (512M)", NULL},
	[CPUS] = {"cpus", '\0', CLI_VALUE, "N", "give it this many processors (1)", NULL},
	[ENVIRONMENT] = {"env", 'e', CLI_LIST, "NAME[=VALUE]",
		"set a variable, or pass the caller's own", NULL},
	[ENTRYPOINT] = {"entrypoint", '\0', CLI_VALUE, "PROGRAM",
		"run this instead of the image's entrypoint; empty for none", NULL},
	[WORKDIR] = {"workdir", 'w', CLI_VALUE, "PATH", "start in this folder", NULL},
	[USER] = {"user", 'u', CLI_VALUE, "USER[:GROUP]", "run as this user, by name or number",
		NULL},
	[INTERACTIVE] = {"interactive", 'i', CLI_FLAG, NULL, "pass standard input on", NULL},
	[TTY] = {"tty", 't', CLI_FLAG, NULL, "give the workload a terminal", NULL},
	[RM] = {"rm", '\0', CLI_FLAG, NULL, "keep no folder with the console's log when it ends",
		NULL},
	[CONSOLE] = {"console", '\0', CLI_FLAG, NULL, "show the kernel's console on standard error",
		NULL},
	[PUBLISH] = {"publish", 'p', CLI_LIST, "[ADDRESS:]PORT:PORT[/udp]",
		"forward a port of this host (127.0.0.1) to the machine", NULL},
	[NETWORK] = {"network", '\0', CLI_VALUE, "KIND",
		"user (behind this host's address) or none", "user none"},
	[KERNEL] = {"kernel", '\0', CLI_VALUE, "FILE",
		"start this kernel: a file, or one that was built here, by name or folder (the "
		"default of those, else the newest in /boot)",
		"@file"},
	[MODULES] = {"modules", '\0', CLI_VALUE, "DIR", "the kernel's modules", "@directory"},
	[ACCELERATOR] = {"accelerator", '\0', CLI_VALUE, "KIND", "auto, kvm or tcg (emulation)",
		"auto kvm tcg"},
	[PLATFORM] = {"platform", '\0', CLI_VALUE, "KIND", "auto, microvm or q35",
		"auto microvm q35"},
	[CHANNEL] = {"channel", '\0', CLI_VALUE, "KIND", "auto, vsock or virtio-serial",
		"auto vsock virtio-serial"},
	[BOOT_TIMEOUT] = {"boot-timeout", '\0', CLI_VALUE, "SECONDS",
		"give up when the guest is silent for so long (120)", NULL},
	[OPTIONS] = {.name = NULL},
};

/* NAME:PATH[:ro]; @text is cut in pieces. */
static int parse_volume(
	char *text, struct caisson_machine_volume *volume, struct caisson_error *err)
{
	char *path = strchr(text, ':'), *flags;

	if (path == NULL)
		return caisson_refuse(err, EINVAL, "'%s' is not NAME:PATH[:ro]", text);
	*path++ = '\0';
	flags = strchr(path, ':');
	if (flags != NULL)
		*flags++ = '\0';
	if (flags != NULL && strcmp(flags, "ro") != 0 && strcmp(flags, "rw") != 0)
		return caisson_refuse(
			err, EINVAL, "the volume %s: '%s' is neither 'ro' nor 'rw'", text, flags);
	*volume = (struct caisson_machine_volume){
		.name = text, .path = path, .read_only = flags != NULL && flags[1] == 'o'};
	return 0;
}

/* NAME alone takes the caller's value, and nothing when it has none, as container engines do. */
static void add_environment(const char *text, struct strv *environment)
{
	const char *value;

	if (strchr(text, '=') != NULL)
		strv_add(environment, text);
	else if ((value = getenv(text)) != NULL)
		strv_add_format(environment, "%s=%s", text, value);
}

struct request {
	struct caisson_machine_options options;
	struct caisson_machine_volume volumes[16];
	struct strv environment;
	char *programs;
};

static int choose(const struct cli_context *context, struct caisson_machine_options *machine,
	struct caisson_error *err)
{
	unsigned int accelerator = 0, platform = 0, channel = 0, network = 0;
	int r = cli_choice(&command_run, context, ACCELERATOR, &accelerator, err);

	if (r == 0)
		r = cli_choice(&command_run, context, PLATFORM, &platform, err);
	if (r == 0)
		r = cli_choice(&command_run, context, CHANNEL, &channel, err);
	if (r == 0)
		r = cli_choice(&command_run, context, NETWORK, &network, err);
	/* The words stand in the order of the enumerations. */
	machine->accelerator = (enum caisson_accelerator)accelerator;
	machine->platform = (enum caisson_platform)platform;
	machine->channel = (enum caisson_channel)channel;
	machine->no_network = network == 1;
	return r;
}

static int read_sizes(const struct cli_context *context, struct caisson_machine_options *machine,
	struct caisson_error *err)
{
	const char *memory = cli_value(context, MEMORY);
	int r = cli_number(&command_run, context, CPUS, 1, 255, &machine->processors, err);

	if (r == 0)
		r = cli_number(
			&command_run, context, BOOT_TIMEOUT, 1, 86400, &machine->boot_timeout, err);
	if (r == 0 && memory != NULL)
		r = caisson_parse_size(memory, &machine->memory, err);
	return r;
}

static int make_request(
	struct cli_context *context, struct request *request, struct caisson_error *err)
{
	struct caisson_machine_options *machine = &request->options;
	struct strv *volumes = &context->given[VOLUME].values;
	const struct strv *variables = &context->given[ENVIRONMENT].values;
	int r;

	if (volumes->count > ARRAY_SIZE(request->volumes))
		return caisson_refuse(err, EINVAL, "a machine has at most %zu volumes",
			ARRAY_SIZE(request->volumes));
	for (size_t i = 0; i < volumes->count; i++) {
		r = parse_volume(volumes->items[i], &request->volumes[i], err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < variables->count; i++)
		add_environment(variables->items[i], &request->environment);
	if (!strv_ok(&request->environment))
		return caisson_fail(err, ENOMEM, "read the environment");
	*machine = (struct caisson_machine_options){
		.image = context->operands.items[0],
		.name = cli_value(context, NAME),
		.volumes = request->volumes,
		.volume_count = volumes->count,
		.command = (const char *const *)context->operands.items + 1,
		.command_count = context->operands.count - 1,
		.entrypoint = cli_value(context, ENTRYPOINT),
		.environment = (const char *const *)request->environment.items,
		.environment_count = request->environment.count,
		.directory = cli_value(context, WORKDIR),
		.user = cli_value(context, USER),
		.kernel = cli_value(context, KERNEL),
		.modules = cli_value(context, MODULES),
		.publish = (const char *const *)context->given[PUBLISH].values.items,
		.publish_count = context->given[PUBLISH].values.count,
		.terminal = cli_has(context, TTY),
		.interactive = cli_has(context, INTERACTIVE),
		.console = cli_has(context, CONSOLE),
		.remove = cli_has(context, RM),
		.input = STDIN_FILENO,
		.output = STDOUT_FILENO,
		.error = STDERR_FILENO,
	};
	r = choose(context, machine, err);
	if (r == 0)
		r = read_sizes(context, machine, err);
	if (r == 0)
		r = cli_guest_programs(&request->programs, err);
	machine->programs = request->programs;
	return r;
}

static int run(struct cli_context *context, struct caisson_error *err)
{
	struct request request = {.environment = STRV_INIT};
	int r;

	r = make_request(context, &request, err);
	if (r == 0 && request.options.terminal && request.options.interactive &&
		!isatty(STDIN_FILENO)) {
		r = caisson_refuse(err, EINVAL, "standard input is not a terminal");
		caisson_hint(err, "leave -t away when input comes from a pipe or a file");
	}
	if (r == 0)
		r = caisson_machine_run(context->caisson, &request.options, &context->status, err);
	strv_done(&request.environment);
	free(request.programs);
	return r;
}

const struct cli_command command_run = {
	.name = "run",
	.summary = "run a command in a machine of its own, from a container image",
	.operands = "IMAGE [--] [COMMAND [ARGUMENT...]]",
	.complete = "@file",
	.details =
		"IMAGE is an OCI image layout (oci:DIR[:TAG]), an OCI archive (oci-archive:FILE[:TAG]),\n"
		"or a path that is one of these. Options may also stand between IMAGE and COMMAND.\n"
		"\n"
		"The workload's output is the caller's, and so is its exit status. 125 means that\n"
		"caisson itself failed, 126 that the command could not be run, 127 that it is not there.\n"
		"SIGINT, SIGTERM and other signals go to the workload; the third one kills the machine.\n",
	.options = options,
	.least = 1,
	.runs_command = true,
	.needs_state = true,
	.failed = 125,
	.run = run,
};

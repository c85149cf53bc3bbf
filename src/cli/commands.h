/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "cli/options.h"
#include "closure/closure.h"

extern const struct cli_command command_run;
extern const struct cli_command command_volume_create;
extern const struct cli_command command_volume_list;
extern const struct cli_command command_volume_inspect;
extern const struct cli_command command_volume_open;
extern const struct cli_command command_volume_close;
extern const struct cli_command command_volume_mount;
extern const struct cli_command command_volume_unmount;
extern const struct cli_command command_volume_check;
extern const struct cli_command command_volume_resize;
extern const struct cli_command command_volume_key_list;
extern const struct cli_command command_volume_key_add;
extern const struct cli_command command_volume_key_change;
extern const struct cli_command command_volume_key_remove;
extern const struct cli_command command_volume_backup;
extern const struct cli_command command_volume_restore;
extern const struct cli_command command_volume_copy;
extern const struct cli_command command_volume_export;
extern const struct cli_command command_volume_destroy;
extern const struct cli_command command_volume_serve;
extern const struct cli_command command_closure;
extern const struct cli_command command_initramfs_build;
extern const struct cli_command command_initramfs_list;
extern const struct cli_command command_bundle;
extern const struct cli_command command_initramfs_extract;
extern const struct cli_command command_initramfs_inspect;
extern const struct cli_command command_initramfs_diff;
extern const struct cli_command command_initramfs_verify;
extern const struct cli_command command_initramfs_bom;
extern const struct cli_command command_initramfs_measure;
extern const struct cli_command command_kernel_requirements;
extern const struct cli_command command_kernel_check;
extern const struct cli_command command_kernel_diff;
extern const struct cli_command command_kernel_config;
extern const struct cli_command command_kernel_explain;
extern const struct cli_command command_kernel_build;
extern const struct cli_command command_kernel_list;
extern const struct cli_command command_kernel_default;
extern const struct cli_command command_kernel_remove;
extern const struct cli_command command_doctor;

/* In the order of the help; NULL ends it. */
extern const struct cli_command *const cli_commands[];

/* The folder with the guest's programs, in the form that was chosen when this was built: what
   CAISSON_GUEST names, else beside this program in a build folder, else where they were installed.
   Owned by the caller. */
int cli_guest_programs(char **ret_folder, struct caisson_error *err);
/* Where the state is, or would be: for what looks there and makes nothing. Owned by the caller;
   NULL when nobody says where. */
char *cli_state_path(const struct cli_command *command, const struct cli_context *context);
/* "1.5 GiB" */
void cli_format_size(uint64_t size, char *text, size_t room);

/* What a command's --dlopen names, by its place among the words of the completion. */
enum closure_dlopen cli_dlopen_level(unsigned int choice);
/* The path of a file that is named on the command line, inside @root (NULL: the running system).
   Owned by the caller. */
int cli_path_in_root(
	const char *root, const char *file, char **ret_path, struct caisson_error *err);

/* caisson closure --check: compares a bundle with its manifest and its sources, in @root or where
   they were. The exit status, or a negative errno. */
int cli_bundle_check(const char *folder, const char *root, bool json, struct caisson_error *err);

/* Prints why each file of a boot archive is there. */
struct caisson_initramfs_options;
int cli_explain(struct caisson *caisson, const struct caisson_initramfs_options *options, bool json,
	struct caisson_error *err);

/* SOURCE_DATE_EPOCH, or 0: the time that everything gets whose bytes are to be the same. */
int cli_source_date(int64_t *ret_time, struct caisson_error *err);

/* One keyslot of a volume; NULL when memory runs out. */
struct json_object;
struct caisson_volume_keyslot;
struct json_object *cli_keyslot_json(const struct caisson_volume_keyslot *keyslot);

/* {"name": NAME}, or the name alone. */
int cli_print_name(const char *name, bool json, struct caisson_error *err);

/* NULL is taken as memory having run out. */
int cli_print_json(struct json_object *object, struct caisson_error *err);

/* generate.c: writes a completion script ("bash", "zsh", "fish") or the option list of a command's
   man page ("man COMMAND") to standard output. For the build, and not in the help. */
int cli_generate(int argc, char **argv);

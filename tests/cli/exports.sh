#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The list of exports, the library and the headers agree, and each header stands alone.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"

listed=$(sed -n '/^global:/,/^local:/s/^[[:space:]]*\([a-z_0-9]*\);$/\1/p' "$source/src/libcaisson.sym" |
	sort)
check 'the list names something' test "$(wc -l <<<"$listed")" -gt 5
same 'the library exports what is listed, and no more' "$listed" \
	"$(nm --dynamic --defined-only "$build/libcaisson.so" | sed -n 's/.* [TDBRW] \([^@]*\)@.*/\1/p' |
		sort)"
same 'the headers declare what is listed, and no more' "$listed" \
	"$(cat "$source"/include/caisson/*.h |
		sed -n 's/^CAISSON_EXPORT [^(]*[ *]\([a-z_0-9]*\)(.*/\1/p' | sort)"
for name in $listed; do
	check "$name is documented" grep -q "^ \* $name() - \|^/\*\* $name() - " \
		"$source"/include/caisson/*.h
	check "$name says since when" python3 -c '
import re, sys
name, text = sys.argv[1], "".join(open(path).read() for path in sys.argv[2:])
comment = [c for c in re.findall(r"/\*\*(?:[^*]|\*(?!/))*\*/", text) if name + "() - " in c]
sys.exit(0 if comment and "Since: " in comment[0] else 1)' \
		"$name" "$source"/include/caisson/*.h
done

cd "$work" || exit 2
flags=(-Wall -Wextra -Werror -pedantic -fsyntax-only -I "$source/include")
for header in "$source"/include/caisson/*.h; do
	header=${header##*/}
	printf '#include <caisson/%s>\n#include <caisson/%s>\ntypedef int something;\n' \
		"$header" "$header" >alone.c
	for compiler in gcc clang; do
		command -v $compiler >/dev/null || {
			skip "$compiler is not installed" "$header alone"
			continue
		}
		check "$header alone, $compiler" $compiler -std=c11 "${flags[@]}" alone.c
	done
	command -v g++ >/dev/null || {
		skip 'g++ is not installed' "$header alone, C++"
		continue
	}
	check "$header alone, C++" g++ -x c++ -std=c++11 "${flags[@]}" alone.c
done

cat >user.c <<'END'
#include <caisson/caisson.h>
#include <caisson/volume.h>
#include <stdio.h>

static int print(const struct caisson_volume *volume, void *userdata)
{
	(void)userdata;
	puts(volume->name);
	return 0;
}

int main(int argc, char **argv)
{
	struct caisson_volume_create_options options = {
		.size = 32u << 20, .key = CAISSON_VOLUME_KEY_SERVICE};
	struct caisson_error err = {0};
	struct caisson *caisson;
	int r;

	if (argc != 3 || caisson_open(&caisson, argv[1], argv[2], NULL, &err) < 0)
		return 2;
	r = caisson_volume_create(caisson, "data", &options, &err);
	if (r == 0)
		r = caisson_volume_list(caisson, print, NULL, &err);
	if (r == 0 && caisson_volume_create(caisson, "data", &options, &err) >= 0)
		r = -1;
	fprintf(stderr, "%s\n", err.message);
	caisson_close(caisson);
	return r < 0;
}
END
try gcc -std=c11 -Wall -Werror -I "$source/include" user.c -o user -L "$build" -lcaisson
ended 'a program links with the library' 0
try env LD_LIBRARY_PATH="$build" ./user "$work/state" "$work/config"
case $err in
*sanitizer*'come first'* | *ASan*'come first'*) skip 'the library is sanitized' 'a program uses it' ;;
*)
	ended 'and uses it' 0 "called 'data' already"
	same 'to make a volume' data "$out"
	;;
esac

cat >closure.c <<'END'
#include <caisson/closure.h>
#include <stdio.h>
#include <string.h>

static int count(const struct caisson_closure_file *file, void *userdata)
{
	*(int *)userdata += file->source != NULL;
	return strstr(file->path, "libc.so.6") != NULL ? (puts(file->rule), 0) : 0;
}

static int complain(const struct caisson_closure_problem *problem, void *userdata)
{
	(void)userdata;
	fprintf(stderr, "%s: %s\n", problem->program, problem->message);
	return 0;
}

int main(int argc, char **argv)
{
	struct caisson_closure_options options = {0};
	int files = 0;
	const struct caisson_closure_watcher watcher = {count, complain, &files};
	struct caisson_error err = {0};
	int r = caisson_closure(
		(const char *const *)argv + 1, (size_t)argc - 1, &options, &watcher, &err);

	printf("%d %s\n", r, files >= 3 ? "files" : "too few");
	return r < 0;
}
END
try gcc -std=c11 -Wall -Werror -I "$source/include" closure.c -o closure -L "$build" -lcaisson
ended 'another program links with the library' 0
try env LD_LIBRARY_PATH="$build" ./closure "$(readlink -f /bin/sh)"
case $err in
*sanitizer*'come first'* | *ASan*'come first'*) skip 'the library is sanitized' 'it finds a closure' ;;
*)
	ended 'and finds a closure' 0
	same 'with its libc and its files' $'ld.so.cache\n0 files' "$out"
	;;
esac

tap_end

#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Wrong use, help, and where the state goes. Each failure is a sentence and the right status.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"

commands=('run' 'volume create' 'volume list' 'volume inspect' 'volume open' 'volume close'
	'volume mount' 'volume unmount' 'volume check' 'volume resize' 'volume key list' 'volume key add'
	'volume key change' 'volume key remove' 'volume backup' 'volume restore' 'volume copy'
	'volume export' 'volume destroy' 'initramfs build' 'initramfs list' 'doctor')

# Help

try "$caisson" --help
ended '--help ends with 0' 0
for command in "${commands[@]}"; do
	like "--help lists $command" "^  $command +[a-z]" "$out"
done
for command in "${commands[@]}"; do
	# shellcheck disable=SC2086 # two words
	try "$caisson" $command --help
	ended "$command --help ends with 0" 0
	like "$command --help shows its use" "^Usage: caisson $command" "$out"
	same "$command --help says nothing on standard error" '' "$err"
	help=$out
	# shellcheck disable=SC2086
	try "$caisson" help $command
	same "help $command is the same" "$help" "$out"
	# shellcheck disable=SC2086
	try "$caisson" $command -h
	same "$command -h too" "$help" "$out"
done
for group in volume initramfs; do
	try "$caisson" $group --help
	ended "$group --help ends with 0" 0
	like "$group --help lists its commands" '^  (create|build) ' "$out"
	expect "$group alone is wrong use" 2 '^Usage' $group
	expect "$group has no command 'frob'" 2 "unknown command 'frob'" $group frob
done
try "$caisson" --version
ended '--version ends with 0' 0
like '--version says which' '^caisson [0-9]+\.[0-9]+\.[0-9]+$' "$out"
check_not 'help and version made no state' test -e "$CAISSON_STATE"

# Wrong words

expect 'no command' 2 '^Usage'
expect 'an unknown command' 2 "unknown command 'frobnicate'" frobnicate
expect 'an unknown option in place of a command' 2 "unknown command '--frob'" --frob
expect 'an empty command' 2 "unknown command ''" ''
for command in "${commands[@]}"; do
	wrong=2
	[ "$command" != run ] || wrong=125
	# shellcheck disable=SC2086
	expect "$command --frob" $wrong "unknown option '--frob'" $command --frob
	# shellcheck disable=SC2086
	expect "$command -Z" $wrong "unknown option '-Z'" $command -Z
	# shellcheck disable=SC2086
	expect "$command --quiet=yes" $wrong '--quiet takes no value' $command --quiet=yes
	# shellcheck disable=SC2086
	expect "$command --state without its value" $wrong '--state wants a value' $command --state
done
expect 'an operand too many' 2 "'b' is too much" volume create a b --size 64M
expect 'an operand where none belongs' 2 "'x' is too much" volume list x
expect 'volume create without a name' 2 'something is missing: NAME' volume create --size 64M
expect 'volume create without a size' 2 'how large' volume create data
expect 'volume inspect without a name' 2 'something is missing' volume inspect
expect 'volume destroy without a name' 2 'something is missing' volume destroy
expect 'initramfs list without a file' 2 'something is missing' initramfs list
expect 'run without an image' 125 'something is missing: IMAGE' run
expect 'a value that is missing' 2 '--size wants a value' volume create data --size
expect 'a short one too' 2 '-s wants a value' volume create data -s

# run's own options

expect 'run: --cpus 0' 125 'whole number from 1 to 255' run --cpus 0 image
expect 'run: --cpus 1x' 125 'whole number from 1 to 255' run --cpus 1x image
expect 'run: --cpus -1' 125 'whole number from 1 to 255' run --cpus -1 image
expect 'run: --platform toaster' 125 'is one of: auto microvm q35' run --platform toaster image
expect 'run: --network bridge' 125 'is one of: user none' run --network bridge image
expect 'run: --memory lots' 125 "'lots' is not a size" run --memory lots image
expect 'run: --boot-timeout 0' 125 'whole number from 1' run --boot-timeout 0 image
expect 'run: a volume without a path' 125 'is not NAME:PATH' run -v data image
expect 'run: a volume with a relative path' 125 'absolute path' run -v data:there image
expect 'run: a volume with a third word' 125 "neither 'ro' nor 'rw'" run -v data:/data:rx image
expect 'run: a volume twice' 125 'named twice' run -v data:/a -v data:/b image
expect 'run: a read-only root' 125 'writable volume' run -v data:/:ro image
expect 'run: two roots' 125 'cannot both be at' run -v a:/ -v b:// image
expect 'run: two volumes in one place' 125 'cannot both be at /data' run -v a:/data -v b:/data image
for path in '' data ./data /. /.. /data/../x /data/./x /data/..; do
	expect "run: a volume at '$path'" 125 'absolute path' run -v "data:$path" image
done
expect 'run: an image that is not there' 125 "there is no image at 'image'" run image
expect 'run: -t needs a terminal' 125 'not a terminal' run -it image
many=()
for i in {1..17}; do
	many+=(-v "v$i:/v$i")
done
expect 'run: seventeen volumes' 125 'at most 16' run "${many[@]}" image

# Names that are no names

for name in ../x a/b A '' . .. -x .hidden 'a b' ä "$(printf 'a%.0s' {1..64})" $'a\nb'; do
	expect "volume create $(printf %q "$name")" 2 'cannot be the name of a volume' \
		volume create --size 64M -- "$name"
	expect "volume inspect $(printf %q "$name")" 2 'cannot be the name' \
		volume inspect -- "$name"
	expect "volume destroy $(printf %q "$name")" 2 'cannot be the name' \
		volume destroy -- "$name"
	expect "run -v $(printf %q "$name")" 125 'cannot be the name|absolute path|is not NAME' \
		run -v "$name:/data" image
done
same 'none of them left anything' '' "$(ls -A "$CAISSON_STATE/volumes" 2>/dev/null)"

# help only helps

"$caisson" volume create keep --size 32M >/dev/null
"$caisson" help volume destroy keep >/dev/null 2>&1
check "'help volume destroy keep' destroys nothing" "$caisson" volume inspect keep

# Where the state is

expect '--state and --config count more than the environment' 0 '' volume list \
	--state "$work/other/state" --config "$work/other/config"
check 'the folders are made' test -d "$work/other/state" -a -d "$work/other/config"
same 'for their owner alone' '700 700' \
	"$(stat -c %a "$work/other/state" "$work/other/config" | xargs)"
if is_root; then
	skip 'root keeps its state in /var/lib/caisson' 'without HOME there is no place'
else
	try env -u HOME -u CAISSON_STATE -u CAISSON_CONFIG -u XDG_STATE_HOME -u XDG_CONFIG_HOME \
		"$caisson" volume list
	ended 'without HOME there is no place' 1 'HOME is not set'
fi
if is_root; then
	mkdir -m 0777 "$work/user"
	chmod 711 "$work"
	as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	try "${as_user[@]}" env -u HOME -u CAISSON_STATE -u CAISSON_CONFIG "$caisson" volume list
	if [ "$status" -eq 126 ] || [ "$status" -eq 127 ]; then
		skip 'another user cannot run what is in the build folder' 'a user without HOME'
	else
		ended 'a user without HOME' 1 'HOME is not set'
		try "${as_user[@]}" env -u CAISSON_STATE -u CAISSON_CONFIG -u XDG_STATE_HOME \
			-u XDG_CONFIG_HOME HOME="$work/user" "$caisson" volume list
		ended 'a user with HOME' 0
		check 'has the state below it' test -d "$work/user/.local/state/caisson"
		check 'and the configuration too' test -d "$work/user/.config/caisson"
		try "${as_user[@]}" env -u CAISSON_STATE -u CAISSON_CONFIG HOME="$work/user" \
			XDG_STATE_HOME="$work/user/xs" XDG_CONFIG_HOME="$work/user/xc" \
			"$caisson" volume list
		check 'or where XDG_STATE_HOME says' test -d "$work/user/xs/caisson"
		try "${as_user[@]}" "$caisson" volume list --state /proc/nowhere --config "$work/user/c"
		ended 'a state that cannot be made' 1 'create the folder /proc/nowhere'
		try "${as_user[@]}" "$caisson" volume create data --size 64M --state "$work/state" \
			--config "$work/user/c"
		ended 'a state that belongs to somebody else' 1 'Permission denied'
	fi
fi
expect 'an empty --state' 2 'empty' volume list --state ''
touch "$work/file"
expect 'a file in the place of the state' 1 "$work/file" volume list --state "$work/file"

# Streams that are closed

try "$caisson" volume list <&-
ended 'standard input may be closed' 0
"$caisson" volume create closed --size 32M >&- 2>&-
check 'a volume made with no standard output is whole' "$caisson" volume inspect closed
echo closed >"$work/needle"
check_not 'nor did the output land in a file of the state' holds "$work/needle" "$CAISSON_STATE"
if [ -w /dev/full ]; then
	"$caisson" volume list >/dev/full 2>"$work/err"
	status=$? err=$(cat "$work/err")
	ended 'an output that cannot be written' 1 'standard output'
	"$caisson" closure --help >/dev/full 2>"$work/err"
	status=$? err=$(cat "$work/err")
	ended 'nor can its help' 1 'standard output'
fi
"$caisson" volume list >&- 2>"$work/err"
status=$? err=$(cat "$work/err")
ended 'an output that nobody takes' 1 'standard output'
expect 'an empty argument' 2 'empty' closure ''
expect 'a program without a name' 2 'empty' bundle --into "$work/none" ''

tap_end

#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Building kernels: where the source comes from, interrupted builds, what is installed, the same bytes. The source
# is none of Linux's but looks like it (tests/lib/fake-kernel): a build takes half a second.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_private_mounts "$0" "$@"
tap_begin "$1"
cd "$work" || exit 2
export CCACHE_DIR=$work/ccache

# The same source with the same times, as an archive has them. Its Kconfig knows what the profile asks for.
source_tree() { # FOLDER
	cp -r "$source/tests/lib/fake-kernel" "$1" && cp Kconfig "$1/" && find "$1" -exec touch -d 2026-02-03T04:05:06Z {} +
}
kernels() {
	find "$CAISSON_STATE/kernels" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' 2>/dev/null | sort
}
tree() {
	echo "$CAISSON_STATE"/kernel-builds/minimal-*/tree
}
compiled() {
	wc -l <"$(tree)/compiled"
}
# A build in the background that waits in the middle; $pid.
# shellcheck disable=SC2317 # called by name
start_held() { # ARGUMENT...
	touch src/hold
	rm -f "$(tree)/waiting"
	"$caisson" kernel build --source src "$@" >held-out 2>held-err &
	pid=$!
	for _ in $(seq 600); do
		[ ! -s "$(tree)/waiting" ] || return 0
		sleep 0.05
	done
	return 1
}

"$caisson" kernel requirements --profile minimal --json | python3 -c '
import json, sys
print("mainmenu \"No kernel\"")
for option in sorted({(r["option"], r["value"][0]) for r in json.load(sys.stdin)["requirements"]}):
    name, value = option
    kind = "bool" if value in "yn" else "string" if value == "\"" else "int"
    print("config %s\n\t%s \"x\"" % (name[len("CONFIG_"):], kind))
print("config SOMETHING_OF_MINE\n\tbool \"x\"")' >Kconfig
source_tree src
mkdir linux && cp -a src linux/linux-6.1.999
tar -C linux -cf src.tar linux-6.1.999
for form in xz gzip zstd bzip2; do
	"$form" -q -k -c src.tar >"src.tar.$form"
done
sha256=$(sha256sum src.tar.xz | cut -d ' ' -f 1)

# A folder: built, installed, listed.
try "$caisson" kernel build --source src
ended 'a folder is built' 0
name=$(kernels)
like 'under a name of its release, profile and hash' '^6\.1\.999-minimal-[0-9a-f]{8}$' "$name"
like 'which is told' "^$name$" "$out"
like 'with sizes' '^vmlinux +[0-9.]+ KiB$' "$out"
same 'it has all its parts' 'bzImage config manifest.json vmlinux' \
	"$(cd "$CAISSON_STATE/kernels/$name" && echo *)"
same 'new machines get it' "$name" "$(readlink "$CAISSON_STATE/kernels/default")"
source_tree untouched
same 'nothing was written into the source' "$(fingerprint untouched)" "$(fingerprint src)"
manifest=$CAISSON_STATE/kernels/$name/manifest.json
same 'the manifest has the digests' "$(sha256sum <"$CAISSON_STATE/kernels/$name/vmlinux" | cut -d ' ' -f 1)" \
	"$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["files"]["vmlinux"]["sha256"])' "$manifest")"
same 'and the date of the source' "$(date -d 2026-02-03T04:05:06Z +%s)" \
	"$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["date"])' "$manifest")"
check 'the date is in the kernel' grep -aq '#1 Tue Feb  3 04:05:06 UTC 2026' "$CAISSON_STATE/kernels/$name/vmlinux"
unlike 'which has no symbols' symtab "$(readelf -S "$CAISSON_STATE/kernels/$name/vmlinux")"
for kernel in '' "$name" "$CAISSON_STATE/kernels/$name" "$CAISSON_STATE/kernels/$name/vmlinux"; do
	# shellcheck disable=SC2086 # one of them is none
	try "$caisson" kernel check --for microvm,volume,network $kernel
	ended "it is checked as '${kernel#"$work"}'" 0
	like 'by its own configuration' "^configuration +.*/$name/(config|vmlinux)\$" "$out"
done
try "$caisson" kernel list
like 'it is listed, with its mark' "^\* $name +minimal +6\.1\.999 " "$out"
try "$caisson" kernel list --json
same 'in JSON, too' "$name minimal True" "$(python3 -c 'import json, sys
k, = json.load(sys.stdin)
print(k["name"], k["profile"], k["default"])' <<<"$out")"
try "$caisson" doctor
like 'the doctor sees it' "^ok +kernel +.*/$name/bzImage \(6\.1\.999\)" "$out"

expect 'a name that no kernel has' 2 'open 6.1.5-x: No such file' kernel check 6.1.5-x
like 'says what shows them' "'caisson kernel list' shows" "$err"

# Again: nothing to do.
before=$(compiled)
try "$caisson" kernel build --source src
ended 'a second build' 0
same 'compiles nothing' "$before" "$(compiled)"
like 'and says that the bytes are the same' 'the same bytes' "$out"
like 'and the sizes' 'as the last build' "$out"
same 'one kernel is installed' "$name" "$(kernels)"
try "$caisson" kernel build --source src --clean
ended 'a clean one' 0
same 'compiles all' 2 "$(compiled)"
same 'to the same bytes' "$name" "$(kernels)"

# Other folders, other state, no cache: the same bytes.
source_tree somewhere-else
try env CCACHE_DISABLE=1 TZ=Asia/Tokyo LC_ALL=C.UTF-8 KBUILD_BUILD_USER=somebody \
	"$caisson" kernel build --source somewhere-else --state other-state --output result
ended 'another folder is built' 0
same 'to the same bytes' "$name" "$(cd other-state/kernels && echo 6*)"
for file in bzImage vmlinux config; do
	check "$file is the same, and copied" cmp "result/$file" "$CAISSON_STATE/kernels/$name/$file"
done
try "$caisson" kernel check --for microvm result
ended 'the copy can be named as a kernel' 0
try env SOURCE_DATE_EPOCH=1000000000 "$caisson" kernel build --source src --no-install --output dated
ended 'SOURCE_DATE_EPOCH is taken' 0
check 'as the date' grep -aq '#1 Sun Sep  9 01:46:40 UTC 2001' dated/vmlinux
same 'and nothing is installed' "$name" "$(kernels)"
"$caisson" kernel build --source src >/dev/null 2>&1

# Archives.
for form in xz gzip zstd bzip2; do
	try "$caisson" kernel build --source "src.tar.$form" --state "state-$form" --no-install --output "result-$form"
	ended "an archive, $form" 0
	check "$form: the same bytes" cmp "result-$form/vmlinux" result/vmlinux
	same "$form: unpacked by its digest" "$(sha256sum <"src.tar.$form" | cut -d ' ' -f 1)" \
		"$(cd "state-$form/kernel-sources" && find . -mindepth 1 -maxdepth 1 -type d -printf '%f')"
done
try "$caisson" kernel build --source src.tar --state state-xz --sha256 "$(sha256sum <src.tar | cut -d ' ' -f 1)"
ended 'one that is not compressed, by its digest' 0
expect 'a wrong digest is refused' 1 "has the SHA-256 $sha256, not 0+$" \
	kernel build --source src.tar.xz --sha256 "$(printf %064d 0)"
check_not 'and not unpacked' test -e "$CAISSON_STATE/kernel-sources/$sha256"
expect 'what is no digest' 2 'is no SHA-256' kernel build --source src.tar.xz --sha256 1234
expect 'a digest of a folder' 2 'is a folder' kernel build --source src --sha256 "$sha256"
head -c 900 src.tar.xz >cut.tar.xz
expect 'an archive that is cut' 1 'cannot be unpacked' kernel build --source cut.tar.xz
same 'leaves nothing' '' "$(find "$CAISSON_STATE/kernel-sources" -name '.new-*')"
before=$(find "$CAISSON_STATE/kernel-sources" -mindepth 1 -maxdepth 1 -type d | sort)
mkdir other && echo text >other/README && tar -cf other.tar other
expect 'an archive without a kernel' 2 'other.tar is no kernel source' kernel build --source other.tar
same 'is not kept' "$before" "$(find "$CAISSON_STATE/kernel-sources" -mindepth 1 -maxdepth 1 -type d | sort)"
expect 'what is not there' 1 'open nowhere: No such file' kernel build --source nowhere
mkdir empty
expect 'a folder without a kernel' 2 'is no kernel source' kernel build --source empty
expect 'a package with an odd name' 2 'cannot be the name of a package' kernel build --source apt:-o/x
expect 'a package that nobody has' 1 'linux-source-0.99 is not installed, and apt' kernel build --version 0.99
like 'with what to do' 'apt-get install linux-source-0.99' "$err"
expect 'another version than the source has' 2 'is of Linux 6.1.999, not of 6.12' \
	kernel build --source src --version 6.12
expect 'half of its version is none' 2 'not of 6.1.99$' kernel build --source src --version 6.1.99
check 'its own' "$caisson" kernel build --source src --version 6.1.999
expect 'no version' 2 'is no version of Linux' kernel build --version six
mkdir -p 'a b' && cp -r src 'a b/src'
expect 'a path with a blank' 2 'cannot be built in .*/a b/src$' kernel build --source 'a b/src'
expect 'a state with what the shell would read' 2 'cannot be built in .*/a;b/kernel-sources$' \
	kernel build --source src.tar --state 'a;b'
touch src/.config
expect 'a source that was configured in place' 1 'was configured in place' kernel build --source src
like 'says what cleans it' 'make -C .*/src mrproper' "$err"
rm src/.config

expect 'a result that cannot be put anywhere' 1 'output src.tar is not a folder' \
	kernel build --source src --output src.tar
unlike 'is known before' 'building' "$err"
expect 'nor below a file' 1 'create the folder src.tar/below: Not a directory' \
	kernel build --source src --output src.tar/below

# Profiles and fragments.
expect 'an unknown profile' 2 'no profile called "nothing"' kernel build --source src --profile nothing
like 'those that are' 'profiles: minimal container observe confidential' "$err"
echo CONFIG_SOMETHING_OF_MINE=y >mine.config
try "$caisson" kernel build --source src --fragment mine.config --no-install --output mine
ended 'a fragment of the user' 0
check 'is in the configuration' grep -qx CONFIG_SOMETHING_OF_MINE=y mine/config
check 'no base has a name' "$caisson" kernel build --source src --base none --no-install
try python3 "$source/tests/lib/terminal.py" -- "$caisson" kernel build --source src --menuconfig --no-install --output menu
ended 'a menu on the terminal' 0
check 'what was chosen there is built' grep -qx CONFIG_FAKE_MENU=y menu/config
like 'and what the profile misses then is told' 'CONFIG_EXT4_FS is not as the profile has it' "$out"
cp -r src slow && sed -i 's/^menuconfig:/&\n\t@echo menu; exec sleep 1000/' slow/Makefile
try python3 "$source/tests/lib/terminal.py" expect=menu 'send=\x03' -- \
	"$caisson" kernel build --source slow --menuconfig --no-install
ended 'Ctrl-C in the menu' 130
like 'is an interruption' 'the build was interrupted' "$out"
rm -r "$CAISSON_STATE"/kernel-builds/minimal-"$(printf %s "$work/slow" | sha256sum | cut -c 1-8)"
expect 'a menu without a terminal' 1 'make menuconfig ended' kernel build --source src --menuconfig
expect 'no base' 0 '' kernel build --source src --base none --no-install
expect 'a base that there is not' 1 'open nowhere: No such file' kernel build --source src --base nowhere --no-install
unlike 'is known before anything is done' 'configuring' "$err"
expect 'a fragment that there is not' 1 'open nowhere: No such file' kernel build --source src --fragment nowhere
unlike 'so is that' 'configuring' "$err"
echo CONFIG_NOBODY_HAS_THIS=y >nobody.config
expect 'an option that there is not' 1 'CONFIG_NOBODY_HAS_THIS' kernel build --source src --fragment nobody.config
echo '# CONFIG_DM_CRYPT is not set' >without.config
try "$caisson" kernel build --source src --fragment without.config --no-install
ended 'the user knows better' 0 'warning: CONFIG_DM_CRYPT is not as the profile has it'
cp -r src poor && sed -i '/^config EXT4_FS$/,+1d' poor/Kconfig
expect 'a source without what is needed' 1 'that is needed cannot be had from this source, the first is CONFIG_EXT4_FS' \
	kernel build --source poor --no-install
rm -r "$CAISSON_STATE"/kernel-builds/minimal-"$(printf %s "$work/poor" | sha256sum | cut -c 1-8)"
try "$caisson" kernel build --source src
ended 'back again' 0

# Failures.
touch src/fail
rm "$(tree)/second.o"
expect 'a failure quotes the first error' 1 'second.c:1:2: error: this was to be expected' kernel build --source src
unlike 'and not what folder make is in' 'ing directory' "$err"
like 'and says where all of it is' 'all that make said is in .*/make.log' "$err"
check 'where it is' grep -q 'this was to be expected' "$(dirname "$(tree)")/make.log"
same 'what was installed stays' "$name" "$(readlink "$CAISSON_STATE/kernels/default")"
rm src/fail
touch src/other
rm "$(tree)/config_data.gz"
expect 'another configuration than was asked for is found' 1 'built from another configuration' kernel build --source src
rm src/other "$(tree)/config_data.gz"
try "$caisson" kernel build --source src
ended 'all is well again' 0

echo '{' >"$manifest"
try "$caisson" kernel build --source src
ended 'one that was installed and is damaged' 0
same 'is whole again' "* $name" "$("$caisson" kernel list | sed -n '2s/^\(..[^ ]*\).*/\1/p')"

# Interrupted: the next build goes on.
for signal in INT TERM; do
	rm -f "$(tree)"/*.o "$(tree)/compiled"
	check "$signal: a build is under way" start_held
	kill -s $signal "$pid"
	wait "$pid"
	same "$signal: ends with 130" 130 $?
	like "$signal: says what comes next" 'goes on where this one stopped' "$(cat held-err)"
	check_not "$signal: make is gone" pgrep -f "O=$(tree)"
	rm src/hold
	same "$signal: the first object is there" first "$(cat "$(tree)/compiled")"
	try "$caisson" kernel build --source src
	ended "$signal: built at last" 0
	same "$signal: nothing was compiled twice" 'first second' "$(xargs <"$(tree)/compiled")"
done
# After nohup(1) the terminal may go.
rm -f "$(tree)"/*.o "$(tree)/compiled"
trap '' HUP
check 'nohup: a build is under way' start_held
trap 'exit 143' HUP
kill -s HUP "$pid"
rm src/hold
wait "$pid"
same 'nohup: it goes on' 0 $?
rm -f "$(tree)"/*.o "$(tree)/compiled"
check 'KILL: a build is under way' start_held
kill -KILL "$pid"
wait "$pid" 2>/dev/null
"$caisson" kernel build --source src >second-out 2>second-err &
second=$!
for _ in $(seq 200); do
	grep -q 'waiting for it' second-err && break
	sleep 0.05
done
like 'KILL: what the dead one started is waited for' 'another build is at work in .*: waiting' "$(cat second-err)"
rm src/hold
wait "$second"
same 'KILL: built at last' 0 $?
same 'KILL: to the same bytes' "$name" "$(readlink "$CAISSON_STATE/kernels/default")"

# The same while it configures: make is gone, and what that has started is not.
# shellcheck disable=SC2016 # make expands them
sed -i 's/^allnoconfig:/&\n\t@while [ -e $(here)\/hold ]; do echo >$(O)\/waiting; sleep 0.05; done/' src/Makefile
touch -d 2026-02-03T04:05:06Z src/Makefile
check 'KILL: it configures' start_held
kill -KILL "$pid"
wait "$pid" 2>/dev/null
: >second-err
"$caisson" kernel build --source src --no-install >second-out 2>second-err &
second=$!
for _ in $(seq 200); do
	grep -q 'waiting for it' second-err && break
	sleep 0.05
done
like 'KILL: that is waited for' 'another build is at work' "$(cat second-err)"
rm src/hold
wait "$second"
same 'KILL: then it is built' 0 $?

# Two at once, of which a third gives up.
rm -f "$(tree)"/*.o "$(tree)/compiled"
check 'two at once: the first is under way' start_held
"$caisson" kernel build --source src >second-out 2>second-err &
second=$!
"$caisson" kernel build --source src >third-out 2>third-err &
third=$!
for _ in $(seq 200); do
	grep -q 'waiting for it' second-err && grep -q 'waiting for it' third-err && break
	sleep 0.05
done
kill -s TERM "$third"
wait "$third"
same 'two at once: a third that was asked to end' 130 $?
like 'two at once: says so' 'the build was interrupted' "$(cat third-err)"
rm src/hold
wait "$pid"
same 'two at once: the first' 0 $?
wait "$second"
same 'two at once: the second' 0 $?
same 'two at once: each object was compiled once' 'first second' "$(xargs <"$(tree)/compiled")"

# Cut off by the host's end: what is there is not believed.
echo 00000000-0000-0000-0000-000000000000 >"$(dirname "$(tree)")/unfinished"
rm "$(tree)/compiled"
try "$caisson" kernel build --source src
ended 'after a power cut' 0 'building anew'
same 'all is compiled again' 'first second' "$(xargs <"$(tree)/compiled")"

# Another kernel, and removing.
sed -i 's/^SUBLEVEL = .*/SUBLEVEL = 1000/' src/Makefile
try "$caisson" kernel build --source src
ended 'another version' 0
newer=$(readlink "$CAISSON_STATE/kernels/default")
like 'is the default now' '^6\.1\.1000-minimal-' "$newer"
try "$caisson" kernel list
same 'the newest is listed first' "* $newer" "$(sed -n '2s/^\(..[^ ]*\).*/\1/p' <<<"$out")"
expect 'the older one is chosen' 0 '' kernel default "$name"
same 'it is the default' "$name" "$(readlink "$CAISSON_STATE/kernels/default")"
expect 'one that is not there cannot be' 1 'there is no installed kernel' kernel default 6.1.5-x
expect 'nor a path' 1 'there is no installed kernel' kernel default ../kernels
same 'it still is' "$name" "$(readlink "$CAISSON_STATE/kernels/default")"
expect 'the newer one again' 0 '' kernel default "$newer"
expect 'a kernel that is not there' 1 "there is no installed kernel '6.1.5-x'" kernel remove 6.1.5-x
expect 'a path is no name' 1 'there is no installed kernel' kernel remove ../kernels
expect 'the default is removed' 0 '' kernel remove "$newer"
same 'the other one is, then' "$name" "$(readlink "$CAISSON_STATE/kernels/default")"
cp "$CAISSON_STATE/kernels/$name/manifest.json" good.json
echo '{"version": 7}' >"$CAISSON_STATE/kernels/$name/manifest.json"
expect 'a manifest of another version' 0 'version 7 is not known here' kernel list
sed 's/"minimal"/"\\u001b[31m"/' good.json >"$CAISSON_STATE/kernels/$name/manifest.json"
expect 'a manifest with what would colour the terminal' 0 "cannot be used: .*'profile' is no profile's name" kernel list
same 'none of which comes there' '' "$out$(tr -d ' -~\n' <<<"$err")"
expect 'its kernel can be removed' 0 '' kernel remove "$name"
check_not 'and there is no default' test -L "$CAISSON_STATE/kernels/default"
same 'nothing is left' '' "$(kernels)$(find "$CAISSON_STATE/kernels" -name '.new-*')"
expect 'an empty list' 0 '' kernel list
same 'is empty' '' "$out"

# Not the right programs.
if may_mount; then
	mount --bind /dev/null "$(command -v flex)" && mount --bind /dev/null "$(command -v bc)"
	expect 'all missing programs are named at once' 1 'cannot be built here: flex and bc are missing' \
		kernel build --source src
	like 'with one command' 'apt-get install flex bc$' "$err"
	umount "$(command -v flex)" "$(command -v bc)"
	# No room.
	mkdir small && mount -t tmpfs -o size=8m tmpfs small
	expect 'no room for a build is known before' 1 'building the kernel takes about [0-9]+ MiB in .*, and [0-9] are free' \
		kernel build --source src --state small/state
	head -c 20M /dev/zero >linux/linux-6.1.999/zeros
	tar -C linux -cf - linux-6.1.999 | xz -0 >zeros.tar.xz
	expect 'no room for the source' 1 'No space left on device' kernel build --source zeros.tar.xz --state small/state
	same 'leaves nothing of it' '' "$(find small/state/kernel-sources -mindepth 1 ! -name '*.index')"
	tar -C linux -cf zeros.tar linux-6.1.999
	expect 'which a large archive shows before' 1 'unpacking the kernel.s source takes about 2[0-9] MiB' \
		kernel build --source zeros.tar --state small/state
	umount small
	mkdir -p tight && mount -t tmpfs -o size=8k tight tight
	expect 'no room for what is copied' 1 'write tight/vmlinux: No space left on device' \
		kernel build --source src --no-install --output tight
	umount tight
else
	skip 'nothing can be mounted here' 'missing programs, and no room'
fi

# Without root.
if is_root; then
	chmod 755 "$work"
	mkdir user && chown nobody user
	try setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$work/user" CCACHE_DIR="$work/user/ccache" \
		"$caisson" kernel build --source "$work/src.tar.xz" --state "$work/user/state" --config "$work/user/config"
	ended 'a user without root builds' 0
	check 'into a state of theirs' test -f user/state/kernels/default/vmlinux
	try setpriv --reuid=nobody --regid=nogroup --clear-groups "$caisson" kernel remove 6.1.1-minimal-1 \
		--state user/state --config user/config
	ended 'a user without root: what is not there' 1 'there is no installed kernel'
	chown root user/state/kernels && chmod 700 user/state/kernels
	try setpriv --reuid=nobody --regid=nogroup --clear-groups "$caisson" kernel remove 6.1.1-minimal-1 \
		--state user/state --config user/config
	ended 'a user without root: what they may not see' 1 'open .*/kernels(/6.1.1-minimal-1)?: Permission denied'
else
	skip 'this is not root' 'a user without root'
fi

tap_end

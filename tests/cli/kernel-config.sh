#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck disable=SC2317 # what "check" calls by name
# Configurations made on a real source: what its Kconfig says, and what caisson says of it.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"
cd "$work" || exit 2

tarball=/usr/src/linux-source-6.1.tar.xz
judge=$build/tests/kconfig-judge
linux=$work/linux-source-6.1

json() { # EXPRESSION, of the JSON in "out", called d
	python3 -c 'import json, sys; d = json.load(open("out")); print(eval(sys.argv[1]))' "$1"
}

config() { # ARGUMENT...
	try "$caisson" kernel config --source "$linux" "$@"
}

# What configuring takes of it is a small part, and unpacks in a third of the time.
check 'the part of the source that configuring takes' tar -xJf "$tarball" --wildcards \
	--wildcards-match-slash 'linux-source-6.1/*Kconfig*' linux-source-6.1/Makefile 'linux-source-6.1/scripts/*' \
	'linux-source-6.1/arch/x86/Makefile*'
version=$(sed -n 's/^SUBLEVEL = /6.1./p' "$linux/Makefile")
check 'is not written to' chmod -R a-w "$linux"
before=$(cd "$linux" && find . | sort | sha256sum)

# Kconfig's own programs, made once: what caisson says is compared with what they do

settle() { # TARGET CONFIG
	make -C "$linux" O="$work/o" ARCH=x86_64 KCONFIG_SEED=7 KCONFIG_CONFIG="$2" "$1" >make.log 2>&1
}
mkdir o
for target in allnoconfig allmodconfig allyesconfig randconfig; do
	check "$target" settle $target "$work/$target"
	try "$judge" "$linux" $target
	ended "$target: every symbol's value follows from what was read" 0
	diag "$(tail -n 3 <<<"$out")"
done
# A distribution's: what it has of another version is settled first.
debian=$(find /boot -name 'config-*' | sort | head -n 1)
check 'the configuration of a distribution is there' test -n "$debian"
cp "$debian" debian
check 'olddefconfig' settle olddefconfig "$work/debian"
try "$judge" "$linux" debian
ended 'a distribution'\''s: no contradictions' 0
like 'and that is thousands of symbols' '^1[0-9]{4} symbols, [3-9][0-9]{3} of them in the file, 0 contradictions$' "$out"
sed 's/^CONFIG_MD=y/# CONFIG_MD is not set/' debian >forged
try "$judge" "$linux" forged
ended 'a line changed by hand is noticed' 1
like 'where it matters' '^DM_CRYPT: depends: n to n, and it is m$' "$out"

# Every profile

for profile in "$source"/kernel/*.profile; do
	name=$(basename "$profile" .profile)
	config --profile "$name" --output "$name.config" --unasked
	ended "$name: every option that is wanted is there" 0
	like "$name: and they are counted" "^Linux $version: [0-9]+ options wanted, 0 lost\$" "$out"
	diag "$out"
	check "$name: it is a configuration" grep -q '^CONFIG_DM_CRYPT=y$' "$name.config"
	check "$name: Kconfig has nothing to add" cp "$name.config" again
	check "$name: olddefconfig" settle olddefconfig "$work/again"
	same "$name: nothing changes" "$(cat "$name.config")" "$(cat again)"
done
try "$caisson" kernel check --profile minimal --problems minimal.config
ended 'kernel check agrees' 0
config
ended 'without a name it is minimal, on standard output' 0 "$version: [0-9]+ options wanted, 0 lost\$"
same 'the same' "$(cat minimal.config)" "$out"
same 'the source was not written to' "$before" "$(cd "$linux" && find . | sort | sha256sum)"

# What a caller's environment holds is not make's

try env MAKEFLAGS=-n ARCH=arm KBUILD_OUTPUT=/nonexistent KCONFIG_CONFIG=/nonexistent/x CROSS_COMPILE=none- \
	KCONFIG_ALLCONFIG=/nonexistent LC_ALL=de_DE.UTF-8 "$caisson" kernel config --source "$linux" --profile minimal
ended 'whatever is in the environment' 0
same 'the configuration is the same' "$(cat minimal.config)" "$out"

# Fragments that do not go together

cat >broken.config <<-'END'
	CONFIG_DM_CRYPT=y
	# CONFIG_MD is not set
	CONFIG_SLOB=y
	CONFIG_NO_SUCH_OPTION=y
	CONFIG_VIRTIO_BLCK=y
	CONFIG_MODULE_SIG=y
	# CONFIG_MODULES is not set
	CONFIG_LOG_BUF_SHIFT=99
	# CONFIG_CRYPTO_LIB_AES is not set
	CONFIG_X86_PAE=y

	#: build: only newer kernels have it
	#: since 6.5
	CONFIG_OF_THE_FUTURE=y
END
config --profile minimal --fragment broken.config --output broken.out
ended 'fragments that contradict each other' 1
said() { # DESCRIPTION LINE
	check "$1" grep -qxF -e "$2" out
}
said 'what a missing menu takes along' \
	'CONFIG_DM_CRYPT: needs CONFIG_BLK_DEV_DM, which needs CONFIG_MD, which is not set'
said 'what the profile says of it' \
	'    encryption wants y: encrypted volumes cannot be opened: "Cannot initialize device-mapper"'
said 'an option that there is not' "CONFIG_NO_SUCH_OPTION: does not exist in $version"
said 'and what may have been meant' "CONFIG_VIRTIO_BLCK: does not exist in $version; CONFIG_VIRTIO_BLK does"
said 'modules' 'CONFIG_MODULE_SIG: needs CONFIG_MODULES, which is not set'
said 'a number out of its range' 'CONFIG_LOG_BUF_SHIFT: 99 is not in the range 12 to 25'
like 'what others select' '^CONFIG_CRYPTO_LIB_AES: was set by CONFIG_CRYPTO_AES.* select although' "$out"
said 'what another processor has' \
	'CONFIG_X86_PAE: needs CONFIG_X86_32, which needs CONFIG_64BIT off, and it is y'
said 'what the file takes back' 'CONFIG_MD: broken.config asks for CONFIG_MD=n'
said 'in a choice, too' 'CONFIG_SLUB: broken.config asks for CONFIG_SLOB=y'
like 'what refuses the other allocator' '^CONFIG_SLUB_CPU_PARTIAL: needs CONFIG_SLUB, which is not set$' "$out"
unlike 'what this version lacks is not missed' OF_THE_FUTURE "$out"
check 'the configuration is written all the same' grep -q '^CONFIG_SLOB=y$' broken.out
config --profile minimal --fragment broken.config --json
ended 'as JSON' 1
same 'the same is there' "$version True ['CONFIG_MD', 'CONFIG_SLUB']" \
	"$(json '"%s %s %s" % (d["version"], any(x["option"] == "CONFIG_DM_CRYPT" and "CONFIG_MD," in x["why"]
		for x in d["lost"]), sorted(x["option"] for x in d["overridden"] if x["option"] in ("CONFIG_MD", "CONFIG_SLUB")))')"
printf '#: volume: words\nCONFIG_DM_CRYPT=y\n' >fine.config
config --profile minimal --fragment fine.config --output fine.out
ended 'what is asked for twice' 0
same 'is there once' "$(cat minimal.config)" "$(cat fine.out)"

# On a distribution's

cat >less.config <<-'END'
	# CONFIG_NET_VENDOR_INTEL is not set
	CONFIG_DM_CRYPT=y
	CONFIG_BLK_DEV_DM=y
END
gzip -c "$debian" >debian.gz
printf '' >nothing
config --profile minimal --base debian.gz --fragment less.config --json --output based.config
check 'a base' test "$status" -le 1
check 'what it had is there' grep -q '^CONFIG_XFS_FS=' "$debian"
same 'what a fragment turns off is told' "True" \
	"$(json 'any(x["option"] == "CONFIG_NET_VENDOR_INTEL" and x["asked"] for x in d["removed"])')"
same 'and what goes with it' "True" \
	"$(json 'any(not x["asked"] and "which is not set" in x["why"] for x in d["removed"])')"
check 'it is settled' cp based.config again
check 'by the same Kconfig' settle olddefconfig "$work/again"
same 'for good' "$(cat based.config)" "$(cat again)"

# Faults

expect 'a profile that there is not' 2 'profiles: minimal' kernel config --profile x --source "$linux"
expect 'a folder that is no source' 2 'is not the source of a Linux kernel: it has no Makefile' \
	kernel config --source "$work/o/scripts"
mkdir 'a blank'
cp -r "$linux/Makefile" "$linux/Kconfig" 'a blank'
echo 'config A' >'a blank/Kconfig'
expect 'a folder with a blank in its name' 2 'cannot be built in .*/a blank$' kernel config --source "$work/a blank"
for name in "a'quote" 'a;touch x' "a\$(touch x)" 'a*'; do
	mv 'a blank' "$name"
	expect "a folder called $name" 2 'cannot be built in ' kernel config --source "$work/$name"
	mv "$name" 'a blank'
done
expect 'a fragment that there is not' 2 'No such file' kernel config --source "$linux" --fragment gone
echo 'CONFIG_A = y' >wrong.config
expect 'a fragment that is none' 2 'wrong.config.*1' kernel config --source "$linux" --fragment wrong.config
expect 'a base that is none' 2 . kernel config --source "$linux" --base nothing
cp -r "$linux" dirty
chmod -R u+w dirty
mkdir -p dirty/include/config
: >dirty/.config
echo keep >kept
expect 'a source that was built in' 2 'not clean' kernel config --source "$work/dirty" --output kept
same 'and what was there is left alone' keep "$(cat kept)"
rm -r dirty/.config dirty/include
echo 'source "../outside"' >>dirty/Kconfig
: >outside
expect 'a source that reaches outside' 2 'is not inside the source' kernel config --source "$work/dirty"

# Killed at once, while it runs and shortly before its end: what is there is whole
for delay in 0.3 2; do
	timeout --signal=KILL $delay "$caisson" kernel config --source "$linux" --output kept 2>/dev/null
done
check 'whatever ends it, there is all or nothing' grep -Eqx 'keep|CONFIG_ZSTD_DECOMPRESS=y' kept
same 'nothing is left beside' ./kept "$(find . -maxdepth 1 -name '*kept*')"
chmod -R u+w "$linux"

# Asked to end in the middle: nothing is left of it, neither folders nor processes.
mkdir endless temporary
# shellcheck disable=SC2016 # make expands them
printf 'VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 1\nallnoconfig:\n\t@echo $$PPID >$(O)/waiting; sleep 1000\n' >endless/Makefile
printf 'config A\n\tbool "a"\n' >endless/Kconfig
for signal in INT TERM HUP; do
	# Whoever runs the tests may ignore it (nohup), which would be heeded.
	TMPDIR=$work/temporary env --default-signal=$signal "$caisson" kernel config --source endless --output kept \
		2>stopped &
	pid=$!
	for _ in $(seq 600); do
		cat temporary/*/waiting >maker 2>/dev/null && [ -s maker ] && break
		sleep 0.05
	done
	kill -s $signal "$pid"
	wait "$pid"
	same "$signal: ends with 130" 130 $?
	like "$signal: says so" 'make was interrupted' "$(cat stopped)"
	same "$signal: nothing is left" '' "$(ls temporary)"
	check "$signal: make is gone" wait_gone "$(cat maker)" 10
	rm -f maker
done

# Where the configuration goes
# shellcheck disable=SC2016 # make expands them
printf 'VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 1\nallnoconfig:\n\t@cp $(KCONFIG_ALLCONFIG) $(KCONFIG_CONFIG)\n' >endless/Makefile
mkfifo pipe
cat pipe >piped &
try "$caisson" kernel config --source endless --output pipe
ended 'into a pipe' 1
check 'which stays one' test -p pipe
wait
check 'and gets it' grep -qx CONFIG_64BIT=y piped
expect 'into a folder' 2 '\-\-output endless is a folder' kernel config --source endless --output endless
expect 'nowhere' 2 'names no file' kernel config --source endless --output ''
expect 'a package that there is not' 2 . kernel config --source apt:linux-source-0.1
# What the tests above have of the source, as an archive: unpacked once, into the state.
tar -C "$work" -cf "$work/source.tar" linux-source-6.1
for turn in first again; do
	try "$caisson" kernel config --source "$work/source.tar" --output from-tar
	ended "an archive, the $turn time" 0
done
check 'as from the folder' cmp from-tar <("$caisson" kernel config --source "$linux" 2>/dev/null)
same 'it is unpacked once' 1 "$(find "$CAISSON_STATE/kernel-sources" -mindepth 1 -maxdepth 1 -type d | wc -l)"
tap_end

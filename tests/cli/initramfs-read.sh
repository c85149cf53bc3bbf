#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Boot archives of all kinds and makers: listed, inspected, unpacked, compared, verified, accounted for,
# measured.
# shellcheck disable=SC2016 # what "broken" runs in another shell
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"
cd "$work" || exit 2

initramfs() { # COMMAND ARGUMENT...
	"$caisson" initramfs "$@"
}

json() { # EXPRESSION, of the JSON in "out", called d
	python3 -c 'import json, sys; d = json.load(open("out")); print(eval(sys.argv[1]))' "$1"
}

names_of() { # LISTING
	sed -E 's/^.{11} *[0-9]+(, *[0-9]+)? //; s/ -> .*//; s,^/,,' <<<"$1" | grep -v '^\.$' | sort
}

mkdir hostile
check 'archives that no tool would make' python3 "$source/tests/lib/archives.py" hostile

# An archive of our own, in every form

mkdir -p tree/etc tree/bin tree/dev tree/lib
cp /bin/true tree/bin/
seq 20000 >tree/etc/numbers
ln tree/etc/numbers tree/etc/again
ln -s numbers tree/etc/link
: >tree/etc/empty
chmod 0640 tree/etc/numbers
head -c 300000 /dev/urandom >tree/lib/random
head -c 3000000 /dev/zero >tree/lib/zeros
(cd tree && find . | LC_ALL=C sort | cpio -o -H newc --quiet) >plain.img
(cd tree && find . | LC_ALL=C sort | cpio -o -H crc --quiet) >crc.img
try initramfs list plain.img
ended 'a plain archive is listed' 0
plain_list=$out
same 'as cpio lists it' "$(cpio -it --quiet <plain.img | grep -v '^\.$' | sort)" "$(names_of "$out")"
same 'and bsdcpio' "$(bsdcpio -it <plain.img 2>/dev/null | sed 's,^\./,,' | grep -v '^\.$' | sort)" \
	"$(names_of "$out")"
try initramfs list crc.img
same 'one with checksums, too' "$(names_of "$plain_list")" "$(names_of "$out")"

compress() { # FORM
	case $1 in
	gzip) gzip -c plain.img ;;
	bzip2) bzip2 -c plain.img ;;
	lzma) xz --format=lzma -c plain.img ;;
	xz) xz --check=crc32 -c plain.img ;;
	lzo) lzop -c plain.img ;;
	lz4) lz4 -q -l -c plain.img ;;
	zstd) zstd -q -c plain.img ;;
	esac
}
for form in gzip bzip2 lzma xz lzo lz4 zstd; do
	program=$form
	[ $form != lzma ] || program=xz
	[ $form != lzo ] || program=lzop
	if ! command -v $program >/dev/null; then
		skip "$program is not installed" "$form"
		continue
	fi
	compress $form >$form.img
	try initramfs list $form.img
	ended "$form" 0
	same "$form: the same list" "$plain_list" "$out"
	try initramfs diff plain.img $form.img
	ended "$form: the same contents" 0
	try initramfs inspect --json $form.img
	same "$form: it is told" "$form 12 True" \
		"$(json '"%s %d %s" % (d["members"][0]["compression"], d["members"][0]["entries"],
			"refused" not in d["members"][0])')"
	# One behind the other: where a member ends decides what comes next.
	{
		cat $form.img
		[ $form != lz4 ] || head -c 4 /dev/zero
		cat plain.img gzip.img
	} >two.img
	if [ $(($(stat -c %s $form.img) % 4)) -ne 0 ]; then
		{
			cat $form.img
			head -c $((8 - $(stat -c %s $form.img) % 4)) /dev/zero
			cat plain.img gzip.img
		} >two.img
	fi
	try initramfs inspect --json two.img
	ended "$form, and others behind it" 0
	same "$form, and others behind it: three members" "$form none gzip" \
		"$(json '" ".join(m["compression"] for m in d["members"])')"
	head -c $(($(stat -c %s $form.img) - 20)) $form.img >cut.img
	expect "$form, cut" 1 'cut.img' initramfs list cut.img
done
if command -v lzop >/dev/null; then
	lzop -9 -c plain.img >lzo9.img
	lzop -1 -c tree/lib/random >lzo-random.lzo
	try initramfs diff plain.img lzo9.img
	ended 'lzop -9 packs otherwise' 0
fi
xz -c plain.img >xz64.img
try initramfs inspect --json xz64.img
like 'xz with a check that kernels do not know' 'CRC32' "$(json 'd["members"][0]["refused"]')"
same 'its check is told' crc64 "$(json 'd["members"][0]["check"]')"
lz4 -q -c plain.img >lz4-frame.img
try initramfs verify lz4-frame.img
like 'the usual frame of lz4' 'no kernel takes member 1: it is an LZ4 frame' "$out"
zstd -q --long=28 --ultra -c plain.img >zstd-long.img
try initramfs inspect --json zstd-long.img
same 'the window of zstd is that of its header' \
	"$(zstd -lv zstd-long.img 2>/dev/null | sed -n 's/^Window Size:.*(\([0-9]*\) B)$/\1/p')" \
	"$(json 'd["members"][0]["window"]')"

# What others make

kernel=$(for file in /boot/vmlinuz-*; do [ -d "/lib/modules/${file#/boot/vmlinuz-}" ] && echo "$file"; done |
	sort -V | tail -n 1)
release=${kernel#/boot/vmlinuz-}
foreign() { # MAKER
	try initramfs list "$1.img"
	ended "$1: list" 0
	same "$1: names what cpio names" "$(2>/dev/null zcat -f "$1.img" | cpio -it --quiet | sort)" \
		"$(names_of "$out" | cat - <(grep -q ' \.$' <<<"$out" && echo .) | sort)"
	try initramfs inspect --json "$1.img"
	same "$1: its kernel" "$release" "$(json 'd["releases"][0]')"
	like "$1: its maker" "^$1" "$(json 'd["maker"]')"
	like "$1: its init" '^(script|program) ' "$(json 'd["init_kind"]')"
	try initramfs verify --kernel "$kernel" "$1.img"
	unlike "$1: modules are whole" '\.ko|member|release' "$out"
	rm -rf "$1.d"
	try initramfs extract "$1.img"
	ended "$1: extract" 0
	same "$1: into a folder of its name" "$1.img.d" "$out"
	mkdir "$1.cpio"
	2>/dev/null zcat -f "$1.img" | (cd "$1.cpio" && cpio -idm --quiet 2>/dev/null)
	same "$1: the tree is cpio's" "$(shape "$1.cpio")" "$(shape "$1.img.d")"
}
# Modes (setuid bits are dropped), links and contents.
shape() { # FOLDER
	(cd "$1" && find . -mindepth 1 ! -type c ! -type b -printf '%y %p %l %m\n' |
		sed -E '/^f/s/ [246]([0-7]{3})$/ \1/' | sort &&
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
}
if [ -z "$release" ]; then
	skip 'there is no kernel with its modules' 'mkinitramfs'
	skip 'there is no kernel with its modules' 'dracut'
else
	if command -v mkinitramfs >/dev/null && mkinitramfs -c gzip -o initramfs-tools.img "$release" 2>log; then
		foreign initramfs-tools
		if command -v lsinitramfs >/dev/null; then
			try initramfs list initramfs-tools.img
			same 'initramfs-tools: names what lsinitramfs names' "$(lsinitramfs initramfs-tools.img |
				grep -v '^\.$' | sort)" "$(names_of "$out")"
		fi
		try initramfs bom initramfs-tools.img
		ended 'initramfs-tools: bom' 0
		check 'initramfs-tools: most files are of packages' test \
			"$(json '(sum(r["relationshipType"] == "OTHER" for r in d["relationships"]) * 10 >
			len(d["files"]) * 8)')" = True
		same "initramfs-tools: its kernel's package" "linux-image-$release" \
			"$(json 'next(p["name"] for p in d["packages"] if p["name"].startswith("linux-image"))')"
	else
		skip 'mkinitramfs is not installed' 'mkinitramfs'
	fi
	if command -v dracut >/dev/null &&
		dracut --kver "$release" --no-hostonly -m base --gzip -q -f dracut.img 2>log; then
		foreign dracut
	else
		skip 'dracut is not installed' 'dracut'
	fi
	# Of the form that has shared libraries in it.
	try env CAISSON_GUEST="$build/guest/bundled" "$caisson" initramfs build -o caisson.img
	ended 'caisson' 0
	try initramfs inspect --json caisson.img
	same 'caisson: its maker' caisson "$(json 'd["maker"]')"
	try initramfs verify --kernel "$release" caisson.img
	ended 'caisson: verify' 0
	same 'caisson: there is nothing to say' '' "$out"
fi

# Unpacked

try initramfs extract zstd.img --into new
ended 'extract' 0
same 'what went in' "$(shape tree)" "$(shape new)"
same 'hard links stay links' "$(stat -c %i new/etc/numbers)" "$(stat -c %i new/etc/again)"
expect 'into a folder that is not empty' 1 'not empty' initramfs extract plain.img --into new
mkdir empty
try initramfs extract plain.img --into empty etc/link bin
ended 'some of it, into an empty folder' 0
same 'no more than that' 'bin bin/true etc etc/link' \
	"$(cd empty && find . -mindepth 1 -printf '%P\n' | sort | xargs)"
expect 'what is not in it' 1 'has no etc/nothing' initramfs extract plain.img --into none etc/nothing
check_not 'leaves no folder' test -e none
expect 'an archive that is cut' 1 'cut.img' initramfs extract cut.img --into none
check_not 'leaves no folder, either' test -e none

cd hostile || exit 2
echo victim >caisson-victim
for name in climbs absolute link hard-link special terminal dashes; do
	mkdir inside
	try initramfs extract $name.img --into inside/of
	ended "$name" 0
	same "$name: nothing beside the folder" 'of' "$(ls inside)"
	same "$name: nothing else was touched" victim "$(cat caisson-victim)"
	same "$name: nothing got out" '' \
		"$(find . / /tmp -maxdepth 1 -name caisson-escaped 2>/dev/null)"
	mv inside ../$name
done
cd "$work" || exit 2
same 'a path that climbs ends at the top' b "$(cat climbs/of/b)"
check 'an absolute one starts at the top' test -f absolute/of/caisson-escaped
same 'a link goes up no further than the top' x "$(cat link/of/caisson-escaped)"
same 'a file takes the place of a link' mine "$(cat link/of/file)"
check 'and is none' test ! -L link/of/file
same 'no setuid bit' 755 "$(stat -c %a special/of/setuid)"
check_not 'no device' test -e special/of/dev/sda
check_not 'no FIFO' test -e special/of/dev/fifo
check 'the rest is there' test -f special/of/plain
try initramfs extract hostile/special.img --into told
like 'what is left out is told' 'left out 2 device nodes, FIFOs or sockets' "$err"
try initramfs list hostile/terminal.img
unlike 'names do not talk to the terminal' $'\x1b|\x9b' "$out"
if is_root; then
	try initramfs extract hostile/special.img --into same --same-permissions
	if [ "$status" -ne 0 ] && grep -q 'Operation not permitted' <<<"$err"; then
		skip 'devices are not allowed here' '--same-permissions'
	else
		ended '--same-permissions' 0
		same 'the setuid bit' 6755 "$(stat -c %a same/setuid)"
		same 'the device' '8 0 b' "$(stat -c '%Hr %Lr' same/dev/sda) $(find same/dev/sda -printf %y)"
	fi
fi
try initramfs extract hostile/doubles.img --into doubles
ended 'doubles' 0
same 'a link in a path is followed' 1 "$(cat doubles/usr/lib/through)"
same 'the later file counts' 'second 755' "$(cat doubles/twice) $(stat -c %a doubles/twice)"
same 'a file where a link was' own "$(cat doubles/was-link)"
check 'a folder with something in it stays' test -f doubles/full/in
same 'an empty one goes' file "$(cat doubles/empty)"
check_not 'no folder is made unasked' test -e doubles/nowhere
same 'links have the contents that came last' 'both both' "$(cat doubles/one) $(cat doubles/two)"
like 'what the kernel drops is told' 'nowhere/file: the folder .* is not there' "$err"
for name in name-cut name-huge name-open size-huge size-cut no-trailer bad-sum; do
	expect "$name is not listed" 1 "$name.img" initramfs list hostile/$name.img
	expect "$name is not unpacked" 1 "$name.img" initramfs extract hostile/$name.img --into none
	try initramfs verify hostile/$name.img
	ended "$name: a problem like others" 1
done
check_not 'none of them left a folder' test -e none
try initramfs list hostile/good-sum.img
ended 'a right checksum' 0

# Microcode in front

cat hostile/microcode.img gzip.img >early.img
try initramfs inspect --json early.img
ended 'microcode' 0
same 'each update, for each processor' \
	'GenuineIntel 0x000906ea 0x000000f4 2023-05-12, GenuineIntel 0x000906eb 0x000000f4 2023-05-12, GenuineIntel 0x000806ec 0x000000f8 2023-05-12, AuthenticAMD 0x00800f12 0x0800126e 2022-07-18, AuthenticAMD 0x00a00f11 0x0a0011d1 2022-07-18' \
	"$(json '", ".join("%s %s %s %s" % (m["vendor"], m["signature"], m["revision"], m["date"])
		for m in d["microcode"])')"
same 'without a problem' 0 "$(json 'sum("problem" in m for m in d["microcode"])')"
same 'the table of AMD' 2 "$(json 'd["amd_equivalences"]')"
cat gzip.img >late.img
head -c $((4 - $(stat -c %s gzip.img) % 4)) /dev/zero >>late.img
cat hostile/microcode.img >>late.img
try initramfs inspect late.img
like 'behind a compressed member it is no use' 'does not stand in an uncompressed archive in front' "$out"
cat hostile/microcode-damaged.img gzip.img >damaged.img
try initramfs inspect damaged.img
like 'a wrong checksum' '0x000906ea.*: its checksum is wrong' "$out"
like 'a cut container' 'AuthenticAMD.*: it is cut' "$out"
try initramfs inspect cut.img
ended 'inspect of a cut archive' 1
cat plain.img cut.img >behind.img
try initramfs inspect --json behind.img
ended 'what is in front of the damage' 1
same 'is shown' 'none' "$(json 'd["members"][0]["compression"]')"

# Compared

try initramfs diff plain.img plain.img
ended 'an archive does not differ from itself' 0
same 'and nothing is said' '' "$out"
cp -a tree other
chmod 0755 other/etc/empty
echo more >>other/lib/zeros
ln -sf elsewhere other/etc/link
rm other/lib/random
mkdir other/new
(cd other && find . | LC_ALL=C sort | cpio -o -H newc --quiet) | xz --check=crc32 >other.img
try initramfs diff plain.img other.img
ended 'others do' 1
same 'in this' '~ etc/empty: mode 0644 -> 0755
~ etc/link: target numbers -> elsewhere
- lib/random
~ lib/zeros: content 3000000 -> 3000005 bytes
+ new
1 added, 1 removed, 3 changed; -299995 bytes' "$out"
try initramfs diff --json plain.img other.img
same 'as JSON' "1 1 3 ['mode']" \
	"$(json '"%d %d %d %s" % (d["added"], d["removed"], d["changed"], d["differences"][0]["what"])')"
try initramfs diff --summary plain.img other.img
same 'in short' '1 added, 1 removed, 3 changed; -299995 bytes' "$out"
expect 'a file that is not there' 2 'No such file' initramfs diff plain.img nothing.img
expect 'one that is no archive' 2 'tap' initramfs diff plain.img "$source/tests/lib/tap.sh"

# Verified

try initramfs verify plain.img
ended 'an archive without an init' 1
like 'is told' '^init: it is not there' "$out"
like 'so is a missing interpreter' '^bin/true: .*ld-linux.*not found' "$out"
broken() { # DESCRIPTION PATTERN COMMAND...
	local description=$1 pattern=$2
	shift 2
	rm -rf broken
	cp -a whole broken
	(cd broken && "$@")
	(cd broken && find . | cpio -o -H newc --quiet) >broken.img
	try initramfs verify broken.img
	ended "$description" 1
	like "$description is told" "$pattern" "$out"
}
if [ -f caisson.img ]; then
	rm -rf whole
	initramfs extract caisson.img --into whole 2>/dev/null >/dev/null
	rm -f whole/dev/console
	(cd whole && find . | cpio -o -H newc --quiet) >whole.img
	try initramfs verify whole.img
	ended 'a whole archive' 0
	library=$(cd whole && find . -name 'libc.so.6' | head -n 1)
	broken 'a missing library' 'libc.so.6.* not found' rm "$library"
	broken 'an init that is not executable' '^init: it is not executable' chmod 0644 init
	broken 'an init that is none' '^init: the kernel cannot start it: neither' cp etc/caisson/modules init
	broken 'a script without its interpreter' '^init: .*/bin/nothing' \
		sh -c 'printf "#!/bin/nothing\nexit\n" >new && chmod 755 new && mv new init'
	broken 'a console that is a file' '^dev/console: it is not the console' \
		sh -c 'mkdir -p dev && : >dev/console'
	module=$(cd whole && find . -name 'dm-crypt.ko' | head -n 1)
	if [ -n "$module" ]; then
		broken 'a missing module' 'it needs dm-mod, which is not there' \
			sh -c 'rm "$(find . -name dm-mod.ko)"'
		broken 'that is listed' 'caisson/modules: it lists .*dm-mod.ko, which is not there' \
			sh -c 'rm "$(find . -name dm-mod.ko)"'
		broken 'a module of another kernel' 'built for another kernel' \
			sh -c "mv lib/modules/$release lib/modules/6.0.0-other 2>/dev/null ||
				mv usr/lib/modules/$release usr/lib/modules/6.0.0-other"
		broken 'a module that is none' 'virtio_blk.ko: it is no kernel module|virtio_blk.ko: it' \
			sh -c 'cp bin/sh "$(find . -name virtio_blk.ko)" 2>/dev/null ||
				cp init "$(find . -name virtio_blk.ko)"'
		# Compressed, as other distributions have them.
		rm -rf packed
		cp -a whole packed
		find packed -name 'dm-mod.ko' -exec xz --check=crc32 {} +
		sed -i 's,dm-mod.ko$,dm-mod.ko.xz,' packed/etc/caisson/modules
		(cd packed && find . | cpio -o -H newc --quiet) >packed.img
		try initramfs verify packed.img
		ended 'compressed modules are read through' 0
	fi
	sed 's/CONFIG_RD_XZ=y/# CONFIG_RD_XZ is not set/' "/boot/config-$release" >config.test
	mkdir -p boot
	cp "$kernel" "boot/vmlinuz-$release"
	cp config.test "boot/config-$release"
	xz --check=crc32 -c whole.img >whole.xz.img
	try initramfs verify --kernel "boot/vmlinuz-$release" whole.xz.img
	if grep -q 'CONFIG_RD_XZ' <<<"$out"; then
		point yes 'a compression that the kernel was built without'
	else
		skip "the kernel's .config is looked for in /boot" 'a compression that the kernel was built without'
	fi
fi
try initramfs verify --json hostile/climbs.img
like 'paths that climb' 'climbs' "$(json 'd[0]["problem"]')"
expect 'a file that is not there' 2 'No such file' initramfs verify nothing.img
expect 'a kernel that is not there' 2 'nothing' initramfs verify plain.img --kernel nothing
same 'no temporary folder is left' '' "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'caisson-verify.*')"

# Accounted for

mkdir -p system/var/lib/dpkg/info system/usr/bin system/etc system/usr/lib/modules/1.0
cp tree/etc/numbers system/usr/bin/tool
echo setting >system/etc/tool.conf
seq 9000 | xz --check=crc32 >system/usr/lib/modules/1.0/m.ko.xz
md5() {
	md5sum "$1" | cut -c -32
}
cat >system/var/lib/dpkg/status <<END
Package: tool
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 1:2.0+b~3-1
Conffiles:
 /etc/tool.conf $(md5 system/etc/tool.conf)

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: linux-image-1.0
Status: install ok installed
Architecture: amd64
Version: 1.0-1
END
echo "$(md5 system/usr/bin/tool)  bin/tool" >system/var/lib/dpkg/info/tool:amd64.md5sums
echo "$(md5 tree/lib/random)  lib/random" >system/var/lib/dpkg/info/gone.md5sums
echo "$(md5 system/usr/lib/modules/1.0/m.ko.xz)  lib/modules/1.0/m.ko.xz" \
	>system/var/lib/dpkg/info/linux-image-1.0.md5sums
ln -s usr/bin system/bin
ln -s usr/lib system/lib
mkdir -p goods/usr/bin goods/etc goods/lib/modules/1.0
cp system/usr/bin/tool goods/usr/bin/tool
cp system/usr/bin/tool goods/elsewhere
echo setting >goods/etc/tool.conf
echo other >goods/etc/own.conf
seq 9000 >goods/lib/modules/1.0/m.ko
(cd goods && find . | LC_ALL=C sort | cpio -o -H newc --quiet) >goods.img
try initramfs bom --root system goods.img
ended 'bom' 0
cp out first.json
owners() {
	json '" ".join(sorted("%s=%s" % (f["fileName"], next((p["name"] for r in d["relationships"]
		for p in d["packages"] if r["spdxElementId"] == f["SPDXID"] and r["relationshipType"] == "OTHER" and
		p["SPDXID"] == r["relatedSpdxElement"]), "-")) for f in d["files"]))'
}
same 'each file is of its package' './elsewhere=tool ./etc/own.conf=- ./etc/tool.conf=tool ./lib/modules/1.0/m.ko=linux-image-1.0 ./usr/bin/tool=tool' \
	"$(owners)"
same 'with its SHA-256' "$(sha256sum goods/etc/own.conf | cut -d ' ' -f 1)" \
	"$(json 'next(c["checksumValue"] for f in d["files"] if f["fileName"] == "./etc/own.conf" for c in f["checksums"] if c["algorithm"] == "SHA256")')"
same 'and its purl' 'pkg:deb/debian/tool@1%3A2.0%2Bb~3-1?arch=amd64' \
	"$(json 'next(p["externalRefs"][0]["referenceLocator"] for p in d["packages"] if p["name"] == "tool")')"
same 'it was made in 1970' 1970-01-01T00:00:00Z "$(json 'd["creationInfo"]["created"]')"
SOURCE_DATE_EPOCH=1700000000 try initramfs bom --root system goods.img
same 'or when SOURCE_DATE_EPOCH was' 2023-11-14T22:13:20Z "$(json 'd["creationInfo"]["created"]')"
SOURCE_DATE_EPOCH=now expect 'which is a number' 2 'SOURCE_DATE_EPOCH' initramfs bom --root system goods.img
initramfs bom --root system goods.img >second.json
check 'twice the same' cmp first.json second.json
same "the verification code is SPDX's" "$(python3 -c '
import hashlib, os
sums = sorted(hashlib.sha1(open(os.path.join(f, n), "rb").read()).hexdigest() for f, _, ns in os.walk("goods") for n in ns)
print(hashlib.sha1("".join(sums).encode()).hexdigest())')" \
	"$(cp first.json out; json 'd["packages"][0]["packageVerificationCode"]["packageVerificationCodeValue"]')"
echo changed >>system/usr/bin/tool
try initramfs bom --root system goods.img
like 'a file that was changed since is nobody'"'s" './usr/bin/tool=-' "$(owners)"
try initramfs bom --root system --format cyclonedx goods.img
same 'CycloneDX' 'CycloneDX 1.5 2' "$(json '"%s %s %d" % (d["bomFormat"], d["specVersion"],
	sum("purl" in c for c in d["components"]))')"
like 'with a number of its own' '^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$' \
	"$(json 'd["serialNumber"]')"
try initramfs bom --root nowhere goods.img
ended 'a system without packages' 0
same 'nothing is known then' 1 "$(json 'len(d["packages"])')"
try initramfs bom hostile/terminal.img
check 'names that are no text' python3 -c 'import json; json.load(open("out", encoding="utf-8"))'
try initramfs diff --json hostile/terminal.img plain.img
check 'their differences' python3 -c 'import json; json.load(open("out", encoding="utf-8"))'

# Measured

try initramfs measure --json plain.img
ended 'measure' 0
same 'the archive' "$(sha256sum plain.img | cut -d ' ' -f 1)" "$(json 'd["archive"]["sha256"]')"
for bank in sha1 sha256 sha384 sha512; do
	same "PCR 9, $bank" "$(python3 -c '
import hashlib, sys
def h(data): return hashlib.new(sys.argv[1], data).digest()
d = h(open("plain.img", "rb").read())
print(h(bytes(len(d)) + d).hex())' $bank)" "$(json "d[\"pcr9_efi_stub\"][\"$bank\"]")"
done
same 'RTMR[2]' "$(json 'd["pcr9_efi_stub"]["sha384"]')" "$(json 'd["rtmr2_efi_stub"]')"
try initramfs measure --json plain.img gzip.img
same 'two files are one archive' "$(cat plain.img gzip.img | sha512sum | cut -d ' ' -f 1)" \
	"$(json 'd["archive"]["sha512"]')"
snp() {
	try initramfs measure --json hostile/doubles.img --ovmf hostile/firmware.fd "$@"
}
snp --kernel hostile/kernel --cmdline console=ttyS0 --vcpu-type EPYC-Milan-v2
same "SEV's table of hashes" "$(sed -n 1p hostile/launches)" "$(json 'd["sev_kernel_hashes"]["table"]')"
same 'the launch digest' "$(sed -n 2p hostile/launches)" "$(json 'd["snp_launch_digest"]')"
snp --kernel hostile/kernel --cmdline console=ttyS0 --vcpu-type EPYC --vcpus 3 --guest-features 0x21
same 'of three processors' "$(sed -n 3p hostile/launches)" "$(json 'd["snp_launch_digest"]')"
snp --vcpu-type 0xa00f11
same 'without a kernel' "$(sed -n 4p hostile/launches)" "$(json 'd["snp_launch_digest"]')"
snp
ended 'the processor has to be said' 2 '--vcpu-type'
snp --vcpu-type Pentium
ended 'one that is known' 2 'EPYC'
expect 'a firmware that is none' 1 'no firmware for SEV-SNP' \
	initramfs measure plain.img --ovmf hostile/kernel --vcpu-type EPYC
expect 'a command line without its kernel' 2 '--kernel' initramfs measure plain.img --cmdline x
expect 'a file that is not there' 1 'No such file' initramfs measure nothing.img

tap_end

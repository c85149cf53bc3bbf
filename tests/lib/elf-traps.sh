# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck disable=SC2016,SC2054 # $ORIGIN and its like are for the loader, commas for the linker
# Small programs, each a trap for whoever finds libraries otherwise than the loader does. Source it; then
#
#   elf_traps FOLDER        builds all into FOLDER, and writes FOLDER/list (and list-roots, list-user)
#
# The lists are for loader-judge.py: a trap a line, fields separated by tabs: name, program, what the
# loader does with it (see there), options, description. Those of list-roots are small roots of their own,
# for chroot(2); those of list-user need a user whom permissions bind.

# shellcheck source=tests/lib/elf-build.sh
. "$(dirname "${BASH_SOURCE[0]}")/elf-build.sh"

# Begins a trap, in a folder of its own.
new() { # NAME
	elf_trap=$1
	mkdir -p "$elf_traps/$1"
	cd "$elf_traps/$1" || return
	here=$PWD
}

# A line of the list: "+FILE" is found, "-FILE" is not, "?NAME" is missing, "!TEXT" is in the loader's
# error; "~" in front: where the processor or the loader does otherwise, there is no trap.
expect_of() { # PROGRAM EXPECTED DESCRIPTION [OPTIONS]
	printf '%s\t%s\t%s\t%s\t%s\n' "$elf_trap" "$here/$1" "$2" "${4-}" "$3" >>"$elf_list"
}

traps_names() {
	new soname-cache
	so one/libdup.so && so two/libdup.so
	so liba.so -n libdup.so -R '$ORIGIN/one' && so libb.so -n libdup.so -R '$ORIGIN/two'
	exe prog -n liba.so -n libb.so -R '$ORIGIN'
	expect_of prog '+one/libdup.so -two/libdup.so' 'the first of a name answers for all'

	new soname-answers
	so x/libx.so -s liby.so && so y/liby.so
	so liba.so -n liby.so -R '$ORIGIN/y'
	exe prog -n libx.so -n liba.so -R '$ORIGIN:$ORIGIN/x'
	expect_of prog '+x/libx.so -y/liby.so' 'a soname that differs from the file name answers, too'

	new soname-of-path
	so x/libx-1.so -s libx.so && so liba.so -n libx.so
	exe prog -n "$PWD/x/libx-1.so" -n liba.so -R '$ORIGIN'
	expect_of prog '+x/libx-1.so' 'the soname of a library that was asked for by its path answers'

	new breadth-first
	so a/libx.so && so liba.so -n libx.so -R '$ORIGIN/a' && so libb.so -s libx.so
	exe prog -n liba.so -n libb.so -R '$ORIGIN'
	expect_of prog '+libb.so -a/libx.so' 'breadth first'

	new two-names
	so liba.so && ln -s liba.so libb.so && ln liba.so libc.so
	exe prog -n liba.so -n libb.so -n libc.so -R '$ORIGIN'
	expect_of prog '+liba.so -libc.so' 'one file under three names is loaded once'

	new circle
	so liba.so -n libb.so -R '$ORIGIN' && so libb.so -n liba.so -n libb.so -R '$ORIGIN'
	exe prog -n libb.so -n liba.so -n libb.so -R '$ORIGIN'
	expect_of prog '+liba.so +libb.so' 'libraries that need each other, and themselves'

	new slash-absolute
	so x/liba.so && exe prog -n "$PWD/x/liba.so" && exe missing -n "$PWD/y/liba.so"
	expect_of prog '+x/liba.so' 'NEEDED with an absolute path'
	expect_of missing "?$PWD/y/liba.so" 'NEEDED with an absolute path where nothing is'

	new slash-origin
	so x/liba.so -n '${ORIGIN}/libb.so' && so x/libb.so && exe prog -n '$ORIGIN/x/liba.so'
	expect_of prog '+x/liba.so +x/libb.so' 'NEEDED with $ORIGIN'

	new slash-relative
	so x/liba.so && exe prog -n x/liba.so
	expect_of prog '?x/liba.so' 'NEEDED with a relative path, started elsewhere' cwd=/

	new no-soname
	so liba.so -s '' && exe prog -n liba.so -R '$ORIGIN'
	expect_of prog '+liba.so' 'a library without a soname'

	new missing
	so liba.so -n libnone.so.1 -n libnone.so.2
	exe prog -n libnone.so.1 -n liba.so -R '$ORIGIN'
	expect_of prog '+liba.so ?libnone.so.1 ?libnone.so.2' 'all that is missing is named'
}

traps_origin() {
	new origin-link
	so real/lib/liba.so && exe real/prog -n liba.so -R '$ORIGIN/lib'
	mkdir links && ln -s ../real/prog links/prog && so links/lib/liba.so
	expect_of links/prog '+real/lib/liba.so' '$ORIGIN of a program that is reached by a link'

	new origin-link-library
	so real/liba.so -n libb.so -R '$ORIGIN' && so real/libb.so
	mkdir links && ln -s ../real/liba.so links/liba.so && so links/libb.so
	exe prog -n liba.so -R '$ORIGIN/links'
	expect_of prog '+links/libb.so -real/libb.so' '$ORIGIN of a library that is reached by a link'

	new origin-link-missing
	so real/liba.so -n libb.so -R '$ORIGIN' && so real/libb.so
	mkdir links && ln -s ../real/liba.so links/liba.so
	exe prog -n liba.so -R '$ORIGIN/links'
	expect_of prog '?libb.so -real/libb.so' 'the same, with nothing beside the link'

	new origin-folder-link
	so real/deep/liba.so -n libb.so -R '$ORIGIN/..' && so real/libb.so && so libb.so
	ln -s real/deep link && exe prog -n liba.so -R '$ORIGIN/link'
	expect_of prog '+real/libb.so -libb.so' '$ORIGIN/.. through a linked folder'

	new tokens
	so lib/x86_64-linux-gnu/liba.so && so lib/libb.so && so x86_64/libc1.so
	exe prog -n liba.so -R '${ORIGIN}/$LIB' && exe braces -n liba.so -R '$ORIGIN/${LIB}'
	exe platform -n libc1.so -R '$ORIGIN/$PLATFORM'
	exe odd -n libb.so -R '$ORIGINAL/lib:${ORIGIN/lib:$ORIGIN:$ORIGINlib:/$ORIGIN/lib:x$ORIGIN/lib'
	expect_of prog '~ +lib/x86_64-linux-gnu/liba.so' '$LIB'
	expect_of braces '~ +lib/x86_64-linux-gnu/liba.so' '${LIB}'
	expect_of platform '~ +x86_64/libc1.so' '$PLATFORM'
	expect_of odd '' 'tokens that are almost one'
}

traps_paths() {
	new runpath-own
	so lib/liba.so -n libb.so && so lib/libb.so && exe prog -n liba.so -R '$ORIGIN/lib'
	expect_of prog '?libb.so' 'a RUNPATH is not inherited'

	new rpath-inherited
	so lib/liba.so -n libb.so && so lib/libb.so -n libc1.so && so lib/libc1.so
	exe prog -n liba.so -r '$ORIGIN/lib'
	expect_of prog '+lib/libb.so +lib/libc1.so' 'an RPATH is, over three levels'

	new rpath-of-loader
	so lib/liba.so -n libb.so -r '$ORIGIN/x' && so lib/x/libb.so -n libc1.so && so lib/x/libc1.so
	exe prog -n liba.so -R '$ORIGIN/lib'
	expect_of prog '+lib/x/libc1.so' 'an RPATH of a library holds below it, under a RUNPATH'

	new rpath-nearest
	so lib/liba.so -n libb.so -r '$ORIGIN/near' && so lib/near/libb.so && so lib/libb.so
	exe prog -n liba.so -r '$ORIGIN/lib'
	expect_of prog '+lib/near/libb.so -lib/libb.so' 'the nearest RPATH is first'

	new rpath-first-loader
	so a/liba.so -n libx.so -r '$ORIGIN/below' && so b/libb.so -n libx.so -r '$ORIGIN/below'
	so a/below/libx.so -n liby.so && so b/below/libx.so -n liby.so
	so b/below/liby.so
	exe prog -n libb.so -n liba.so -R '$ORIGIN/a:$ORIGIN/b'
	expect_of prog '+b/below/liby.so -a/below/libx.so' 'the RPATH of who asked first'

	new runpath-hides-rpath
	so lib/liba.so -n libb.so -R /none && so lib/libb.so && exe prog -n liba.so -r '$ORIGIN/lib'
	expect_of prog '?libb.so' 'a RUNPATH hides the RPATH above'

	new runpath-between
	so lib/liba.so -n libb.so -R '$ORIGIN' && so lib/libb.so -n libc1.so && so lib/libc1.so
	exe prog -n liba.so -r '$ORIGIN/lib'
	expect_of prog '+lib/libc1.so' 'a RUNPATH in between hides nothing from those below'

	new rpath-and-runpath
	so one/liba.so && so two/liba.so
	exe prog -n liba.so -r '$ORIGIN/one' -- '-Wl,--audit,$ORIGIN/two'
	retag prog 0x6ffffefc 29
	expect_of prog '+two/liba.so -one/liba.so' 'RPATH and RUNPATH in one program'

	new rpath-and-runpath-inherited
	so two/liba.so -n libb.so && so one/libb.so
	exe prog -n liba.so -r '$ORIGIN/one' -- '-Wl,--audit,$ORIGIN/two'
	retag prog 0x6ffffefc 29
	expect_of prog '?libb.so' 'an RPATH beside a RUNPATH is not inherited'

	new empty-elements
	so liba.so
	exe prog -n liba.so -R "::$PWD::" && exe leading -n liba.so -R ":/none" && exe only -n liba.so -R ':'
	expect_of prog '+liba.so' 'empty elements of a RUNPATH' cwd=/
	expect_of leading '?liba.so' 'an empty element is the current folder, where nothing is' cwd=/
	expect_of only '?liba.so' 'a RUNPATH of one colon' cwd=/

	new relative-path
	so lib/liba.so && exe prog -n liba.so -R lib:./lib:../lib && exe both -n liba.so -r "lib:$PWD/lib"
	expect_of prog '?liba.so' 'a relative RUNPATH, started elsewhere' cwd=/
	expect_of both '+lib/liba.so' 'a relative RPATH before an absolute one' cwd=/

	new slashes
	so lib/liba.so && exe prog -n liba.so -R "$PWD//lib//:/" && exe root -n liba.so -R "/:///$PWD/./lib/"
	expect_of prog '+lib/liba.so' 'slashes at the end'
	expect_of root '+lib/liba.so' 'the root folder, and three slashes'

	new not-a-folder
	so lib/liba.so && : >file && exe prog -n liba.so -R "$PWD/file:$PWD/none:$PWD/lib"
	expect_of prog '+lib/liba.so' 'a RUNPATH folder that is a file'

	new library-path
	so one/liba.so && so two/liba.so && so one/libb.so && so two/libb.so
	so two/libc1.so -n libb.so && so three/glibc-hwcaps/x86-64-v2/libd.so && so three/libd.so
	exe rpath -n liba.so -r '$ORIGIN/one' && exe runpath -n liba.so -R '$ORIGIN/one'
	exe below -n libc1.so && exe hwcaps -n libd.so && exe tokens -n liba.so
	expect_of rpath '+one/liba.so' '--library-path comes behind RPATH' "library-path=$PWD/two"
	expect_of runpath '+two/liba.so' '--library-path comes before RUNPATH' "library-path=$PWD/two"
	expect_of below '+two/libb.so' '--library-path holds for libraries' "library-path=/none:$PWD/two"
	expect_of hwcaps '~ -three/libd.so' 'glibc-hwcaps in a --library-path' "library-path=$PWD/three"
	expect_of tokens '+one/liba.so' 'semicolons and tokens in a --library-path' \
		'library-path=/none;$ORIGIN/one'
	expect_of tokens '?liba.so' 'an empty --library-path' 'library-path=:'

	new nodefaultlib
	exe prog -- -Wl,-z,nodefaultlib
	so lib/liba.so -n libz.so.1 -- -Wl,-z,nodefaultlib && exe library -n liba.so -R '$ORIGIN/lib'
	exe path -R "$(dirname "$(realpath "$(gcc -print-file-name=libc.so.6)")")" -- -Wl,-z,nodefaultlib
	expect_of prog '?libc.so.6' 'DF_1_NODEFLIB: not the default folders'
	expect_of library '?libz.so.1' 'DF_1_NODEFLIB of a library'
	expect_of path '' 'DF_1_NODEFLIB with the folder in RUNPATH'
}

traps_filters() {
	new auxiliary
	so lib/liba.so -R '$ORIGIN' -- -Wl,-f,libaux.so && so lib/libaux.so -n libdeep.so -R '$ORIGIN'
	so lib/libdeep.so && exe prog -n liba.so -R '$ORIGIN/lib'
	expect_of prog '+lib/libaux.so +lib/libdeep.so' 'DT_AUXILIARY'

	new auxiliary-missing
	so lib/liba.so -- -Wl,-f,libaux.so && exe prog -n liba.so -R '$ORIGIN/lib'
	expect_of prog '+lib/liba.so' 'DT_AUXILIARY that is not there' spare=libaux.so

	new auxiliary-late
	so lib/liba.so -n libx.so -R '$ORIGIN' -- -Wl,-f,libaux.so && so lib/libaux.so && so lib/libx.so
	so lib/libb.so
	exe prog -n liba.so -n libb.so -R '$ORIGIN/lib'
	expect_of prog '+lib/libaux.so' 'DT_AUXILIARY among others: the order'

	new filter
	so lib/liba.so -R '$ORIGIN' -- -Wl,-F,libfiltee.so && so lib/libfiltee.so
	exe prog -n liba.so -R '$ORIGIN/lib'
	expect_of prog '+lib/libfiltee.so' 'DT_FILTER'

	new filter-missing
	so lib/liba.so -- -Wl,-F,libfiltee.so && exe prog -n liba.so -R '$ORIGIN/lib'
	expect_of prog '?libfiltee.so' 'DT_FILTER that is not there'

	new filter-tokens
	so lib/liba.so -- '-Wl,-F,$ORIGIN/x/libfiltee.so' '-Wl,-f,${ORIGIN}/x/libaux.so'
	so lib/x/libfiltee.so && so lib/x/libaux.so && exe prog -n liba.so -R '$ORIGIN/lib'
	expect_of prog '+lib/x/libfiltee.so +lib/x/libaux.so' '$ORIGIN in DT_FILTER and DT_AUXILIARY'

	new audit
	exe prog -- -Wl,--audit,libnone.so -Wl,--depaudit,libnone2.so
	expect_of prog '' 'DT_AUDIT and DT_DEPAUDIT that are not there'
	so lib/liba.so -- -Wl,--audit,libnone.so && exe library -n liba.so -R '$ORIGIN/lib'
	expect_of library '+lib/liba.so' 'DT_AUDIT of a library'
}

traps_unfit() {
	new wrong-class
	so one/liba.so && so two/liba.so && exe prog -n liba.so -R '$ORIGIN/one:$ORIGIN/two'
	poke one/liba.so 4 01
	expect_of prog '+two/liba.so' 'a library of the wrong class comes first'

	new wrong-machine
	so one/liba.so && so two/liba.so && exe prog -n liba.so -R '$ORIGIN/one:$ORIGIN/two'
	poke one/liba.so 18 b7 00
	expect_of prog '+two/liba.so' 'a library for another machine comes first'

	new only-wrong
	so one/liba.so && exe prog -n liba.so -R '$ORIGIN/one'
	poke one/liba.so 18 b7 00
	expect_of prog '?liba.so' 'a library for another machine is none'

	new only-wrong-class
	so one/liba.so && exe prog -n liba.so -R '$ORIGIN/one'
	poke one/liba.so 4 01
	expect_of prog '?liba.so' 'a library of another class is none'

	new wrong-order
	so one/liba.so && so two/liba.so && exe prog -n liba.so -R '$ORIGIN/one:$ORIGIN/two'
	poke one/liba.so 5 02
	expect_of prog '!liba.so' 'a library of the other byte order ends the search'

	new empty-file
	mkdir one && : >one/liba.so && so two/liba.so && exe prog -n liba.so -R '$ORIGIN/one:$ORIGIN/two'
	expect_of prog '!liba.so' 'an empty library ends the search'

	new text-file
	mkdir one && echo 'GROUP ( liba.so.1 AS_NEEDED ( liba_nonshared.a ) ) and more than a header' \
		>one/liba.so
	so two/liba.so && exe prog -n liba.so -R '$ORIGIN/one:$ORIGIN/two'
	expect_of prog '!liba.so' 'a linker script ends the search'

	new object-file
	mkdir one && cp "$elf_objects/nothing.o" one/liba.so
	so two/liba.so && exe prog -n liba.so -R '$ORIGIN/one:$ORIGIN/two'
	expect_of prog '!liba.so' 'an object file ends the search'

	new folder-as-library
	mkdir -p one/liba.so && so two/liba.so && exe prog -n liba.so -R '$ORIGIN/one:$ORIGIN/two'
	expect_of prog '!liba.so' 'a folder of that name ends the search'

	new program-as-library
	exe one/liba.so && so two/liba.so && exe prog -n liba.so -R '$ORIGIN/one:$ORIGIN/two'
	expect_of prog '!liba.so' 'a program is no library'

	new dangling-link
	mkdir one && ln -s none one/liba.so && so two/liba.so
	exe prog -n liba.so -R '$ORIGIN/one:$ORIGIN/two'
	expect_of prog '+two/liba.so' 'a dangling link comes first'

	new link-loop
	mkdir one && ln -s liba.so one/liba.so && so two/liba.so && ln -s libz.so.1 one/libz.so.1
	exe prog -n liba.so -R '$ORIGIN/one:$ORIGIN/two' && exe default -n libz.so.1 -R '$ORIGIN/one'
	expect_of prog '?liba.so' 'a link that leads to itself ends this search path'
	expect_of default '' 'and not what comes behind it'

	new broken-deep
	so liba.so -n libb.so -R '$ORIGIN' && : >libb.so && exe prog -n liba.so -R '$ORIGIN'
	expect_of prog '!libb.so' 'what is broken is what a library needs'
}

traps_versions() {
	new version-missing
	versioned new/liba.so V1 V2 && versioned lib/liba.so V1
	echo 'int a1(void), a2(void); int main(void) { return a1() + a2(); }' >m.c
	gcc -o prog m.c new/liba.so '-Wl,-rpath,$ORIGIN/lib' || elf_failed=1
	gcc -o right m.c new/liba.so '-Wl,-rpath,$ORIGIN/new' || elf_failed=1
	expect_of prog '+lib/liba.so !V2' 'a version is missing'
	expect_of right '+new/liba.so' 'no version is missing'

	new version-of-library
	versioned new/liba.so V1 V2 && versioned lib/liba.so V1
	echo 'int a2(void); int b(void) { return a2(); }' >b.c
	gcc -shared -fPIC -o lib/libb.so b.c new/liba.so -Wl,-soname,libb.so '-Wl,-rpath,$ORIGIN' ||
		elf_failed=1
	exe prog -n libb.so -R '$ORIGIN/lib'
	expect_of prog '+lib/liba.so !V2' 'a version that a library needs is missing'

	new version-weak
	versioned new/liba.so V1 V2 && versioned lib/liba.so V1
	echo '__attribute__((weak)) int a2(void); int a1(void); int main(void) { return a1() + (a2 ? 1 : 0); }' >m.c
	gcc -o prog m.c new/liba.so '-Wl,-rpath,$ORIGIN/lib' || elf_failed=1
	weaken prog V2
	expect_of prog '+lib/liba.so' 'a version that is missing and weak'

	new version-none
	versioned new/liba.so V1 V2
	echo 'int a1(void) { return 1; } int a2(void) { return 2; }' >a.c && mkdir lib
	gcc -shared -nostdlib -fPIC -o lib/liba.so a.c -Wl,-soname,liba.so || elf_failed=1
	echo 'int a1(void), a2(void); int main(void) { return a1() + a2(); }' >m.c
	gcc -o prog m.c new/liba.so '-Wl,-rpath,$ORIGIN/lib' || elf_failed=1
	expect_of prog '+lib/liba.so' 'a library without any versions will do'

	new version-of-missing
	versioned new/liba.so V1
	echo 'int a1(void); int main(void) { return a1(); }' >m.c
	gcc -o prog m.c new/liba.so || elf_failed=1
	expect_of prog '?liba.so' 'versions of a library that is missing'
}

traps_hwcaps() {
	local level

	new hwcaps
	so lib/liba.so
	for level in 2 3 4; do
		so "lib/glibc-hwcaps/x86-64-v$level/liba.so"
	done
	so lib/glibc-hwcaps/x86-64-v2/libb.so && so lib/libb.so && so lib/glibc-hwcaps/x86-64-v2/libc1.so
	exe prog -n liba.so -n libb.so -n libc1.so -R '$ORIGIN/lib'
	expect_of prog '~ -lib/liba.so -lib/libb.so +lib/glibc-hwcaps/x86-64-v2/libc1.so' \
		'glibc-hwcaps in a RUNPATH'
	expect_of prog '+lib/liba.so +lib/libb.so ?libc1.so' 'glibc-hwcaps are not for any processor' \
		'hwcaps=baseline levels=none'
	expect_of prog '~ +lib/glibc-hwcaps/x86-64-v2/liba.so' 'up to a level' 'hwcaps=x86-64-v2 levels=x86-64-v2'
	expect_of prog '~ +lib/glibc-hwcaps/x86-64-v3/liba.so' 'up to another' \
		'hwcaps=x86-64-v3 levels=x86-64-v3:x86-64-v2'
	so inherited/glibc-hwcaps/x86-64-v2/libd.so && exe rpath -n libe.so -r '$ORIGIN/inherited'
	so inherited/libe.so -n libd.so
	expect_of rpath '~ +inherited/glibc-hwcaps/x86-64-v2/libd.so' 'glibc-hwcaps in an RPATH that is inherited'

	new hwcaps-before-folder
	so one/liba.so && so two/glibc-hwcaps/x86-64-v2/liba.so
	exe prog -n liba.so -R '$ORIGIN/one:$ORIGIN/two'
	expect_of prog '+one/liba.so' 'the folders count before glibc-hwcaps'

	new hwcaps-origin
	so lib/glibc-hwcaps/x86-64-v2/liba.so -n libb.so -R '$ORIGIN' && so lib/libb.so
	exe prog -n liba.so -R '$ORIGIN/lib'
	expect_of prog '~ ?libb.so' '$ORIGIN of a library in glibc-hwcaps'

	new hwcaps-unfit
	so lib/liba.so && so lib/glibc-hwcaps/x86-64-v2/liba.so
	poke lib/glibc-hwcaps/x86-64-v2/liba.so 18 b7 00
	exe prog -n liba.so -R '$ORIGIN/lib'
	expect_of prog '+lib/liba.so' 'a library for another machine in glibc-hwcaps'

	for level in tls x86_64 tls/x86_64 haswell tls/haswell avx512_1 haswell/avx512_1/x86_64 \
		x86_64/x86_64 tls/x86_64/x86_64 tls/haswell/x86_64 tls/haswell/avx512_1/x86_64 \
		x86_64/tls i686 sse2; do
		new "legacy-${level//\//-}"
		so "lib/$level/liba.so" && so lib/liba.so && exe prog -n liba.so -R '$ORIGIN/lib'
		expect_of prog '' "the older folder $level"
		case $level in
		tls | x86_64 | tls/x86_64) expect_of prog '' "the older folder $level, on any processor" \
			'hwcaps=baseline levels=none' ;;
		esac
	done
	new legacy-order
	for level in tls x86_64 tls/x86_64 haswell haswell/x86_64 tls/haswell/x86_64; do
		so "lib/$level/liba.so"
	done
	so lib/liba.so && so lib/glibc-hwcaps/x86-64-v2/libb.so && so lib/tls/libb.so
	so lib/x86_64/libc1.so && so lib/tls/libc1.so
	exe prog -n liba.so -n libb.so -n libc1.so -R '$ORIGIN/lib'
	expect_of prog '' 'the order of the older folders'
}

traps_programs() {
	new interpreter-copy
	cp "$elf_interpreter" ld-copy.so
	exe prog -- -Wl,--dynamic-linker,"$PWD/ld-copy.so"
	expect_of prog '+ld-copy.so' 'an interpreter of its own'
	ln -s ld-copy.so ld-link.so && mkdir linked && exe linked/prog -n ld-linux-x86-64.so.2 \
		-- -Wl,--dynamic-linker,"$PWD/ld-link.so"
	expect_of linked/prog '+ld-copy.so' 'an interpreter by a link, and needed by its soname'

	new interpreter-name
	so lib/ld-linux-x86-64.so.2 && exe prog -n ld-linux-x86-64.so.2 -R '$ORIGIN/lib'
	expect_of prog '-lib/ld-linux-x86-64.so.2' 'the interpreter answers to its soname'
	exe path -n "$elf_interpreter"
	expect_of path '' 'the interpreter, needed by its path'

	new kinds
	exe no-needed -- -nostdlib
	exe pie
	gcc -no-pie -o no-pie "$elf_objects/main.o" "$elf_objects/nothing.o" || elf_failed=1
	gcc -static -o static "$elf_objects/main.o" || elf_failed=1
	gcc -static-pie -o static-pie "$elf_objects/main.o" || elf_failed=1
	so liba.so -n libb.so -n libc.so.6 -R '$ORIGIN' && so libb.so
	expect_of no-needed '' 'a program that needs nothing'
	expect_of pie '' 'a program at any address'
	expect_of no-pie '' 'a program at its address'
	expect_of static '' 'a static program'
	expect_of static-pie '' 'a static program at any address'
	expect_of liba.so '+libb.so' 'a library as what is asked for' kind=shared
	ln -s liba.so link.so
	expect_of link.so '+libb.so' 'a library by a link' kind=shared
}

traps_musl() {
	local loader
	loader=/lib/ld-musl-$(uname -m).so.1
	if ! command -v musl-gcc >/dev/null || [ ! -x "$loader" ]; then
		return 0
	fi
	musl() {
		musl-gcc "$@" || elf_failed=1
	}
	new musl
	so lib/libb.so && so lib/liba.so -n libb.so
	elf_stub liba.so
	musl -o prog "$elf_objects/main.o" "$elf_objects/nothing.o" -Wl,--no-as-needed "$elf_stub" \
		'-Wl,-rpath,$ORIGIN/lib'
	expect_of prog '+lib/liba.so +lib/libb.so' 'musl: a RUNPATH is inherited'
	musl -o plain "$elf_objects/main.o"
	expect_of plain '' 'musl: a plain program'
	musl -static -o static "$elf_objects/main.o"
	expect_of static '' 'musl: a static program'
	musl -o missing "$elf_objects/main.o" -Wl,--no-as-needed "$elf_stub"
	expect_of missing '?liba.so' 'musl: a library is missing'
	so lib2/liba.so -n libb.so -R '$ORIGIN/x' && so lib2/x/libb.so && elf_stub liba.so
	musl -o nearest "$elf_objects/main.o" -Wl,--no-as-needed "$elf_stub" \
		'-Wl,-rpath,$ORIGIN/lib2:$ORIGIN/lib'
	expect_of nearest '+lib2/x/libb.so -lib/libb.so' 'musl: the nearest RUNPATH is first'
	elf_stub libm.so.6
	musl -o reserved "$elf_objects/main.o" -Wl,--no-as-needed "$elf_stub"
	expect_of reserved '' 'musl: a name that is its own'
	elf_stub libb.so
	mkdir first && : >first/libb.so
	musl -o unfit "$elf_objects/main.o" -Wl,--no-as-needed "$elf_stub" \
		'-Wl,-rpath,$ORIGIN/first:$ORIGIN/lib'
	expect_of unfit '!libb.so' 'musl: the first of a name counts, fit or not'
	so named/liba.so -s libz.so && so named/libz.so
	elf_stub liba.so && local one=$elf_stub && elf_stub libz.so
	musl -o soname "$elf_objects/main.o" -Wl,--no-as-needed "$one" "$elf_stub" \
		'-Wl,-rpath,$ORIGIN/named'
	expect_of soname '' 'musl: sonames'
	elf_stub liba.so
	musl -o token "$elf_objects/main.o" -Wl,--no-as-needed "$elf_stub" \
		'-Wl,-rpath,$ORIGIN/lib:$LIB'
	expect_of token '?liba.so' 'musl: a token that it does not know'
	expect_of token '+lib/liba.so' 'musl: --library-path comes first' "library-path=$PWD/lib"
}

# A root with this machine's loader and libc; ldconfig(8) is left to the caller.
small_root() {
	local file
	mkdir -p etc "lib/x86_64-linux-gnu" lib64 usr/lib opt/lib
	cp "$(realpath "$elf_interpreter")" "lib64/${elf_interpreter##*/}"
	for file in libc.so.6 libm.so.6; do
		cp "$(realpath "$(gcc -print-file-name=$file)")" "lib/x86_64-linux-gnu/$file"
	done
}

in_root() { # PROGRAM EXPECTED DESCRIPTION [OPTIONS]
	expect_of "$1" "$2" "$3" "root=$here${4:+ $4}"
}

make_cache() {
	local way=()
	[ "$(id -u)" -eq 0 ] || way=(unshare -r)
	"${way[@]}" ldconfig -r "$PWD" 2>/dev/null || elf_failed=1
}

traps_roots() {
	local level
	new root-cache
	small_root && echo /opt/lib >etc/ld.so.conf
	so opt/lib/liba.so && so usr/lib/libb.so && exe prog -n liba.so -n libb.so && make_cache
	in_root prog '+opt/lib/liba.so +usr/lib/libb.so' 'a folder that only ld.so.cache knows'

	new root-cache-nodefaultlib
	small_root && echo /opt/lib >etc/ld.so.conf && so opt/lib/liba.so
	exe prog -n liba.so -- -nostdlib -Wl,-z,nodefaultlib && exe libc -- -Wl,-z,nodefaultlib && make_cache
	in_root prog '+opt/lib/liba.so' 'DF_1_NODEFLIB and a cache entry elsewhere'
	in_root libc '?libc.so.6' 'DF_1_NODEFLIB and a cache entry in a default folder'

	new root-cache-hwcaps
	small_root && echo /opt/lib >etc/ld.so.conf
	for level in '' /glibc-hwcaps/x86-64-v2 /glibc-hwcaps/x86-64-v3 /glibc-hwcaps/x86-64-v4; do
		so "opt/lib$level/liba.so" && so "usr/lib$level/libb.so"
	done
	so opt/lib/glibc-hwcaps/x86-64-v2/libc1.so && so opt/lib/libc1.so
	so opt/lib/libd.so && so lib/glibc-hwcaps/x86-64-v2/libd.so
	exe prog -n liba.so -n libb.so -n libc1.so -n libd.so && make_cache
	in_root prog '~ -opt/lib/liba.so -usr/lib/libb.so -opt/lib/libc1.so' 'glibc-hwcaps by the cache'

	new root-cache-legacy
	small_root && echo /opt/lib >etc/ld.so.conf
	for level in '' /tls /x86_64 /haswell /tls/x86_64 /avx512_1; do
		so "opt/lib$level/liba.so" && so "lib$level/libb.so"
	done
	so opt/lib/haswell/libc1.so && so opt/lib/libc1.so && so opt/lib/x86_64/libd.so && so opt/lib/libd.so
	so opt/lib/tls/libe.so && so opt/lib/libe.so && so opt/lib/avx512_1/libf.so && so opt/lib/libf.so
	exe prog -n liba.so -n libb.so -n libc1.so -n libd.so -n libe.so -n libf.so && make_cache
	in_root prog '' 'the older folders by the cache'

	new root-default-hwcaps
	small_root
	so usr/lib/liba.so && so usr/lib/glibc-hwcaps/x86-64-v2/liba.so && so lib/x86_64/libb.so && so lib/libb.so
	exe prog -n liba.so -n libb.so
	in_root prog '~ -usr/lib/liba.so' 'glibc-hwcaps in the default folders, without a cache'

	new root-cache-stale
	small_root && echo /opt/lib >etc/ld.so.conf
	so opt/lib/liba.so && so usr/lib/libb.so && so opt/lib/libb.so && exe prog -n liba.so -n libb.so
	make_cache && rm opt/lib/liba.so opt/lib/libb.so
	in_root prog '?liba.so +usr/lib/libb.so' 'a cache that is older than what it names'

	new root-cache-unfit
	small_root && echo /opt/lib >etc/ld.so.conf
	so opt/lib/liba.so && so usr/lib/liba.so && exe prog -n liba.so && make_cache
	poke opt/lib/liba.so 18 b7 00
	in_root prog '+usr/lib/liba.so' 'a cache entry that leads to another machine'

	new root-cache-soname
	small_root && echo /opt/lib >etc/ld.so.conf
	so opt/lib/libfile.so.1.2 -s libname.so.1 && exe prog -n libname.so.1 && make_cache
	in_root prog '+opt/lib/libfile.so.1.2' 'the link that ldconfig makes'

	new root-conf-only
	small_root && mkdir etc/ld.so.conf.d etc/more && echo 'include ld.so.conf.d/*.conf # those' >etc/ld.so.conf
	echo /opt/lib/ >etc/ld.so.conf.d/b.conf && echo 'include /etc/more/*' >etc/ld.so.conf.d/a.conf
	echo /opt/one >etc/more/one && echo /opt/none >etc/ld.so.conf.d/not.read
	so opt/lib/liba.so && so opt/one/liba.so && so opt/lib/libb.so.1 && so opt/none/libc1.so
	exe prog -n liba.so -n libb.so.1 -n libc1.so
	cp -a . ../root-conf-cached && (cd ../root-conf-cached && make_cache)
	in_root prog '+opt/one/liba.so +opt/lib/libb.so.1 ?libc1.so' \
		'folders that ld.so.conf names, without a cache, as with one' "judged=$elf_traps/root-conf-cached"

	new root-links
	small_root && mkdir -p real && mv usr/lib real/lib && ln -s /real/lib usr/lib
	ln -s /../../../etc/passwd-none real/lib/libb.so && so real/lib/liba.so.1.2 -s liba.so.1
	ln -s /usr/lib/liba.so.1.2 real/lib/liba.so.1 && exe prog -n liba.so.1 -n libb.so
	in_root prog '+real/lib/liba.so.1.2 ?libb.so' 'absolute links stay in the root'

	if [ -x "/lib/ld-musl-$(uname -m).so.1" ] && command -v musl-gcc >/dev/null; then
		new root-musl
		mkdir -p lib etc opt/lib usr/lib && cp "/lib/ld-musl-$(uname -m).so.1" lib/
		so opt/lib/liba.so && so usr/lib/libb.so && so opt/lib/libb.so
		elf_stub liba.so && level=$elf_stub && elf_stub libb.so
		musl-gcc -o prog "$elf_objects/main.o" -Wl,--no-as-needed "$level" "$elf_stub" || elf_failed=1
		printf '/none:/opt/lib\n/usr/lib\n' >"etc/ld-musl-$(uname -m).path"
		in_root prog '+opt/lib/liba.so +opt/lib/libb.so' 'musl: its path file'
	fi
}

traps_user() {
	new unreadable
	so one/liba.so && so two/liba.so && so one/libb.so && chmod 0 one/liba.so one/libb.so
	exe prog -n liba.so -R '$ORIGIN/one:$ORIGIN/two' && exe missing -n libb.so -R '$ORIGIN/one'
	expect_of prog '+two/liba.so' 'a library that may not be read comes first'
	expect_of missing '?libb.so' 'a library that may not be read is none'

	new unsearchable
	so one/liba.so && so two/liba.so && chmod 0 one
	exe prog -n liba.so -R '$ORIGIN/one:$ORIGIN/two'
	expect_of prog '+two/liba.so' 'a folder that may not be searched comes first'
}

elf_traps() { # FOLDER
	local LC_ALL=C
	mkdir -p "$1"
	elf_traps=$(cd "$1" && pwd)
	elf_begin "$elf_traps/objects" || return 1
	elf_list=$elf_traps/list
	traps_names && traps_origin && traps_paths && traps_filters && traps_unfit && traps_versions &&
		traps_hwcaps && traps_programs && traps_musl || elf_failed=1
	elf_list=$elf_traps/list-roots
	traps_roots || elf_failed=1
	elf_list=$elf_traps/list-user
	traps_user || elf_failed=1
	cd "$elf_traps" || return
	[ "$elf_failed" -eq 0 ]
}

#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The project's words against the program: man pages, --help, README, documents, completions.
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
tap_begin "$1"
cd "$source" || exit 2

commands() {
	"$caisson" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\( [a-z]\+\)*\)  .*/\1/p'
}

# The lines of --help that describe an option: "  -v, --volume NAME" or "      --name NAME".
help_options() { # COMMAND
	# shellcheck disable=SC2086
	"$caisson" $1 --help | grep -E '^  (-[a-z], |    )--' | grep -oE -- '--[a-z][a-z-]*' | sort -u
}

page_of() { # COMMAND
	echo "$build/man/caisson-${1%% *}.1"
}

# Of "run" what stands under OPTIONS, of "volume create" its own subsection and the common options.
page_options() { # COMMAND
	awk -v command="caisson $1" '
		/^\.SH/ { inside = $0 ~ /^\.SH "?(COMMON )?OPTIONS"?$/ }
		/^\.SS/ && command ~ / .* / { inside = index($0, command) && !index($0, command "-") }
		inside && /^\\fB-/' "$(page_of "$1")" | sed 's/\\f[BIRP]//g' |
		grep -oE -- '--[a-z][a-z-]*' | sort -u
}

every_option() {
	while read -r command; do
		help_options "$command"
	done < <(commands) | sort -u
	echo '--version'
}

test_options() {
	local command
	check 'caisson --help lists commands' test -n "$(commands)"
	while read -r command; do
		check "caisson $command has options" test -n "$(help_options "$command")"
		same "the man page and --help of caisson $command name the same options" \
			"$(help_options "$command")" "$(page_options "$command")"
	done < <(commands)
	same 'man pages speak of no option that is not there' '' \
		"$(grep -v '^@options' man/*.scd | grep -oE -- '\*--[a-z][a-z-]*' | sed 's/.*\*//' |
			sort -u | comm -23 - <(every_option | sort -u))"
}

# "caisson volume create data --size 256M" is a command with options that it has.
# shellcheck disable=SC2317
is_usage() { # LINE
	local command='' word
	while read -r word; do
		[[ "$1 " != "caisson $word "* ]] || command=$word
	done < <(commands)
	[ -n "$command" ] || return 1
	for word in ${1%% -- *}; do
		case $word in
		--) ;;
		--*) help_options "$command" | grep -qxF -e "${word%%=*}" || return 1 ;;
		-?) # shellcheck disable=SC2086
			"$caisson" $command --help | grep -qE -e "^  $word, " || return 1 ;;
		esac
	done
}

test_examples() {
	local file line examples
	for file in README.md man/*.scd; do
		# What stands between fences.
		examples=$(awk '/^```/ { inside = !inside } inside' "$file" |
			grep -oE '(^|[$|] )caisson [a-z].*' | sed -E 's/^[$|] //; s/ \| .*//')
		[ -n "$examples" ] || continue
		while read -r line; do
			check "$file: $line" is_usage "$line"
		done <<<"$examples"
	done
}

test_pages() {
	local page name
	for page in man/*.scd; do
		name=$(basename "$page" .scd)
		check "$name is built" test -s "$build/man/$name"
		check "README.md names ${name%.*}(${name##*.})" \
			grep -qF -e "${name%.*}(${name##*.})" README.md
		check_not "$name has no line for the generator left" grep -qE '^@|@version@' \
			"$build/man/$name"
		if command -v man >/dev/null; then
			same "man has nothing to say against $name" '' \
				"$(MANROFFSEQ='' man --warnings -l "$build/man/$name" 2>&1 >/dev/null)"
		else
			skip 'man is not installed' "man has nothing to say against $name"
		fi
	done
	while read -r name; do
		check "$name exists" test -f "man/${name%(*}.$(tr -dc 0-9 <<<"$name").scd"
	done < <(cat man/*.scd README.md | tr -d '*`' | grep -oE 'caisson(-[a-z]+)?\([0-9]\)' | sort -u)
}

links() { # FILE
	grep -oE '\]\([^):]+\)' "$1" | sed 's/^](//; s/#.*//; s/)$//' | sort -u
}

test_links() {
	local file link
	for file in docs/*.md; do
		check "$file is linked from README.md or the architecture" \
			grep -qF -e "($(basename "$file"))" -e "($file)" README.md docs/architecture.md
	done
	for file in *.md docs/*.md; do
		while read -r link; do
			[ -n "$link" ] || continue
			check "$file: the link $link leads somewhere" test -e "$(dirname "$file")/$link"
		done < <(links "$file")
	done
}

# What is said twice: in a header or a source for the compiler, in a document for people.
test_formats() {
	local name number folder
	while read -r name number; do
		check "docs/machine-channel.md has message $number, $name" \
			grep -qE "^\| $number \| $name \|" docs/machine-channel.md
	done < <(sed -nE 's/^\tMESSAGE_([A-Z_]+) = ([0-9]+),.*/\1 \2/p' src/wire/message.h)
	while read -r name; do
		check "docs/guest-config.md has the field $name" \
			grep -qE "^\| .*[\`.]$name\`" docs/guest-config.md
	done < <(grep -oE 'json_set[a-z_]*\(object, "[a-z_]+"' src/wire/guest_config.c |
		grep -v '"workload"' | cut -d '"' -f 2 | sort -u)
	for folder in src/*/; do
		check "docs/architecture.md has the folder $folder" \
			grep -qE "^  $(basename "$folder")/ " docs/architecture.md
	done
	while read -r name; do
		check "./dev $name exists" grep -qE "^  $name " <(./dev --help)
	done < <(cat README.md CONTRIBUTING.md docs/*.md | grep -oE '\./dev [a-z]+' | cut -d ' ' -f 2 |
		sort -u | grep -vx does)
}

parses() { # SHELL FILE
	if command -v "$1" >/dev/null; then
		check "$1 parses its completion" "$1" -n "$build/completions/$2"
	else
		skip "$1 is not installed" "$1 parses its completion"
	fi
}

test_completions() {
	local command
	parses bash caisson.bash
	parses zsh _caisson
	parses fish caisson.fish
	while read -r command; do
		same "bash completes the options of caisson $command" "$(help_options "$command")" \
			"$(awk -v start="'$command')" '{ sub(/^\t*/, "") } $0 == start { inside = 1 }
				/^;;/ { inside = 0 } inside' "$build/completions/caisson.bash" |
				grep -oE -- "_caisson_words '.* --[^']*" | grep -oE -- '--[a-z][a-z-]*' | sort -u)"
	done < <(commands)
}

# The names of kernels, out of what "caisson kernel list" prints.
test_kernel_names() {
	local names=$'6.1.192-caisson-minimal-0a1b2c3d\n6.1.192-caisson-observe-4e5f6071'

	mkdir -p "$work/kernels"
	cat >"$work/kernels/caisson" <<'END'
#!/bin/sh
[ "$*" = 'kernel list' ] || exit 1
echo '  NAME                              PROFILE       RELEASE             bzImage     vmlinux'
echo '* 6.1.192-caisson-minimal-0a1b2c3d  minimal       6.1.192-caisson     5.1 MiB    12.6 MiB'
echo '  6.1.192-caisson-observe-4e5f6071  observe       6.1.192-caisson     9.0 MiB    23.0 MiB'
END
	chmod +x "$work/kernels/caisson"
	same 'bash: kernels by their names' "$names" \
		"$(PATH=$work/kernels:$PATH bash -c ". '$build/completions/caisson.bash'; _caisson_kernels")"
	if command -v fish >/dev/null; then
		same 'fish: kernels by their names' "$names" \
			"$(PATH=$work/kernels:$PATH fish -N -c "source '$build/completions/caisson.fish'; __caisson_kernels")"
	else
		skip 'fish is not installed' 'fish: kernels by their names'
	fi
}

test_options
test_examples
test_pages
test_links
test_formats
test_completions
test_kernel_names
tap_end

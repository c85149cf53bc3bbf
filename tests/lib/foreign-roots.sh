# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Small roots of Debian packages for other machine types, as programs to be judged by their own loader.
# Source it behind tap.sh; then
#
#   foreign_begin FOLDER   first; fails with $foreign_why when nothing can be had here
#   foreign_root ARCH      $foreign_root: a folder that is kept from run to run, not to be changed;
#                          fails with $foreign_why
#   foreign_cached ARCH    $foreign_cached: the same with libraries in a folder of their own, which only
#                          /etc/ld.so.conf.d and the ld.so.cache of its own ldconfig know
#   foreign_mixed          $foreign_mixed: programs of amd64 and of i386 with the cache for both
#   foreign_emulator ARCH  $foreign_emulator: what runs its programs; empty when the machine does by itself
#
# The packages come from where the machine gets its own, through an apt configuration of our own: no file
# of the system is touched, and no privilege is needed.

# shellcheck disable=SC2034 # for the scripts
foreign_packages=(bash coreutils cryptsetup-bin e2fsprogs libc-bin man-db openssh-client python3-minimal
	systemd udev util-linux)
foreign_recipe=$(sha256sum <"${BASH_SOURCE[0]}")
foreign_archs=(amd64 arm64 armhf i386 ppc64el riscv64 s390x)

foreign_begin() { # FOLDER
	local tool
	foreign_cache=$1
	foreign_why=
	for tool in apt-get dpkg-deb sha256sum flock; do
		command -v "$tool" >/dev/null || {
			foreign_why="no $tool"
			return 1
		}
	done
	mkdir -p "$foreign_cache" 2>/dev/null || [ -d "$foreign_cache" ] || {
		foreign_why="$foreign_cache cannot be made"
		return 1
	}
}

# Debian 12 has no riscv64; its successor does.
foreign_suite() { # ARCH
	local own
	own=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	case $own:$1 in
	bookworm:riscv64) echo trixie ;;
	*) echo "$own" ;;
	esac
}

# What the machine's own sources are for its own suite; "deb" lines for another suite and machine type.
foreign_sources() { # ARCH SUITE
	local own
	own=$(foreign_suite "$(dpkg --print-architecture)")
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' "Release: $own" | sort -u |
		while read -r uri _ component; do
			echo "deb [arch=$1 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
				"$uri $2 $component"
		done
}

# An apt of our own, for one machine type, in FOLDER. Only how to reach servers is taken over.
foreign_apt_setup() { # FOLDER ARCH SUITE
	local apt=$1
	mkdir -p "$apt"/{etc/{parts,sources,preferences,trusted},state/lists/partial,cache/archives/partial,log}
	: >"$apt/status"
	foreign_sources "$2" "$3" >"$apt/etc/sources.list"
	[ -s "$apt/etc/sources.list" ] || return 1
	{
		apt-config dump | grep -E '^Acquire::(http|https|Retries|ForceIPv)' |
			grep -v '""' || true
		cat <<-END
			APT::Architecture "$2";
			APT::Architectures { "$2"; };
			APT::Sandbox::User "";
			APT::Install-Recommends "false";
			Acquire::Languages "none";
			Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
			Debug::NoLocking "true";
			Dir::State "$apt/state";
			Dir::State::status "$apt/status";
			Dir::Cache "$apt/cache";
			Dir::Log "$apt/log";
			Dir::Etc::main "$apt/etc/none";
			Dir::Etc::parts "$apt/etc/parts";
			Dir::Etc::sourcelist "$apt/etc/sources.list";
			Dir::Etc::sourceparts "$apt/etc/sources";
			Dir::Etc::preferences "$apt/etc/none";
			Dir::Etc::preferencesparts "$apt/etc/preferences";
			Dir::Etc::trustedparts "$apt/etc/trusted";
		END
	} >"$apt/apt.conf"
}

# Folders as Debian 12 has them: one /usr, and links to it.
foreign_skeleton() { # ROOT
	local name
	for name in bin sbin lib lib32 lib64 libx32; do
		mkdir -p "$1/usr/$name"
		ln -s "usr/$name" "$1/$name"
	done
	mkdir -p "$1/etc" "$1/proc" "$1/dev"
}

# dpkg-deb -x would put a package's folder /lib in the place of the link: through tar, which need not.
foreign_unpack() { # PACKAGE ROOT
	dpkg-deb --fsys-tarfile "$1" |
		tar -x --no-same-owner --no-same-permissions --keep-directory-symlink \
			--exclude='./usr/share/*' --exclude='./var/*' --exclude='./dev/*' -C "$2"
}

foreign_make() { # FOLDER ARCH
	local apt=$1/apt suite package
	suite=$(foreign_suite "$2")
	foreign_apt_setup "$apt" "$2" "$suite" || {
		echo 'apt has no sources for this suite'
		return 1
	}
	APT_CONFIG=$apt/apt.conf apt-get -q update || return 1
	grep -qs . "$apt"/state/lists/*_Packages* || {
		echo "no packages of $suite for $2"
		return 1
	}
	APT_CONFIG=$apt/apt.conf apt-get -q -y --download-only install "${foreign_packages[@]}" ||
		return 1
	foreign_skeleton "$1/root"
	for package in "$apt"/cache/archives/*.deb; do
		foreign_unpack "$package" "$1/root" || return 1
	done
	rm -rf "$apt"
}

foreign_root() { # ARCH
	local key made lock
	key=$1-$( (foreign_suite "$1" && echo "$foreign_recipe") | sha256sum | cut -c 1-16)
	foreign_root=$foreign_cache/$key/root
	[ ! -d "$foreign_cache/$key" ] || return 0
	exec {lock}>"$foreign_cache/lock-$1" && flock "$lock"
	if [ ! -d "$foreign_cache/$key" ]; then
		rm -rf "$foreign_cache/$1"-*
		made=$foreign_cache/$1-new
		rm -rf "$made"
		mkdir -p "$made"
		if ! foreign_make "$made" "$1" >"$foreign_cache/$1.log" 2>&1; then
			foreign_why="the packages for $1 could not be had: $(grep -v '^ *$' \
				"$foreign_cache/$1.log" | tail -n 1)"
			rm -rf "$made"
			exec {lock}>&-
			return 1
		fi
		mv -T "$made" "$foreign_cache/$key"
	fi
	exec {lock}>&-
}

foreign_emulator() { # ARCH
	local name
	foreign_emulator=
	case $1 in
	"$(dpkg --print-architecture)") return 0 ;;
	amd64) name=x86_64 ;;
	arm64) name=aarch64 ;;
	armhf) name=arm ;;
	ppc64el) name=ppc64le ;;
	*) name=$1 ;;
	esac
	foreign_emulator=$(command -v "qemu-$name-static") || {
		foreign_why="no qemu-$name-static"
		return 1
	}
}

# As root of its own kind; the folder is its root.
foreign_run() { # ROOT EMULATOR COMMAND...
	local root=$1 emulator=$2 way=()
	shift 2
	[ "$(id -u)" -eq 0 ] || way=(unshare -r)
	if [ -n "$emulator" ]; then
		cp "$emulator" "$root/emulator"
		"${way[@]}" chroot "$root" /emulator "$@"
		rm -f "$root/emulator"
	else
		"${way[@]}" chroot "$root" "$@"
	fi
}

# The hard links share what stays as it is.
foreign_cached() { # ARCH
	local made
	foreign_root "$1" && foreign_emulator "$1" || return 1
	foreign_cached=${foreign_root%/root}/cached
	[ ! -d "$foreign_cached" ] || return 0
	made=$foreign_cached-$$
	cp -al "$foreign_root" "$made" && mkdir -p "$made/opt/moved" "$made/etc/ld.so.conf.d" &&
		find "$made/usr/lib" -path '*-linux-gnu*/lib[crs]*' \( -name 'libcryptsetup.so*' -o \
			-name 'libcrypto.so*' -o -name 'libreadline.so*' -o -name 'libsmartcols.so*' \
			-o -name 'libcap.so*' \) -exec mv -t "$made/opt/moved" {} + &&
		rm -f "$made/etc/ld.so.conf" && echo 'include /etc/ld.so.conf.d/*.conf' >"$made/etc/ld.so.conf" &&
		echo /opt/moved >"$made/etc/ld.so.conf.d/moved.conf" &&
		foreign_run "$made" "$foreign_emulator" /sbin/ldconfig >/dev/null 2>&1 &&
		[ -s "$made/etc/ld.so.cache" ] && mv -T "$made" "$foreign_cached" && return 0
	foreign_why="no ld.so.cache could be made for $1"
	rm -rf "$made"
	return 1
}

foreign_mixed() {
	local made i386
	foreign_root i386 && i386=$foreign_root && foreign_root amd64 || return 1
	foreign_mixed=${foreign_root%/root}/mixed-$(basename "${i386%/root}")
	[ ! -d "$foreign_mixed" ] || return 0
	made=$foreign_mixed-$$
	cp -al "$foreign_root" "$made" && mkdir -p "$made/opt/i386" &&
		cp -al "$i386/usr/bin" "$i386/usr/sbin" "$made/opt/i386/" &&
		cp -al "$i386/usr/lib/i386-linux-gnu" "$made/usr/lib/" &&
		cp -a "$i386"/usr/lib/ld-linux.so.2 "$made/usr/lib/" &&
		cp -a "$i386"/etc/ld.so.conf.d/. "$made/etc/ld.so.conf.d/" &&
		rm -f "$made/etc/ld.so.conf" && echo 'include /etc/ld.so.conf.d/*.conf' >"$made/etc/ld.so.conf" &&
		foreign_run "$made" '' /sbin/ldconfig >/dev/null 2>&1 && [ -s "$made/etc/ld.so.cache" ] &&
		mv -T "$made" "$foreign_mixed" && return 0
	foreign_why='no root with two ABIs could be made'
	rm -rf "$made"
	return 1
}

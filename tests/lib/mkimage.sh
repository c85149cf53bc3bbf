#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes an OCI image layout (image-spec 1.1) from root folders: the same bytes for the same input.
set -euo pipefail

usage() {
	cat <<'END'
usage: mkimage.sh OUTDIR ROOTFS_DIR [OPTION]...
  --entrypoint JSON, --cmd JSON   arrays of strings
  --env K=V                       may be repeated
  --user U, --workdir D, --stop-signal S
  --tag T                         org.opencontainers.image.ref.name
  --architecture A                default: this machine's
  --compression gzip|zstd|none    of every layer; default gzip
  --extra-layer DIR_OR_TAR        one more layer on top; may be repeated
  --archive FILE                  a tar of the layout too
  --docker                        with Docker's media types
ROOTFS_DIR may be a tar file, too. Files of a folder belong to 0:0 in the image, and are of 1970.
END
}

fail() {
	echo "mkimage.sh: $*" >&2
	exit 1
}

# A JSON string of $1.
quote() {
	local text=$1
	text=${text//\\/\\\\}
	text=${text//\"/\\\"}
	text=${text//$'\n'/\\n}
	text=${text//$'\t'/\\t}
	printf '"%s"' "$text"
}

# Moves the file $1 to its place among the blobs; prints its digest.
add_blob() {
	local digest
	digest=$(sha256sum "$1" | cut -d ' ' -f 1)
	mv "$1" "$out/blobs/sha256/$digest"
	printf '%s' "$digest"
}

descriptor() { # MEDIA_TYPE DIGEST [MORE]
	printf '{"mediaType":"%s","digest":"sha256:%s","size":%s%s}' \
		"$1" "$2" "$(stat -c %s "$out/blobs/sha256/$2")" "${3-}"
}

make_tar() { # SOURCE FILE
	if [[ -d $1 ]]; then
		tar --create --file "$2" --directory "$1" --sort=name --mtime=@0 --owner=0 \
			--group=0 --numeric-owner --format=posix --xattrs \
			--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime .
	else
		cp "$1" "$2"
	fi
}

compress() { # FILE; prints the new file's name
	case $compression in
	gzip) gzip --no-name --fast "$1" && printf '%s' "$1.gz" ;;
	zstd) zstd --quiet --rm -3 "$1" -o "$1.zst" && printf '%s' "$1.zst" ;;
	none) printf '%s' "$1" ;;
	*) fail "unknown compression: $compression" ;;
	esac
}

layer_type() {
	case $docker$compression in
	no*gzip) echo application/vnd.oci.image.layer.v1.tar+gzip ;;
	no*zstd) echo application/vnd.oci.image.layer.v1.tar+zstd ;;
	no*) echo application/vnd.oci.image.layer.v1.tar ;;
	yes*gzip) echo application/vnd.docker.image.rootfs.diff.tar.gzip ;;
	yes*zstd) echo application/vnd.docker.image.rootfs.diff.tar.zstd ;;
	yes*) echo application/vnd.docker.image.rootfs.diff.tar ;;
	esac
}

architecture() {
	case $(uname -m) in
	x86_64) echo amd64 ;;
	aarch64) echo arm64 ;;
	*) uname -m ;;
	esac
}

if [[ ${1-} == --help ]]; then
	usage
	exit 0
fi
if (($# < 2)); then
	usage >&2
	exit 2
fi
out=$1
layers=("$2")
shift 2
cmd='' entrypoint='' user='' workdir='' stop_signal='' tag='' archive='' docker=no
compression=gzip arch=$(architecture) env=''
while (($# > 0)); do
	if [[ $1 == --docker ]]; then
		docker=yes
		shift
		continue
	fi
	(($# >= 2)) || fail "$1 wants a value"
	case $1 in
	--cmd) cmd=$2 ;;
	--entrypoint) entrypoint=$2 ;;
	--env) env+=${env:+,}$(quote "$2") ;;
	--user) user=$2 ;;
	--workdir) workdir=$2 ;;
	--stop-signal) stop_signal=$2 ;;
	--tag) tag=$2 ;;
	--architecture) arch=$2 ;;
	--compression) compression=$2 ;;
	--archive) archive=$2 ;;
	--extra-layer) layers+=("$2") ;;
	*) fail "unknown option: $1" ;;
	esac
	shift 2
done

rm -rf "$out"
mkdir -p "$out/blobs/sha256"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

diff_ids='' descriptors=''
for source in "${layers[@]}"; do
	make_tar "$source" "$work/layer.tar"
	diff_ids+=${diff_ids:+,}\"sha256:$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)\"
	file=$(compress "$work/layer.tar")
	descriptors+=${descriptors:+,}$(descriptor "$(layer_type)" "$(add_blob "$file")")
done

config=''
add_field() { # NAME JSON
	[[ -z $2 ]] || config+=${config:+,}\"$1\":$2
}
add_field Entrypoint "$entrypoint"
add_field Cmd "$cmd"
add_field Env "${env:+[$env]}"
add_field User "${user:+$(quote "$user")}"
add_field WorkingDir "${workdir:+$(quote "$workdir")}"
add_field StopSignal "${stop_signal:+$(quote "$stop_signal")}"
printf '{"architecture":"%s","os":"linux","config":{%s},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
	"$arch" "$config" "$diff_ids" >"$work/config"

if [[ $docker == yes ]]; then
	config_type=application/vnd.docker.container.image.v1+json
	manifest_type=application/vnd.docker.distribution.manifest.v2+json
else
	config_type=application/vnd.oci.image.config.v1+json
	manifest_type=application/vnd.oci.image.manifest.v1+json
fi
printf '{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}' "$manifest_type" \
	"$(descriptor $config_type "$(add_blob "$work/config")")" "$descriptors" >"$work/manifest"
annotations=''
if [[ -n $tag ]]; then
	annotations=',"annotations":{"org.opencontainers.image.ref.name":'$(quote "$tag")'}'
fi
printf '{"schemaVersion":2,"mediaType":"%s","manifests":[%s]}' \
	application/vnd.oci.image.index.v1+json \
	"$(descriptor $manifest_type "$(add_blob "$work/manifest")" "$annotations")" \
	>"$out/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$out/oci-layout"

if [[ -n $archive ]]; then
	tar --create --file "$archive" --directory "$out" --sort=name --mtime=@0 --owner=0 \
		--group=0 --numeric-owner oci-layout index.json blobs
fi

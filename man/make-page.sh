#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# usage: make-page.sh CAISSON SCDOC VERSION INPUT
#
# Makes a man page of an scdoc source. The first line (the licence) is left away, "@version@" becomes
# VERSION, and a line "@options COMMAND@" becomes the list of that command's options, out of the table
# that the program itself reads them by.
set -eu
caisson=$1 scdoc=$2 version=$3 input=$4

# A pipe would hide that one of its first commands failed.
page=$(
	tail -n +2 "$input" | while IFS= read -r line; do
		case $line in
		'@options '*@)
			name=${line#@options }
			"$caisson" generate man "${name%@}" || exit 1
			;;
		*) printf '%s\n' "$line" ;;
		esac
	done
)
printf '%s\n' "$page" | sed "s/@version@/$version/g" | "$scdoc"

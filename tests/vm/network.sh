#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# User networking: out, in through published ports, and none.
# shellcheck disable=SC2016 # what is quoted, the guest expands
set -u
# shellcheck source=tests/lib/vm.sh
. "$(dirname "$0")/../lib/vm.sh"
vm_begin "$1"

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A server of this host, on its loopback.
mkdir "$work/www"
head -c 3000000 /dev/urandom >"$work/www/large"
exec {server}< <(cd "$work/www" && exec python3 -u -c '
import http.server
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_address[1])
server.serve_forever()' 2>/dev/null)
server_pid=$!
read -r -u "$server" server_port

port=$(free_port)
vm_start -i --name net -p "$port:8080" "$busybox" sh -c '
	mkdir /www && echo "from the guest" >/www/page && dd if=/dev/urandom of=/www/large bs=64k count=32 \
		2>/dev/null
	sha256sum </www/large | cut -c 1-64
	httpd -p 8080 -h /www
	ping -c 1 -W 5 127.0.0.1 >/dev/null && echo loopback
	ping -c 1 -W 5 localhost >/dev/null && echo localhost
	ping -c 1 -W 5 net >/dev/null && echo own name
	wget -q -O - http://10.0.2.2:'"$server_port"'/large | sha256sum | cut -c 1-64
	cat /etc/resolv.conf
	echo ready
	cat'
IFS= read -r -t 90 -u "$vm_out" line
check 'a machine with published ports runs' test -n "$line"
sum=$line
IFS= read -r -t 60 -u "$vm_out" line
same 'the loopback answers' loopback "$line"
IFS= read -r -t 60 -u "$vm_out" line
same 'under its name' localhost "$line"
IFS= read -r -t 60 -u "$vm_out" line
same 'and under the machine'"'"'s' 'own name' "$line"
IFS= read -r -t 60 -u "$vm_out" line
same 'out: 3 MB from a server of this host' "$(sha256sum <"$work/www/large" | cut -c 1-64)" "$line"
IFS= read -r -t 60 -u "$vm_out" line
same 'there is a resolver' 'nameserver 10.0.2.3' "$line"
wait_line "$vm_out" '^ready$'
same 'in: a published port' 'from the guest' "$(curl -s --max-time 60 "http://127.0.0.1:$port/page")"
same '2 MB of it' "$sum" "$(curl -s --max-time 60 "http://127.0.0.1:$port/large" | sha256sum |
	cut -c 1-64)"
check_not 'on the loopback alone' curl -s --max-time 5 -o /dev/null \
	"http://$(hostname -I 2>/dev/null | cut -d ' ' -f 1 | grep . || echo 192.0.2.1):$port/page"
try vm_sh --rm -p "$port:80" true
ended 'a port that is taken' 125 "QEMU ended: .*$port"
vm_wait
same 'it ends' 0 "$status"
check_not 'and so does the port' curl -s --max-time 5 -o /dev/null "http://127.0.0.1:$port/page"
kill "$server_pid"

for publish in 80 80:80:80:80 0:80 80:0 65536:80 a:b 1.2.3:80:80 80:80/sctp '80:80,guestfwd=x' :80 80:; do
	expect "-p $publish" 125 'does not publish a port' run -p "$publish" "$busybox" true
done
expect 'a port without a network' 125 'network' run --network none -p 8080:80 "$busybox" true

tap_end

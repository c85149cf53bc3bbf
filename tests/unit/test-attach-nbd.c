/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is served over NBD, with real clients and with hostile ones. */
#include "attach-served.h"

#include <endian.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "attach/control.h"
#include "attach/nbd.h"
#include "attach/nbd_server.h"
#include "attach/sockets.h"
#include "attach/start.h"

static void test_nbd_clients(void **state)
{
	_cleanup_box_ struct box box;
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	struct attach_options options;

	NEED(have("nbdinfo") && have("nbdcopy") && have("qemu-img") && have("qemu-io"),
		"nbdinfo, nbdcopy, qemu-img or qemu-io is not there");
	box_make(&box, state, "clients", SIZE, 4096);
	options = options_of(&box);
	options.discard = true;
	serve(&box, &options);
	assert_int_equal(shell(&box, "nbdinfo \"$uri\"", &output), 0);
	assert_non_null(strstr(output.data, "export-size: 67108864"));
	assert_non_null(strstr(output.data, "can_multi_conn: true"));
	assert_non_null(strstr(output.data, "can_trim: true"));
	assert_non_null(strstr(output.data, "block_size_maximum: 33554432"));
	assert_int_equal(
		shell(&box, "nbdinfo --list \"nbd+unix://?socket=$dir/nbd.sock\"", NULL), 0);
	assert_true(shell(&box, "nbdinfo \"nbd+unix:///other?socket=$dir/nbd.sock\"", NULL) < 0);
	assert_int_equal(shell(&box,
				 "head -c 67108864 /dev/urandom >$dir/in; nbdcopy $dir/in \"$uri\";"
				 "nbdcopy \"$uri\" $dir/out; cmp $dir/in $dir/out;"
				 "qemu-img compare -f raw -F raw $dir/in \"$uri\"",
				 NULL),
		0);
	assert_int_equal(
		shell(&box,
			"qemu-io -f raw -c 'write -P 7 513 70001' -c 'write -f -P 8 1M 4k' "
			"-c 'write -z 8M 5M' -c flush -c 'discard 32M 1M' -c 'read -P 7 513 70001' "
			"-c 'read -P 8 1M 4k' -c 'read -P 0 8M 5M' \"$uri\" | tee $dir/log;"
			"! grep -iE 'fail|error' $dir/log",
			NULL),
		0);
	/* What they wrote is the payload that anybody with the key sees. */
	{
		struct caisson_error err = {0};
		_cleanup_close_ int fd = open(box.path, O_RDONLY);
		_cleanup_blocks_ struct blocks *container = NULL, *payload = NULL;
		uint8_t data[512];

		assert_ok(
			blocks_of_file(fd, DATA_OFFSET + SIZE, true, "it", &container, &err), &err);
		assert_ok(
			luks_payload_new(container, DATA_OFFSET, SIZE, box.cipher, &payload, &err),
			&err);
		assert_ok(blocks_read(payload, 1 << 20, data, sizeof(data), &err), &err);
		assert_int_equal(data[0], 8);
		assert_int_equal(data[511], 8);
	}
	stop(&box);
}

static void test_read_only(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;

	NEED(have("nbdinfo") && have("qemu-io"), "nbdinfo or qemu-io is not there");
	box_make(&box, state, "read-only", SIZE, 512);
	options = options_of(&box);
	options.read_only = true;
	serve(&box, &options);
	assert_int_equal(shell(&box, "nbdinfo \"$uri\"", &output), 0);
	assert_non_null(strstr(output.data, "is_read_only: true"));
	assert_true(
		shell(&box, "qemu-io -f raw -c 'write 0 4k' \"$uri\" | grep -q wrote", NULL) < 0);
	stop(&box);
}

static void send_words(int fd, const uint8_t *data, size_t size)
{
	(void)!send(fd, data, size, MSG_NOSIGNAL);
}

/* The seventeenth is closed at once; when one leaves, another may come. */
static void test_many_clients(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	int clients[16], r;
	struct caisson_error err = {0};
	_cleanup_close_ int more = -1;
	char byte;

	box_make(&box, state, "many", SIZE, 4096);
	options = options_of(&box);
	serve(&box, &options);
	for (size_t i = 0; i < 16; i++)
		clients[i] = connect_nbd(&box);
	more = unix_connect(box.folder, ATTACH_NBD_SOCKET, now_usec() + 5000000, &err);
	assert_ok(more, &err);
	assert_int_equal(set_nonblocking(more, false), 0);
	assert_int_equal(recv(more, &byte, 1, 0), 0);
	/* Nonsense ends a connection. */
	send_words(clients[0], (const uint8_t *)"\0\0\0\3nonsense.nonsense", 21);
	while ((r = (int)recv(clients[0], &byte, 1, 0)) > 0)
		;
	assert_true(r <= 0);
	close(clients[0]);
	clients[0] = connect_nbd(&box);
	for (size_t i = 0; i < 16; i++)
		close(clients[i]);
	stop(&box);
}

/* Nobody may keep a place by saying nothing: this waits for the ten seconds that a client has. */
static void test_silent_client(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	uint64_t began = now_usec();
	char byte;
	int client;

	box_make(&box, state, "silent", SIZE, 4096);
	options = options_of(&box);
	serve(&box, &options);
	client = connect_nbd(&box);
	assert_int_equal(recv(client, &byte, 1, 0), 0);
	assert_in_range(now_usec() - began, 9000000, 20000000);
	close(client);
	stop(&box);
}

/* A connection that has negotiated by the one option that asks for least. */
static int connect_ready(const struct box *box)
{
	int fd = connect_nbd(box);
	struct nbd_option_request option = {
		.magic = htobe64(NBD_OPTION_MAGIC), .option = htobe32(NBD_OPT_EXPORT_NAME)};
	uint32_t flags = htobe32(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
	uint8_t answer[10];

	send_words(fd, (const uint8_t *)&flags, sizeof(flags));
	send_words(fd, (const uint8_t *)&option, sizeof(option));
	assert_int_equal(recv(fd, answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
	return fd;
}

static void ask(int fd, uint16_t type, uint64_t offset, uint32_t length)
{
	struct nbd_request request = {.magic = htobe32(NBD_REQUEST_MAGIC),
		.type = htobe16(type),
		.cookie = 7,
		.offset = htobe64(offset),
		.length = htobe32(length)};

	send_words(fd, (const uint8_t *)&request, sizeof(request));
}

/* Sixteen clients in the middle of the longest request there is, that never end it, and one more
   request of each kind through the same memory. */
static void test_memory(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct caisson_error err = {0};
	_cleanup_free_ uint8_t *data = malloc(NBD_MOST_DATA), *back = malloc(NBD_MOST_DATA);
	struct nbd_simple_reply reply;
	int clients[16];

	box_make(&box, state, "memory", SIZE, 4096);
	options = options_of(&box);
	started = serve(&box, &options);
	for (size_t i = 0; i < NBD_MOST_DATA; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	for (size_t i = 0; i < 16; i++) {
		clients[i] = connect_ready(&box);
		if (i == 0)
			continue;
		ask(clients[i], NBD_CMD_WRITE, 0, NBD_MOST_DATA);
		for (size_t at = 0; at < NBD_MOST_DATA - 4096; at += 1 << 20)
			send_words(clients[i], data + at,
				MIN((size_t)1 << 20, NBD_MOST_DATA - 4096 - at));
	}
	ask(clients[0], NBD_CMD_WRITE, 3, NBD_MOST_DATA);
	for (size_t at = 0; at < NBD_MOST_DATA; at += 1 << 20)
		send_words(clients[0], data + at, 1 << 20);
	assert_int_equal(recv(clients[0], &reply, sizeof(reply), MSG_WAITALL), sizeof(reply));
	assert_int_equal(reply.error, 0);
	ask(clients[0], NBD_CMD_READ, 3, NBD_MOST_DATA);
	assert_int_equal(recv(clients[0], &reply, sizeof(reply), MSG_WAITALL), sizeof(reply));
	assert_int_equal(reply.error, 0);
	assert_int_equal(recv(clients[0], back, NBD_MOST_DATA, MSG_WAITALL), NBD_MOST_DATA);
	assert_memory_equal(data, back, NBD_MOST_DATA);
	/* What is beyond the end is taken, too, and refused. */
	ask(clients[0], NBD_CMD_WRITE, SIZE - 4096, 3 << 20);
	for (size_t at = 0; at < 3; at++)
		send_words(clients[0], data, 1 << 20);
	assert_int_equal(recv(clients[0], &reply, sizeof(reply), MSG_WAITALL), sizeof(reply));
	assert_int_equal(be32toh(reply.error), NBD_ENOSPC);
	print_message("# %llu KiB at most\n",
		(unsigned long long)status_field(started.pid, "\nVmHWM:", 10));
#ifndef __SANITIZE_ADDRESS__
	assert_true(status_field(started.pid, "\nVmHWM:", 10) < (64 << 10));
#endif
	assert_ok(attach_control(box.folder, "close force", 10, NULL, NULL, &err), &err);
	for (size_t i = 0; i < 16; i++)
		close(clients[i]);
	wait_gone(started.pid);
}

/* Zeros for the whole of a volume, many times over, keep nobody. */
static void test_zeros_end(void **state)
{
	_cleanup_box_ struct box box;
	struct attach_options options;
	struct attach_started started;
	struct caisson_error err = {0};
	int client;
	uint64_t began;

	box_make(&box, state, "zeros", 4 * SIZE, 4096);
	options = options_of(&box);
	started = serve(&box, &options);
	client = connect_ready(&box);
	/* More than that do not fit into the socket's queue. */
	for (int i = 0; i < 100; i++)
		ask(client, NBD_CMD_WRITE_ZEROES, 0, 4 * SIZE);
	(void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
	assert_refused(attach_control(box.folder, "close", 5, NULL, NULL, &err), &err, EBUSY);
	began = now_usec();
	assert_ok(attach_control(box.folder, "close force", 30, NULL, NULL, &err), &err);
	print_message("# closed after %llu ms\n", (unsigned long long)(now_usec() - began) / 1000);
	assert_true(now_usec() - began < 10000000);
	wait_gone(started.pid);
	close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nbd_clients),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_many_clients),
		cmocka_unit_test(test_silent_client),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_zeros_end),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}

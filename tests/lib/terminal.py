#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a command on a terminal of its own and plays a user in front of it.

usage: terminal.py STEP... -- COMMAND...

  size=ROWSxCOLUMNS   sets the terminal's size
  expect=PATTERN      waits until it comes out, behind what the last one matched
  send=TEXT           types it; \\n and \\xNN are understood

What came out goes to standard output. The exit status is the command's; 99 when something that was
expected did not come, 98 when the terminal's modes were not put back.
"""
import codecs
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

PATIENCE = 90


class Terminal:
    def __init__(self, command):
        self.seen, self.from_here = b'', 0
        self.master, slave = pty.openpty()
        self.slave = slave
        self.size('24x80')
        self.before = termios.tcgetattr(slave)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.master)
            os.login_tty(slave)
            os.execvp(command[0], command)

    def size(self, text):
        rows, columns = map(int, text.split('x'))
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def read(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.master], [], [], left)[0]:
            return False
        chunk = os.read(self.master, 65536)
        self.seen += chunk
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return bool(chunk)

    def expect(self, pattern):
        deadline = time.monotonic() + PATIENCE
        while True:
            found = re.compile(pattern.encode()).search(self.seen, self.from_here)
            if found:
                self.from_here = found.end()
                return
            if not self.read(deadline):
                self.give_up(pattern)

    def send(self, text):
        os.write(self.master, codecs.decode(text, 'unicode_escape').encode('latin-1'))

    def give_up(self, pattern):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        print(f'\nterminal.py: {pattern!r} did not come', file=sys.stderr)
        sys.exit(99)

    def finish(self):
        end = os.pidfd_open(self.pid)
        while True:
            ready = select.select([self.master, end], [], [], PATIENCE)[0]
            if not ready:
                self.give_up('the end')
            if self.master in ready:
                self.read(time.monotonic() + 1)
            elif end in ready:
                break
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if termios.tcgetattr(self.slave) != self.before:
            print('terminal.py: the modes were not put back', file=sys.stderr)
            return 98
        return status if status >= 0 else 128 - status


def main():
    words = sys.argv[1:]
    split = words.index('--')
    terminal = Terminal(words[split + 1:])
    for step in words[:split]:
        verb, _, text = step.partition('=')
        {'size': terminal.size, 'expect': terminal.expect, 'send': terminal.send}[verb](text)
    return terminal.finish()


sys.exit(main())

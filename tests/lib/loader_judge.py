#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares what caisson closure finds with what the dynamic loader itself does.

usage: loader_judge.py traps CAISSON LIST [ROOM]
       loader_judge.py programs CAISSON [--root ROOT] [--judged ROOT] [--emulator QEMU]
           [--answers FILE] <PATHS

Of the first, whose LIST is from elf-traps.sh, a line a trap: ok, no or skip, its name and description,
and what is different, separated by tabs. In ROOM, an empty folder, each closure that is whole is put
together and has to do by itself: the loader, there by chroot(2), has to find the same.

Of the second, a line a program that is different, and a last one with counts. PATHS end with NUL; with
--root they are inside ROOT, whose loader is run there by chroot(2), under the emulator; or, as ROOT should
be its equal, in the one that is judged. --answers keeps what the loader said, for as long as that root does
not change.
"""
import concurrent.futures
import functools
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

LINE = re.compile(r'^\t(?:(?P<name>.*) => )?(?P<path>.*) \(0x[0-9a-f]+\)$')
LOST = re.compile(r'^\t(?P<name>.*) => not found$')
VERSION = re.compile(r"(?<!weak )version `(?P<version>.*)' not found \(required by (?P<by>.*)\)$")
MUSL = re.compile(r'^Error loading shared library (?P<name>.*): (?P<why>.*) \(needed by (?P<by>.*)\)$')


class Elf:
    """PT_INTERP, and whether there is a PT_DYNAMIC; not known is what is no ELF file. The ABI is what
    an interpreter has to have in common with it."""

    def __init__(self, path):
        self.interpreter, self.dynamic, self.known, self.abi = None, False, False, None
        with open(path, 'rb') as file:
            start = file.read(64)
            if start[:4] != b'\x7fELF' or len(start) < 52:
                return
            self.known = True
            self.abi = start[4:6] + start[18:20]
            wide, order = start[4] == 2, '<' if start[5] == 1 else '>'
            offset, = struct.unpack_from(order + ('Q' if wide else 'I'), start, 32 if wide else 28)
            size, count = struct.unpack_from(order + 'HH', start, 54 if wide else 42)
            for index in range(count):
                file.seek(offset + index * size)
                header = file.read(size)
                kind, = struct.unpack_from(order + 'I', header)
                self.dynamic |= kind == 2
                if kind == 3:
                    at, = struct.unpack_from(order + ('Q' if wide else 'I'), header, 8 if wide else 4)
                    length, = struct.unpack_from(order + ('Q' if wide else 'I'), header, 32 if wide else 16)
                    file.seek(at)
                    self.interpreter = file.read(length).rstrip(b'\0').decode()


class Place:
    """A root: the machine's own, or a folder that links do not leave."""

    def __init__(self, root=None, emulator=None):
        self.root = os.path.realpath(root) if root else None
        self.emulator = os.open(emulator, os.O_RDONLY | os.O_CLOEXEC) if emulator else None
        self.emulator_name = emulator

    def inside(self, path):
        """The path without links, inside the root."""
        if not self.root:
            return os.path.realpath(path)
        done, left, jumps = [], path.split('/'), 0
        while left:
            part = left.pop(0)
            if part in ('', '.'):
                continue
            if part == '..':
                done = done[:-1]
                continue
            here = '/'.join([self.root, *done, part])
            if os.path.islink(here):
                jumps += 1
                if jumps > 40:
                    return path
                target = os.readlink(here)
                if target.startswith('/'):
                    done = []
                left = target.split('/') + left
                continue
            done.append(part)
        return '/' + '/'.join(done)

    def outside(self, path):
        return self.root + self.inside(path) if self.root else path

    def run(self, command, cwd=None, environment=None):
        """Output, errors and status of a command inside."""
        env = {'PATH': '/usr/bin:/bin', 'LC_ALL': 'C', **(environment or {})}

        def enter():
            if self.root:
                os.chroot(self.root)
                os.chdir(cwd or '/')
            if self.emulator is not None:
                os.execve(self.emulator, [self.emulator_name, *command], env)

        done = subprocess.run(command if self.emulator is None else ['true'], capture_output=True,
                              env=env, cwd=None if self.root else cwd, preexec_fn=enter, check=False,
                              stdin=subprocess.DEVNULL, timeout=60)
        return (done.stdout.decode(errors='surrogateescape'),
                done.stderr.decode(errors='surrogateescape'), done.returncode)


class Answer:
    """What is found, in order, as (name, path without links); what is missing; versions that are."""

    def __init__(self):
        self.found, self.missing, self.versions = [], set(), set()
        self.error, self.interpreter, self.judge, self.judged = None, None, None, True

    @classmethod
    def none(cls):
        """For a library of another ABI than the place's own."""
        answer = cls()
        answer.judged = False
        return answer

    def keep(self):
        return {'found': self.found, 'missing': sorted(self.missing), 'judged': self.judged,
                'versions': sorted(self.versions), 'error': self.error, 'judge': self.judge,
                'interpreter': self.interpreter}

    @classmethod
    def kept(cls, text):
        answer = cls()
        answer.found = [tuple(pair) for pair in text['found']]
        answer.missing = set(text['missing'])
        answer.versions = {tuple(pair) for pair in text['versions']}
        answer.error, answer.judged = text['error'], text['judged']
        answer.interpreter, answer.judge = text['interpreter'], text['judge']
        return answer


def read_loader(place, output, errors, status):
    answer = Answer()
    for line in output.split('\n'):
        lost, found = LOST.match(line), LINE.match(line)
        if lost:
            answer.missing.add(lost['name'])
        elif found and '/' in found['path']:
            answer.found.append((found['name'] or found['path'], place.inside(found['path'])))
    for line in errors.split('\n'):
        version, musl = VERSION.search(line), MUSL.match(line)
        if version:
            answer.versions.add((version['version'], place.inside(version['by'])))
        elif musl and musl['why'].startswith('No such file'):
            answer.missing.add(musl['name'])
        elif musl or 'error while loading' in line:
            answer.error = line
    if status != 0 and not answer.missing and not answer.versions and not answer.error:
        answer.error = errors.strip() or f'ended with {status}'
    return answer


def ask_loader(place, program, start=False, library_path=None, cwd=None, options=()):
    """By starting the program, so that $ORIGIN is what the kernel says, or by listing it. What has no
    interpreter has that of a shell. None for a static program."""
    elf = Elf(place.outside(program))
    interpreter = elf.interpreter
    if elf.dynamic and not interpreter:
        shells = [place.outside('/bin/' + name) for name in ('sh', 'bash')]
        shell = next(Elf(path) for path in shells if os.path.exists(path))
        if shell.abi != elf.abi:
            return Answer.none()
        interpreter = shell.interpreter
    if not interpreter or (not elf.interpreter and start):
        return None
    environment = {} if library_path is None else {'LD_LIBRARY_PATH': library_path}
    if place.root:
        # What /proc would tell, which is not mounted there.
        environment['LD_ORIGIN_PATH'] = os.path.dirname(place.inside(program))
    if 'ld-musl' in interpreter:
        command = [interpreter, '--list', program]
    else:
        # As ldd does: --list would end at the first library that is missing.
        command = [program] if start and not options else [interpreter, *options, program]
        environment['LD_TRACE_LOADED_OBJECTS'] = '1'
    answer = read_loader(place, *place.run(command, cwd, environment))
    answer.interpreter = place.inside(interpreter) if elf.interpreter else None
    answer.judge = place.inside(interpreter)
    return answer


def differences(answer, program, ours, order=True):
    """@answer is the loader's, None for a static program; @ours is the program's part of the JSON."""
    found = [(o['name'], o['real']) for o in ours['objects']]
    problems = [(p['kind'], p['name'], p.get('wanted_by') or '', p.get('message') or '')
                for p in ours['problems']]
    if answer is None:
        if [real for _, real in found] != [program] or problems:
            return [f'a static program has {found} {problems}']
        return []
    if answer.error:
        if not any(kind == 'broken' and os.path.basename(name) in answer.error
                   for kind, name, _, _ in problems):
            return [f'the loader: {answer.error}', f'caisson: {problems}']
        return []
    said = []
    fixed = {program, answer.interpreter}
    theirs, mine = {real for _, real in answer.found} | fixed - {None}, {real for _, real in found}
    said += [f'only the loader finds {real}' for real in sorted(theirs - mine)]
    said += [f'only caisson finds {real}' for real in sorted(mine - theirs)]
    if len(found) != len(mine):
        said.append(f'caisson has one twice: {found}')
    lost = {name for kind, name, _, _ in problems if kind == 'missing'}
    said += [f'only the loader misses {name}' for name in sorted(answer.missing - lost)]
    said += [f'only caisson misses {name}' for name in sorted(lost - answer.missing)]
    said += [f'caisson has a problem: {problem}' for problem in problems
             if problem[0] not in ('missing', 'version')]
    old = [problem for problem in problems if problem[0] == 'version']
    for version, by in sorted(answer.versions):
        if not any(f' {version} ' in f'{p[3]} ' and by == p[2] for p in old):
            said.append(f'only the loader misses version {version} for {by}')
    for problem in old:
        if not any(f' {version} ' in f'{problem[3]} ' for version, _ in answer.versions):
            said.append(f'only caisson misses a version: {problem}')
    if order and not said:
        theirs = [real for _, real in answer.found if real not in fixed]
        mine = [real for _, real in found if real not in fixed]
        if theirs != mine:
            said.append(f'the order: {theirs}, not {mine}')
        names = {real: name for name, real in found}
        said += [f'{real} was asked for as {name}, not as {names[real]}'
                 for name, real in answer.found
                 if real not in fixed | {answer.judge} and names[real] != name]
    return said


def ask_caisson(command, programs, cwd=None):
    """Its JSON, or None, and what is wrong with it."""
    done = subprocess.run([*command, '--json', '--', *programs], capture_output=True, cwd=cwd,
                          check=False, stdin=subprocess.DEVNULL)
    errors = done.stderr.decode(errors='surrogateescape').strip()
    if done.returncode not in (0, 1) or not done.stdout:
        return None, f'caisson ended with {done.returncode}: {errors}'
    ours = json.loads(done.stdout.decode(errors='surrogateescape'))
    whole = not any(program['problems'] for program in ours['programs'])
    if ours['complete'] != whole or (done.returncode == 0) != whole:
        return ours, f'complete: {ours["complete"]}, status {done.returncode}, problems: {not whole}'
    return ours, None


# ---- traps ----

class Trap:
    def __init__(self, line):
        self.name, self.path, self.expected, options, self.description = line.split('\t')
        self.options = dict((word.partition('=')[::2]) for word in options.split())
        self.root = self.options.get('root')
        self.place, self.judged = Place(self.root), Place(self.options.get('judged', self.root))
        self.program = self.path[len(self.root):] if self.root else self.path
        self.folder = os.path.join(self.path[:self.path.index('/' + self.name + '/')], self.name)
        self.library_path = self.options.get('library-path')
        self.cwd = self.options.get('cwd', None if self.root else self.folder)

    def ask(self, place, cwd):
        levels = self.options.get('levels')
        answer = ask_loader(place, self.program, start='kind' not in self.options,
                            library_path=self.library_path, cwd=cwd,
                            options=['--glibc-hwcaps-mask', levels] if levels else [])
        # A DT_AUXILIARY that is not there is listed as missing, but the program starts without.
        if answer:
            answer.missing.discard(self.options.get('spare'))
        return answer

    def unmet(self, answer):
        """What of the expected is not so: the trap is none then."""
        for word in self.expected.split():
            mark, text = word[0], word[1:]
            path = ('/' if self.root else self.folder + '/') + text
            found = answer is not None and any(real == path for _, real in answer.found)
            if (mark == '+' and not found or mark == '-' and found or
                    mark == '?' and (not answer or text not in answer.missing) or
                    mark == '!' and text not in f'{answer.error} {answer.versions}'):
                return word
        return None

    def arguments(self):
        options = [] if self.library_path is None else ['--library-path', self.library_path]
        if self.root:
            options += ['--root', self.root]
        if self.root or 'hwcaps' in self.options:
            options += ['--hwcaps', self.options.get('hwcaps', 'host')]
        return options

    def judge(self, caisson, room):
        answer = self.ask(self.judged, self.cwd)
        unmet = self.unmet(answer)
        if unmet and self.expected.startswith('~'):
            return 'skip', [f'the loader of this machine does otherwise ({unmet})']
        if unmet:
            return 'no', [f'the trap does not hold: {unmet}: {answer and answer.keep()}']
        command = [caisson, 'closure', '--dlopen', 'none', *self.arguments()]
        ours, said = ask_caisson(command, [self.program], self.cwd)
        if not ours:
            return 'no', [said]
        said = [said] if said else []
        said += differences(answer, self.place.inside(self.program), ours['programs'][0])
        whole = answer is None or not (answer.missing or answer.versions or answer.error)
        if ours['complete'] != whole:
            said.append(f'caisson: complete: {ours["complete"]}')
        if answer and whole and room and not {'kind', 'judged'} & self.options.keys():
            said += self.stands_alone(command, answer, room)
        return ('no' if said else 'ok'), said

    def stands_alone(self, command, answer, room):
        done = subprocess.run([*command, '--list', '--', self.program], capture_output=True,
                              cwd=self.cwd, check=False, stdin=subprocess.DEVNULL)
        with tempfile.TemporaryDirectory(dir=room) as alone:
            copies = {}
            for path in done.stdout.decode().split('\n')[:-1]:
                source, to = (self.root or '') + path, alone + path
                os.makedirs(os.path.dirname(to), exist_ok=True)
                file = os.lstat(source)
                if (file.st_dev, file.st_ino) in copies:
                    os.link(copies[file.st_dev, file.st_ino], to)
                else:
                    shutil.copy(source, to, follow_symlinks=False)
                    copies[file.st_dev, file.st_ino] = to
            if not os.path.lexists(alone + self.program):
                return [f'--list does not have {self.program}']
            again = self.ask(Place(alone), '/')
        return [] if again.keep() == answer.keep() else [
            f'alone, the loader finds {again.keep()}, not {answer.keep()}']


def traps(caisson, listed, room=None):
    with open(listed, encoding='utf-8') as file:
        every = [Trap(line.rstrip('\n')) for line in file]
    # Processes, not threads: one that starts a program must not hold what another one still writes.
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        judge = functools.partial(Trap.judge, caisson=caisson, room=room)
        for trap, (verdict, said) in zip(every, pool.map(judge, every)):
            print(verdict, trap.name, trap.description, *said, sep='\t')


# ---- programs ----

def in_chunks(paths, most=1000000):
    chunk, size = [], 0
    for path in paths:
        if chunk and size + len(path) > most:
            yield chunk
            chunk, size = [], 0
        chunk.append(path)
        size += len(path) + 16
    if chunk:
        yield chunk


def ask_all(place, paths, answers):
    if answers and os.path.exists(answers):
        with open(answers, encoding='utf-8', errors='surrogateescape') as file:
            kept = json.load(file)
        if sorted(kept) == sorted(paths):
            return {path: text and Answer.kept(text) for path, text in kept.items()}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        said = dict(zip(paths, pool.map(lambda path: ask_loader(place, path), paths)))
    if answers:
        with open(answers + '.new', 'w', encoding='utf-8', errors='surrogateescape') as file:
            json.dump({path: answer and answer.keep() for path, answer in said.items()}, file)
        os.rename(answers + '.new', answers)
    return said


def programs(caisson, root=None, judged=None, emulator=None, answers=None):
    place = Place(judged or root, emulator)
    paths = []
    for path in sys.stdin.read().split('\0'):
        if path and Elf(place.outside(path)).known:
            paths.append(path)
    command = [caisson, 'closure', '--dlopen', 'none']
    if root:
        command += ['--root', root, '--hwcaps', 'baseline']
    ours, bad = {}, False
    for chunk in in_chunks(paths):
        part, trouble = ask_caisson(command, chunk)
        if trouble:
            print(trouble)
            bad = True
        for program in part['programs'] if part else []:
            ours[program['path']] = program
    said = ask_all(place, paths, answers)
    for path, answer in said.items():
        if answer and not answer.judged:
            continue
        different = (differences(answer, place.inside(path), ours[path]) if path in ours else
                     ['caisson does not have it'])
        bad = bad or bool(different)
        if different:
            print(path, *different, sep='\t')
    real = [answer for answer in said.values() if answer and answer.judged]
    static = sum(answer is None for answer in said.values())
    unlike = len(said) - static - len(real)
    print(f'{len(real) + static} programs, {static} static, '
          f'{sum(len(a.found) for a in real)} libraries found, {sum(len(a.missing) for a in real)} missing, '
          f'{sum(len(a.versions) for a in real)} versions missing'
          + (f'; {unlike} libraries of other ABIs are left out' if unlike else ''))
    return 1 if bad or not said else 0


def main():
    kind, caisson, *rest = sys.argv[1:]
    if kind == 'traps':
        return traps(caisson, *rest)
    options = dict(zip((word[2:] for word in rest[::2]), rest[1::2]))
    return programs(caisson, **options)


if __name__ == '__main__':
    sys.exit(main())

"""Programs that try to get out. Each prints GOT where it got what it should not have.

`prey` is what the test has laid out on this machine: paths, ports, ids (see `prey.py`).
"""

from __future__ import annotations

PRELUDE = """
import ctypes, os, pathlib, resource, signal, socket, stat, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def got(what=""): print("GOT", what, flush=True)
def tried(name, *arguments):
    result = getattr(libc, name)(*arguments)
    if result == 0: got(name)
    return result
def write(path):
    try:
        with open(path, "a") as file: file.write("changed")
    except OSError: return
    got(path)
def read(path):
    try:
        with open(path, "rb") as file: seen = file.read(4096)
    except OSError: return
    if seen: got(path)
"""

ATTACKS: dict[str, str] = {
    # Mounts
    "remount the root for writing": "tried('mount', None, b'/', None, 4128, None)\n"
    "write(prey['writable'])",
    "remount by the command": "done = subprocess.run(['mount', '-o', 'remount,bind,rw', '/'])\n"
    "if done.returncode == 0: got()",
    "remount /usr for writing": "tried('mount', None, b'/usr', None, 4128, None)\n"
    "write('/usr/autosre-was-here')",
    "unmount what hides": "for one in (b'/proc', b'/tmp', b'/dev', b'/usr', b'/'):\n"
    "    tried('umount2', one, 2)",
    "a user namespace, then remount": "if libc.unshare(0x10020000) == 0:\n"
    "    got('unshare')\n    tried('mount', None, b'/', None, 4128, None)",
    "a user namespace by clone": "got() if libc.syscall(56 if os.uname().machine == 'x86_64' "
    "else 220, 0x10000000 | 17, 0, 0, 0, 0) >= 0 else None",
    "join another namespace": "for one in ('mnt', 'user', 'net', 'pid'):\n"
    "    try: own = os.open('/proc/1/ns/' + one, 0)\n"
    "    except OSError: continue\n    tried('setns', own, 0)",
    "pivot away": "pathlib.Path('new').mkdir()\n"
    "tried('syscall', 155 if os.uname().machine == 'x86_64' else 41, b'new', b'new')",
    "leave by chroot": "pathlib.Path('jail').mkdir()\ntry: os.chroot('jail')\n"
    "except OSError: pass\nelse: got()",
    "mount a control group": "pathlib.Path('cg').mkdir()\n"
    "tried('mount', b'cgroup', b'cg', b'cgroup2', 0, None)",
    "mount by the new calls": "got() if libc.syscall(430, b'tmpfs', 0) >= 0 else None",
    # Files
    "write to the user's file": "write(prey['writable'])",
    "make a file beside it": "write(prey['writable'] + '.new')",
    "read the user's file": "read(prey['secret'])",
    "read ~/.ssh": "\n".join(
        ["for one in pathlib.Path(prey['home'], '.ssh').glob('*'): got(one)", "read(prey['key'])"]
    ),
    "list the home": "for one in ('/root', prey['home'], '/home'):\n"
    "    try: names = set(os.listdir(one)) - set(prey['python_parents'])\n"
    "    except OSError: continue\n    if names: got(names)",
    "read the passwords": "read('/etc/shadow')\nread('/etc/sudoers')\nread('/etc/machine-id')",
    "read by another process's root": "read('/proc/1/root' + prey['secret'])\n"
    "read(f\"/proc/{prey['pid']}/root\" + prey['secret'])",
    "see the machine's /tmp, /run and /var": "for one in ('/tmp', '/run', '/var', '/srv', '/mnt'):\n"
    "    try: names = os.listdir(one)\n    except OSError: continue\n"
    "    left = [n for n in names if not os.getcwd().startswith(os.path.join(one, n))]\n"
    "    if left: got((one, left))",
    "open by a handle": "got() if libc.open_by_handle_at(-100, ctypes.create_string_buffer(64), 0) "
    ">= 0 else None\nif ctypes.get_errno() not in (1, 0): got(ctypes.get_errno())",
    "a link to the user's file": "os.symlink(prey['writable'], 'link')\nwrite('link')\n"
    "try: os.link(prey['writable'], 'hard')\nexcept OSError: pass\nelse: got('hard link')",
    "links in the place of its own files": "for at in range(20): os.symlink(prey['writable'], "
    "f'l{at}')\nos.symlink(os.path.dirname(prey['writable']), 'folder')",
    "a device of the disk": "for kind in (stat.S_IFBLK, stat.S_IFCHR):\n"
    "    try: os.mknod('node', kind | 0o666, os.makedev(1, 1))\n    except OSError: continue\n"
    "    got('mknod')",
    "the machine's devices": "for one in ('vda', 'sda', 'nvme0n1', 'mem', 'kmsg', 'kvm', 'fuse'):\n"
    "    read('/dev/' + one)\n    if os.path.exists('/dev/' + one): got(one)",
    "the kernel's settings": "write('/proc/sys/kernel/core_pattern')\nwrite('/proc/sysrq-trigger')\n"
    "write('/proc/sys/vm/drop_caches')\nwrite('/proc/sys/kernel/hostname')",
    "the kernel's memory and log": "read('/proc/kcore')\nread('/dev/kmsg')\n"
    "got() if libc.klogctl(3, ctypes.create_string_buffer(64), 64) > 0 else None",
    # Processes
    "see other processes": "seen = {p for p in os.listdir('/proc') if p.isdigit()}\n"
    "if len(seen) > 3 or str(prey['pid']) in seen: got(seen)",
    "kill what started it": "for one in (os.getppid(), prey['pid']):\n"
    "    try: os.kill(one, 9)\n    except OSError: pass",
    "kill everything": "signal.signal(15, signal.SIG_IGN)\n"
    "try: os.kill(-1, 15)\nexcept OSError: pass",
    "trace the first process": "tried('ptrace', 16, 1, 0, 0)\ntried('ptrace', 0x4206, 1, 0, 0)",
    "read the first process's memory": "read('/proc/1/mem')\nread('/proc/1/environ')\n"
    "read('/proc/1/maps')",
    "the first process's descriptors": "for at in range(64):\n"
    "    try: os.open(f'/proc/1/fd/{at}', os.O_RDWR)\n    except OSError: continue\n    got(at)",
    "descriptors that leaked": "left = set(os.listdir('/proc/self/fd')) - {'0', '1', '2', '3'}\n"
    "if left: got(left)\nfor at in range(3, 256):\n    try: os.fstat(at)\n"
    "    except OSError: continue\n    got(at)",
    "secrets of the environment": "if prey['word'] in str(dict(os.environ)): got()\n"
    "for one in os.listdir('/proc'):\n    try: seen = open(f'/proc/{one}/environ').read()\n"
    "    except (OSError, UnicodeError): continue\n    if prey['word'] in seen: got(one)",
    "keys of the user's session": "for name in (b'user', b'logon'):\n"
    "    number = 249 if os.uname().machine == 'x86_64' else 218\n"
    "    if libc.syscall(number, name, prey['word'].encode(), None, -3) >= 0: got('key')",
    "shared memory of the machine": "if libc.shmget(prey['shared_memory'], 0, 0) >= 0: got()",
    # Rights
    "become user 0": "for call in (os.setuid, os.setgid, os.seteuid):\n"
    "    try: call(0)\n    except OSError: continue\n    if os.geteuid() == 0: got()",
    "be user 0": "if os.getuid() == 0 or os.geteuid() == 0: got()",
    "a program that runs as user 0": "for one in ('su', 'sudo', 'pkexec', 'mount', 'newgrp'):\n"
    "    import shutil\n    if shutil.which(one): subprocess.run([one, '-c', 'id -u'], "
    "stdin=subprocess.DEVNULL, stdout=open('said', 'a'), stderr=subprocess.STDOUT)\n"
    "if '\\n0\\n' in '\\n' + (open('said').read() if os.path.exists('said') else ''): got()",
    "leave a program that runs as its owner": "import shutil\nshutil.copy('/bin/sh', 'sh')\n"
    "os.chmod('sh', 0o6755)",
    "rights in a file": "import shutil\nshutil.copy('/bin/true', 'true')\n"
    "try: os.setxattr('true', 'security.capability', bytes.fromhex("
    "'0000000200000020000000000000000000000000'))\nexcept OSError: pass\nelse: got()",
    "raise its own limits": "for one in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, "
    "resource.RLIMIT_CPU):\n    try: resource.setrlimit(one, (-1, -1))\n"
    "    except (OSError, ValueError): continue\n    got(one)",
    "rename the machine": "tried('sethostname', b'mine', 4)",
    "load code into the kernel": "for number in ((321, 175) if os.uname().machine == 'x86_64' "
    "else (280, 105)):\n    if libc.syscall(number, 0, 0, 0) >= 0: got(number)\n"
    "    if ctypes.get_errno() not in (0, 1): got(ctypes.get_errno())",
    # The network
    "a server of this machine": "try: socket.create_connection(('127.0.0.1', prey['port']), 3)\n"
    "except OSError: pass\nelse: got()",
    "a Unix socket": "s = socket.socket(socket.AF_UNIX)\ntry: s.connect(prey['unix'])\n"
    "except OSError: pass\nelse: got()",
    "an abstract Unix socket": "s = socket.socket(socket.AF_UNIX)\n"
    "try: s.connect('\\0' + prey['abstract'])\nexcept OSError: pass\nelse: got()",
    "the container runtime's sockets": "for one in ('/run/docker.sock', '/var/run/docker.sock', "
    "'/run/containerd/containerd.sock', '/run/dbus/system_bus_socket', '/run/user'):\n"
    "    if os.path.exists(one): got(one)",
    "a socket to the hypervisor": "try: socket.socket(40, socket.SOCK_STREAM)\n"
    "except OSError: pass\nelse: got()",
    "raw and packet sockets": "for family, kind in ((2, 3), (17, 3), (38, 5), (16, 3)):\n"
    "    try: socket.socket(family, kind)\n    except OSError: continue\n"
    "    if family != 16: got(family)",
    "the network's devices": "names = {name for _, name in socket.if_nameindex()} - {'lo'}\n"
    "if names - {'tunl0', 'sit0', 'ip6tnl0', 'gre0', 'gretap0', 'erspan0', 'ip_vti0', "
    "'ip6_vti0', 'ip6gre0'}: got(names)",
    "the terminal": "import fcntl\ntry: tty = os.open('/dev/tty', os.O_RDWR)\n"
    "except OSError: pass\nelse: got()\nfor at in (0, 1, 2):\n"
    "    try: fcntl.ioctl(at, 0x5412, b'x')\n    except OSError: continue\n    got(at)",
}
"""Reads, writes and calls that must not succeed; each ends by itself."""

GREED: dict[str, tuple[str, str]] = {
    "processes": ("while True: os.fork()", "processes"),
    "processes from a thread": (
        "def go():\n    for _ in range(200): subprocess.Popen(['sleep', '30'])\n"
        "thread = threading.Thread(target=go)\nthread.start()\nthread.join()\ntime.sleep(30)",
        "processes",
    ),
    "processes with a session of their own": (
        "for _ in range(200):\n    if os.fork() == 0:\n        os.setsid()\n"
        "        if os.fork(): os._exit(0)\n        time.sleep(30)\n        os._exit(0)\n"
        "time.sleep(30)",
        "processes",
    ),
    "threads": (
        "threading.stack_size(32768)\n"
        "try:\n    for _ in range(5000): threading.Thread(target=time.sleep, args=(30,)).start()\n"
        "except RuntimeError: time.sleep(30)",
        "threads|more than 2 s",
    ),
    "memory of many processes": (
        "for _ in range(20):\n    if os.fork() == 0:\n        held = bytearray(os.urandom(1)) * "
        "(100 << 20)\n        time.sleep(30)\ntime.sleep(30)",
        "MiB of memory",
    ),
    "output": ("while True: os.write(1, b'x' * 65536)", "bytes of output"),
    "files": (
        "at = 0\nwhile True:\n    at += 1\n    open(f'f{at}', 'wb').write(b'x' * (15 << 20))",
        "MiB of files",
    ),
    "time": ("while True: pass", "more than 2 s"),
    "time, deaf to signals": (
        "for one in range(1, 65):\n    try: signal.signal(one, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass",
        "more than 2 s",
    ),
    "time, its output closed": ("os.close(1)\nos.close(2)\ntime.sleep(60)", "more than 2 s"),
    "time of a stopped program": ("os.kill(os.getpid(), signal.SIGSTOP)", "more than 2 s"),
}
"""Programs that take too much, and the words that they are ended for."""

LEFTOVERS: dict[str, str] = {
    "a FIFO for output": "os.mkfifo('.output')",
    "a folder for output": "os.mkdir('.output')",
    "a link for output": "os.symlink('/dev/zero', '.output')",
    "3,000 nested folders": "for _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')",
    "folders that nobody may enter": "os.makedirs('a/b/c')\nos.chmod('a/b', 0)\nos.chmod('a', 0)",
    "its own folder without rights": "os.chmod('.', 0)",
    "nothing": "import shutil\nfor one in os.listdir('.'): os.remove(one)",
    "a socket": "socket.socket(socket.AF_UNIX).bind('s')",
    "names of bytes": "open(b'\\xff\\xfe\\n', 'w')\nopen('-rf', 'w')\nopen('--', 'w')",
    "2,000 files": "for at in range(2000): open(f'f{at}', 'w').close()",
    "half a letter": "os.write(1, b'\\xe2\\x82')",
}
"""What a program may leave where its output and its folder were; nothing of it may hang."""

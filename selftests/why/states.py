# SPDX-License-Identifier: GPL-2.0
"""States of the host that set-ups are about; each is undone when it is left."""

import contextlib
import os
import subprocess
import time

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
KTLS = os.path.join(TOP, "kmod/ktls/ktls.ko")
KTLSCTL = os.path.join(TOP, "tools/ktlsctl/obj/ktlsctl")
FORBID = "/etc/modprobe.d/ktls-why.conf"
NETNS = "ktls-why"


def run(*args, **kwargs):
    """It must succeed."""
    done = subprocess.run(args, capture_output=True, check=False, **kwargs)
    if done.returncode:
        raise OSError(f"{' '.join(args)}: {done.stderr.decode().strip()}")


def loaded(module):
    """Is it in the kernel?"""
    return os.path.exists(f"/sys/module/{module}")


def unload(module):
    """Sockets that were closed just now may still have it."""
    end = time.monotonic() + 10
    while loaded(module):
        try:
            run("rmmod", module)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def load_ktls():
    """And tls.ko before it."""
    if not loaded("ktls"):
        run("modprobe", "tls")
        run("insmod", KTLS)


@contextlib.contextmanager
def without_ktls(_bench):
    """ktls.ko is not there."""
    unload("ktls")
    try:
        yield
    finally:
        load_ktls()


@contextlib.contextmanager
def without_tls(bench):
    """Nor is tls.ko."""
    with without_ktls(bench):
        unload("tls")
        yield


@contextlib.contextmanager
def forbidden(text):
    """modprobe is told not to load a module."""
    os.makedirs(os.path.dirname(FORBID), exist_ok=True)
    with open(FORBID, "w", encoding="ascii") as file:
        file.write(text)
    try:
        yield
    finally:
        os.unlink(FORBID)


@contextlib.contextmanager
def tls_blacklisted(bench):
    """tls.ko is not there, and must not be loaded by itself."""
    with without_tls(bench), forbidden("blacklist tls\n"):
        yield


@contextlib.contextmanager
def tls_absent(bench):
    """tls.ko is not there, nor is its file."""
    modules = f"/lib/modules/{os.uname().release}"
    dep = os.path.join(modules, "modules.dep")
    with open(dep, encoding="ascii") as file:
        lines = file.readlines()
    path, = [line.partition(":")[0] for line in lines
             if "/net/tls/tls.ko" in line.partition(":")[0]]
    path = os.path.join(modules, path)
    with without_tls(bench):
        os.rename(path, path + ".away")
        try:
            with open(dep, "w", encoding="ascii") as file:
                file.writelines(line for line in lines
                                if "/net/tls/tls.ko" not in line)
            yield
        finally:
            with open(dep, "w", encoding="ascii") as file:
                file.writelines(lines)
            os.rename(path + ".away", path)


@contextlib.contextmanager
def ccm_blocked(_bench):
    """The kernel has no AES-CCM, nor a way to it."""
    load_ktls()
    # It stays as long as anybody has such a cipher.
    unload("ccm")
    with forbidden("install ccm /bin/false\n"):
        yield


@contextlib.contextmanager
def usual(bench):
    """ktls.ko is there; rules for some ports, and a second namespace."""
    load_ktls()
    run("ip", "netns", "add", NETNS)
    try:
        run("ip", "-n", NETNS, "link", "set", "lo", "up")
        rules = "".join(f"deny {what} sport {port}\n"
                        for what, port in bench.denied.items())
        run(KTLSCTL, "policy", "load", "-", input=rules.encode())
        try:
            yield
        finally:
            run(KTLSCTL, "policy", "reset")
    finally:
        run("ip", "netns", "del", NETNS)

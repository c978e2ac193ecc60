# SPDX-License-Identifier: GPL-2.0-or-later
"""The Test Anything Protocol, as tap.h has it."""

import sys

COUNTS = {True: 0, False: 0}


def ok(passed, name, got=""):
    COUNTS[bool(passed)] += 1
    print(f"{'' if passed else 'not '}ok {sum(COUNTS.values())} {name}")
    if not passed:
        for line in str(got)[:3000].splitlines():
            print("#", line)
    sys.stdout.flush()


def end():
    """The exit code."""
    print(f"1..{sum(COUNTS.values())}")
    return 1 if COUNTS[False] else 0

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tells fuzz what the specification allows, a line for each thing:

set NUMBER NAME
attr SET NUMBER TYPE [NESTED-SET]
op NUMBER SET DO DUMP
"""

import sys
import yaml


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = yaml.safe_load(file)

    sets = {s["name"]: i for i, s in enumerate(spec["attribute-sets"])}
    for s in spec["attribute-sets"]:
        print("set", sets[s["name"]], s["name"])
        for number, attr in enumerate(s["attributes"], 1):
            nested = sets[attr["nested-attributes"]] \
                if attr["type"] == "nest" else -1
            print("attr", sets[s["name"]], number, attr["type"], nested)

    number = 0
    for op in spec["operations"]["list"]:
        number += 1
        if "notify" not in op:
            print("op", number, sets[op["attribute-set"]], int("do" in op),
                  int("dump" in op))


if __name__ == "__main__":
    main()

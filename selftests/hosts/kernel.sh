# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The debug host's kernel.

kernel_dir() { echo "$cache/kernels/debug"; }
kernel_need() { die 'no debug host yet'; }

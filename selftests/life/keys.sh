#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The module's source never mentions key, IV or salt, nor copies what holds
# them: of the key material's structures it reads version and cipher, which stand
# first, and rec_seq, a public number.

cd "$(dirname "$0")/../../kmod" || exit
status=0
n=0

# none NAME PATTERN [EXCEPT] - no line of the source matches
none()
{
	n=$((n + 1))
	found=$(grep -nE "$2" ktls/*.[ch] compat-include/*/*.h | grep -vE "${3:-^$}")
	if [ -z "$found" ]; then
		echo "ok $n $1"
	else
		echo "$found" | sed 's/^/# /'
		echo "not ok $n $1"
		status=1
	fi
}

echo "TAP version 13"
echo "1..5"
none 'no member that holds key material' '(->|\.)(iv|key|salt)\>'
none 'of a request for a key, only its head is copied' \
	'copy_from_sockptr|copy_from_user|memdup_sockptr' \
	'!copy_from_sockptr\(&info, optval, sizeof\(info\)\)\) \{|ktls\.mod\.c:'
none 'which has no key in it' '[a-z0-9_]+ info(\[.*)?;' 'struct tls_crypto_info info;'
none 'crypto contexts: only to the type of the cipher, and rec_seq' \
	'crypto_(send|recv)|tls12_crypto_info' \
	'cc = tx \? &ctx->crypto_send : &ctx->crypto_recv;|info = tx \? &ctx->crypto_send\.info : &ctx->crypto_recv\.info;|\(const struct tls12_crypto_info_##type \*\)'
none 'new keys are handed on, not looked at' 'new_crypto_info' \
	'int tx, struct tls_crypto_info \*new_crypto_info|define TLS_SET_SW_OFFLOAD_ARGS'
exit $status

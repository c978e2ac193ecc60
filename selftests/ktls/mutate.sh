#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Do the tests of the counters notice a wrong formula? Builds the module once for
# each mistake below, and runs the test that has to fail with it. Not one of the
# tests itself: it takes minutes, and tells of the tests, not of the module.
#
# usage: mutate.sh [HOST]	a test host, default sid, which has rekeys; the
#				test harness of bookworm cannot run a part

set -u

here=$(dirname "$(realpath "$0")")
top=$here/../..

# NAME @ FILE below kmod/ktls @ sed script @ test that fails
mutants()
{
	sed 's/ *@ */@/g' <<-'END'
	none @ counters.c @  @ sizes
	tx-base @ sockets.c @ s/st->wire_base = in->wire;/st->wire_base = in->wire + 1;/ @ sizes
	record-base @ sockets.c @ s/st->record_base = number;/st->record_base = number + 1;/ @ sizes
	record-first @ sockets.c @ s/st->record_first = number;/st->record_first = number + 1;/ @ sizes
	overhead @ sockets.c @ s/ctx->prot_info.overhead_size;/ctx->prot_info.overhead_size - 1;/ @ sizes
	payload @ sockets.c @ s/wire - overhead;/wire - overhead + 1;/ @ sizes
	key-records @ sockets.c @ s/number - st->record_first;/& + 1;/;s/record_first; + 1;/record_first + 1;/ @ sizes
	acked-only @ counters.c @ s/bytes_acked + (tp->write_seq - tp->snd_una)/bytes_acked/ @ reset
	no-32-bit-wrap @ counters.c @ s/(tp->write_seq - tp->snd_una)/((u64)tp->write_seq - tp->snd_una)/ @ wrap
	fin-wait1 @ counters.c @ /case TCP_FIN_WAIT1:/d @ reset_after_fin
	fin-wait2 @ counters.c @ /case TCP_FIN_WAIT2:/d @ fin
	last-ack @ counters.c @ /case TCP_LAST_ACK:/d @ last_ack
	fin-twice @ counters.c @ s/ktls_fin_sent(sk, fin_sent);/2 * &/ @ fin
	fin-forgotten @ counters.c @ s/return fin_sent;/return false;/ @ reset_after_fin
	fin-late-key @ sockets.c @ s/fin_sent = ks && READ_ONCE(ks->fin_sent);/fin_sent = false;/ @ key_after_fin
	partial @ counters.c @ s/len = ktls_sg_bytes(partial) - ctx->partially_sent_offset;/len = 0;/ @ stuck_writer_many_records
	partial-offset @ counters.c @ s/(partial) - ctx->partially_sent_offset;/(partial);/ @ stuck_writer_many_records
	behind-partial @ counters.c @ /list_for_each_entry_continue/,+1d @ stuck_writer_many_records
	pushed @ counters.c @ s/return pushed + end - start;/return pushed + end - start + 1;/ @ blocked_writer
	pushed-part @ counters.c @ s/return pushed + end - start;/return pushed;/ @ blocked_writer
	rx-queued @ counters.c @ s/u64 wire = tp->bytes_received - queued;/u64 wire = tp->bytes_received;/ @ partial_reads
	copy-mode @ counters.c @ s/wire -= strp->anchor->len;/;/ @ small_receive_buffer
	rx-fin @ counters.c @ s/^\t\twire--;/\t\t;/ @ fin_with_data
	rx-fin-queued @ counters.c @ s/SOCK_DONE) \&\& !queued/SOCK_DONE)/ @ fin_before_read
	rekey-carry @ sockets.c @ s/st->records += in->record - st->record_base;/& st->records++;/ @ rekey
	rekey-lost @ sockets.c @ /st->records += in->record - st->record_base;/d @ rekey
	rekey-count @ sockets.c @ /st->rekeys++;/d @ rekey
	rekey-error @ sockets.c @ s/WRITE_ONCE(st->last_error, 0);//;/^void ktls_socket_rekey_failed/,/^}/s/-err);/0);/ @ rekey_refused
	control @ sockets.c @ s/clamp_t(s64, since, 0, st->control_left)/!!&/ @ control_records
	control-first @ sockets.c @ s/number + ctx->pending_open_record_frags;/number;/ @ blocked_control
	control-refuse @ hooks.c @ s/ktls_msg_refused(sk, msg) ? 0 :/0 ? 0 :/ @ stuck_writer
	control-type @ hooks.c @ s/CMSG_DATA(cmsg) != 23;/CMSG_DATA(cmsg) != 22;/ @ control_records
	flushed @ sockets.c @ s/^\t\tst->wire = wire;/\t\t;/ @ close_stuck
	truncated @ sockets.c @ s/|= KTLS_SOCKET_FLAGS_TRUNCATED/|= 0/ @ send_after_reset
	close-records @ sockets.c @ s/st->records = r.stream\[dir\].records;/& st->records++;/ @ sizes
	err-abort @ hooks.c @ s/ktls_socket_error(KTLS_ARG(struct sock/(void)(KTLS_ARG(struct sock/;s/(void)(KTLS_ARG(struct sock \*, 0), KTLS_ARG(int, 1));/(void)fregs;/ @ corrupt_record
	abort-strp @ sockets.c @ s/err == -EBADMSG || err == -EMSGSIZE || err == -EINVAL ||/err == -EBADMSG ||/ @ bad_version
	totals @ totals.c @ s/cell->records += /&1 + / @ sizes
	totals-control @ totals.c @ /cell->control += /d @ control_records
	adopt-first @ sockets.c @ s/st->record_first = ktls_first_record_number(ctx, tx);/&st->record_first++;/ @ adopted
	adopt-base @ sockets.c @ s/st->wire_base = ktls_socket_wire(ks, sk, ctx, dir);/& st->wire_base--;/ @ adopted
	END
}

# Builds all, in the root of the host.
build()
{
	local name file script status=0

	mkdir -p mutants
	while IFS=@ read -r name file script _ <&3; do
		file=kmod/ktls/$file
		cp "$file" saved
		sed -i "$script" "$file"
		if [ "$name" != none ] && cmp -s "$file" saved; then
			echo "$name: changes nothing"
			cp saved "$file"
			status=1
			continue
		fi
		if ! make -s modules >log 2>&1; then
			tail log
			echo "$name: does not build"
			status=1
		fi
		cp kmod/ktls/ktls.ko "mutants/$name.ko"
		cp saved "$file"
	done 3< <(mutants)
	make -s selftests >log 2>&1 || { tail log && return 1; }

	return $status
}

# run_test TEST - with the module that is in kmod/ktls.
run_test()
{
	cd selftests/ktls || return
	# What does not come shall not keep us waiting.
	export RELAY_PATIENCE=1000
	if [ "$1" = adopted ]; then
		./adopted -r adopted.13_aes_gcm_256.used
	else
		./counters -r "tls.13_chacha20_poly1305.$1"
	fi
}

# Runs all, on the booted host.
try()
{
	local name test code noticed=0 missed=0

	modprobe tls
	while IFS=@ read -r name _ _ test <&3; do
		insmod "mutants/$name.ko" || return
		cp "mutants/$name.ko" kmod/ktls/ktls.ko
		(run_test "$test") >log 2>&1
		code=$?
		rmmod ktls
		if [ "$name" = none ]; then
			[ $code = 0 ] && grep -q '^ok' log && continue
			cat log
			echo "$test fails without any mistake"
			return 1
		fi
		if [ $code = 1 ] && grep -q '^not ok' log; then
			noticed=$((noticed + 1))
			echo "noticed $name ($test)"
		else
			missed=$((missed + 1))
			tail -n 20 log
			echo "missed $name ($test, exit $code)"
		fi
	done 3< <(mutants)

	echo "$noticed mistakes noticed, $missed missed"
	[ $missed = 0 ]
}

main()
{
	local host=${1:-sid} scratch

	scratch=$(mktemp -d)
	# shellcheck disable=SC2064 # now, as scratch is local
	trap "rm -rf '$scratch'" EXIT
	(cd "$top" && git ls-files -z --cached --others --exclude-standard |
		xargs -0 cp --parents -t "$scratch" 2>/dev/null)
	"$scratch/selftests/hosts/run" --no-boot "$host" -- \
		selftests/ktls/mutate.sh --build &&
		"$scratch/selftests/hosts/run" "$host" -- \
			selftests/ktls/mutate.sh --try
}

case ${1:-} in
--build) build ;;
--try) try ;;
*) main "$@" ;;
esac

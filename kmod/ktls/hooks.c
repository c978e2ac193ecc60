// SPDX-License-Identifier: GPL-2.0
/* Where the module touches tls.ko: its cold paths.
 *
 * Two kinds. A wrapper is called instead of the function, calls it, and sees
 * arguments and result; it is needed where the result matters. An observer runs
 * before the function and does not sleep; a task that sleeps in the function
 * for long (SO_LINGER) is then not inside this module.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/ftrace.h>
#include <linux/hash.h>
#include <linux/kprobes.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/percpu-refcount.h>
#include <linux/static_call.h>
#include <linux/tracepoint.h>
#include <net/tcp.h>
#include <net/tls.h>
#include <net/tls_offload.h>

#include "events.h"
#include "hooks.h"
#include "policy.h"
#include "sockets.h"

/**
 * struct ktls_probe - a function of tls.ko that is hooked
 * @symbol: its name, with that of its module
 * @fact: what is not known if it cannot be hooked
 * @wrapper: called instead of it, or NULL
 * @wanted: is this call one to wrap? NULL: all are
 * @observe: called before it, or NULL
 * @set_original: tells the wrapper what to call
 * @kp: asks for the address
 * @addr: where ftrace finds it, 0 if it was not found
 */
struct ktls_probe {
	const char *symbol;
	enum ktls_hook fact;
	void *wrapper;
	bool (*wanted)(struct ftrace_regs *fregs);
	void (*observe)(struct ftrace_regs *fregs);
	void (*set_original)(void *addr);
	struct kprobe kp;
	unsigned long addr;
};

/* Tasks inside wrappers. A task may sleep there, and then must find the module
 * when it wakes up.
 */
static atomic_t ktls_inside = ATOMIC_INIT(0);

/* After so many of 20 ms each, the log says what the unload waits for. */
#define KTLS_INSIDE_WAITS	50

static u32 ktls_armed;

/**
 * struct ktls_request - a request for a key that a task is in
 * @node: in a list of ktls_requests
 * @task: the task
 * @attempt: what is to be told of it
 */
struct ktls_request {
	struct list_head node;
	struct task_struct *task;
	struct ktls_attempt attempt;
};

/* Requests between setsockopt() and its return, for what is called in between.
 * A task may sleep there for as long as user space likes (the key on a page that
 * does not come), so that there may be many; hence as many lists as processors
 * are likely to look for theirs at a time, by task, the latest request first.
 */
#define KTLS_REQUEST_LISTS	64

static struct ktls_requests {
	/* list */
	spinlock_t lock;
	struct list_head list;
} ktls_requests[KTLS_REQUEST_LISTS];

static struct ktls_requests *ktls_requests_of(const struct task_struct *task)
{
	return &ktls_requests[hash_ptr(task, ilog2(KTLS_REQUEST_LISTS))];
}

static void ktls_requests_init(void)
{
	unsigned int i;

	for (i = 0; i < KTLS_REQUEST_LISTS; i++) {
		spin_lock_init(&ktls_requests[i].lock);
		INIT_LIST_HEAD(&ktls_requests[i].list);
	}
}

static void ktls_request_add(struct ktls_request *request)
{
	struct ktls_requests *requests = ktls_requests_of(request->task);

	spin_lock(&requests->lock);
	list_add(&request->node, &requests->list);
	spin_unlock(&requests->lock);
}

static void ktls_request_del(struct ktls_request *request)
{
	struct ktls_requests *requests = ktls_requests_of(request->task);

	spin_lock(&requests->lock);
	list_del(&request->node);
	spin_unlock(&requests->lock);
}

/* Of this task; it stays until the task returns, or NULL. */
static struct ktls_request *ktls_request_mine(void)
{
	struct ktls_requests *requests = ktls_requests_of(current);
	struct ktls_request *request, *found = NULL;

	spin_lock(&requests->lock);
	list_for_each_entry(request, &requests->list, node) {
		if (request->task == current) {
			found = request;
			break;
		}
	}
	spin_unlock(&requests->lock);

	return found;
}

/* May the key be installed? It is in the memory of the kernel now, and the
 * program cannot change it any more.
 */
static int ktls_key_allowed(struct sock *sk, enum ktls_direction dir,
			    enum ktls_mode mode,
			    struct ktls_judgement *judgement)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct ktls_request *request = ktls_request_mine();
	bool tx = dir == KTLS_DIRECTION_TX;
	const struct tls_crypto_info *info;
	struct ktls_attempt *attempt, own;

	attempt = request ? &request->attempt : &own;
	/* It began before the hooks were armed. */
	if (!request)
		ktls_attempt_init(&own, sk, KTLS_STEP_TX + dir);

	info = tx ? &ctx->crypto_send.info : &ctx->crypto_recv.info;
	attempt->version = info->version;
	attempt->cipher = info->cipher_type;

	return ktls_policy_enforce(ktls_net(sock_net(sk)), attempt, mode,
				   judgement);
}

/* It was done as the policy said: the attempt tells of it, the policy counts it. */
static void ktls_key_judged(struct sock *sk,
			    const struct ktls_judgement *judgement)
{
	struct ktls_request *request = ktls_request_mine();

	if (request)
		request->attempt.verdict = judgement->verdict;
	ktls_policy_count(ktls_net(sock_net(sk)), judgement);
}

/* Is there a device to ask? Found as tls_set_device_offload() finds it, which is
 * called for every first key.
 */
static bool ktls_device_there(struct sock *sk, netdev_features_t feature)
{
	struct net_device *dev;
	struct dst_entry *dst;
	bool there;

	rcu_read_lock();
	dst = __sk_dst_get(sk);
	dev = dst ? netdev_sk_get_lowest_dev(dst->dev, sk) : NULL;
	there = dev && dev->features & feature;
	rcu_read_unlock();

	return there;
}

/* May a device have the key? Where there is none, it was not denied the key. */
static int ktls_device_allowed(struct sock *sk, enum ktls_direction dir,
			       struct ktls_judgement *judgement)
{
	netdev_features_t feature = dir == KTLS_DIRECTION_TX ?
				    NETIF_F_HW_TLS_TX : NETIF_F_HW_TLS_RX;
	int err = ktls_key_allowed(sk, dir, KTLS_MODE_HW, judgement);

	if (err && ktls_device_there(sk, feature))
		ktls_key_judged(sk, judgement);

	return err;
}

/* Originals are called directly: where IBT is in force, a function whose
 * address the kernel never takes may not be called through a pointer.
 */
#define KTLS_ORIGINAL(name)						\
	DEFINE_STATIC_CALL_NULL(name, ktls_##name);			\
	static void ktls_original_##name(void *addr)			\
	{								\
		static_call_update(name, addr);				\
	}

static int ktls_tls_set_sw_offload(TLS_SET_SW_OFFLOAD_PARAMS);
static int ktls_tls_set_device_offload(TLS_SET_DEVICE_OFFLOAD_PARAMS);
static int ktls_tls_set_device_offload_rx(struct sock *sk,
					  struct tls_context *ctx);
static int ktls_tls_setsockopt(struct sock *sk, int level, int optname,
			       sockptr_t optval, unsigned int optlen);
static int ktls_tcp_set_ulp(struct sock *sk, const char *name);

KTLS_ORIGINAL(tls_set_sw_offload)
KTLS_ORIGINAL(tls_set_device_offload)
KTLS_ORIGINAL(tls_set_device_offload_rx)
KTLS_ORIGINAL(tls_setsockopt)
KTLS_ORIGINAL(tcp_set_ulp)

/* A wrapper never ends in a tail call: the return address is how
 * ktls_redirect() knows a call from here. Hence the ktls_inside behind each.
 */

/* tls_set_device_offload_rx() makes its context, and has this done before it asks
 * the device.
 */
static bool ktls_from_device_rx(const struct sock *sk, enum ktls_direction dir)
{
	const struct tls_context *ctx = tls_get_ctx(sk);

	return dir == KTLS_DIRECTION_RX && ctx->rx_conf == TLS_BASE &&
	       ctx->priv_ctx_rx;
}

static int ktls_tls_set_sw_offload(TLS_SET_SW_OFFLOAD_PARAMS)
{
	enum ktls_direction dir = tx ? KTLS_DIRECTION_TX : KTLS_DIRECTION_RX;
	struct ktls_judgement judgement;
	struct ktls_install in;
	int err;

	atomic_inc(&ktls_inside);
	/* A device was allowed the key if it comes from there. */
	if (!ktls_from_device_rx(sk, dir)) {
		err = ktls_key_allowed(sk, dir, KTLS_MODE_SW, &judgement);
		ktls_key_judged(sk, &judgement);
		if (err)
			goto out;
	}
	ktls_socket_install_begin(sk, dir, &in);
	err = static_call(tls_set_sw_offload)(TLS_SET_SW_OFFLOAD_ARGS);
	if (!err)
		ktls_socket_install_end(sk, dir, KTLS_MODE_SW, &in);
out:
	atomic_dec(&ktls_inside);

	return err;
}

static int ktls_tls_set_device_offload(TLS_SET_DEVICE_OFFLOAD_PARAMS)
{
	struct ktls_judgement judgement;
	struct ktls_install in;
	int err;

	atomic_inc(&ktls_inside);
	err = ktls_device_allowed(sk, KTLS_DIRECTION_TX, &judgement);
	if (err)
		goto out;
	ktls_socket_install_begin(sk, KTLS_DIRECTION_TX, &in);
	err = static_call(tls_set_device_offload)(TLS_SET_DEVICE_OFFLOAD_ARGS);
	if (!err) {
		ktls_key_judged(sk, &judgement);
		ktls_socket_install_end(sk, KTLS_DIRECTION_TX, KTLS_MODE_HW,
					&in);
	}
out:
	atomic_dec(&ktls_inside);

	return err;
}

static int ktls_tls_set_device_offload_rx(struct sock *sk,
					  struct tls_context *ctx)
{
	struct ktls_judgement judgement;
	struct ktls_install in;
	int err;

	atomic_inc(&ktls_inside);
	err = ktls_device_allowed(sk, KTLS_DIRECTION_RX, &judgement);
	if (err)
		goto out;
	ktls_socket_install_begin(sk, KTLS_DIRECTION_RX, &in);
	err = static_call(tls_set_device_offload_rx)(sk, ctx);
	/* It went through tls_set_sw_offload() before it asked the device. */
	if (!err) {
		ktls_key_judged(sk, &judgement);
		ktls_socket_install_end(sk, KTLS_DIRECTION_RX, KTLS_MODE_HW,
					&in);
	} else if (!in.rekey) {
		ktls_socket_install_undo(sk, KTLS_DIRECTION_RX);
	}
out:
	atomic_dec(&ktls_inside);

	return err;
}

/* Tell what came of a request for a key, outside the socket lock. */
static void ktls_key_requested(struct sock *sk, enum ktls_direction dir,
			       int err)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct ktls_socket *ks;

	ks = ktls_socket_get_by_ctx(ctx);
	if (!ks)
		return;

	if (err && ks->stream[dir].mode != KTLS_MODE_NONE)
		ktls_socket_rekey_failed(ks, dir, err);
	ktls_events_send(ks);
	ktls_socket_put(ks);
}

static int ktls_tls_setsockopt(struct sock *sk, int level, int optname,
			       sockptr_t optval, unsigned int optlen)
{
	enum ktls_direction dir = optname == TLS_TX ? KTLS_DIRECTION_TX :
						      KTLS_DIRECTION_RX;
	struct ktls_request request = { .task = current };
	struct ktls_attempt *attempt = &request.attempt;
	struct tls_context *ctx = tls_get_ctx(sk);
	struct tls_crypto_info info;
	bool rekey;
	int err;

	atomic_inc(&ktls_inside);
	rekey = ktls_key_mode(ctx, dir) != KTLS_MODE_NONE;
	ktls_attempt_init(attempt, sk, rekey ? KTLS_STEP_REKEY_TX + dir :
					       KTLS_STEP_TX + dir);
	/* If it is turned down before it is looked at; no key is in that part. */
	if (optlen >= sizeof(info) &&
	    !copy_from_sockptr(&info, optval, sizeof(info))) {
		attempt->version = info.version;
		attempt->cipher = info.cipher_type;
	}

	ktls_request_add(&request);
	err = static_call(tls_setsockopt)(sk, level, optname, optval, optlen);
	ktls_request_del(&request);

	if (!err)
		attempt->mode = ktls_key_mode(ctx, dir);
	ktls_attempt_record(ktls_net(sock_net(sk)), attempt, err);
	ktls_key_requested(sk, dir, err);
	atomic_dec(&ktls_inside);

	return err;
}

static int ktls_tcp_set_ulp(struct sock *sk, const char *name)
{
	struct ktls_net *kn = ktls_net(sock_net(sk));
	struct ktls_judgement judgement;
	struct ktls_attempt attempt;
	int err;

	atomic_inc(&ktls_inside);
	ktls_attempt_init(&attempt, sk, KTLS_STEP_ULP);
	err = ktls_policy_enforce(kn, &attempt, KTLS_MODE_NONE, &judgement);
	attempt.verdict = judgement.verdict;
	ktls_policy_count(kn, &judgement);
	if (!err)
		err = static_call(tcp_set_ulp)(sk, name);
	ktls_attempt_record(kn, &attempt, err);
	atomic_dec(&ktls_inside);

	return err;
}

/* Hooks get the arguments of the function as registers. */
#define KTLS_ARG(type, n)	((type)ftrace_regs_get_argument(fregs, n))

/* tls_setsockopt(): options of TCP come by as well, and may sleep for long. */
static bool notrace ktls_wanted_setsockopt(struct ftrace_regs *fregs)
{
	int optname = KTLS_ARG(int, 2);

	return KTLS_ARG(int, 1) == SOL_TLS &&
	       (optname == TLS_TX || optname == TLS_RX);
}

static void ktls_observe_close(struct ftrace_regs *fregs)
{
	ktls_socket_close(KTLS_ARG(struct sock *, 0));
}

static void ktls_observe_release_tx(struct ftrace_regs *fregs)
{
	ktls_socket_release_tx(KTLS_ARG(struct sock *, 0));
}

static void ktls_observe_free_ctx_tx(struct ftrace_regs *fregs)
{
	ktls_socket_flushed(KTLS_ARG(struct tls_context *, 0));
}

static void ktls_observe_ctx_free(struct ftrace_regs *fregs)
{
	ktls_socket_freed(KTLS_ARG(struct tls_context *, 1));
}

static void ktls_observe_err_abort(struct ftrace_regs *fregs)
{
	ktls_socket_error(KTLS_ARG(struct sock *, 0), KTLS_ARG(int, 1));
}

/* The parser gives up on what is no record, and sets the error by itself. */
static void ktls_observe_abort_strp(struct ftrace_regs *fregs)
{
	ktls_socket_error(KTLS_ARG(struct tls_strparser *, 0)->sk,
			  KTLS_ARG(int, 1));
}

/* Anything but application data (RFC 8446, B.1)? As tls_process_cmsg() will
 * read it.
 */
static bool ktls_msg_is_control(struct msghdr *msg)
{
	struct cmsghdr *cmsg;
	bool control = false;

	for_each_cmsghdr(cmsg, msg) {
		if (!CMSG_OK(msg, cmsg))
			return false;
		if (cmsg->cmsg_level != SOL_TLS)
			continue;
		if (cmsg->cmsg_type != TLS_SET_RECORD_TYPE ||
		    cmsg->cmsg_len < CMSG_LEN(sizeof(u8)) ||
		    msg->msg_flags & MSG_MORE)
			return false;
		control = *(u8 *)CMSG_DATA(cmsg) != 23;
	}

	return control;
}

/* Will it be turned away? Once behind tls_process_cmsg(), it finds no room, and
 * may not wait for it.
 */
static bool ktls_msg_refused(const struct sock *sk, const struct msghdr *msg)
{
	return sk->sk_err ||
	       (!sock_sndtimeo(sk, msg->msg_flags & MSG_DONTWAIT) &&
		!sk_stream_memory_free(sk));
}

static void ktls_observe_process_cmsg(struct ftrace_regs *fregs)
{
	struct sock *sk = KTLS_ARG(struct sock *, 0);
	struct msghdr *msg = KTLS_ARG(struct msghdr *, 1);

	if (ktls_msg_is_control(msg))
		ktls_socket_control(sk, ktls_msg_refused(sk, msg) ? 0 :
					msg_data_left(msg));
}

/* tcp_set_ulp(): there are others than TLS. */
static bool notrace ktls_wanted_ulp(struct ftrace_regs *fregs)
{
	const char *name = KTLS_ARG(const char *, 1);

	return name[0] == 't' && name[1] == 'l' && name[2] == 's' && !name[3];
}

static struct ktls_probe ktls_wrappers[] = {
	{
		.symbol		= "tls:tls_set_sw_offload",
		.fact		= KTLS_HOOK_SET_SW_OFFLOAD,
		.wrapper	= ktls_tls_set_sw_offload,
		.set_original	= ktls_original_tls_set_sw_offload,
	}, {
		.symbol		= "tls:tls_set_device_offload",
		.fact		= KTLS_HOOK_SET_DEVICE_OFFLOAD,
		.wrapper	= ktls_tls_set_device_offload,
		.set_original	= ktls_original_tls_set_device_offload,
	}, {
		.symbol		= "tls:tls_set_device_offload_rx",
		.fact		= KTLS_HOOK_SET_DEVICE_OFFLOAD_RX,
		.wrapper	= ktls_tls_set_device_offload_rx,
		.set_original	= ktls_original_tls_set_device_offload_rx,
	}, {
		.symbol		= "tls:tls_setsockopt",
		.fact		= KTLS_HOOK_SETSOCKOPT,
		.wrapper	= ktls_tls_setsockopt,
		.wanted		= ktls_wanted_setsockopt,
		.set_original	= ktls_original_tls_setsockopt,
	}, {
		.symbol		= "tcp_set_ulp",
		.fact		= KTLS_HOOK_SET_ULP,
		.wrapper	= ktls_tcp_set_ulp,
		.wanted		= ktls_wanted_ulp,
		.set_original	= ktls_original_tcp_set_ulp,
	},
};

static struct ktls_probe ktls_observers[] = {
	{
		.symbol		= "tls:tls_ctx_free",
		.fact		= KTLS_HOOK_CTX_FREE,
		.observe	= ktls_observe_ctx_free,
	}, {
		.symbol		= "tls:tls_sk_proto_close",
		.fact		= KTLS_HOOK_CLOSE,
		.observe	= ktls_observe_close,
	}, {
		.symbol		= "tls:tls_sw_release_resources_tx",
		.fact		= KTLS_HOOK_CLOSE,
		.observe	= ktls_observe_release_tx,
	}, {
		.symbol		= "tls:tls_sw_free_ctx_tx",
		.fact		= KTLS_HOOK_FREE_CTX_TX,
		.observe	= ktls_observe_free_ctx_tx,
	}, {
		.symbol		= "tls:tls_err_abort",
		.fact		= KTLS_HOOK_ERR_ABORT,
		.observe	= ktls_observe_err_abort,
	}, {
		.symbol		= "tls:tls_strp_abort_strp",
		.fact		= KTLS_HOOK_ERR_ABORT,
		.observe	= ktls_observe_abort_strp,
	}, {
		.symbol		= "tls:tls_process_cmsg",
		.fact		= KTLS_HOOK_PROCESS_CMSG,
		.observe	= ktls_observe_process_cmsg,
	},
};

/* Most of either kind. */
#define KTLS_PROBES_MAX		8
static_assert(ARRAY_SIZE(ktls_wrappers) <= KTLS_PROBES_MAX);
static_assert(ARRAY_SIZE(ktls_observers) <= KTLS_PROBES_MAX);

static void notrace ktls_redirect(unsigned long ip, unsigned long parent_ip,
				  struct ftrace_ops *ops,
				  struct ftrace_regs *fregs)
{
	unsigned long wrapper;
	unsigned int i;

	/* The wrapper calls the original. */
	if (within_module(parent_ip, THIS_MODULE))
		return;

	for (i = 0; i < ARRAY_SIZE(ktls_wrappers); i++) {
		const struct ktls_probe *probe = &ktls_wrappers[i];

		if (probe->addr != ip)
			continue;
		wrapper = (unsigned long)probe->wrapper;
		if (!probe->wanted || probe->wanted(fregs))
			ftrace_regs_set_instruction_pointer(fregs, wrapper);
	}
}

static void notrace ktls_observe(unsigned long ip, unsigned long parent_ip,
				 struct ftrace_ops *ops,
				 struct ftrace_regs *fregs)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ktls_observers); i++)
		if (ktls_observers[i].addr == ip)
			ktls_observers[i].observe(fregs);
}

/* Permanent: as long as sockets are in the table, kernel.ftrace_enabled cannot
 * be switched off, or they would close unseen.
 */
static struct ftrace_ops ktls_wrapper_ops = {
	.func	= ktls_redirect,
	.flags	= FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT,
};

static struct ftrace_ops ktls_observer_ops = {
	.func	= ktls_observe,
	.flags	= FTRACE_OPS_FL_PERMANENT,
};

/* kprobes knows how to find a function of a module by name; the probe itself is
 * never armed. All of them go at once, as that takes a grace period.
 */
static void ktls_find(struct ktls_probe *probes, unsigned int n)
{
	struct kprobe *found[KTLS_PROBES_MAX];
	unsigned int i, n_found = 0;

	for (i = 0; i < n; i++) {
		struct kprobe *kp = &probes[i].kp;

		kp->symbol_name = probes[i].symbol;
		kp->flags = KPROBE_FLAG_DISABLED;
		if (register_kprobe(kp))
			continue;
		probes[i].addr = (unsigned long)kp->addr;
		found[n_found++] = kp;
	}
	if (n_found)
		unregister_kprobes(found, n_found);
}

static void ktls_disarm(struct ftrace_ops *ops)
{
	unregister_ftrace_function(ops);
	ftrace_free_filter(ops);
}

/* One more of a kind. Not all at once: where somebody else changes where one of
 * these functions leads, as a live patch does, ftrace refuses all of them.
 */
static int ktls_arm_one(struct ftrace_ops *ops, struct ktls_probe *probe,
			bool *registered)
{
	int err;

	if (probe->set_original)
		probe->set_original((void *)probe->addr);
	err = ftrace_set_filter_ip(ops, probe->addr, 0, 0);
	if (err || *registered)
		return err;

	err = register_ftrace_function(ops);
	*registered = !err;
	/* An empty filter would stand for all functions. */
	if (err)
		ftrace_free_filter(ops);

	return err;
}

/* Arm all of one kind that can be. A fact is known if every function that it
 * takes was found.
 */
static u32 ktls_arm(struct ftrace_ops *ops, struct ktls_probe *probes,
		    unsigned int n)
{
	u32 facts = 0, lacking = 0;
	bool registered = false;
	unsigned int i;

	ktls_find(probes, n);
	for (i = 0; i < n; i++) {
		struct ktls_probe *probe = &probes[i];
		int err;

		if (!probe->addr) {
			pr_warn("%s: no such function\n", probe->symbol);
			lacking |= probe->fact;
			continue;
		}
		err = ktls_arm_one(ops, probe, &registered);
		if (err) {
			pr_warn("%s: cannot be hooked: %d (does somebody else, as a live patch does, or is kernel.ftrace_enabled 0?)\n",
				probe->symbol, err);
			lacking |= probe->fact;
			probe->addr = 0;
			continue;
		}
		facts |= probe->fact;
	}
	facts &= ~lacking;
	if (registered && !facts)
		ktls_disarm(ops);

	return facts;
}

/* Not exported, and so found by its name. */
static struct tracepoint *ktls_sock_state;

static void ktls_find_sock_state(struct tracepoint *tp, void *unused)
{
	if (!strcmp(tp->name, "inet_sock_set_state"))
		ktls_sock_state = tp;
}

static void ktls_observe_sock_state(void *unused, const struct sock *sk,
				    const int from, const int to)
{
	if (to != TCP_CLOSE || sk->sk_protocol != IPPROTO_TCP ||
	    !inet_csk(sk)->icsk_ulp_ops)
		return;

	switch (from) {
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		ktls_socket_fin_sent(sk);
	}
}

static u32 ktls_arm_sock_state(void)
{
	for_each_kernel_tracepoint(ktls_find_sock_state, NULL);
	if (!ktls_sock_state ||
	    tracepoint_probe_register(ktls_sock_state,
				      ktls_observe_sock_state, NULL)) {
		pr_warn("sock:inet_sock_set_state: no such tracepoint\n");
		return 0;
	}

	return KTLS_HOOK_SOCK_STATE;
}

static u32 ktls_wanted(void)
{
	u32 facts = KTLS_HOOK_SOCK_STATE;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ktls_wrappers); i++)
		facts |= ktls_wrappers[i].fact;
	for (i = 0; i < ARRAY_SIZE(ktls_observers); i++)
		facts |= ktls_observers[i].fact;

	return facts;
}

u32 ktls_hooks_armed(void)
{
	return ktls_armed;
}

u32 ktls_hooks_missing(void)
{
	return ktls_wanted() & ~ktls_armed;
}

/**
 * ktls_hooks_arm() - arm what this kernel lets us
 *
 * Those that remove sockets from the table come before those that add them.
 *
 * Return: 0, or -EOPNOTSUPP if sockets could not be let go of when they close,
 * or not be removed again; nothing is armed then.
 */
int ktls_hooks_arm(void)
{
	const u32 need = KTLS_HOOK_CLOSE | KTLS_HOOK_CTX_FREE;

	ktls_requests_init();
	ktls_armed = ktls_arm(&ktls_observer_ops, ktls_observers,
			      ARRAY_SIZE(ktls_observers));
	if ((ktls_armed & need) != need) {
		if (ktls_armed)
			ktls_disarm(&ktls_observer_ops);
		ktls_armed = 0;
		return -EOPNOTSUPP;
	}
	ktls_armed |= ktls_arm_sock_state();
	ktls_armed |= ktls_arm(&ktls_wrapper_ops, ktls_wrappers,
			       ARRAY_SIZE(ktls_wrappers));

	return 0;
}

/**
 * ktls_hooks_disarm_adders() - no socket enters the table any more
 *
 * Context: process. Sleeps until no task is inside a wrapper, be it asleep
 * there or on its last instructions.
 */
void ktls_hooks_disarm_adders(void)
{
	u32 mine = KTLS_HOOK_SET_SW_OFFLOAD | KTLS_HOOK_SET_DEVICE_OFFLOAD |
		   KTLS_HOOK_SET_DEVICE_OFFLOAD_RX | KTLS_HOOK_SETSOCKOPT |
		   KTLS_HOOK_SET_ULP;
	unsigned int waits = 0;

	if (!(ktls_armed & mine))
		return;

	ktls_disarm(&ktls_wrapper_ops);
	while (atomic_read(&ktls_inside)) {
		if (++waits == KTLS_INSIDE_WAITS)
			pr_warn("the unload waits for %d tasks that install a key: setsockopt(TLS_TX) or (TLS_RX) has to return first\n",
				atomic_read(&ktls_inside));
		msleep(20);
	}
	synchronize_rcu_tasks();
	ktls_armed &= ~mine;
}

/**
 * ktls_hooks_disarm_removers() - no socket leaves the table any more
 *
 * Context: process, sleeps. On return no observer runs.
 */
void ktls_hooks_disarm_removers(void)
{
	if (ktls_armed & KTLS_HOOK_SOCK_STATE) {
		tracepoint_probe_unregister(ktls_sock_state,
					    ktls_observe_sock_state, NULL);
		tracepoint_synchronize_unregister();
	}
	if (ktls_armed & KTLS_HOOK_CTX_FREE)
		ktls_disarm(&ktls_observer_ops);
	ktls_armed = 0;
}

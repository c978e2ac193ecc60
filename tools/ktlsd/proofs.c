// SPDX-License-Identifier: GPL-2.0-or-later
/* What provers find, and which certificates expire. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf.h"
#include "generation.h"
#include "knock.h"
#include "ktlsd.h"
#include "proofs.h"
#include "settings.h"
#include "status.h"

#define SECOND 1000000000ULL
#define DAY (24 * 3600)

/* After a change, for keys to hand it on and for workers to take it. */
#define HURRY (2 * SECOND)
/* What is wrong for less may be a renewal under way: keys waits until it is whole. */
#define SETTLE (5 * SECOND)
/* A prover that takes longer hangs, as at a file. */
#define PROVER_LIFE (600 * SECOND)

#define SOON (14 * DAY)

void proofs_init(struct generation *g)
{
	const struct conf *conf = g->conf;
	size_t i;

	g->proofs.of = must(calloc(conf->listeners_count + 1, sizeof(*g->proofs.of)));
	for (i = 0; i < conf->listeners_count; i++)
		g->proofs.of[i] = must(calloc(conf->listeners[i].identities_count + 1,
					      sizeof(**g->proofs.of)));
	g->proofs.expiry_said = must(calloc(conf->identities_count + 1,
					    sizeof(*g->proofs.expiry_said)));
	g->proofs.at = UINT64_MAX;
	proofs_hurry(g);
}

void proofs_free(struct generation *g)
{
	size_t i;

	for (i = 0; i < g->conf->listeners_count; i++)
		free(g->proofs.of[i]);
	free(g->proofs.of);
	free(g->proofs.expiry_said);
}

static void prove_within(struct generation *g, uint64_t time)
{
	uint64_t at = monotonic_ns() + time;

	if (g->conf->prove_interval && at < g->proofs.at)
		g->proofs.at = at;
}

void proofs_hurry(struct generation *g)
{
	prove_within(g, HURRY);
	g->proofs.expiry_at = 0;
}

const char *proof_word(enum proof_state state)
{
	static const char *const words[PROOF_STATES] = {
		[PROOF_OK] = "proven",
		[PROOF_STALE] = "stale",
		[PROOF_FAILED] = "failed",
		[PROOF_UNREADABLE] = "unreadable",
		[PROOF_SKIPPED] = "skipped",
	};

	return words[state];
}

static void say(const struct conf_listener *l, const char *file,
		const struct message_proof *m)
{
	char served[STATUS_SERIAL], held[STATUS_SERIAL];

	switch (m->state) {
	case PROOF_OK:
		log_line(LOG_NOTICE, "%s: serves the certificate in %s again", l->name,
			 file);
		break;
	case PROOF_STALE:
		status_serial(served, m->served, m->served_len);
		status_serial(held, m->file, m->file_len);
		log_line(LOG_ERR,
			 "%s: serves another certificate (serial %s) than %s holds (serial %s); if no line before says why, try a reload",
			 l->name, served, file, held);
		break;
	case PROOF_SKIPPED:
		log_line(LOG_NOTICE, "%s: that it serves %s cannot be proven: %s",
			 l->name, file, m->error);
		break;
	default:
		log_line(LOG_WARNING, "%s: could not prove that it serves %s: %s", l->name,
			 file, m->error);
	}
}

/* Once when it begins, and once when it is over. */
static void judge(struct generation *g, struct proof *p, uint64_t now)
{
	const struct conf_listener *l = &g->conf->listeners[p->last.listener];
	const char *file = g->conf->identities[l->identities[p->last.place]].chain;

	if (p->last.state == PROOF_OK) {
		if (p->said)
			say(l, file, &p->last);
		p->said = false;
		p->wrong_since = 0;
		p->proven = p->looked;
		return;
	}
	if (!p->wrong_since)
		p->wrong_since = now;
	if (p->said && p->said_state == p->last.state)
		return;
	if (now - p->wrong_since < SETTLE && p->last.state != PROOF_SKIPPED) {
		prove_within(g, SETTLE);
		return;
	}
	say(l, file, &p->last);
	p->said = true;
	p->said_state = p->last.state;
}

void proofs_heard(struct generation *g, const struct message *m)
{
	const struct message_proof *body = m->body;
	struct timespec wall;
	struct proof *p;

	if (m->len < sizeof(*body) || body->listener >= g->conf->listeners_count ||
	    body->place >= g->conf->listeners[body->listener].identities_count ||
	    (unsigned int)body->state >= PROOF_STATES ||
	    body->served_len > sizeof(body->served) ||
	    body->file_len > sizeof(body->file))
		return;
	p = &g->proofs.of[body->listener][body->place];
	p->last = *body;
	p->last.error[sizeof(p->last.error) - 1] = '\0';
	p->known = true;
	clock_gettime(CLOCK_REALTIME, &wall);
	p->looked = wall.tv_sec * SECOND + wall.tv_nsec;
	judge(g, p, monotonic_ns());
}

void proofs_ended(struct generation *g, int status)
{
	char how[64];

	knock_end();
	if (status && !g->proofs.failed && !g->stopping && !g->draining)
		log_line(LOG_ERR, "the prover ended: %s",
			 process_end(status, how, sizeof(how)));
	g->proofs.failed = status;
}

enum expiry proofs_expiry(int64_t not_after)
{
	time_t now = time(NULL);

	return not_after <= now ? EXPIRY_OVER :
	       not_after - now <= SOON ? EXPIRY_SOON : EXPIRY_GOOD;
}

static void look_at_expiry(struct generation *g, size_t i, uint64_t now)
{
	const struct message_identity_state *state = &g->identities[i];
	struct expiry_said *said = &g->proofs.expiry_said[i];
	const char *file = g->conf->identities[i].chain;
	enum expiry expiry = proofs_expiry(state->not_after);
	long long left = state->not_after - time(NULL);
	uint64_t over = now + left * SECOND;

	if (left > 0 && over < g->proofs.expiry_at)
		g->proofs.expiry_at = over;

	if (!state->generation || expiry == EXPIRY_GOOD) {
		said->at = 0;
		return;
	}
	/* Once a day, and when soon becomes now. */
	if (said->at && said->what == expiry && now - said->at < DAY * SECOND)
		return;
	said->at = now;
	said->what = expiry;
	if (expiry == EXPIRY_OVER)
		log_line(LOG_ERR, "%s: the certificate in use has expired; renew it", file);
	else if (left >= DAY)
		log_line(LOG_WARNING, "%s: the certificate expires in %lld day%s; renew it",
			 file, left / DAY, left / DAY == 1 ? "" : "s");
	else
		log_line(LOG_WARNING, "%s: the certificate expires in less than a day; renew it",
			 file);
}

void proofs_turn(struct generation *g, uint64_t now)
{
	size_t i;

	if (g->draining || g->stopping)
		return;
	if (g->prover.pid) {
		if (now - g->prover.started > PROVER_LIFE)
			process_kill(&g->prover);
	} else if (now >= g->proofs.at) {
		g->proofs.at = now + g->conf->prove_interval * SECOND;
		generation_prove(g);
	}
	if (now < g->proofs.expiry_at)
		return;
	g->proofs.expiry_at = now + 60 * SECOND;
	for (i = 0; i < g->conf->identities_count; i++)
		look_at_expiry(g, i, now);
}

uint64_t proofs_next(const struct generation *g)
{
	uint64_t next = g->proofs.expiry_at;

	if (g->draining || g->stopping)
		return UINT64_MAX;
	if (!g->prover.pid && g->proofs.at < next)
		next = g->proofs.at;
	return next;
}

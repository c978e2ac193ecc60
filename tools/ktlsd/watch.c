// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Watches files by the directories that lead to them.  A path is resolved by hand,
 * component by component, and each directory on the way is watched for the one name
 * that leads on: whatever makes the path mean another file is an event there.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "ktlsd.h"
#include "watch.h"

/* As the kernel's own limit. */
#define LINKS_MAX 40

#define EVENTS (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | \
		IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | \
		IN_MOVE_SELF | IN_ONLYDIR)

/* A name in a directory, on the way to a file. */
struct step {
	int wd;
	char *name;
};

/* What a file looks like from outside. */
struct look {
	int error;
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
	struct timespec ctime;
};

struct path {
	char *path;
	struct step *steps;
	size_t steps_count;
	struct look look;
	bool changed;	/* to be reported when it is quiet */
	bool due;	/* to be reported now */
};

struct watch {
	struct watch_times times;
	int epoll;
	int inotify;
	int timer;
	struct path *paths;
	size_t paths_count;
	int *wds;	/* that the kernel has, each once */
	size_t wds_count;
	size_t next;	/* to be asked for by watch_next() */
	bool full;	/* told that there are no more watches */
	uint64_t first;	/* change not reported; 0: none */
	uint64_t last;
	uint64_t poll;	/* when all are looked at */
};

static void look_at(const char *path, struct look *look)
{
	struct stat st;

	memset(look, 0, sizeof(*look));
	if (stat(path, &st)) {
		look->error = errno;
		return;
	}
	look->dev = st.st_dev;
	look->ino = st.st_ino;
	look->size = st.st_size;
	look->mtime = st.st_mtim;
	look->ctime = st.st_ctim;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_look(const struct look *a, const struct look *b)
{
	return a->error == b->error && a->dev == b->dev && a->ino == b->ino &&
	       a->size == b->size && same_time(a->mtime, b->mtime) &&
	       same_time(a->ctime, b->ctime);
}

static void drop_steps(struct path *p)
{
	while (p->steps_count)
		free(p->steps[--p->steps_count].name);
}

static bool add_wd(struct watch *w, int wd)
{
	size_t i;
	int *wds;

	for (i = 0; i < w->wds_count; i++) {
		if (w->wds[i] == wd)
			return true;
	}
	wds = reallocarray(w->wds, w->wds_count + 1, sizeof(*wds));
	if (!wds)
		return false;
	w->wds = wds;
	w->wds[w->wds_count++] = wd;
	return true;
}

/* False where the way ends, as there is no such directory, or no watch for it. */
static bool add_step(struct watch *w, struct path *p, const char *dir,
		     const char *name)
{
	struct step *steps;
	int wd = inotify_add_watch(w->inotify, *dir ? dir : "/", EVENTS);

	if (wd < 0) {
		/* Then it is found by looking, though not as soon. */
		if (errno == ENOSPC && !w->full) {
			log_line(LOG_WARNING,
				 "no more inotify watches: changes of some certificates are noticed within %u s only; raise sysctl fs.inotify.max_user_watches",
				 w->times.poll / 1000);
			w->full = true;
		}
		return errno == ENOSPC;
	}
	if (!add_wd(w, wd))
		return false;
	steps = reallocarray(p->steps, p->steps_count + 1, sizeof(*steps));
	if (!steps)
		return false;
	p->steps = steps;
	steps += p->steps_count;
	steps->wd = wd;
	steps->name = strdup(name);
	p->steps_count += !!steps->name;
	return steps->name;
}

/* Puts what a link says in front of what is left to resolve. */
static bool follow(const char *at, char dir[PATH_MAX], char left[PATH_MAX])
{
	char target[PATH_MAX], whole[2 * PATH_MAX];
	ssize_t n = readlink(at, target, sizeof(target) - 1);

	if (n <= 0)
		return false;
	target[n] = '\0';
	if (snprintf(whole, sizeof(whole), "%s/%s", target, left) >= PATH_MAX)
		return false;
	strcpy(left, whole);
	if (*target == '/')
		*dir = '\0';
	return true;
}

/*
 * Each directory is watched before its name is looked up, so that no change falls
 * in between.
 */
static void resolve(struct watch *w, struct path *p)
{
	char dir[PATH_MAX] = "", left[PATH_MAX], at[2 * PATH_MAX];
	unsigned int links = 0;
	struct stat st;
	char *name, *end;

	drop_steps(p);
	strcpy(left, p->path);
	for (;;) {
		name = left + strspn(left, "/");
		end = name + strcspn(name, "/");
		if (!*name)
			return;
		if (*end)
			*end++ = '\0';
		if (!strcmp(name, ".")) {
			memmove(left, end, strlen(end) + 1);
			continue;
		}
		if (!strcmp(name, "..")) {
			/* What @dir names has no links in it. */
			if (*dir)
				*strrchr(dir, '/') = '\0';
			memmove(left, end, strlen(end) + 1);
			continue;
		}
		if (!add_step(w, p, dir, name))
			return;
		snprintf(at, sizeof(at), "%s/%s", dir, name);
		memmove(left, end, strlen(end) + 1);
		if (strlen(at) >= PATH_MAX || lstat(at, &st))
			return;
		if (S_ISLNK(st.st_mode)) {
			if (++links > LINKS_MAX || !follow(at, dir, left))
				return;
		} else {
			strcpy(dir, at);
		}
	}
}

static bool in_use(const struct watch *w, int wd)
{
	size_t i, j;

	for (i = 0; i < w->paths_count; i++) {
		for (j = 0; j < w->paths[i].steps_count; j++) {
			if (w->paths[i].steps[j].wd == wd)
				return true;
		}
	}
	return false;
}

/* Directories that lead nowhere any more. */
static void sweep(struct watch *w)
{
	size_t i = 0;

	while (i < w->wds_count) {
		if (in_use(w, w->wds[i])) {
			i++;
			continue;
		}
		inotify_rm_watch(w->inotify, w->wds[i]);
		w->wds[i] = w->wds[--w->wds_count];
	}
}

static uint64_t ns(unsigned int ms)
{
	return ms * UINT64_C(1000000);
}

static void set_timer(struct watch *w)
{
	uint64_t at = w->poll, quiet;
	struct itimerspec t = {};

	if (w->first) {
		quiet = w->last + ns(w->times.quiet);
		if (quiet > w->first + ns(w->times.most))
			quiet = w->first + ns(w->times.most);
		if (quiet < at)
			at = quiet;
	}
	t.it_value.tv_sec = at / UINT64_C(1000000000);
	t.it_value.tv_nsec = at % UINT64_C(1000000000);
	timerfd_settime(w->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

static void change(struct watch *w, struct path *p)
{
	p->changed = true;
	w->last = monotonic_ns();
	if (!w->first)
		w->first = w->last;
}

static bool concerns(const struct path *p, const struct inotify_event *e)
{
	size_t i;

	for (i = 0; i < p->steps_count; i++) {
		/* Without a name it is the directory itself. */
		if (p->steps[i].wd == e->wd &&
		    (!e->len || !strcmp(p->steps[i].name, e->name)))
			return true;
	}
	return false;
}

static void take_event(struct watch *w, const struct inotify_event *e)
{
	size_t i;

	for (i = 0; i < w->paths_count; i++) {
		if ((e->mask & IN_Q_OVERFLOW) || concerns(&w->paths[i], e))
			change(w, &w->paths[i]);
	}
	if (!(e->mask & IN_IGNORED))
		return;
	/* The kernel has forgotten it. */
	for (i = 0; i < w->wds_count; i++) {
		if (w->wds[i] == e->wd) {
			w->wds[i] = w->wds[--w->wds_count];
			break;
		}
	}
}

static void read_events(struct watch *w)
{
	_Alignas(struct inotify_event) char buffer[16384];
	const struct inotify_event *e;
	size_t i;
	ssize_t n;
	char *at;

	/* What more there is comes next time: it may never end, and others wait. */
	n = read(w->inotify, buffer, sizeof(buffer));
	if (n <= 0)
		return;
	for (at = buffer; at < buffer + n; at += sizeof(*e) + e->len) {
		e = (const struct inotify_event *)at;
		take_event(w, e);
	}
	/* At once, so that what happens there until it is quiet is seen. */
	for (i = 0; i < w->paths_count; i++) {
		if (w->paths[i].changed)
			resolve(w, &w->paths[i]);
	}
	sweep(w);
}

static void look_at_all(struct watch *w)
{
	struct look look;
	size_t i;

	for (i = 0; i < w->paths_count; i++) {
		look_at(w->paths[i].path, &look);
		if (!same_look(&look, &w->paths[i].look)) {
			w->paths[i].look = look;
			change(w, &w->paths[i]);
			resolve(w, &w->paths[i]);
		}
	}
	sweep(w);
}

static void take_timer(struct watch *w)
{
	uint64_t now = monotonic_ns();
	struct path *p;
	size_t i;

	if (now >= w->poll) {
		w->poll = now + ns(w->times.poll);
		look_at_all(w);
	}
	if (!w->first || (now < w->last + ns(w->times.quiet) &&
			  now < w->first + ns(w->times.most)))
		return;
	w->first = 0;
	for (i = 0; i < w->paths_count; i++) {
		p = &w->paths[i];
		if (!p->changed)
			continue;
		p->changed = false;
		p->due = true;
		/* Before it is read by who is told: later changes differ. */
		look_at(p->path, &p->look);
	}
	w->next = 0;
}

ssize_t watch_next(struct watch *w)
{
	uint64_t expired;

	while (read(w->timer, &expired, sizeof(expired)) > 0)
		;
	read_events(w);
	take_timer(w);
	set_timer(w);
	for (; w->next < w->paths_count; w->next++) {
		if (w->paths[w->next].due) {
			w->paths[w->next].due = false;
			return w->next;
		}
	}
	return -1;
}

int watch_fd(const struct watch *w)
{
	return w->epoll;
}

ssize_t watch_add(struct watch *w, const char *path)
{
	char absolute[2 * PATH_MAX], cwd[PATH_MAX] = "";
	struct path *paths, *p;

	if (*path != '/' && !getcwd(cwd, sizeof(cwd)))
		return -errno;
	if (snprintf(absolute, sizeof(absolute), "%s/%s", cwd, path) >= PATH_MAX)
		return -ENAMETOOLONG;
	paths = reallocarray(w->paths, w->paths_count + 1, sizeof(*paths));
	if (!paths)
		return -ENOMEM;
	w->paths = paths;
	p = &paths[w->paths_count];
	memset(p, 0, sizeof(*p));
	p->path = strdup(absolute);
	if (!p->path)
		return -ENOMEM;
	resolve(w, p);
	look_at(p->path, &p->look);
	return w->paths_count++;
}

static bool open_all(struct watch *w)
{
	struct epoll_event e = { .events = EPOLLIN };

	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	return w->epoll >= 0 && w->inotify >= 0 && w->timer >= 0 &&
	       !epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->inotify, &e) &&
	       !epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->timer, &e);
}

struct watch *watch_new(const struct watch_times *times)
{
	struct watch *w = calloc(1, sizeof(*w));
	int saved;

	if (!w)
		return NULL;
	w->times = *times;
	w->poll = monotonic_ns() + ns(times->poll);
	if (!open_all(w)) {
		saved = errno;
		watch_free(w);
		errno = saved;
		return NULL;
	}
	set_timer(w);
	return w;
}

void watch_free(struct watch *w)
{
	size_t i;

	if (!w)
		return;
	for (i = 0; i < w->paths_count; i++) {
		drop_steps(&w->paths[i]);
		free(w->paths[i].steps);
		free(w->paths[i].path);
	}
	free(w->paths);
	free(w->wds);
	if (w->epoll >= 0)
		close(w->epoll);
	if (w->inotify >= 0)
		close(w->inotify);
	if (w->timer >= 0)
		close(w->timer);
	free(w);
}

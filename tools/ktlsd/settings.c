// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads files with libconfuse, which knows the syntax, and keeps what it finds
 * with its lines, which libconfuse forgets.
 */
#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ktlsd.h"
#include "settings.h"

/* How many names that it does not know a file is read on with. */
#define UNKNOWN_MAX 32

#define SIZE_MOST (1024 * 1024)

/* An option of each section, by whose default value its begin is noticed. */
#define BEGIN " begin"

void *must(void *memory)
{
	if (!memory) {
		log_line(LOG_ERR, "out of memory");
		exit(1);
	}
	return memory;
}

void complain(struct complaints *c, unsigned int line, const char *format, ...)
{
	struct complaint *new;
	va_list ap;

	c->list = must(reallocarray(c->list, c->count + 1, sizeof(*c->list)));
	new = &c->list[c->count++];
	new->line = line;
	va_start(ap, format);
	if (vasprintf(&new->text, format, ap) < 0)
		new->text = NULL;
	va_end(ap);
	must(new->text);
}

bool complaints_end(struct complaints *c, FILE *to)
{
	bool any = c->count;
	size_t i, first;

	/* They were found by sections; a reader goes by lines. */
	while (c->count) {
		for (i = first = 0; i < c->count; i++)
			if (c->list[i].line < c->list[first].line)
				first = i;
		if (c->list[first].line)
			fprintf(to, "%s:%u: %s\n", c->path, c->list[first].line,
				c->list[first].text);
		else
			fprintf(to, "%s: %s\n", c->path, c->list[first].text);
		free(c->list[first].text);
		c->count--;
		memmove(&c->list[first], &c->list[first + 1],
			(c->count - first) * sizeof(*c->list));
	}
	free(c->list);
	c->list = NULL;
	return any;
}

/* libconfuse hands nothing of ours to its callbacks. */
static struct reading {
	const struct section_kind *kinds;
	size_t kinds_count;
	struct settings *settings;
	struct complaints *complaints;
	/* Names that nobody knows, taken as if, to read on. */
	struct unknown {
		size_t kind;
		char *name;
	} unknown[UNKNOWN_MAX];
	size_t unknown_count;
	unsigned int unknown_line;	/* where the last one is */
	bool again;
} reading;

static bool is_unknown(const char *kind, const char *name)
{
	size_t i;

	for (i = 0; i < reading.unknown_count; i++)
		if (!strcmp(reading.kinds[reading.unknown[i].kind].kind, kind) &&
		    !strcmp(reading.unknown[i].name, name))
			return true;
	return false;
}

static void begin_section(const char *kind, const char *title, unsigned int line)
{
	struct settings *s = reading.settings;

	s->sections = must(reallocarray(s->sections, s->count + 1,
					sizeof(*s->sections)));
	s->sections[s->count++] = (struct section){
		.kind = must(strdup(kind)),
		.title = must(strdup(title)),
		.line = line,
	};
}

static int keep(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct settings *s = reading.settings;
	bool top = !strcmp(cfg_name(cfg), "root");
	struct section *section;
	struct setting *setting;
	size_t i;

	*(void **)result = NULL;
	if (!top && !strcmp(cfg_opt_name(opt), BEGIN)) {
		begin_section(cfg_name(cfg), cfg_title(cfg), cfg->line);
		return 0;
	}
	if (is_unknown(top ? "" : cfg_name(cfg), cfg_opt_name(opt)))
		return 0;
	section = &s->sections[top ? 0 : s->count - 1];
	/* libconfuse has added the value already. */
	if (cfg_opt_size(opt) == 1) {
		section->settings = must(reallocarray(section->settings,
						      section->count + 1,
						      sizeof(*section->settings)));
		section->settings[section->count++] = (struct setting){
			.name = must(strdup(cfg_opt_name(opt))),
			.line = cfg->line,
		};
	}
	/* Of that name, the last: with += it may be further up. */
	for (i = section->count; i && strcmp(section->settings[i - 1].name,
					     cfg_opt_name(opt)); i--)
		;
	if (!i)
		return 0;
	setting = &section->settings[i - 1];
	setting->values = must(reallocarray(setting->values, setting->count + 1,
					    sizeof(*setting->values)));
	setting->values[setting->count++] = must(strdup(value));
	return 0;
}

static void list_names(FILE *to, const struct section_kind *kind)
{
	const char *const *name;

	for (name = kind->names; *name; name++)
		fprintf(to, "%s%s", name == kind->names ? "" : ", ", *name);
}

static void unknown_name(const char *kind, const char *name, unsigned int line)
{
	struct unknown *u = &reading.unknown[reading.unknown_count];
	size_t i, len;
	char *text;
	FILE *out;

	for (i = 0; i < reading.kinds_count; i++)
		if (!strcmp(reading.kinds[i].kind, kind))
			break;
	out = must(open_memstream(&text, &len));
	if (*kind) {
		fprintf(out, "a %s has no option \"%s\"; its options are ", kind, name);
		list_names(out, &reading.kinds[i]);
	} else {
		fprintf(out, "there is no option \"%s\"; outside of sections there are ",
			name);
		list_names(out, &reading.kinds[i]);
		fputs(", and the sections are", out);
		for (i = 1; i < reading.kinds_count; i++)
			fprintf(out, "%s %s", i > 1 ? "," : "", reading.kinds[i].kind);
		i = 0;
	}
	fclose(out);
	complain(reading.complaints, line, "%s", text);
	free(text);
	u->kind = i;
	u->name = must(strdup(name));
	reading.unknown_count++;
	reading.unknown_line = line;
	reading.again = true;
}

static const char *hint(const char *message)
{
	static const struct {
		const char *begin;
		const char *hint;
	} hints[] = {
		{ "missing equal sign", "write NAME = VALUE" },
		{ "missing title", "write its name before the {" },
		{ "missing opening brace", "write {" },
		{ "unexpected closing brace", "there is no section to close; remove it" },
		{ "premature end", "there is a } or a value missing" },
		{ "unexpected token",
		  "a value is a word or \"in quotes\", a list { in, braces }" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(hints); i++)
		if (!strncmp(message, hints[i].begin, strlen(hints[i].begin)))
			return hints[i].hint;
	return "look at the syntax in ktlsd.conf(5)";
}

static void on_error(cfg_t *cfg, const char *format, va_list ap)
{
	bool top = !strcmp(cfg_name(cfg), "root");
	char *text;

	if (!strcmp(format, "no such option '%s'") &&
	    reading.unknown_count < UNKNOWN_MAX) {
		unknown_name(top ? "" : cfg_name(cfg), va_arg(ap, const char *),
			     cfg->line);
		return;
	}
	/* What follows a name that we do not know may be anything. */
	if (reading.unknown_count && reading.unknown_line == (unsigned int)cfg->line)
		return;
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	must(text);
	complain(reading.complaints, cfg->line, "%s; %s", text, hint(text));
	free(text);
}

static cfg_opt_t option(const char *name, char *value)
{
	cfg_opt_t o = CFG_PTR_LIST_CB(name, value, CFGF_NONE, keep, NULL);

	return o;
}

/* All options are lists to libconfuse: how many values are right is said later. */
static cfg_opt_t *make_options(size_t kind)
{
	const char *const *names = reading.kinds[kind].names;
	static char begun[] = "{begun}";
	const cfg_opt_t end = CFG_END();
	size_t i, n = 0, count = 0;
	cfg_opt_t *o;

	while (names[count])
		count++;
	o = must(calloc(count + reading.kinds_count + reading.unknown_count + 1,
			sizeof(*o)));
	for (i = 0; i < count; i++)
		o[n++] = option(names[i], NULL);
	for (i = 0; i < reading.unknown_count; i++)
		if (reading.unknown[i].kind == kind)
			o[n++] = option(reading.unknown[i].name, NULL);
	if (kind) {
		o[n++] = option(BEGIN, begun);
	} else {
		for (i = 1; i < reading.kinds_count; i++) {
			cfg_opt_t section = CFG_SEC(reading.kinds[i].kind, NULL,
						    CFGF_MULTI | CFGF_TITLE);

			section.subopts = make_options(i);
			o[n++] = section;
		}
	}
	o[n] = end;
	return o;
}

static void free_options(cfg_opt_t *options)
{
	size_t i;

	for (i = 0; options[i].name; i++)
		free(options[i].subopts);
	free(options);
}

/* Once more if there was a name to be left out. */
static bool parse(FILE *file)
{
	cfg_opt_t *options = make_options(0);
	cfg_t *cfg = must(cfg_init(options, CFGF_NONE));
	int result;

	free_options(options);
	cfg_set_error_function(cfg, on_error);
	begin_section("", "", 0);
	result = cfg_parse_fp(cfg, file);
	cfg_free(cfg);
	return result == CFG_SUCCESS;
}

/* All of it, with a newline at its end; to be freed. */
static char *read_file(const char *path, struct complaints *c)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	struct stat st;
	size_t len;

	if (!file) {
		complain(c, 0, "could not open it: %s%s", strerror(errno),
			 errno == ENOENT ?
			 "; write one, see ktlsd.conf(5), or name another with -c" : "");
		return NULL;
	}
	if (fstat(fileno(file), &st) || !S_ISREG(st.st_mode)) {
		complain(c, 0, "it is no file; name one with -c");
	} else if (st.st_size > SIZE_MOST) {
		complain(c, 0, "it is too long; at most it has %d bytes", SIZE_MOST);
	} else {
		text = must(malloc(st.st_size + 2));
		len = fread(text, 1, st.st_size, file);
		text[len] = '\n';
		text[len + 1] = '\0';
		if (ferror(file) || strlen(text) != len + 1) {
			complain(c, 0, ferror(file) ? "could not read it" :
				 "it is no text: it has a byte 0");
			free(text);
			text = NULL;
		}
	}
	fclose(file);
	return text;
}

/* What is open where the file ends. */
struct unclosed {
	unsigned int quote;		/* the line of it, 0: none */
	unsigned int braces[8];		/* the lines of them, the outermost first */
	unsigned int depth;
};

static void see_brace(struct unclosed *u, char brace, unsigned int line)
{
	if (brace == '{' && u->depth++ < ARRAY_SIZE(u->braces))
		u->braces[u->depth - 1] = line;
	else if (brace == '}' && u->depth)
		u->depth--;
}

/*
 * Makes blanks of comments: libconfuse counts too many lines for them, and takes
 * none within a list.  It also takes the end of a file for the end of a section.
 */
static void remove_comments(char *text, struct unclosed *u)
{
	unsigned int line = 1, opened = 0;
	char quote = '\0', *end;

	for (; *text; text++) {
		if (*text == '\n') {
			line++;
		} else if (quote) {
			if (*text == '\\' && text[1] && text[1] != '\n')
				text++;
			else if (*text == quote)
				quote = '\0';
		} else if (*text == '"' || *text == '\'') {
			quote = *text;
			opened = line;
		} else if (*text == '#' || (*text == '/' && text[1] == '/')) {
			for (; text[1] != '\n'; text++)
				*text = ' ';
			*text = ' ';
		} else if (*text == '/' && text[1] == '*') {
			/* Up to before the newline that each file ends with here. */
			end = strstr(text + 2, "*/");
			end = end ? end + 1 : strchr(text, '\0') - 2;
			for (; text < end; text++) {
				if (*text == '\n')
					line++;
				else
					*text = ' ';
			}
			*text = ' ';
		} else {
			see_brace(u, *text, line);
		}
	}
	u->quote = quote ? opened : 0;
}

bool settings_read(const char *path, const struct section_kind *kinds, size_t count,
		   struct settings *settings, struct complaints *c)
{
	struct unclosed unclosed = { 0 };
	bool done = false;
	FILE *file;
	char *text;
	size_t i;

	*settings = (struct settings){ 0 };
	text = read_file(path, c);
	if (!text)
		return false;
	remove_comments(text, &unclosed);
	if (unclosed.quote || unclosed.depth) {
		if (unclosed.quote)
			complain(c, unclosed.quote,
				 "the quote that opens here is not closed");
		else
			complain(c, unclosed.braces[0],
				 "the { that opens here is not closed; write }");
		free(text);
		return false;
	}
	reading = (struct reading){
		.kinds = kinds,
		.kinds_count = count,
		.settings = settings,
		.complaints = c,
	};
	do {
		settings_free(settings);
		reading.again = false;
		file = must(fmemopen(text, strlen(text), "r"));
		done = parse(file);
		fclose(file);
	} while (reading.again);
	free(text);
	for (i = 0; i < reading.unknown_count; i++)
		free(reading.unknown[i].name);
	if (!done && !c->count)
		complain(c, 0, "could not read it to its end; look at the syntax in ktlsd.conf(5)");
	return done;
}

void settings_free(struct settings *settings)
{
	size_t i, j, k;

	for (i = 0; i < settings->count; i++) {
		struct section *section = &settings->sections[i];

		for (j = 0; j < section->count; j++) {
			for (k = 0; k < section->settings[j].count; k++)
				free(section->settings[j].values[k]);
			free(section->settings[j].values);
			free(section->settings[j].name);
		}
		free(section->settings);
		free(section->kind);
		free(section->title);
	}
	free(settings->sections);
	*settings = (struct settings){ 0 };
}

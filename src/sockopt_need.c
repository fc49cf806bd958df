/* SPDX-License-Identifier: ISC */
/* Whether a value of a socket option is for the privileged: the rows say from where on, or
 * which file of the system has the words that are for everybody. */
#include "sockopt.h"

#include <string.h>

/* Is WORD one of the words, separated by blanks, of FILE? */
static bool listed(const char *file, const char *word)
{
	FILE *f = fopen(file, "re");
	char text[64];
	bool found = false;

	if (!f)
		return false;
	while (!found && fscanf(f, "%63s", text) == 1)
		found = strcmp(text, word) == 0;
	fclose(f);
	return found;
}

enum need sockopt_need(const struct sockopt_row *row, const struct sockopt_value *value)
{
	if (!value->set || row->needs == NEEDS_NOTHING)
		return NEEDS_NOTHING;
	if (row->free_words)
		return listed(row->free_words, value->text) ? NEEDS_NOTHING : row->needs;
	return value->number > row->needs_above ? row->needs : NEEDS_NOTHING;
}

const char *sockopt_lack(const char *step, int error, sa_family_t family,
			 char buf[NEED_TEXT_MAX + 3])
{
	int row = sockopt_find(step);
	enum need option = row < 0 ? NEEDS_NOTHING : sockopts[row].needs;
	enum need need = need_of_failure(step, option, error, family);
	char text[NEED_TEXT_MAX];

	buf[0] = '\0';
	if (need != NEEDS_NOTHING)
		snprintf(buf, NEED_TEXT_MAX + 3, " (%s)", need_format(need, text));
	return buf;
}

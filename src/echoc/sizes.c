/* SPDX-License-Identifier: ISC */
/* Sizes of messages.  The chance of a range is a generator with a fixed seed: every run, and
 * every target of a comparison, gets the same sizes. */
#include "sizes.h"

#include "size.h"

#include <errno.h>
#include <string.h>

/* One number of TEXT up to the first of STOPS.  Returns its length, or 0. */
static size_t parse_one(const char *text, const char *stops, int64_t *out)
{
	size_t n = strcspn(text, stops);
	char word[SIZE_TEXT_MAX];

	if (n == 0 || n >= sizeof(word))
		return 0;
	memcpy(word, text, n);
	word[n] = '\0';
	return size_parse(word, out) == 0 ? n : 0;
}

int sizes_parse(struct sizes *s, const char *text, const char **why)
{
	char stops[] = "-,";
	size_t n;

	*s = (struct sizes){.n = 0};
	*why = "bytes: \"64\", a range \"64-1500\", or a list \"64,512,1K\" of up to 32";
	for (;;) {
		n = s->n < SIZES_MAX ? parse_one(text, stops, &s->list[s->n]) : 0;
		if (n == 0)
			return -EINVAL;
		s->n++;
		text += n;
		if (*text == '\0')
			break;
		/* After the first comma no range, after a range nothing. */
		if (s->n == 1 && *text == '-')
			s->range = true;
		else if (s->range || *text == '-')
			return -EINVAL;
		text++;
	}
	return s->range && (s->n != 2 || s->list[0] > s->list[1]) ? -EINVAL : 0;
}

int64_t sizes_next(const struct sizes *s, uint64_t nth, uint64_t *seed)
{
	if (s->n == 1)
		return s->list[0];
	if (!s->range)
		return s->list[nth % s->n];
	*seed ^= *seed << 13; /* xorshift64 */
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return s->list[0] + (int64_t)((*seed >> 11) % (uint64_t)(s->list[1] - s->list[0] + 1));
}

int64_t sizes_largest(const struct sizes *s)
{
	int64_t largest = 0;

	for (unsigned i = 0; i < s->n; i++)
		if (s->list[i] > largest)
			largest = s->list[i];
	return largest;
}

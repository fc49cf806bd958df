/* SPDX-License-Identifier: ISC */
/* Sizes and times as text.  libbsd's expand_number(3) is near, but takes "64KB", "1e" and
 * signs, and its set of suffixes is not ours to document. */
#include "size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char suffixes[] = "KMGT"; /* each 1024 times the one before */

int size_parse(const char *text, int64_t *out)
{
	const char *p = text, *suffix;
	int64_t n = 0;
	int steps = 0;

	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
			return -ERANGE;
	if (*p != '\0') {
		suffix = strchr(suffixes, toupper((unsigned char)*p));
		if (!suffix || p[1] != '\0')
			return -EINVAL;
		steps = (int)(suffix - suffixes) + 1;
	}
	for (; steps > 0; steps--)
		if (__builtin_mul_overflow(n, 1024, &n))
			return -ERANGE;
	*out = n;
	return 0;
}

const char *size_format(int64_t n, char buf[SIZE_TEXT_MAX])
{
	int steps = 0;

	while (n != 0 && n % 1024 == 0 && suffixes[steps] != '\0') {
		n /= 1024;
		steps++;
	}
	if (steps)
		snprintf(buf, SIZE_TEXT_MAX, "%" PRId64 "%c", n, suffixes[steps - 1]);
	else
		snprintf(buf, SIZE_TEXT_MAX, "%" PRId64, n);
	return buf;
}

int seconds_round(double seconds, unsigned per_second, int64_t *out)
{
	if (isnan(seconds) || seconds < 0 || seconds > 0x1p40)
		return -ERANGE;
	*out = (int64_t)(seconds * per_second + 0.5);
	return seconds > 0 && *out == 0 ? -ERANGE : 0;
}

int seconds_parse(const char *text, unsigned per_second, int64_t *out)
{
	char *end;
	double seconds;

	if (text[strspn(text, "0123456789.")] != '\0' || !strpbrk(text, "0123456789"))
		return -EINVAL;
	seconds = strtod(text, &end); /* the "C" locale's: echod sets no other */
	if (*end != '\0')
		return -EINVAL;
	return seconds_round(seconds, per_second, out);
}

const char *seconds_format(int64_t n, unsigned per_second, char buf[SIZE_TEXT_MAX])
{
	unsigned micro = (unsigned)(n % per_second) * (1000000 / per_second) % 1000000;
	int len = snprintf(buf, SIZE_TEXT_MAX, "%" PRId64 ".%06u", n / per_second, micro);

	while (len > 2 && buf[len - 1] == '0' && buf[len - 2] != '.')
		buf[--len] = '\0';
	return buf;
}

const char *size_short(double n, char buf[SIZE_TEXT_MAX])
{
	static const char units[] = " kMGTPE";
	int unit = 0;

	while (n >= 999.5 && units[unit + 1]) {
		n /= 1000;
		unit++;
	}
	/* One digit behind the point where there is but one before it. */
	snprintf(buf, SIZE_TEXT_MAX, "%.*f%.*s", n > 0 && n < 9.95 ? 1 : 0, n, unit > 0,
		 &units[unit]);
	if (strncmp(buf + 1, ".0", 2) == 0)
		memmove(buf + 1, buf + 3, strlen(buf + 3) + 1);
	return buf;
}

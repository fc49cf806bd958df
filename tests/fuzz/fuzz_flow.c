/* SPDX-License-Identifier: ISC */
/* One connection in a ring whose completions are as the input says: late, short, cancelled, or
 * errors.  The ring is the unit tests' (ring.h), and the input is its chance.  What comes out is
 * what went in, from its beginning, and all of it unless there was an error; one request of a
 * kind is under way at a time; no buffer is lost; the end comes. */
#include "fuzz.h"

#include "../unit/ring.h"
#include "acceptor.h"

enum { MOST = 100000 };

static const uint8_t *script;
static size_t left;
static unsigned beyond; /* once the script has ended */

int __wrap_rand(void);

int __wrap_rand(void)
{
	if (left == 0)
		return (int)(++beyond % 32768);
	left--;
	return *script++;
}

static void begin(const uint8_t *d)
{
	ring_begin(d[0] % 101, d[1] & 1);
	r.errors = d[1] & 2;
	service.idle_timeout = d[1] & 4 ? 1000 : 300000;
	service.write_timeout = d[1] & 8 ? 1000 : 60000;
	k.input = fuzz_stream();
	k.in = (size_t)((d[1] & 128 ? d[2] : d[2] & 15) << 8 | d[3]); /* long streams take long */
	k.chunk_in = d[1] & 16 ? 300 : 0;
	k.chunk_out = d[1] & 32 ? 250 : 0;
	k.fin = !(d[1] & 64);
}

/* When the script ends the ring does as it is asked, and the daemon drains. */
static void turn(void)
{
	if (left == 0) {
		r.chance = 0;
		k.fin = true;
	} else if (__wrap_rand() < 8) {
		ex.now += 200;
	}
	wheel_advance(&flows.wheel, ex.now, flow_timer, &flows);
	ring_enter();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n;

	if (size < 4)
		return 0;
	script = data + 4;
	left = size - 4;
	beyond = 0;
	begin(data);
	n = k.in;
	for (unsigned i = 0; !k.closed; i++) {
		PROMISE(i < MOST);
		turn();
	}
	PROMISE(k.out <= n && memcmp(k.output, fuzz_stream(), k.out) == 0);
	PROMISE(stats.value[C_BYTES_OUT] == k.out);
	PROMISE(stats.value[C_CLOSED_EOF] == 0 || (k.out == n && !k.reset));
	PROMISE(slots_used(slots) == 0 && acceptor.open == 0);
	ring_end();
	return 0;
}

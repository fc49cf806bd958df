/* SPDX-License-Identifier: ISC */
/* The rules about what is answered, and about who may tell whose a connection is. */
#include "conf_build.h"

#include "conf.h"

static void check_trusted(struct build *b, size_t i)
{
	const struct service_conf *s = &b->conf->services[i];

	if (protocols[s->protocol].local && s->n_proxy_trusted > 0)
		conf_build_complain(b, i, "proxy_trusted",
				    "names networks, and who connects to a unix socket has no "
				    "address: its mode says who may send a header");
	else if (!protocols[s->protocol].local && s->n_proxy_trusted == 0)
		conf_build_complain(b, i, "proxy_protocol",
				    "\"require\" refuses everybody while proxy_trusted is empty "
				    "(name the networks of the proxies there)");
}

void conf_check_answer(struct build *b, size_t i)
{
	const struct service_conf *s = &b->conf->services[i];

	if (conf_build_bad(b, i, "protocol") || conf_build_bad(b, i, "respond") ||
	    conf_build_bad(b, i, "proxy_protocol") || conf_build_bad(b, i, "proxy_trusted"))
		return;
	if (s->proxy_protocol == PROXY_REQUIRE)
		check_trusted(b, i);
	if (s->respond == RESPOND_DISCARD && s->udp.answer_broadcast)
		conf_build_complain(b, i, "udp.answer_broadcast",
				    "respond = \"discard\" answers nothing");
	if (s->respond == RESPOND_REPORT && s->udp.answer_broadcast)
		conf_build_complain(b, i, "udp.answer_broadcast",
				    "respond = \"report\" tells one host about itself, not a "
				    "network about all of them");
}

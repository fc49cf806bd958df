/* SPDX-License-Identifier: ISC */
/* setup_log.h - says what a configuration in force has come to. */
#ifndef ECHOD_SETUP_LOG_H
#define ECHOD_SETUP_LOG_H

struct conf;
struct crew;
struct sandbox;
struct service_conf;

/* The settings of SERVICE, which CREW begins to serve; and its limit, if that had to be lowered. */
void setup_log_service(const struct service_conf *service, const struct crew *crew);

/* That engine = "auto" could not mean what it does; once, however many services there are. */
void setup_log_engine(const struct conf *conf);

/* What workers are shut in by, and what of SANDBOX is missing. */
void setup_log_sandbox(const struct conf *conf, const struct sandbox *sandbox);

#endif

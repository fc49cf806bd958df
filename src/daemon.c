/* SPDX-License-Identifier: ISC */
/* Becoming a daemon as daemon(7) has it for those who do without systemd.
 *
 * Two pipes lead back to the process that was called.  One carries a single number: SERVES,
 * or the exit code; its end without one means a death.  The other is the daemon's standard
 * error until it serves: what goes wrong at the start is seen where the start was asked
 * for, and afterwards no terminal is held.  The pid file is locked before the first fork,
 * so that of two starts one knows at once; the lock goes with the open file, from process
 * to process, and is gone when the last of them is, however it died. */
#include "daemon.h"

#include "log.h"
#include "process.h"

#include <bsd/libutil.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { SERVES = -1 /* where else an exit code is */ };

/* The pipes, by what they carry: [0] for who waits, [1] for the daemon. */
struct line {
	int word[2]; /* SERVES or the exit code */
	int err[2];  /* what is said on standard error */
};

char *daemon_absolute(const char *path)
{
	char *here, *whole;

	if (path[0] == '/')
		return strdup(path);
	here = getcwd(NULL, 0);
	if (!here)
		return NULL;
	if (asprintf(&whole, "%s/%s", here, path) < 0)
		whole = NULL;
	free(here);
	return whole;
}

/* The number in the pid file at PATH, which another has locked; 0 if there is none yet. */
static long other_pid(const char *path)
{
	char text[24] = "";
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 ? strtol(text, NULL, 10) : 0;
}

/* Why the file ST cannot be a pid file, or NULL.  What is no file, such as /dev/null, would be
 * removed at the end. */
static const char *unfit(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "it is not a regular file";
	return st->st_nlink > 1 ? "it has another name (a hard link)" : NULL;
}

/* Lock the pid file; what is in it stays for now.  Not through a link of any kind: whoever made
 * one would have us write to a file that is none of ours, and pidfile_open(3bsd) follows it.
 * Returns 0 or an exit code. */
static int take_pid_file(struct daemon *d, const char *path)
{
	int fd = flopen(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	struct stat st;
	const char *why = NULL;
	long other;

	if (fd >= 0)
		why = fstat(fd, &st) < 0 ? strerror(errno) : unfit(&st);
	if (why) {
		log_err("cannot make the pid file %s: %s", path, why);
		close(fd);
		return EX_CANTCREAT;
	}
	if (fd >= 0) {
		d->pid_file = fd;
		d->path = path;
		return EX_OK;
	}
	if (errno != EWOULDBLOCK) {
		log_err("cannot make the pid file %s: %s", path,
			errno == ELOOP ? "it is a symbolic link" : strerror(errno));
		return EX_CANTCREAT;
	}
	other = other_pid(path);
	if (other > 0)
		log_err("already running, pid %ld (it has the pid file %s)", other, path);
	else
		log_err("already starting (another has the pid file %s)", path);
	return EX_TEMPFAIL;
}

static int write_pid_file(struct daemon *d)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%d", (int)getpid());

	/* Whatever the umask is: others may read which process it is. */
	if (ftruncate(d->pid_file, 0) == 0 && pwrite(d->pid_file, text, (size_t)n, 0) == n &&
	    fchmod(d->pid_file, 0644) == 0)
		return EX_OK;
	log_err("cannot write the pid file %s: %m", d->path);
	return EX_CANTCREAT;
}

/* Let go of the pid file; it stays. */
static void leave_pid_file(struct daemon *d)
{
	if (d->path)
		close(d->pid_file);
	d->path = NULL;
}

/* Somebody may have removed the file, or put another in its place: that is not ours. */
static void drop_pid_file(struct daemon *d)
{
	struct stat ours, there;

	if (d->path && fstat(d->pid_file, &ours) == 0 && lstat(d->path, &there) == 0 &&
	    ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
		unlink(d->path);
	leave_pid_file(d);
}

/* Pass on what the daemon has said.  False at the end. */
static bool relay(int fd)
{
	char text[4096];
	ssize_t n = read(fd, text, sizeof(text));

	for (ssize_t done = 0, w; done < n; done += w) {
		w = write(STDERR_FILENO, text + done, (size_t)(n - done));
		if (w < 0)
			return true; /* nobody reads: the exit code has to do */
	}
	return n > 0 || (n < 0 && errno == EINTR);
}

/* Wait for the word of the daemon, passing on what it says.  Returns our exit code. */
static int wait_for_word(const struct line *line)
{
	struct pollfd p[2] = {{.fd = line->word[0], .events = POLLIN},
			      {.fd = line->err[0], .events = POLLIN}};
	int word = EX_OK;
	ssize_t n;

	while (p[0].revents == 0) {
		if (poll(p, 2, -1) < 0)
			continue; /* a signal: those that do not kill are not for us */
		if (p[1].revents && !relay(p[1].fd))
			p[1].fd = -1;
	}
	n = read(line->word[0], &word, sizeof(word));
	/* What it said before the word is in the pipe by now. */
	while (poll(&p[1], 1, 0) == 1 && p[1].revents & POLLIN && relay(p[1].fd))
		;
	if (n == sizeof(word) && word == SERVES)
		return EX_OK;
	if (n == sizeof(word) && word != EX_OK)
		return word;
	log_err("the daemon has ended before it served");
	return EX_OSERR;
}

/* Who fails here is about to end: nothing needs to be closed. */
static int open_line(struct line *line)
{
	return pipe2(line->word, O_CLOEXEC) < 0 || pipe2(line->err, O_CLOEXEC) < 0 ? -errno : 0;
}

/* Fork, and leave the session with its terminal.  The second fork is for daemon(7): who does
 * not lead a session cannot get a terminal by opening one.  Returns 0 in the daemon, 1 in
 * who waits for it, or -errno. */
static int fork_twice(void)
{
	pid_t pid = fork();
	int status = 0;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		setsid();
		pid = fork();
		if (pid != 0)
			_exit(pid < 0 ? errno : 0);
		return 0;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) > 0 ? -WEXITSTATUS(status) : 1;
}

/* In the daemon: nothing of the caller's is left but the pid file, the way back and, if
 * KEEP_STDERR, standard error. */
static void settle(struct daemon *d, const struct line *line, bool keep_stderr)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int keep[] = {line->word[1], d->path ? d->pid_file : line->word[1]};

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (!keep_stderr) {
		dup2(line->err[1], STDERR_FILENO);
		log_set_detached();
	}
	process_keep_only(keep, sizeof(keep) / sizeof(keep[0]));
	umask(S_IWGRP | S_IWOTH);
	/* No directory is kept from being unmounted. */
	if (chdir("/") < 0)
		log_warn("/: %m");
	d->waiting = line->word[1];
	d->detached = true;
	d->borrowed = !keep_stderr;
}

/* True in the daemon. */
static bool detach(struct daemon *d, bool keep_stderr, int *code)
{
	struct line line;
	int r = open_line(&line);

	signal(SIGPIPE, SIG_IGN); /* who waits may be killed, or who reads what it says */
	if (r == 0)
		r = fork_twice();
	if (r == 0) {
		settle(d, &line, keep_stderr);
		return true;
	}
	if (r < 0) {
		log_err("cannot become a daemon: %s", strerror(-r));
		drop_pid_file(d);
		*code = EX_OSERR;
		return false;
	}
	leave_pid_file(d);
	close(line.word[1]);
	close(line.err[1]);
	*code = wait_for_word(&line);
	return false;
}

bool daemon_begin(struct daemon *d, const struct daemon_plan *plan, int *code)
{
	*d = (struct daemon){.path = NULL};
	*code = plan->pid_file ? take_pid_file(d, plan->pid_file) : EX_OK;
	if (*code != EX_OK || (plan->detach && !detach(d, plan->keep_stderr, code)))
		return false;
	if (d->path)
		*code = write_pid_file(d);
	if (*code != EX_OK)
		daemon_end(d, *code);
	return *code == EX_OK;
}

/* Say WORD to who waits, and let go of it. */
static void tell(struct daemon *d, int word)
{
	/* If it is gone that is nobody's loss. */
	if (write(d->waiting, &word, sizeof(word)) < 0)
		word = 0;
	close(d->waiting);
	d->detached = false;
}

void daemon_ready(struct daemon *d)
{
	if (!d->detached)
		return;
	tell(d, SERVES);
	if (d->borrowed)
		dup2(STDIN_FILENO, STDERR_FILENO);
}

void daemon_end(struct daemon *d, int code)
{
	drop_pid_file(d);
	if (d->detached)
		tell(d, code);
}

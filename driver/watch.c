/* Watches a started tree until its end; shared by `run` and `enter`. */
#define _GNU_SOURCE
#include "watch.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "inherit.h"
#include "notes.h"
#include "ns.h"

enum { LAST_WORDS_MS = 1000 };

int watch_signals(struct watch *w, struct fault *f)
{
	static const int watched[] = {SIGCHLD, SIGCONT, SIGINT,  SIGQUIT,
				      SIGTERM, SIGHUP,  SIGUSR1, SIGUSR2,
				      SIGWINCH};
	struct sigaction old;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < COUNT(watched); i++) {
		/* nohup: SIGHUP stays ignored, here and in the agent */
		if (watched[i] == SIGHUP && sigaction(SIGHUP, NULL, &old) == 0 &&
		    old.sa_handler == SIG_IGN)
			continue;
		signal(watched[i], SIG_DFL);
		sigaddset(&set, watched[i]);
	}
	w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	sigaddset(&set, SIGPIPE);
	if (w->signals < 0 || sigprocmask(SIG_SETMASK, &set, NULL))
		return fault_errno(f, "driver", "can't watch signals");
	return 0;
}

static void kill_tree(struct watch *w)
{
	w->killed = true;
	kill(w->child, SIGKILL);
}

static void fail(struct watch *w, const struct fault *f)
{
	if (!w->failed)
		w->fault = *f;
	w->failed = true;
	kill_tree(w);
}

static void signal_agent(struct watch *w, int number)
{
	if (!w->started) {
		w->status = number;
		w->ended = true;
		kill_tree(w);
	} else if (w->enter) {
		kill(w->child, number);
	} else {
		msg_send(w->sock, MSG_SIGNAL, number, NULL);
	}
}

static void report(struct watch *w, int result)
{
	if (result && !w->killed)
		kill_tree(w); /* the supervisor is gone */
}

static void on_started(struct watch *w)
{
	w->started = true;
	report(w, event_started(getpid(), w->enter ? w->agent : w->child,
				w->agent));
}

static bool is_stopped(pid_t pid)
{
	char path[32], stat[512], *paren;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_file(AT_FDCWD, path, stat, sizeof(stat)) <= 0)
		return false;
	paren = strrchr(stat, ')');
	return paren && paren[1] == ' ' && paren[2] == 'T';
}

/* Told late, it may be running again: then there is nothing to follow. */
static void on_stopped(struct watch *w)
{
	bool still = is_stopped(w->agent);

	if (still)
		terminal_take(&w->terminal, w->agent);
	report(w, event_plain("stopped"));
	if (still && !w->killed)
		terminal_stop_job(&w->terminal);
}

static void on_exit_status(struct watch *w, int status)
{
	w->ended = true;
	w->status = status;
	if (w->spec->detach)
		report(w, event_exit(status));
}

/* With `wait`, what it may find at once is being made ready outside. */
static void let_agent_go(struct watch *w)
{
	if (w->ready && (w->go || !w->spec->wait))
		msg_send(w->sock, MSG_GO, 0, NULL);
}

/* The agent waits until its namespace is held, so that none can miss it. */
static void on_agent(struct watch *w, const struct msg *m)
{
	struct fault f;

	w->agent = m->sender;
	if (w->enter)
		return;
	if (ns_hold_inner(w->agent, &f)) {
		fail(w, &f);
		return;
	}
	w->ready = true;
	let_agent_go(w);
}

static void on_message(struct watch *w, const struct msg *m)
{
	switch ((enum msg_type)m->type) {
	case MSG_AGENT:
		on_agent(w, m);
		break;
	case MSG_DEGRADED:
		report(w, event_degraded(m->fault.code, m->fault.text));
		break;
	case MSG_FAULT:
		fail(w, &m->fault);
		break;
	case MSG_STARTED:
		if (!w->failed)
			on_started(w);
		break;
	case MSG_STOPPED:
		on_stopped(w);
		break;
	case MSG_CONTINUED:
		report(w, event_plain("continued"));
		break;
	case MSG_EXIT:
		on_exit_status(w, m->value);
		break;
	case MSG_GO:
	case MSG_SIGNAL:
	case MSG_CONTINUE:
	case MSG_READY: /* awaited before */
	case MSG_EMPTY: /* seen by the end of init */
		break;
	}
}

static void read_messages(struct watch *w)
{
	struct msg m;
	int n;

	while (w->sock >= 0 &&
	       (n = msg_receive(w->sock, &m, MSG_DONTWAIT)) >= 0) {
		if (n == 1) {
			on_message(w, &m);
			continue;
		}
		close(w->sock);
		w->sock = -1;
		/* `enter`: the exec closed it; a fault would have come first */
		if (w->enter && !w->failed)
			on_started(w);
	}
}

/* True when the watched child has ended and left its status. */
static bool reap(struct watch *w)
{
	bool gone = false;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status,
			      WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		if (pid == w->gate.gate || pid == w->gate.netd) {
			struct fault f;

			if (gone || w->ended)
				continue;
			fault(&f, "net", "the network gate has ended");
			fail(w, &f);
		} else if (pid == w->broker.pid) {
			w->broker.pid = 0; /* its number may be another's now */
		} else if (pid == w->execs.pid) {
			struct fault f;

			w->execs.pid = 0;
			if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
				continue;
			fault(&f, "audit", "the exec audit has ended");
			fail(w, &f);
		} else if (pid == w->child && WIFSTOPPED(status)) {
			if (w->enter)
				on_stopped(w);
		} else if (pid == w->child && WIFCONTINUED(status)) {
			if (w->enter)
				report(w, event_plain("continued"));
		} else if (pid == w->child) {
			gone = true;
			read_messages(w);
			if (w->enter)
				on_exit_status(w, status);
		}
	}
	return gone;
}

static void on_signal(struct watch *w, const struct signalfd_siginfo *info)
{
	int number = (int)info->ssi_signo;
	bool from_kernel = info->ssi_code > 0;

	if (number == SIGCHLD)
		return;
	if (number == SIGCONT) {
		bool ours = terminal_continue_job(&w->terminal);

		if (ours && !w->enter)
			msg_send(w->sock, MSG_CONTINUE, 0, NULL);
		else if (ours && is_stopped(w->child))
			kill(w->child, SIGCONT); /* see obey in init.c */
	} else if (!from_kernel) {
		signal_agent(w, number);
	} else if (!w->started && number != SIGWINCH) {
		signal_agent(w, number); /* Ctrl-C while we set up */
	} /* else the terminal told the agent as well */
}

static void read_signals(struct watch *w)
{
	struct signalfd_siginfo info;

	while (read(w->signals, &info, sizeof(info)) == sizeof(info))
		on_signal(w, &info);
}

static void read_commands(struct watch *w)
{
	enum command command;
	int number;

	if (control_fill(&w->control, EVENT_FD)) {
		kill_tree(w);
		return;
	}
	while ((command = control_next(&w->control, &number))) {
		if (command == COMMAND_SIGNAL)
			signal_agent(w, number);
		else if (command == COMMAND_GO && !w->go) {
			w->go = true;
			let_agent_go(w);
		} else
			kill_tree(w);
		if (command == COMMAND_BAD)
			return;
	}
}

/* Its end leaves the agent without host sockets, which is no reason to end. */
static void read_notes(struct watch *w)
{
	static const char gone[] = "{\"event\":\"socket\",\"socket\":-1,"
				   "\"pid\":0,\"what\":\"ended\","
				   "\"why\":\"\"}";

	if (notes_pass(w->broker.notes) == 0)
		return;
	close(w->broker.notes);
	w->broker.notes = -1;
	if (!w->killed)
		report(w, event_frame(gone, sizeof(gone) - 1));
}

/* Its end is seen by reap. */
static void read_execs(struct watch *w)
{
	if (notes_pass(w->execs.notes) == 0)
		return;
	close(w->execs.notes);
	w->execs.notes = -1;
}

/* It ends by itself when nobody is left to exec, and told all by then. */
static void end_execs(struct watch *w)
{
	struct pollfd p = {.fd = w->execs.notes, .events = POLLIN};

	while (w->execs.notes >= 0 && poll(&p, 1, LAST_WORDS_MS) > 0)
		read_execs(w);
	if (w->execs.pid > 0)
		kill(w->execs.pid, SIGKILL);
}

static void end_broker(struct watch *w)
{
	if (w->broker.pid <= 0)
		return;
	kill(w->broker.pid, SIGKILL);
	if (w->broker.notes >= 0)
		notes_pass(w->broker.notes);
}

static void end_gate(struct watch *w)
{
#ifdef AGENTFW_GATE
	if (w->spec->net == NET_GATE && !w->enter)
		gate_stop(&w->gate);
#else
	(void)w;
#endif
}

/* The last words. Every process of the tree is dead by now. */
static int finish(struct watch *w)
{
	end_execs(w);
	end_broker(w);
	end_gate(w);
	inherit_settle();
	terminal_restore(&w->terminal);
	if (w->failed) {
		event_error(&w->fault);
		return w->fault.exit;
	}
	if (!w->ended)
		w->status = SIGKILL; /* init was killed, and all with it */
	if (!w->spec->detach || !w->ended)
		event_exit(w->status);
	if (w->spec->detach)
		event_plain("empty");
	return WIFSIGNALED(w->status) ? EXIT_SIGNAL + WTERMSIG(w->status)
				      : WEXITSTATUS(w->status);
}

int watch_run(struct watch *w)
{
	for (;;) {
		/* A supervisor that is gone is polled no more. */
		struct pollfd polls[5] = {
			{.fd = w->killed ? -1 : EVENT_FD, .events = POLLIN},
			{.fd = w->signals, .events = POLLIN},
			{.fd = w->sock, .events = POLLIN},
			{.fd = w->broker.notes, .events = POLLIN},
			{.fd = w->execs.notes, .events = POLLIN}};
		int n = poll(polls, 5, -1);

		if (n < 0 && errno != EINTR)
			kill_tree(w);
		read_messages(w);
		if (n > 0 && polls[1].revents)
			read_signals(w);
		if (reap(w))
			return finish(w);
		if (n > 0 && polls[3].revents)
			read_notes(w);
		if (n > 0 && polls[4].revents)
			read_execs(w);
		if (n > 0 && polls[0].revents)
			read_commands(w);
	}
}

int watch_abandon(struct watch *w, const struct fault *f)
{
	fail(w, f);
	RETRY(waitpid(w->child, NULL, 0));
	return finish(w);
}

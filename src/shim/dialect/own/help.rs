//! The help texts.

/// `fermata-shim --help`
pub(super) const PROGRAM: &str = "\
A better PID 1 for containers, and a preStop hook that drains.

Usage:
  fermata-shim run [FLAGS] [--] COMMAND [ARGS]    run a program as its init
  fermata-shim drain [FLAGS] [-- HOOK [ARGS]]     drain, as a preStop hook
  fermata-shim install FOLDER                     copy this program into a folder
  fermata-shim --version | --help

Each command has its own --help. Called as dumb-init or as tini it takes the options of these.
";

/// `fermata-shim run --help`
pub(super) const RUN: &str = "\
Run a program as its init: pass signals on, reap, and end it by a stop plan.

Usage: fermata-shim run [FLAGS] [--] COMMAND [ARGS]

A trigger (TERM, where nothing else is said) begins the stop: status command, drain, stop command or the
signal, wait, exit. A trigger that comes again changes nothing. Every other signal is passed on.

Stop:
  --profile NAME             what is known of a server: nginx, apache, php-fpm, haproxy, postgres, puma,
                             unicorn, passenger, gunicorn, uvicorn, sidekiq, node, spring
  --trigger SIGNALS          the signals that begin the stop [TERM]
  --status-command WORDS ;   runs first; whatever comes of it, the stop goes on. At most 10s, or a quarter
                             of the budget
  --drain TIME               how long the program goes on serving before it is told: 15s, or 5s..60s to
                             end early when traffic has stopped [0s]
  --quiet TIME               how long no new connection must come for a range to end early [3s]
  --stop-command WORDS ;     runs in place of the signal; if it fails or takes too long, the signal is
                             sent. At most 60s; with a budget, a quarter of what is left is kept back
  --budget TIME              how long the whole stop may take; then what is left is killed [no limit]
  --exit-code CODES          what a stop reports: app (the program's own), a code, or a map such as
                             143:0 [app]

Signals:
  --rewrite PAIRS            what is passed on in the place of what: TERM:QUIT,HUP:0 (names or numbers;
                             0 drops; chains are not followed)
  --signal-scope WHOM        who gets them: child, or group for all of its process group, such as a server
                             that a shell has started [child]

Other:
  -v, --verbose              also say each signal that is passed on, and each process that is reaped
  -h, --help                 this text

TIME is 15s, 1m30s, or a number of seconds. WORDS are a program and its arguments, closed by a `;` of its
own, as in find -exec; no shell sees them.

Exit codes: the program's own, 128+N if signal N ended it, 127 if it is not found, 126 if it cannot be
executed, 2 if this command line is wrong.

Examples:
  fermata-shim run -- app --port 8080
  fermata-shim run --profile nginx --drain 5s..30s -- nginx -g 'daemon off;'

  In a Dockerfile, for a server that is stopped by a command:
  ENTRYPOINT [\"fermata-shim\", \"run\", \"--status-command\", \"passenger-status\", \";\", \"--drain\", \"30s\", \\
              \"--stop-command\", \"passenger\", \"stop\", \"--port\", \"5000\", \";\", \"--exit-code\", \"0\", \"--\"]
  CMD [\"passenger\", \"start\", \"--port\", \"5000\"]
";

/// `fermata-shim drain --help`
pub(super) const DRAIN: &str = "\
Drain as a preStop hook: go on serving while the network forgets the Pod, then run the hook that the
container had.

Usage: fermata-shim drain [FLAGS] [-- HOOK [ARGS]]

  --drain TIME               how long: 15s, or 5s..60s to end early when traffic has stopped [0s]
  --quiet TIME               how long no new connection must come for a range to end early [3s]
  --probe PERIOD             how often a readiness probe connects: it goes on while the Pod terminates, and
                             is no traffic. Once for each probe, and twice for one that a sidecar passes on
  --http-get URL             the hook is a request; without a host it goes to the Pod itself:
                             http://:8080/quit
  --http-header HEADER       a header of that request, such as 'Host: shop'; may be repeated
  -h, --help                 this text

A range ends early when nothing listens on a TCP port, or when for the quiet time no connection was opened
to the Pod but those of probes. It sees connections, not requests over those that are open, and no UDP.
Where connections cannot be counted it takes its longest, and says why.

TIME and PERIOD are 15s, 1m30s, or a number of seconds. The hook takes the place of this process.

Exit codes: 0 after the drain, or the hook's own; 127 if the hook is not found, 126 if it cannot be
executed; 1 if the request fails or its status is not from 200 to 399; 2 if this command line is wrong.

Examples:
  fermata-shim drain --drain 15s
  fermata-shim drain --drain 5s..60s --probe 10s -- /app/bye
";

/// `fermata-shim install --help`
pub(super) const INSTALL: &str = "\
Copy this program into a folder, where other containers can mount it.

Usage: fermata-shim install FOLDER

It is put there as FOLDER/fermata-shim, all at once, with the mode 0555. Whoever may write to the folder can
still replace it, so containers that execute it should mount the folder read-only.

Exit codes: 0, or 1 with the reason, or 2 if this command line is wrong.
";

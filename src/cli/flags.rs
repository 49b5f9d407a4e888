//! The flags of every command: one table that feeds the parser, the help, the completions and
//! the check of the man pages.
//!
//! A flag that this version does not serve is here too, so that it is refused by its name.

use super::value::{
    Checked, any, is_cpus, is_duration, is_env, is_extra_host, is_filter, is_integer, is_label,
    is_mount, is_pair, is_size, is_stream, is_swap, is_sysctl, is_ulimit,
};

/// One flag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    /// The name after two dashes.
    pub(crate) long: &'static str,
    /// The letter after one dash, if there is one.
    pub(crate) short: Option<char>,
    /// Other names: 0.6.4's, with one dash or two.
    pub(crate) old: &'static [&'static str],
    /// Other names with two dashes only.
    pub(crate) alias: &'static [&'static str],
    /// What follows.
    pub(crate) takes: Takes,
    /// One line for people; empty hides the flag.
    pub(crate) help: &'static str,
    /// Whether this version does what it asks for.
    pub(crate) served: bool,
}

/// What follows a flag.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Takes {
    /// Nothing, or `=false`.
    Switch,
    /// One value (the last one counts): the kind shown in the help, and its check.
    One(&'static str, fn(&str) -> Checked),
    /// A value each time.
    Many(&'static str, fn(&str) -> Checked),
}

impl Flag {
    const fn old(mut self, old: &'static [&'static str]) -> Flag {
        self.old = old;
        self
    }

    const fn alias(mut self, alias: &'static [&'static str]) -> Flag {
        self.alias = alias;
        self
    }

    /// Whether it takes no value of its own.
    pub(crate) fn is_switch(&self) -> bool {
        matches!(self.takes, Takes::Switch)
    }

    /// `-m, --memory`, as messages name it.
    pub(crate) fn shown(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }
}

const fn flag(long: &'static str, short: char, takes: Takes, help: &'static str) -> Flag {
    let short = if short == NO { None } else { Some(short) };
    Flag { long, short, old: &[], alias: &[], takes, help, served: true }
}

const fn switch(long: &'static str, short: char, help: &'static str) -> Flag {
    flag(long, short, Takes::Switch, help)
}

const fn text(long: &'static str, short: char, help: &'static str) -> Flag {
    flag(long, short, Takes::One("string", any), help)
}

const fn int(long: &'static str, short: char, help: &'static str) -> Flag {
    flag(long, short, Takes::One("int", is_integer), help)
}

const fn bytes(long: &'static str, short: char, help: &'static str) -> Flag {
    flag(long, short, Takes::One("bytes", is_size), help)
}

const fn time(long: &'static str, help: &'static str) -> Flag {
    flag(long, NO, Takes::One("duration", is_duration), help)
}

const fn list(long: &'static str, short: char, help: &'static str) -> Flag {
    flag(long, short, Takes::Many("list", any), help)
}

const fn checked(
    long: &'static str,
    short: char,
    check: fn(&str) -> Checked,
    help: &'static str,
) -> Flag {
    flag(long, short, Takes::Many("list", check), help)
}

const fn filter(help: &'static str) -> Flag {
    flag("filter", 'f', Takes::Many("filter", is_filter), help)
}

/// A switch that this version does not serve.
const fn later_switch(long: &'static str, short: char) -> Flag {
    let mut flag = switch(long, short, "");
    flag.served = false;
    flag
}

/// A flag with a value that this version does not serve.
const fn later(long: &'static str, short: char) -> Flag {
    let mut flag = list(long, short, "");
    flag.served = false;
    flag
}

/// No letter.
const NO: char = '\0';

const NO_TRUNC: Flag = switch("no-trunc", NO, "Show whole ids and commands").old(&["notrunc"]);
const FORMAT: Flag = text("format", NO, "Write by a template: table, json, or your own");
const INSPECT_FORMAT: Flag = text("format", 'f', "Write by a template: json, or your own");
const DETACH_KEYS: Flag = text("detach-keys", NO, "Keys that end the session, e.g. ctrl-p,ctrl-q");
const SIG_PROXY: Flag =
    switch("sig-proxy", NO, "Pass signals on to the process (default true)").old(&["sig-proxy"]);
const STOP: &[Flag] = &[
    text("signal", 's', "Signal to send first"),
    int("timeout", 't', "Seconds to wait before the process is killed; -1 waits for ever"),
    int("time", NO, ""),
];

/// Flags in front of the command that every role knows.
pub(crate) const GLOBAL: &[Flag] = &[
    list("host", 'H', "Address of the daemon: unix:///PATH, tcp://HOST:PORT, ssh://HOST"),
    switch("debug", 'D', "Tell more"),
    text("log-level", 'l', "Accepted; debug is the same as -D"),
    switch("version", 'v', "Print the version and quit"),
];

/// Flags in front of the command that a client knows.
pub(crate) const CLIENT: &[Flag] = &[
    text("config", NO, "Directory of the client's config.json"),
    text("context", 'c', "Context whose daemon is meant"),
    switch("daemon", 'd', "Be the daemon"),
    later_switch("tls", NO),
    later_switch("tlsverify", NO),
    later("tlscacert", NO),
    later("tlscert", NO),
    later("tlskey", NO),
];

/// Flags of the daemon.
pub(crate) const DAEMON: &[Flag] = &[
    text("data-root", 'g', "Where images and containers are kept").alias(&["graph"]),
    text("exec-root", NO, "Where files of running containers are kept"),
    text("pidfile", 'p', "Pid file"),
    text("group", 'G', "Group of the unix socket"),
    text("bridge", 'b', "Bridge for containers; none is loopback only"),
    text("firewall", NO, "Who keeps packet rules: auto, nftables, iptables or none"),
    switch("restart", 'r', "Restart containers that ran, where no policy says (default true)"),
    list("dns", NO, "DNS server for containers").old(&["dns"]),
    switch("api-enable-cors", NO, "Answer requests of browsers").old(&["api-enable-cors"]),
    text("log-driver", NO, "Logging of containers: json-file or none"),
    flag("log-opt", NO, Takes::Many("list", is_pair), "Option of it: max-size=N, max-file=N"),
    checked("label", NO, is_label, "Label of this daemon"),
    later("fixed-cidr-v6", NO),
    later_switch("ipv6", NO),
];

/// Flags of `create` and `run`.
pub(crate) const CREATE: &[Flag] = &[
    checked("add-host", NO, is_extra_host, "Line for /etc/hosts, NAME:ADDRESS"),
    flag("annotation", NO, Takes::Many("map", is_pair), "Annotation, NAME=VALUE"),
    checked("attach", 'a', is_stream, "Attach to stdin, stdout or stderr"),
    list("cap-add", NO, "Capability to add, or ALL"),
    list("cap-drop", NO, "Capability to drop, or ALL"),
    text("cgroup-parent", NO, "Parent of the container's cgroup"),
    text("cgroupns", NO, "Cgroup namespace: private or host"),
    text("cidfile", NO, "Write the container's id to this file").old(&["cidfile"]),
    list("device", NO, "Device of the host to give, HOST[:INSIDE[:rwm]]"),
    list("dns", NO, "DNS server").old(&["dns"]),
    list("dns-option", NO, "Option of the resolver").alias(&["dns-opt"]),
    list("dns-search", NO, "Search domain"),
    text("domainname", NO, "NIS domain name"),
    text("entrypoint", NO, "Program instead of the image's; empty clears it").old(&["entrypoint"]),
    checked("env", 'e', is_env, "Environment variable, NAME=VALUE or NAME"),
    list("env-file", NO, "File of environment variables"),
    list("expose", NO, "Port that the program serves, PORT[-END][/PROTOCOL]").old(&["expose"]),
    list("group-add", NO, "Further group of the process"),
    text("health-cmd", NO, "Command of the shell that says by 0 that all is well"),
    time("health-interval", "Time between two checks (default 30s)"),
    int("health-retries", NO, "Failures in a row that make it unhealthy (default 3)"),
    time("health-start-interval", "Time between two checks while it starts (default 5s)"),
    time("health-start-period", "Time to start, in which failures do not count"),
    time("health-timeout", "Time that one check may take (default 30s)"),
    text("hostname", 'h', "Host name inside"),
    switch("init", NO, "Run an init that forwards signals and reaps processes"),
    switch("interactive", 'i', "Keep standard input open"),
    text("ip", NO, "Address on the network that was made"),
    text("ip6", NO, "Address of IPv6 on the network that was made"),
    text("ipc", NO, "IPC namespace: private, host, shareable, none or container:ID"),
    checked("label", 'l', is_label, "Label, NAME=VALUE or NAME"),
    list("label-file", NO, "File of labels"),
    list("link", NO, "Container to be known by name, NAME[:ALIAS]").old(&["link"]),
    text("log-driver", NO, "Logging: json-file or none"),
    list("log-opt", NO, "Option of the log: max-size=N, max-file=N"),
    flag("lxc-conf", NO, Takes::Many("list", is_pair), "Option of old, where it has a meaning")
        .old(&["lxc-conf"]),
    text("mac-address", NO, "Hardware address, e.g. 92:d0:c6:0a:29:33"),
    flag("mount", NO, Takes::Many("mount", is_mount), "Mount, type=bind|tmpfs,src=…,dst=…"),
    text("name", NO, "Name of the container").old(&["name"]),
    list("network", NO, "Network: bridge, none, host, container:ID or one by name").alias(&["net"]),
    list("network-alias", NO, "Further name on the network that was made").alias(&["net-alias"]),
    switch("networking", 'n', "Network; -n=false is --network none (default true)"),
    switch("no-healthcheck", NO, "Do not run the health check of the image"),
    switch("oom-kill-disable", NO, "Do not kill when memory runs out (cgroup v1)"),
    int("oom-score-adj", NO, "Who is killed first when the host runs out, -1000 to 1000"),
    text("pid", NO, "Process namespace: host or container:ID"),
    text("platform", NO, "Platform that the image must be of"),
    switch("privileged", NO, "All devices, all capabilities, nothing hidden").old(&["privileged"]),
    list("publish", 'p', "Publish a port, [IP:][PUBLIC:]PRIVATE[/PROTOCOL], or a range"),
    switch("publish-all", 'P', "Publish all exposed ports on free ports of the host"),
    text("pull", NO, "When to pull: always, missing or never"),
    switch("quiet", 'q', "Hide the progress of a pull"),
    switch("read-only", NO, "The root file system cannot be written"),
    switch("rm", NO, "Remove the container when it has ended").old(&["rm"]),
    list("security-opt", NO, "no-new-privileges, seccomp=unconfined, …"),
    bytes("shm-size", NO, "Size of /dev/shm"),
    text("stop-signal", NO, "Signal that stops it"),
    int("stop-timeout", NO, "Seconds that stop waits before it kills"),
    flag("sysctl", NO, Takes::Many("map", is_sysctl), "Kernel parameter, NAME=VALUE"),
    list("tmpfs", NO, "File system in memory, PATH[:OPTIONS]"),
    switch("tty", 't', "Give it a terminal"),
    flag("ulimit", NO, Takes::Many("ulimit", is_ulimit), "Resource limit, NAME=SOFT[:HARD]"),
    text("user", 'u', "User, NAME|UID[:GROUP|GID]"),
    text("uts", NO, "UTS namespace: host"),
    list("volume", 'v', "Bind mount, SRC:DST[:MODE]"),
    text("workdir", 'w', "Working directory inside"),
    later("blkio-weight-device", NO),
    later("cpu-count", NO),
    later("cpu-percent", NO),
    later("cpu-rt-period", NO),
    later("cpu-rt-runtime", NO),
    later("device-cgroup-rule", NO),
    later("device-read-bps", NO),
    later("device-read-iops", NO),
    later("device-write-bps", NO),
    later("device-write-iops", NO),
    switch("disable-content-trust", NO, ""),
    later("gpus", NO),
    later("io-maxbandwidth", NO),
    later("io-maxiops", NO),
    later("isolation", NO),
    later("kernel-memory", NO),
    later("link-local-ip", NO),
    later("memory-swappiness", NO),
    later("runtime", NO),
    later("storage-opt", NO),
    later_switch("use-api-socket", NO),
    later("userns", NO),
    later("volume-driver", NO),
    later("volumes-from", NO).old(&["volumes-from"]),
];

/// Flags of `run` alone.
/// Limits, and the restart policy: what `update` can change as well.
pub(crate) const LIMITS: &[Flag] = &[
    int("blkio-weight", NO, "Relative weight among users of disks, 10 to 1000"),
    int("cpu-period", NO, "Period of the CPU quota in microseconds"),
    int("cpu-quota", NO, "CPU time per period in microseconds"),
    int("cpu-shares", 'c', "Relative weight among CPU users; 1024 is one share"),
    flag("cpus", NO, Takes::One("decimal", is_cpus), "Number of CPUs, e.g. 1.5"),
    text("cpuset-cpus", NO, "CPUs that may be used, e.g. 0-2,4"),
    text("cpuset-mems", NO, "Memory nodes that may be used"),
    bytes("memory", 'm', "Memory limit"),
    bytes("memory-reservation", NO, "Memory limit that holds when memory is short"),
    flag("memory-swap", NO, Takes::One("bytes", is_swap), "Memory and swap together; -1: no limit"),
    int("pids-limit", NO, "Number of processes; -1: no limit"),
    text("restart", NO, "What happens after an exit: no, always, unless-stopped, on-failure[:N]"),
];

pub(crate) const UPDATE: &[Flag] =
    &[later("cpu-rt-period", NO), later("cpu-rt-runtime", NO), later("kernel-memory", NO)];

pub(crate) const RUN: &[Flag] =
    &[switch("detach", 'd', "Print the container's id and return"), DETACH_KEYS, SIG_PROXY];

pub(crate) const START: &[Flag] = &[
    switch("attach", 'a', "Attach to the output and pass signals on"),
    switch("interactive", 'i', "Attach standard input"),
    DETACH_KEYS,
    SIG_PROXY,
    later("checkpoint", NO),
    later("checkpoint-dir", NO),
];

pub(crate) const STOP_RESTART: &[Flag] = STOP;

pub(crate) const KILL: &[Flag] = &[text("signal", 's', "Signal to send instead of KILL")];

pub(crate) const RM: &[Flag] = &[
    switch("force", 'f', "Kill it if it runs; a missing one is no failure"),
    switch("volumes", 'v', "Remove its anonymous volumes too"),
    later_switch("link", 'l').old(&["link"]),
];

pub(crate) const PS: &[Flag] = &[
    switch("all", 'a', "Show those that do not run, too"),
    filter("Show only those that match NAME=VALUE"),
    FORMAT,
    int("last", 'n', "Show the last N created ones, in any state"),
    switch("latest", 'l', "Show the one created last, in any state"),
    NO_TRUNC,
    switch("quiet", 'q', "Print ids only"),
    switch("size", 's', "Show sizes"),
    text("sinceId", NO, "").old(&["sinceId"]),
    text("beforeId", NO, "").old(&["beforeId"]),
];

pub(crate) const INSPECT: &[Flag] = &[
    INSPECT_FORMAT,
    switch("size", 's', "Add the sizes of containers"),
    text("type", NO, "Look for this kind of object only: container, image, network or volume"),
];

pub(crate) const CONTAINER_INSPECT: &[Flag] =
    &[INSPECT_FORMAT, switch("size", 's', "Add the sizes of containers")];

pub(crate) const IMAGE_INSPECT: &[Flag] = &[INSPECT_FORMAT, later("platform", NO)];

pub(crate) const LOGS: &[Flag] = &[
    switch("details", NO, "Accepted; our logs keep no further details"),
    switch("follow", 'f', "Go on with what is written from now on"),
    text("since", NO, "Only what was written after this time, or so long ago"),
    text("tail", 'n', "Only the last N lines (default all)"),
    switch("timestamps", 't', "Begin each line with its time"),
    text("until", NO, "Only what was written before this time, or so long ago"),
];

pub(crate) const ATTACH: &[Flag] = &[
    DETACH_KEYS,
    switch("no-stdin", NO, "Do not attach standard input").old(&["nostdin"]),
    SIG_PROXY,
];

pub(crate) const EXEC: &[Flag] = &[
    switch("detach", 'd', "Do not wait for it"),
    DETACH_KEYS,
    checked("env", 'e', is_env, "Environment variable, NAME=VALUE or NAME"),
    list("env-file", NO, "File of environment variables"),
    switch("interactive", 'i', "Pass standard input on"),
    switch("privileged", NO, "All capabilities"),
    switch("tty", 't', "Give it a terminal"),
    text("user", 'u', "User, NAME|UID[:GROUP|GID]"),
    text("workdir", 'w', "Working directory inside"),
];

pub(crate) const IMAGES: &[Flag] = &[
    switch("all", 'a', "Show intermediate images, too"),
    switch("digests", NO, "Show digests"),
    filter("Show only those that match NAME=VALUE"),
    FORMAT,
    NO_TRUNC,
    switch("quiet", 'q', "Print ids only"),
    later_switch("tree", NO).old(&["tree"]),
    switch("viz", NO, "Draw all images as a graph, for Graphviz").old(&["viz"]),
];

pub(crate) const RMI: &[Flag] = &[
    switch("force", 'f', "Remove it although names or stopped containers use it"),
    switch("no-prune", NO, "Keep parents that have no name"),
    later("platform", NO),
];

pub(crate) const HISTORY: &[Flag] = &[
    FORMAT,
    switch("human", 'H', "Sizes and times for people (default true)"),
    NO_TRUNC,
    switch("quiet", 'q', "Print ids only"),
    later("platform", NO),
];

pub(crate) const TAG: &[Flag] = &[switch("force", 'f', "")];

pub(crate) const IMPORT: &[Flag] = &[
    list("change", 'c', "Dockerfile instruction for the image's configuration"),
    text("message", 'm', "Comment of the image"),
    text("platform", NO, "Platform of the image"),
];

pub(crate) const EVENTS: &[Flag] = &[
    filter("Show only those that match NAME=VALUE"),
    FORMAT_F_LESS,
    text("since", NO, "Begin with those after this time, or so long ago").old(&["since"]),
    text("until", NO, "End at this time"),
];

const FORMAT_F_LESS: Flag = text("format", NO, "Write by a template: json, or your own");

pub(crate) const STATS: &[Flag] = &[
    switch("all", 'a', "Show those that do not run, too"),
    FORMAT,
    switch("no-stream", NO, "Show the figures once"),
    switch("no-trunc", NO, "Show whole ids"),
];

pub(crate) const NETWORK_LS: &[Flag] = &[
    filter("Show only those that match NAME=VALUE"),
    FORMAT,
    NO_TRUNC,
    switch("quiet", 'q', "Show ids alone"),
];

pub(crate) const NETWORK_INSPECT: &[Flag] =
    &[switch("verbose", 'v', "Accepted; there is no more to show")];

pub(crate) const NETWORK_CREATE: &[Flag] = &[
    switch("attachable", NO, "Accepted; containers can always be connected"),
    flag("aux-address", NO, Takes::Many("map", is_pair), "Address for others, NAME=ADDRESS"),
    text("driver", 'd', "Driver: bridge"),
    list("gateway", NO, "Address of the bridge, one for each family"),
    switch("internal", NO, "Let nothing out of it or into it"),
    list("ip-range", NO, "Part of a subnet that addresses are given out of"),
    switch("ipv6", NO, "IPv6 beside IPv4"),
    checked("label", NO, is_label, "Label, NAME=VALUE or NAME"),
    flag("opt", 'o', Takes::Many("map", any), "Option, NAME=VALUE or NAME"),
    list("subnet", NO, "Range of addresses, e.g. 10.1.0.0/16; one of IPv4, one of IPv6"),
    later_switch("config-only", NO),
    later("config-from", NO),
    later_switch("ingress", NO),
    later("ipam-driver", NO),
    later("ipam-opt", NO),
    later("scope", NO),
];

pub(crate) const NETWORK_RM: &[Flag] = &[switch("force", 'f', "One that is missing is no error")];

pub(crate) const NETWORK_CONNECT: &[Flag] = &[
    list("alias", NO, "Further name on the network"),
    text("ip", NO, "Address on the network"),
    text("ip6", NO, "Address of IPv6 on the network"),
    list("link", NO, "Container to be known by name, NAME[:ALIAS]"),
    later("driver-opt", NO),
    later("link-local-ip", NO),
];

pub(crate) const NETWORK_DISCONNECT: &[Flag] = &[switch("force", 'f', "Accepted")];

pub(crate) const PRUNE: &[Flag] = &[
    flag("filter", NO, Takes::Many("filter", is_filter), "Remove only those that match NAME=VALUE"),
    switch("force", 'f', "Do not ask"),
];

pub(crate) const USAGE: &[Flag] = &[FORMAT, switch("verbose", 'v', "Show each object")];

pub(crate) const CONTEXT_LS: &[Flag] = &[FORMAT, switch("quiet", 'q', "Print names only")];

pub(crate) const CONTEXT_CREATE: &[Flag] = &[
    text("description", NO, "What it is for"),
    text("docker", NO, "Its daemon: host=ADDRESS, or from=CONTEXT"),
    text("from", NO, "Copy this context"),
];

pub(crate) const CONTEXT_RM: &[Flag] = &[switch("force", 'f', "Remove it although it is in use")];

pub(crate) const CONTEXT_INSPECT: &[Flag] = &[INSPECT_FORMAT];

pub(crate) const SYSTEM: &[Flag] = &[INSPECT_FORMAT];

//! What a container sees: file systems, devices, limits, privileges; and what it must not.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::harness::{Daemon, Output, Tar, wait_until};

fn run(d: &Daemon, flags: &[&str], script: &str) -> Output {
    let mut args = vec!["run", "--rm"];
    args.extend(flags);
    args.extend(["busybox", "sh", "-c", script]);
    d.cli(args).output()
}

#[track_caller]
fn ok(d: &Daemon, flags: &[&str], script: &str) -> String {
    run(d, flags, script).ok()
}

fn line_of<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find(|l| l.starts_with(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).split_once(':').unwrap().1.trim()
}

#[test]
fn own_namespaces_and_pid_1() {
    let d = Daemon::start();
    let inside =
        ok(&d, &[], "echo $$; for n in mnt pid uts ipc net; do readlink /proc/self/ns/$n; done");
    let mut lines = inside.lines();
    assert_eq!(lines.next(), Some("1"));
    for (name, inside) in ["mnt", "pid", "uts", "ipc", "net"].into_iter().zip(lines) {
        let host = std::fs::read_link(format!("/proc/{}/ns/{name}", d.pid())).unwrap();
        assert_ne!(host.to_str().unwrap(), inside);
    }
    let processes = ok(&d, &[], "ls /proc | grep -c '^[0-9]'");
    assert!(processes.parse::<u32>().unwrap() < 6, "{processes}");
    let first = d.ok(["run", "-d", "--name", "first", "busybox", "sleep", "1000"]);
    let pid = d.inspect(&first)["State"]["Pid"].to_string();
    let of = |n: &str| std::fs::read_link(format!("/proc/{pid}/ns/{n}")).unwrap();
    let host = format!("/proc/{}/ns/", d.pid());
    assert_eq!(
        ok(&d, &["--pid", "host"], "readlink /proc/self/ns/pid"),
        std::fs::read_link(host.clone() + "pid").unwrap().to_str().unwrap()
    );
    assert_eq!(
        ok(&d, &["--uts", "host"], "readlink /proc/self/ns/uts"),
        std::fs::read_link(host.clone() + "uts").unwrap().to_str().unwrap()
    );
    assert_eq!(
        ok(&d, &["--ipc", "host"], "readlink /proc/self/ns/ipc"),
        std::fs::read_link(host + "ipc").unwrap().to_str().unwrap()
    );
    assert_eq!(
        ok(&d, &["--pid", "container:first"], "readlink /proc/self/ns/pid"),
        of("pid").to_str().unwrap()
    );
    d.assert_nothing_left_behind();
}

#[test]
fn the_usual_mounts_and_devices() {
    let d = Daemon::start();
    let mounts = ok(&d, &[], "cat /proc/self/mounts");
    let kind = |at: &str| {
        let line = mounts.lines().rfind(|l| l.split(' ').nth(1) == Some(at));
        line.unwrap_or_else(|| panic!("no {at} in {mounts}"))
            .split(' ')
            .skip(2)
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(kind("/proc").starts_with("proc rw,nosuid,nodev,noexec"), "{mounts}");
    assert!(kind("/sys").starts_with("sysfs ro,nosuid,nodev,noexec"), "{mounts}");
    assert!(kind("/dev").starts_with("tmpfs rw,nosuid"), "{mounts}");
    assert!(kind("/dev/pts").starts_with("devpts"), "{mounts}");
    assert!(kind("/dev/shm").starts_with("tmpfs"), "{mounts}");
    assert!(kind("/dev/mqueue").starts_with("mqueue"), "{mounts}");
    let nodes = ok(&d, &[], "ls /dev");
    for name in [
        "console", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr",
        "stdin", "stdout", "tty", "urandom", "zero",
    ] {
        let there = nodes.lines().any(|n| n == name);
        assert!(there || name == "console", "no /dev/{name} in {nodes}");
    }
    assert_eq!(
        ok(
            &d,
            &[],
            "echo x >/dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; echo x >/dev/full 2>/dev/null || echo full"
        ),
        "3\n3\nfull"
    );
    assert_eq!(
        ok(&d, &["--shm-size", "8m"], "df -k /dev/shm | tail -1 | awk '{print $2}'"),
        "8192"
    );
    assert_eq!(ok(&d, &[], "df -k /dev/shm | tail -1 | awk '{print $2}'"), "65536");
    d.assert_nothing_left_behind();
}

#[test]
fn hosts_hostname_and_resolv_conf() {
    let d = Daemon::start();
    let hosts = ok(&d, &["-h", "box", "--add-host", "db:10.1.2.3"], "cat /etc/hosts");
    assert!(hosts.contains("127.0.0.1\tlocalhost"), "{hosts}");
    assert!(hosts.lines().any(|l| l.split_whitespace().eq(["10.1.2.3", "db"])), "{hosts}");
    assert_eq!(ok(&d, &["-h", "box"], "cat /etc/hostname"), "box");
    let flags = [
        "--dns",
        "192.0.2.1",
        "--dns",
        "192.0.2.2",
        "--dns-search",
        "a.test",
        "--dns-option",
        "ndots:3",
    ];
    let resolv = ok(&d, &flags, "cat /etc/resolv.conf");
    for line in ["nameserver 192.0.2.1", "nameserver 192.0.2.2", "search a.test", "options ndots:3"]
    {
        assert!(resolv.lines().any(|l| l == line), "{line} in {resolv}");
    }
    // They are made anew at each start, belong to the container, and are in no image.
    assert_eq!(ok(&d, &[], "echo 1.2.3.4 x >>/etc/hosts && tail -1 /etc/hosts"), "1.2.3.4 x");
    d.assert_nothing_left_behind();
}

#[test]
fn binds_tmpfs_and_read_only() {
    let d = Daemon::start();
    let dir = d.dir().join("shared");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("file"), "from host\n").unwrap();
    let dir = dir.to_str().unwrap();
    assert_eq!(
        ok(&d, &["-v", &format!("{dir}:/data")], "cat /data/file; echo x >/data/new"),
        "from host"
    );
    assert_eq!(std::fs::read_to_string(format!("{dir}/new")).unwrap(), "x\n");
    let out = run(&d, &["-v", &format!("{dir}:/data:ro")], "echo x >/data/other");
    assert_ne!(out.code, 0);
    assert!(out.stderr.contains("Read-only"), "{}", out.stderr);
    assert_eq!(ok(&d, &["-v", &format!("{dir}/file:/etc/one:ro")], "cat /etc/one"), "from host");
    let mount = format!("type=bind,src={dir},dst=/deep/er,readonly");
    assert_eq!(ok(&d, &["--mount", &mount], "cat /deep/er/file"), "from host");
    // A missing source is made for -v and refused for --mount.
    ok(&d, &["-v", &format!("{dir}/made:/m")], "touch /m/x");
    assert!(Path::new(&format!("{dir}/made/x")).exists());
    let out = run(&d, &["--mount", &format!("type=bind,src={dir}/absent,dst=/x")], "true");
    assert_eq!(out.code, 125);
    assert!(out.stderr.contains("bind source path does not exist"), "{}", out.stderr);

    let out = ok(
        &d,
        &["--tmpfs", "/t:size=1m,mode=1770"],
        "df -k /t | tail -1 | awk '{print $2}'; stat -c %a /t",
    );
    assert_eq!(out, "1024\n1770");
    assert_ne!(run(&d, &["--read-only"], "echo x >/file").code, 0);
    assert_eq!(
        ok(
            &d,
            &["--read-only", "--tmpfs", "/t"],
            "echo x >/t/file; cat /t/file; echo y >/dev/shm/z && echo shm"
        ),
        "x\nshm"
    );
    for bad in ["/a:/b:nonsense", "/a:relative", "/a:/", ":/b", "/a:/b:ro:x"] {
        assert_eq!(run(&d, &["-v", bad], "true").code, 125, "{bad}");
    }
    assert_eq!(
        run(&d, &["-v", &format!("{dir}:/x"), "-v", &format!("{dir}:/x")], "true").code,
        125
    );
    d.assert_nothing_left_behind();
}

#[test]
fn mounts_of_the_container_do_not_reach_the_host() {
    let d = Daemon::start();
    let dir = d.dir().join("shared");
    std::fs::create_dir(&dir).unwrap();
    let bind = format!("{}:/data", dir.display());
    ok(
        &d,
        &["-v", &bind, "--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined"],
        "mkdir -p /data/in && mount -t tmpfs none /data/in && touch /data/in/x",
    );
    assert!(!dir.join("in/x").exists());
    // The whole of the host in a container does not keep anything from being removed.
    let id = d.ok(["run", "-d", "-v", "/:/host", "busybox", "sleep", "1000"]);
    let other = d.ok(["run", "-d", "busybox", "sleep", "1000"]);
    d.ok(["rm", "-f", &other]);
    d.ok(["rm", "-f", &id]);
    d.assert_nothing_left_behind();
}

#[test]
fn memory_limit_kills_what_grows() {
    let d = Daemon::start();
    if d.api("GET", "/info").expect(200)["MemoryLimit"] != json!(true) {
        skip!("no memory controller on this host");
    }
    let script = "x=0123456789abcdef; while :; do x=$x$x; done";
    let out = d.cli(["run", "--name", "cx", "-m", "8m", "busybox", "sh", "-c", script]).output();
    assert_eq!(out.code, 137, "{}", out.stderr);
    assert_eq!(d.inspect("cx")["State"]["OOMKilled"], json!(true));
    let out = run(&d, &["-m", "511k"], "true");
    assert_eq!(out.code, 125);
    assert!(out.stderr.contains("512KB"), "{}", out.stderr);
    assert_eq!(ok(&d, &["-m", "4m"], "echo small"), "small");
    d.assert_nothing_left_behind();
}

#[test]
fn process_limit_stops_forks() {
    let d = Daemon::start();
    if d.api("GET", "/info").expect(200)["PidsLimit"] != json!(true) {
        skip!("no pids controller on this host");
    }
    let script = "i=0; while [ $i -lt 20 ]; do sleep 5 & i=$((i+1)); done; echo all";
    let out = run(&d, &["--pids-limit", "8"], script);
    assert!(
        !out.stdout.contains("all") || out.stderr.contains("fork"),
        "{}{}",
        out.stdout,
        out.stderr
    );
    assert!(out.stderr.contains("fork"), "{}", out.stderr);
    d.assert_nothing_left_behind();
}

#[test]
fn limits_and_sysctls_arrive() {
    let d = Daemon::start();
    assert_eq!(ok(&d, &["--ulimit", "nofile=77:88"], "ulimit -n; ulimit -Hn"), "77\n88");
    assert_eq!(
        ok(&d, &["--sysctl", "net.ipv4.ip_forward=1"], "cat /proc/sys/net/ipv4/ip_forward"),
        "1"
    );
    assert_eq!(ok(&d, &["--oom-score-adj", "500"], "cat /proc/self/oom_score_adj"), "500");
    for bad in ["a=b+kernel.core_pattern=x", "kernel.core_pattern=x", "../x=1"] {
        assert_eq!(run(&d, &["--sysctl", bad], "true").code, 125, "{bad}");
    }
    for (flag, value) in [
        ("--cpuset-cpus", "0-2147483647"),
        ("--ulimit", "nofile=9999999999999999999999"),
        ("--memory", "99999999999999999999"),
    ] {
        assert_eq!(run(&d, &[flag, value], "true").code, 125, "{flag} {value}");
    }
    d.assert_nothing_left_behind();
}

#[test]
fn capabilities_are_the_usual_fourteen_or_as_asked() {
    let d = Daemon::start();
    let caps = |flags: &[&str], name: &str| {
        line_of(&ok(&d, flags, "cat /proc/self/status"), name).to_owned()
    };
    let host = std::fs::read_to_string(format!("/proc/{}/status", d.pid())).unwrap();
    let host = u64::from_str_radix(line_of(&host, "CapEff"), 16).unwrap();
    let usual = 0xa804_25fb_u64 & host;
    let hex = |bits: u64| format!("{bits:016x}");
    for set in ["CapBnd", "CapEff", "CapPrm"] {
        assert_eq!(caps(&[], set), hex(usual), "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(caps(&[], set), hex(0), "{set}");
    }
    let user = |set: &str| caps(&["-u", "1000"], set);
    assert_eq!((user("CapEff"), user("CapPrm"), user("CapBnd")), (hex(0), hex(0), hex(usual)));
    assert_eq!(caps(&["--cap-drop", "ALL"], "CapBnd"), hex(0));
    assert_eq!(caps(&["--cap-drop", "all", "--cap-add", "chown"], "CapEff"), hex(1));
    assert_eq!(caps(&["--cap-add", "CAP_SYS_TIME"], "CapBnd"), hex((usual | 1 << 25) & host));
    assert_eq!(caps(&["--privileged"], "CapEff"), hex(host));
    assert_eq!(run(&d, &["--cap-add", "NONSENSE"], "true").code, 125);
    assert_eq!(ok(&d, &[], "chroot / true && echo may"), "may");
    d.assert_nothing_left_behind();
}

#[test]
fn seccomp_filters_and_no_new_privileges() {
    let d = Daemon::start();
    let status = ok(&d, &[], "cat /proc/self/status");
    assert_eq!(line_of(&status, "Seccomp"), "2");
    assert_eq!(line_of(&status, "NoNewPrivs"), "0");
    let status = ok(&d, &["--security-opt", "no-new-privileges"], "cat /proc/self/status");
    assert_eq!(line_of(&status, "NoNewPrivs"), "1");
    let out = run(&d, &[], "unshare -m true");
    assert!(out.stderr.contains("Operation not permitted"), "{}", out.stderr);
    let status = ok(&d, &["--security-opt", "seccomp=unconfined"], "cat /proc/self/status");
    assert_eq!(line_of(&status, "Seccomp"), "0");
    let status = ok(&d, &["--privileged"], "cat /proc/self/status");
    assert_eq!(line_of(&status, "Seccomp"), "0");
    d.assert_nothing_left_behind();
}

/// A static program that makes one system call and exits with its errno.
fn syscall_probe(d: &Daemon) -> Option<Vec<u8>> {
    let source = d.dir().join("probe.c");
    let program = d.dir().join("probe");
    std::fs::write(
        &source,
        "#include <errno.h>\n#include <stdlib.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n\
         int main(int c, char **v) { long a[4] = {0};\n\
         for (int i = 1; i < c && i < 6; i++) a[i - 1] = strtol(v[i], 0, 0);\n\
         long r = syscall(a[0], a[1], a[2], a[3]); return r < 0 ? errno : 0; }\n",
    )
    .unwrap();
    let built = Command::new("cc").args(["-static", "-o"]).arg(&program).arg(&source).status();
    built.ok().filter(std::process::ExitStatus::success)?;
    std::fs::read(program).ok()
}

#[test]
fn denied_calls_are_eperm_and_unknown_ones_enosys() {
    let d = Daemon::start();
    let Some(probe) = syscall_probe(&d) else { skip!("no C compiler with a static libc") };
    d.import("probe", &Tar::busybox().file("probe", 0o755, &probe).bytes());
    let errno = |number: libc::c_long, arguments: &[&str]| {
        let number = number.to_string();
        let mut args = vec!["run", "--rm", "probe", "/probe", number.as_str()];
        args.extend(arguments);
        d.cli(args).output().code
    };
    assert_eq!(errno(libc::SYS_getpid, &[]), 0);
    assert_eq!(errno(libc::SYS_unshare, &["0x10000000"]), libc::EPERM);
    assert_eq!(errno(libc::SYS_keyctl, &["0", "-3"]), libc::EPERM);
    assert_eq!(errno(libc::SYS_open_by_handle_at, &["0", "0", "0"]), libc::EPERM);
    assert_eq!(errno(libc::SYS_reboot, &["0", "0", "0"]), libc::EPERM);
    assert_eq!(errno(libc::SYS_bpf, &["0", "0", "0"]), libc::EPERM);
    assert_eq!(errno(libc::SYS_mount, &["0", "0", "0"]), libc::EPERM);
    assert_eq!(errno(1_000, &[]), libc::ENOSYS);
    assert_eq!(errno(libc::SYS_clone3, &["0", "0"]), libc::ENOSYS, "libc falls back to clone");
}

#[test]
fn masked_and_read_only_paths() {
    let d = Daemon::start();
    let script = "for f in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/latency_stats; do
        [ -e $f ] && [ -s $f ] && head -c1 $f | wc -c | grep -q '^ *1$' && echo $f is open; done
      for d in /proc/acpi /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do
        [ -d $d ] && [ \"$(ls -A $d)\" ] && echo $d is open; done
      for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/irq/default_smp_affinity /proc/bus/x /sys/x; do
        (echo x >$f) 2>/dev/null && echo $f is writable; done
      true";
    assert_eq!(ok(&d, &[], script), "");
    let out = run(
        &d,
        &["--cap-add", "SYS_ADMIN"],
        "mkdir /sys/fs/cgroup/x 2>/dev/null || mkdir /sys/fs/cgroup/memory/x",
    );
    assert_ne!(out.code, 0, "the cgroup tree is writable");
    assert_eq!(
        ok(&d, &["--privileged"], "[ -w /sys ] && touch /proc/sys/kernel/hostname && echo open"),
        "open"
    );
    d.assert_nothing_left_behind();
}

#[test]
fn devices_are_given_one_by_one() {
    let d = Daemon::start();
    if !Path::new("/dev/loop-control").exists() && !Path::new("/dev/fuse").exists() {
        skip!("no device to give");
    }
    let device = if Path::new("/dev/fuse").exists() { "/dev/fuse" } else { "/dev/loop-control" };
    assert_ne!(run(&d, &[], &format!("ls {device}")).code, 0);
    let number = std::fs::metadata(device).unwrap().rdev();
    let expected = format!("{:x}:{:x}", libc::major(number), libc::minor(number));
    assert_eq!(ok(&d, &["--device", device], &format!("stat -c %t:%T {device}")), expected);
    assert_eq!(
        ok(&d, &["--device", &format!("{device}:/dev/mine:r")], "stat -c %t:%T /dev/mine"),
        expected
    );
    // A node that was made inside opens nothing.
    let major = libc::major(number);
    let minor = libc::minor(number);
    let out = run(&d, &[], &format!("mknod /x c {major} {minor} && cat /x"));
    assert!(out.stderr.contains("Operation not permitted"), "{}", out.stderr);
    assert_eq!(run(&d, &["--device", "/dev/no-such-device"], "true").code, 125);
    assert!(ok(&d, &["--privileged"], "ls /dev | wc -l").parse::<u32>().unwrap() >= 15);
    d.assert_nothing_left_behind();
}

#[test]
fn three_descriptors_and_no_more() {
    let d = Daemon::start();
    for flags in [&[][..], &["-i"], &["-t"], &["--privileged"]] {
        let listed = ok(&d, flags, "ls /proc/1/fd; true").replace('\r', "");
        assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2"], "{flags:?}");
    }
    assert_eq!(ok(&d, &[], "readlink /proc/self/fd/0"), "/dev/null");
    for number in 3..64 {
        let cwd = format!("/proc/self/fd/{number}");
        let reply = d.post(
            "/containers/create",
            &json!({"Image": "busybox", "Cmd": ["pwd"], "WorkingDir": cwd}),
        );
        if reply.status != 201 {
            continue;
        }
        let id = reply.json()["Id"].as_str().unwrap().to_owned();
        let out = d.cli(["start", "-a", &id]).output();
        assert!(
            out.code != 0 || out.stdout.trim() == "/",
            "fd {number}: {} {}",
            out.code,
            out.stdout
        );
    }
    d.assert_nothing_left_behind();
}

#[test]
fn working_directories_cannot_lead_outside() {
    let d = Daemon::start();
    let tar =
        Tar::busybox().symlink("out", "/proc/1/root/..").symlink("up", "../../../../..").bytes();
    d.import("links", &tar);
    for cwd in ["/up", "/out", "/up/etc", "/../../.."] {
        let out = d
            .cli([
                "run",
                "--rm",
                "-w",
                cwd,
                "links",
                "sh",
                "-c",
                "cat etc/passwd 2>/dev/null | head -1; ls -a bin/busybox",
            ])
            .output();
        let host = std::fs::read_to_string("/etc/passwd").unwrap();
        assert!(
            out.code != 0 || !out.stdout.contains(host.lines().nth(1).unwrap()),
            "{cwd}: {}",
            out.stdout
        );
    }
    d.assert_nothing_left_behind();
}

/// CVE-2019-5736: our binary, run inside, must not be a way to overwrite it.
#[test]
fn the_binary_cannot_be_overwritten_from_inside() {
    let d = Daemon::start();
    let ours = crate::harness::skiff();
    let hash = || Command::new("sha256sum").arg(ours).output().unwrap().stdout;
    let before = hash();
    let tar = Tar::busybox()
        .file("evil", 0o755, b"#!/proc/self/exe\n")
        .symlink("exe", "/proc/self/exe")
        .bytes();
    d.import("evil", &tar);
    for program in ["/evil", "/exe", "/proc/self/exe"] {
        d.cli(["run", "--rm", "evil", program]).output();
        d.cli(["run", "--rm", "--entrypoint", program, "evil", "--version"]).output();
    }
    let script = "for p in /proc/[0-9]*; do (echo evil >$p/exe) 2>/dev/null; done; \
                  for i in 1 2 3; do (exec 3>>/proc/1/exe; echo evil >&3) 2>/dev/null; done; true";
    d.cli(["run", "--rm", "evil", "sh", "-c", script]).output();
    d.cli(["run", "--rm", "--pid", "host", "--privileged", "evil", "true"]).output();
    assert!(before == hash(), "our binary has changed");
    d.assert_nothing_left_behind();
}

#[test]
fn images_with_hostile_directories_write_nothing_outside() {
    let d = Daemon::start();
    let outside = d.dir().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let target = outside.to_str().unwrap();
    let hostile: Vec<(&str, Tar)> = vec![
        ("dev-link", Tar::busybox().symlink("dev", target)),
        ("proc-link", Tar::busybox().symlink("proc", target)),
        ("sys-link", Tar::busybox().symlink("sys", target)),
        ("dev-up", Tar::busybox().symlink("dev", "../../../../../../../../var")),
        ("etc-hosts", Tar::busybox().symlink("etc/hosts", &format!("{target}/hosts"))),
        ("etc-resolv", Tar::busybox().symlink("etc/resolv.conf", &format!("{target}/resolv.conf"))),
        ("proc-file", Tar::busybox().file("proc", 0o644, b"")),
        ("dev-pts", Tar::busybox().dir("dev", 0o755).symlink("dev/pts", target)),
        (
            "dev-null",
            Tar::busybox().dir("dev", 0o755).symlink("dev/null", &format!("{target}/null")),
        ),
        (
            "dev-console",
            Tar::busybox().dir("dev", 0o755).symlink("dev/console", &format!("{target}/console")),
        ),
    ];
    for (name, tar) in hostile {
        d.import(name, &tar.bytes());
        let script = "for d in proc sys dev; do stat -f -c %T /$d; done";
        let out = d.cli(["run", "--rm", "-t", name, "sh", "-c", script]).output();
        if out.code == 0 {
            let kinds: Vec<String> = out.stdout.lines().map(|l| l.trim().to_owned()).collect();
            assert_eq!(kinds.len(), 3, "{name}: {}", out.stdout);
            assert!(kinds[0] == "proc" && kinds[1] == "sysfs", "{name}: {kinds:?}");
        }

        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "{name} wrote outside");
    }
    // A mount whose destination leads through a link of the image.
    d.import("mount-link", &Tar::busybox().symlink("data", target).bytes());
    let source = d.dir().join("source");
    std::fs::create_dir(&source).unwrap();
    let bind = format!("{}:/data/deep", source.display());
    d.cli(["run", "--rm", "-v", &bind, "mount-link", "true"]).output();
    d.cli(["run", "--rm", "--tmpfs", "/data/t", "mount-link", "true"]).output();
    d.cli(["run", "--rm", "-w", "/data/w", "mount-link", "true"]).output();
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "a mount wrote outside");
    d.assert_nothing_left_behind();
}

#[test]
fn hostile_tars_write_nothing_outside() {
    let d = Daemon::start();
    let outside = d.dir().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let target = outside.to_str().unwrap();
    let up = format!("../../../../../../../../..{target}/up");
    let plain = || Tar::new().dir("a", 0o755);
    let corpus: Vec<(&str, Tar)> = vec![
        ("dotdot", plain().file(&up, 0o644, b"cx")),
        ("absolute", plain().file(&format!("{target}/abs"), 0o644, b"cx")),
        ("link-then-file", plain().symlink("l", target).file("l/file", 0o644, b"cx")),
        ("chain", plain().symlink("l", "m").symlink("m", target).file("l/chain", 0o644, b"cx")),
        ("hardlink", plain().hardlink("shadow", "/etc/shadow")),
        (
            "hardlink-link",
            plain().symlink("l", target).hardlink("h", "l").file("h/x", 0o644, b"cx"),
        ),
        ("link-dir", plain().symlink("l", target).dir("l/dir", 0o777)),
        ("link-chmod", plain().symlink("l", target).dir("l", 0o777)),
        ("whiteout", plain().symlink("l", target).file("l/.wh.keep", 0o644, b"")),
        ("opaque", plain().symlink("l", target).file("l/.wh..wh..opq", 0o644, b"")),
        ("fifo", plain().symlink("l", target).fifo("l/fifo")),
        ("over-link", plain().symlink("f", &format!("{target}/over")).file("f", 0o644, b"cx")),
    ];
    std::fs::write(outside.join("keep"), "kept").unwrap();
    let mode = outside.metadata().unwrap().mode();
    for (name, tar) in corpus {
        d.send(
            "POST",
            &format!("/images/create?fromSrc=-&repo={name}"),
            "application/x-tar",
            &tar.bytes(),
        );
        let names: Vec<_> =
            std::fs::read_dir(&outside).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, ["keep"], "{name}");
        assert_eq!(outside.metadata().unwrap().mode(), mode, "{name}");
    }
    assert_eq!(std::fs::read_to_string(outside.join("keep")).unwrap(), "kept");
    d.assert_nothing_left_behind();
}

#[test]
fn processes_of_a_container_end_with_it() {
    let d = Daemon::start();
    let id =
        d.ok(["run", "-d", "busybox", "sh", "-c", "sleep 4321 & setsid sleep 4322 & sleep 0.3"]);
    d.ok(["wait", &id]);
    wait_until("its children are gone", || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
        !lines.into_iter().any(|line| line.starts_with(b"sleep\x00432"))
    });
    d.assert_nothing_left_behind();
}

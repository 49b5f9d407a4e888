//! A data root that nobody uses any more can be unmounted.

use crate::harness::{Cli, Daemon, Setup, count};

#[test]
fn the_root_is_free_when_the_daemon_has_ended() {
    let mount = "mkdir root && mount -t tmpfs data root";
    let mut d = Setup::new().prepare(mount).start();
    let inside = |d: &Daemon, args: &[&str]| {
        let keeper = d.keeper_pid().to_string();
        Cli::new("nsenter").args(["--target", &keeper, "--mount"]).args(args).output().ok()
    };
    let (root, kept) = (d.root(), d.dir().join("kept"));
    let (root, kept) = (root.to_str().unwrap(), kept.to_str().unwrap());
    for round in 0..count(10, 200) {
        // One that removes itself, and one that leaves much to be deleted.
        d.ok(["run", "--rm", "busybox", "true"]);
        let id = d.ok(["run", "-d", "busybox", "sh", "-c", "head -c 1000000 /dev/zero >/f"]);
        d.ok(["wait", &id]);
        d.ok(["rm", &id]);
        assert_eq!(d.terminate(), 0);
        // Moved and back: the daemon finds its image again.
        inside(&d, &["sh", "-c", &format!("cp -a {root} {kept} && umount {root}")]);
        let back = "mount -t tmpfs data $0 && cp -a $1/. $0 && rm -r $1";
        inside(&d, &["sh", "-c", back, root, kept]);
        assert!(d.try_start(), "round {round}");
    }
}

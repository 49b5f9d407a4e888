//! The use cases; owns all shared state.
//!
//! - Lock order: container map, one container's slot, images, network, volumes, events. Never
//!   take an earlier one while holding a later. A lock is held for memory work only; the one
//!   exception is a container's `save` mutex, which orders writes of its record.
//! - Long operations claim, work, publish: see `claim`.
//! - What has to be durable is: create (the record), `Starting{run}` before the program may run,
//!   `exit.json` (the monitor writes it), a removal. All else is found out again by `adopt`.

mod adopt;
mod attach;
mod claim;
mod create;
mod etc;
mod events;
mod exec;
mod filter;
mod health;
mod images;
mod info;
mod launch;
mod list;
mod logs;
mod names;
mod networks;
mod pause;
mod policy;
mod prune;
mod remove;
mod resolver;
mod slot;
mod start;
mod stats;
mod stop;
mod supervise;
mod top;
mod types;
mod update;
mod wait;

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::base::{Context, Digest, Error, Id, Kind, Lock, Result, atomic_file, is_shortage, tree};
use crate::container::Layout;
use crate::image;
use crate::network::{self, Networks};
use crate::runtime::cgroup::Cgroups;
pub use crate::runtime::cgroup::usage::{Cpu, Io, Memory, Usage};
pub use crate::runtime::handle::{AttachOptions, Attacher};
use crate::sys;
use crate::warn;

pub use crate::network::{Network, NewNetwork, NewRange};
pub use crate::runtime::init::Exec;
pub use events::EventStream;
use events::Events;
pub use exec::{ExecConfig, ExecSnapshot, ExecState};
pub use networks::NetworkView;
pub use prune::{ImageUsage, Pruned};
use slot::Slot;
pub use stats::{Interface, Sample, StatsStream};
pub use top::top_titles;
pub use types::*;
pub use wait::{UNKNOWN_CODE, Waiter};

/// Stack of the threads that supervise a container or delete files: they call little, and only
/// pages that are touched count.
const SMALL_STACK: usize = 256 << 10;

/// Name of the file in the data root with the id of this installation; as old as that.
const ID_FILE: &str = "id";

/// Name of the file in the data root that is given up for durable writes on a full disk.
const RESERVE: &str = "reserve";

/// The engine. Shared by all connection threads.
pub struct Engine {
    me: Weak<Engine>,
    options: Options,
    /// A random id of this installation.
    id: String,
    layout: Layout,
    images: image::Store,
    networks: Arc<Networks>,
    /// Orders changes of what running containers know of their networks.
    names: Lock<()>,
    cgroups: Cgroups,
    cpus: usize,
    containers: Lock<Containers>,
    events: Events,
    execs: exec::Execs,
    checks: health::Checks,
    endings: supervise::Endings,
    /// Held while we live: two daemons must not share a root.
    _root_lock: File,
}

/// All containers.
#[derive(Default)]
struct Containers {
    by_id: HashMap<Id, Arc<Slot>>,
    /// Names, also those of containers that are being made, with id and image.
    names: HashMap<String, (Id, Digest)>,
}

impl Engine {
    /// Opens the data root, adopts what still runs, cleans up what does not.
    ///
    /// # Errors
    /// When the root is in use by another daemon or cannot be read. A damaged container or image
    /// is quarantined and logged instead.
    pub fn open(options: Options) -> Result<Arc<Engine>> {
        make_dir(&options.root, 0o710)?;
        let root_lock = lock_root(&options.root)?;
        make_dir(&options.run_root, 0o700)?;
        atomic_file::set_reserve(options.root.join(RESERVE));
        atomic_file::make_reserve();
        let id = installation_id(&options.root)?;
        let layout = Layout::open(&options.root)?;
        let images = image::Store::open(&options.root)?;
        let networks = Networks::open(&network::Options {
            bridge: &options.bridge,
            table: &table_name(&options.run_root, &id),
            installation: &id,
            file: options.root.join("networks.json"),
            firewall: options.firewall,
            marker: options.run_root.join("firewall"),
        })?;
        let engine = Arc::new_cyclic(|me| Engine {
            me: Weak::clone(me),
            id,
            layout,
            images,
            networks,
            names: Lock::default(),
            cgroups: Cgroups::detect(),
            cpus: sys::host::cpus(),
            containers: Lock::default(),
            events: Events::open(&options.run_root),
            execs: exec::Execs::default(),
            checks: health::Checks::default(),
            endings: supervise::Endings::default(),
            _root_lock: root_lock,
            options,
        });
        engine.adopt()?;
        Ok(engine)
    }

    /// This engine, to be kept by a thread.
    fn me(&self) -> Arc<Engine> {
        self.me.upgrade().expect("an engine that is being called is alive")
    }

    /// The run-time files of a container.
    fn run_dir(&self, id: &Id) -> PathBuf {
        self.options.run_root.join(id.as_str())
    }

    /// Releases what a run of container `id` holds outside of its directory: processes, cgroups,
    /// address and ports, work directory, run directory. Needs only the id and may be called
    /// twice.
    fn release(&self, id: &Id) {
        self.cgroups.release(id);
        self.networks.release(id);
        let (work, run_dir) = (self.layout.work(id), self.run_dir(id));
        let removed = tree::remove(&work);
        let removed_too = self.without_health_files(|| tree::remove(&run_dir));
        for (left, removed) in [(work, removed), (run_dir, removed_too)] {
            if let Err(error) = removed {
                warn!("remove {}: {error}", left.display());
            }
        }
    }

    /// Runs `work` on a thread of its own with a small stack.
    fn spawn_thread(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
        std::thread::Builder::new()
            .name(name.to_owned())
            .stack_size(SMALL_STACK)
            .spawn(work)
            .map(drop)
            .context(|| format!("start a thread ({name})"))
    }
}

/// Name of the table of packet rules. Daemons of several roots may share a host's network, each
/// with a bridge of its own.
fn table_name(run_root: &Path, id: &str) -> String {
    match run_root.to_str() {
        Some("/run/skiff") => "skiff".to_owned(),
        _ => format!("skiff-{}", &id[..8]),
    }
}

fn make_dir(path: &Path, mode: u32) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .context(|| format!("make {}", path.display()))
}

fn lock_root(root: &Path) -> Result<File> {
    let path = root.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .context(|| format!("open {}", path.display()))?;
    match sys::lock::try_exclusive(file.as_fd()) {
        Ok(true) => Ok(file),
        Ok(false) => Err(Error::new(
            Kind::Unavailable,
            format!("{} is in use by another daemon", root.display()),
        )),
        Err(error) => Err(error).context(|| format!("lock {}", path.display())),
    }
}

/// Reads the id of this installation, or makes one. A damaged file is replaced.
fn installation_id(root: &Path) -> Result<String> {
    let path = root.join(ID_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) if Id::parse(text.trim()).is_some() => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) if is_shortage(&error) => {
            return Err(error).context(|| format!("read {}", path.display()));
        }
        _ => warn!("{} is damaged, a new id is made", path.display()),
    }
    let id = Id::random().to_string();
    atomic_file::write(&path, format!("{id}\n").as_bytes(), 0o600)
        .context(|| format!("write {}", path.display()))?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::Timestamp;
    use crate::container::{DiskState, Record};
    use crate::model::{HostConfig, RunConfig};

    /// A created container for tests.
    pub(super) fn record(name: &str) -> Record {
        Record {
            version: Record::VERSION,
            id: Id::random(),
            name: name.to_owned(),
            created: Timestamp::now(),
            image: Digest::of(b"image"),
            config: RunConfig {
                image: "busybox".into(),
                cmd: Some(vec!["sh".into()]),
                ..RunConfig::default()
            },
            host: HostConfig::default(),
            endpoints: BTreeMap::new(),
            mounts: Vec::new(),
            run: 0,
            restart_count: 0,
            stopped_by_user: false,
            state: DiskState::Created,
        }
    }

    #[test]
    fn the_id_of_the_installation_stays_and_a_damaged_one_is_replaced() {
        let root = std::env::temp_dir().join(format!("skiff-engine-id-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        let id = installation_id(&root).unwrap();
        assert_eq!(installation_id(&root).unwrap(), id);
        std::fs::write(root.join("id"), "\0\0").unwrap();
        assert_ne!(installation_id(&root).unwrap(), id);
        let lock = lock_root(&root).unwrap();
        assert_eq!(lock_root(&root).err().unwrap().kind(), Kind::Unavailable);
        drop(lock);
        std::fs::remove_dir_all(&root).unwrap();
    }
}

//! The names that a container knows, in files: what the daemon writes and its monitor reads.
//!
//! Two kinds of files, both replaced as a whole: one per network with everybody on it, and one
//! per container with what it alone knows: its networks, itself, its links, whom it asks about the
//! rest. Each line is a word that says what it is, and its values:
//!
//! ```text
//! network mine            name of the network          (network's file, first line)
//! at 172.18.0.2 web www   an address with its names    (both)
//! on 8a3f…                id of a network              (container's file)
//! alias store db          a name that means another    (container's file)
//! ask-inside 10.0.0.1     a server to be asked from within the container
//! ask 10.0.0.1            a server to be asked from the host
//! ask-host                those of the host are to be asked
//! ```
//!
//! A file is looked at again when its number, size or time has changed.

use std::fs::Metadata;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::dns::servers;

/// Directory of the networks' files, beside the run directories.
pub const DIR: &str = "networks";
/// Name of a container's file in its run directory.
pub const FILE: &str = "names";
/// Most servers that are asked.
const MOST_SERVERS: usize = 4;
/// Where the name server itself is found: nobody is sent there.
const OURSELVES: [u8; 4] = [127, 0, 0, 11];

/// The text of a file in the making.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    fn line(&mut self, key: &str, words: &[&str]) {
        self.0.push_str(key);
        // What could be taken for the next line is left out: it is no name of a host either.
        let clean = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic());
        for word in words.iter().filter(|word| clean(word)) {
            self.0.push(' ');
            self.0.push_str(word);
        }
        self.0.push('\n');
    }

    /// The name of the network.
    pub fn network(&mut self, name: &str) {
        self.line("network", &[name]);
    }

    /// An address and its names.
    pub fn at(&mut self, address: IpAddr, names: &[&str]) {
        let address = address.to_string();
        let mut words = vec![address.as_str()];
        words.extend(names);
        self.line("at", &words);
    }

    /// A network that the container is on.
    pub fn on(&mut self, id: &str) {
        self.line("on", &[id]);
    }

    /// A name that means another.
    pub fn alias(&mut self, alias: &str, name: &str) {
        self.line("alias", &[alias, name]);
    }

    /// A server to be asked from within the container's network.
    pub fn ask_inside(&mut self, server: &str) {
        self.line("ask-inside", &[server]);
    }

    /// A server to be asked from the host's network.
    pub fn ask(&mut self, server: &str) {
        self.line("ask", &[server]);
    }

    /// The host's own servers are to be asked.
    pub fn ask_host(&mut self) {
        self.line("ask-host", &[]);
    }

    /// Replaces the file at `path` by this text, unless it says the same. Not synced: it does not
    /// outlive the run.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if std::fs::read(path).is_ok_and(|there| there == self.0.as_bytes()) {
            return Ok(());
        }
        let new = path.with_extension("new");
        std::fs::write(&new, &self.0)?;
        std::fs::rename(&new, path)
    }
}

/// Whom to ask, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// From within the container's network, instead of the host's.
    pub inside: bool,
}

/// A file, as it was when it was read last.
#[derive(Debug)]
struct Cached {
    path: PathBuf,
    stamp: Option<[u64; 4]>,
    text: String,
}

fn stamp(file: &Metadata) -> [u64; 4] {
    let (seconds, nanos) = (file.mtime(), file.mtime_nsec());
    [file.ino(), file.len(), seconds.unsigned_abs(), nanos.unsigned_abs()]
}

impl Cached {
    fn new(path: PathBuf) -> Cached {
        Cached { path, stamp: None, text: String::new() }
    }

    /// Reads it again if it has changed; whether it has. One that is gone is empty.
    fn refresh(&mut self) -> bool {
        let now = std::fs::metadata(&self.path).ok().map(|file| stamp(&file));
        if now == self.stamp {
            return false;
        }
        // Before the text: what changes in between is found the next time.
        self.stamp = now;
        self.text = std::fs::read_to_string(&self.path).unwrap_or_default();
        true
    }

    /// The values of the lines that begin with `key`.
    fn lines<'t>(&'t self, key: &'t str) -> impl Iterator<Item = &'t str> {
        let values = move |line: &'t str| line.strip_prefix(key)?.strip_prefix(' ');
        self.text.lines().filter_map(values)
    }

    /// The addresses whose names include `name`.
    fn addresses<'t>(&'t self, name: &'t str) -> impl Iterator<Item = IpAddr> + 't {
        self.lines("at").filter_map(move |line| {
            let mut words = line.split(' ');
            let address = words.next()?.parse().ok()?;
            words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
        })
    }
}

/// All that a container knows.
#[derive(Debug)]
pub struct Names {
    own: Cached,
    /// Directory of the networks' files.
    dir: PathBuf,
    networks: Vec<Cached>,
    host: Cached,
}

impl Names {
    /// What the files in `run_dir` and, of networks, in `dir` say.
    pub fn new(run_dir: &Path, dir: &Path) -> Names {
        let own = Cached::new(run_dir.join(FILE));
        let host = Cached::new(servers::RESOLV_CONF.into());
        Names { own, dir: dir.to_owned(), networks: Vec::new(), host }
    }

    /// Looks at all files that are not as they were.
    pub fn refresh(&mut self) {
        if self.own.refresh() {
            let paths = self.own.lines("on").filter(|id| !id.contains('/'));
            self.networks = paths.map(|id| Cached::new(self.dir.join(id))).collect();
        }
        for network in &mut self.networks {
            network.refresh();
        }
    }

    /// The addresses of a name; `None` when there is no such name here.
    pub fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let alias = self.own.lines("alias").find_map(|line| {
            let (alias, meant) = line.split_once(' ')?;
            alias.eq_ignore_ascii_case(name).then_some(meant)
        });
        let name = alias.unwrap_or(name);
        let mut found: Vec<IpAddr> = self.own.addresses(name).collect();
        for network in &self.networks {
            let mut add = |name: &str| {
                for address in network.addresses(name) {
                    if !found.contains(&address) {
                        found.push(address);
                    }
                }
            };
            add(name);
            // With the network's name behind it.
            let suffix = network.lines("network").next().unwrap_or_default();
            let bare = name.len().checked_sub(suffix.len() + 1);
            if let Some((bare, rest)) = bare.and_then(|at| name.split_at_checked(at)) {
                if !suffix.is_empty()
                    && rest[1..].eq_ignore_ascii_case(suffix)
                    && rest.starts_with('.')
                {
                    add(bare);
                }
            }
        }
        (!found.is_empty()).then_some(found)
    }

    /// The name of an address, with that of its network.
    pub fn name_of(&self, address: IpAddr) -> Option<String> {
        let text = address.to_string();
        self.networks.iter().find_map(|network| {
            let line = network.lines("at").find(|line| line.split(' ').next() == Some(&text))?;
            let name = line.split(' ').nth(1)?;
            let of = network.lines("network").next().unwrap_or_default();
            Some(format!("{name}.{of}"))
        })
    }

    /// Whom to ask about what is not here: the host's servers as they are at this moment.
    pub fn servers(&mut self) -> Vec<Server> {
        let mut found = Vec::new();
        let mut add = |server: &str, inside| {
            let address = servers::socket_address(server);
            let server = address.map(|address| Server { address, inside });
            let ourselves = |s: &Server| s.inside && s.address.ip() == IpAddr::from(OURSELVES);
            found.extend(server.filter(|server| !ourselves(server)));
        };
        self.own.lines("ask-inside").for_each(|server| add(server, true));
        self.own.lines("ask").for_each(|server| add(server, false));
        if self.own.text.lines().any(|line| line == "ask-host") {
            self.host.refresh();
            let mut count = 0;
            for server in servers::words(&self.host.text, "nameserver") {
                add(server, false);
                count += 1;
            }
            if count == 0 {
                servers::FALLBACK.iter().for_each(|server| add(server, false));
            }
        }
        found.truncate(MOST_SERVERS);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_and_read_again_when_they_change() {
        let dir = std::env::temp_dir().join(format!("skiff-names-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut own = Text::default();
        own.on("n1");
        own.on("../n2");
        own.at(ip("10.0.0.2"), &["me"]);
        own.alias("store", "DB");
        own.ask_inside("10.0.0.9");
        own.ask_inside("127.0.0.11");
        own.ask("1.1.1.1");
        own.write(&dir.join(FILE)).unwrap();
        let network = |last: u8| {
            let mut text = Text::default();
            text.network("mine");
            text.at(ip("10.0.0.2"), &["me", "Web"]);
            text.at(IpAddr::from([10, 0, 0, last]), &["db", "web", "a b", "x\ny"]);
            text.at(ip("fd00::3"), &["db"]);
            text.write(&dir.join("n1")).unwrap();
        };
        network(3);
        let mut names = Names::new(&dir, &dir);
        names.refresh();
        assert_eq!(names.networks.len(), 1);
        assert_eq!(names.addresses("me"), Some(vec![ip("10.0.0.2")]));
        assert_eq!(names.addresses("web"), Some(vec![ip("10.0.0.2"), ip("10.0.0.3")]));
        for name in ["db", "store", "STORE", "db.mine", "DB.Mine"] {
            let found = names.addresses(name);
            assert_eq!(found, Some(vec![ip("10.0.0.3"), ip("fd00::3")]), "{name}");
        }
        for name in ["", "mine", ".mine", "dbxmine", "a", "x", "db.mine.mine", "é"] {
            assert_eq!(names.addresses(name), None, "{name}");
        }
        assert_eq!(names.name_of(ip("10.0.0.3")).unwrap(), "db.mine");
        assert_eq!(names.name_of(ip("10.0.0.33")), None);
        let asked: Vec<_> =
            names.servers().iter().map(|s| (s.address.to_string(), s.inside)).collect();
        assert_eq!(asked, [("10.0.0.9:53".into(), true), ("1.1.1.1:53".into(), false)]);
        network(44);
        names.refresh();
        assert_eq!(names.addresses("db"), Some(vec![ip("10.0.0.44"), ip("fd00::3")]));
        std::fs::remove_file(dir.join("n1")).unwrap();
        names.refresh();
        assert_eq!(names.addresses("db"), None);
        let mut own = Text::default();
        own.ask_host();
        own.write(&dir.join(FILE)).unwrap();
        names.refresh();
        assert!(names.networks.is_empty());
        names.host.path = dir.join("resolv.conf");
        assert_eq!(names.servers()[0].address.to_string(), "8.8.8.8:53");
        std::fs::write(dir.join("resolv.conf"), "nameserver ::1\nnameserver x\n").unwrap();
        assert_eq!(names.servers()[0].address.to_string(), "[::1]:53");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

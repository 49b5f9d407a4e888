//! What the kernel shows of this process: its command line, its environment, its name. proc(5).

use std::io;

/// Where the kernel finds the command line and the environment that it shows of this process.
#[derive(Debug)]
pub struct Title {
    arguments: std::ops::Range<usize>,
    environment: std::ops::Range<usize>,
}

impl Title {
    /// Looks it up in /proc/self/stat. proc(5).
    ///
    /// # Errors
    /// When there is no /proc.
    pub fn find() -> io::Result<Title> {
        Title::parse(&std::fs::read_to_string("/proc/self/stat")?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "odd /proc/self/stat"))
    }

    /// Fields 48 to 51; what follows the last parenthesis begins with field 3.
    fn parse(stat: &str) -> Option<Title> {
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace().skip(45).map_while(|f| f.parse().ok());
        let mut range = || Some(fields.next()?..fields.next()?);
        Some(Title { arguments: range()?, environment: range()? })
    }

    /// Shows `name` as the whole command line, as far as there is room, and no environment.
    /// prctl(2), PR_SET_NAME.
    ///
    /// By contract nobody looks at arguments or environment any more.
    pub fn set(self, name: &str) {
        let bytes = name.bytes().chain(std::iter::repeat(0));
        // The last byte stays zero.
        let shown = self.arguments.start..self.arguments.end.saturating_sub(1);
        for (address, byte) in shown.zip(bytes).chain(self.environment.map(|at| (at, 0))) {
            // SAFETY: the addresses are those of the strings that the kernel has put onto our
            // stack at exec, mapped and writable for as long as we live; no reference to them is
            // held: the standard library copies out of them.
            unsafe { std::ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(byte) };
        }
        let mut short = [0_u8; 16];
        for (to, from) in short.iter_mut().zip(name.bytes().take(15)) {
            *to = from;
        }
        // SAFETY: PR_SET_NAME reads at most 16 bytes of a string that ends within them.
        unsafe { libc::prctl(libc::PR_SET_NAME, short.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_found_behind_any_name() {
        let rest: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a) b) S {}\n", rest.join(" "));
        let Title { arguments, environment } = Title::parse(&stat).unwrap();
        assert_eq!((arguments, environment), (48..49, 50..51));
        assert!(Title::parse("7 (a) S 1 2").is_none());
        assert!(Title::find().is_ok());
    }
}

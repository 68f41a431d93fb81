//! Wrong clocks, made with libfaketime, one for each process.

use std::path::{Path, PathBuf};

/// A process's clock. The library reads the clock's error from a file every second.
#[derive(Debug)]
pub struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// A clock that is right; `None` where libfaketime is not installed.
    pub fn new(directory: &Path, name: &str) -> Option<Self> {
        let clock = Self {
            file: directory.join(name),
            library: library()?,
        };
        clock.set(0);
        Some(clock)
    }

    /// Moves the clock this many seconds forward, or back.
    pub fn set(&self, seconds: i64) {
        // Replaces the file as a whole, so that the library never reads half of a number.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n"))
            .and_then(|()| std::fs::rename(&new, &self.file))
            .expect("the file of a clock can be written");
    }

    /// The environment variables that the process needs.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            // Clocks that people set are sometimes wrong; the clock that counts from boot is not.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}

/// Where distributions install the library.
fn library() -> Option<PathBuf> {
    const NAME: &str = "faketime/libfaketimeMT.so.1";
    let within = std::fs::read_dir("/usr/lib").ok()?.flatten();
    within
        .map(|entry| entry.path())
        .chain(["/usr/lib".into(), "/usr/lib64".into()])
        .map(|directory| directory.join(NAME))
        .find(|library| library.is_file())
}

/// Whether this machine has libfaketime.
pub fn can_be_wrong() -> bool {
    library().is_some()
}

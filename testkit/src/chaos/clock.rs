//! Clocks that can be wrong, by way of libfaketime, for one process each.

use std::path::{Path, PathBuf};

/// A process's clock: how far it is off stands in a file that the library reads every second.
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

    /// Puts it forward, or back, by so many seconds.
    pub fn set(&self, seconds: i64) {
        // Replaced as a whole: the library must not read half of a number.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n"))
            .and_then(|()| std::fs::rename(&new, &self.file))
            .expect("the file of a clock can be written");
    }

    /// What a process has to be started with.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            // Clocks that people set are wrong at times; the one that counts from boot is not.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}

/// Where distributions put the library.
fn library() -> Option<PathBuf> {
    const NAME: &str = "faketime/libfaketimeMT.so.1";
    let within = std::fs::read_dir("/usr/lib").ok()?.flatten();
    within
        .map(|entry| entry.path())
        .chain(["/usr/lib".into(), "/usr/lib64".into()])
        .map(|directory| directory.join(NAME))
        .find(|library| library.is_file())
}

/// Whether clocks can be made wrong on this machine.
pub fn can_be_wrong() -> bool {
    library().is_some()
}

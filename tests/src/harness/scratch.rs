//! A private folder for one part of one test, removed with its guard. What a killed test process left is removed by the next.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process,
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
};

use super::HarnessError;

const PREFIX: &str = "lockstep-tests-";

/// Numbers folders and unfinished files.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A private folder that is removed with this guard.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes a folder whose name ends with `name`.
    pub fn new(name: &str) -> Result<Self, HarnessError> {
        static SWEEP: Once = Once::new();
        let base = std::env::temp_dir();
        SWEEP.call_once(|| sweep(&base));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("{PREFIX}{}-{number}-{name}", process::id()));
        fs::create_dir(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        Ok(Self(path))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file that the owner alone may read, and returns where it is. A program that reads it meanwhile finds it whole.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf, HarnessError> {
        let (path, unfinished) = (self.0.join(name), self.0.join(format!("{name}.{}", NEXT.fetch_add(1, Ordering::Relaxed))));
        fs::write(&unfinished, content)?;
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600))?;
        fs::rename(&unfinished, &path)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover is swept by the next run, so a failure here costs nothing.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Removes the folders of test processes that no longer live.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(owner) = name.to_str().and_then(owner) else {
            continue;
        };
        if !Path::new("/proc").join(owner).exists() {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

/// The process id in a folder's name, where the folder is one of ours.
fn owner(name: &str) -> Option<&str> {
    let (id, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    (!id.is_empty() && id.bytes().all(|digit| digit.is_ascii_digit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_folders_have_an_owner() {
        assert_eq!(owner("lockstep-tests-42-0-redis"), Some("42"));
        for foreign in ["lockstep-tests-x-0", "lockstep-tests-42", "lockstep-42-0", "", "lockstep-tests--0"] {
            assert_eq!(owner(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_folder_goes_with_its_guard() {
        let scratch = Scratch::new("gone").unwrap();
        let path = scratch.path().to_owned();
        scratch.write("secret", "x").unwrap();
        assert!(path.join("secret").exists());

        drop(scratch);

        assert!(!path.exists());
    }
}

//! Files that appear complete or not at all: they are written beside their place and moved there at the end. What was
//! there before is replaced only when the user says so. Ctrl-C takes the unfinished away.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, anyhow, bail};
use tempfile::{Builder, TempDir};

use super::console::tell_error;

/// Folders that are not finished. Locked while one moves to its place, so that an interrupt comes before or after.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// What shells expect of a program that Ctrl-C ended: 128 and the signal's number.
const INTERRUPTED_CODE: i32 = 130;
/// Beginning of the names of unfinished folders.
const PREFIX: &str = ".spillcast-";

/// What to say beside "interrupted".
static KEPT: Mutex<String> = Mutex::new(String::new());

/// Has Ctrl-C say what is kept.
pub(super) fn say_when_interrupted(text: String) {
    *KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = text;
}

/// Has Ctrl-C remove a folder.
pub(super) fn remove_when_interrupted(path: &Path) {
    UNFINISHED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(path.to_owned());
}

/// Makes Ctrl-C (and a polite kill) remove what is unfinished and end the process.
pub(super) fn clean_up_when_interrupted() {
    let handler = move || {
        INTERRUPTED.store(true, Ordering::SeqCst);
        let unfinished = UNFINISHED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for path in unfinished.iter() {
            // The main thread may still be adding files.
            for _ in 0..100 {
                if fs::remove_dir_all(path).is_ok() || !path.exists() {
                    break;
                }
            }
        }
        let kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let more = if kept.is_empty() { String::new() } else { format!("; {kept}") };
        tell_error(&format!("interrupted{more}"));
        end_interrupted();
    };
    // Fails only if a handler is set already; then Ctrl-C ends the process as it always does.
    let _ = ctrlc::set_handler(handler);
}

#[expect(clippy::exit, reason = "the main thread is busy with work that nobody wants any more")]
fn end_interrupted() {
    std::process::exit(INTERRUPTED_CODE);
}

/// Stops here if the process is being interrupted: an error may only be the consequence.
pub(super) fn wait_if_interrupted() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

/// A folder under way.
#[derive(Debug)]
pub(super) struct Unfinished {
    temporary: Option<TempDir>,
    target: PathBuf,
    /// The target is a folder that is already there; otherwise the temporary one becomes it.
    exists: bool,
    force: bool,
}

impl Unfinished {
    /// Prepares to write `files` into the folder `target`. Fails at once where writing would fail at the end.
    pub(super) fn folder(target: &Path, files: &[&str], force: bool) -> anyhow::Result<Self> {
        let exists = match fs::metadata(target) {
            Ok(found) if found.is_dir() => true,
            Ok(_) => bail!("{}: is a file; --out needs a folder", target.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error).with_context(|| cannot_write(target)),
        };
        refuse_existing(target, files, force)?;
        let place = if exists { target } else { nearest_folder(target) };
        Self::start(target, place, exists, force)
    }

    /// Prepares to write the single file `target`.
    pub(super) fn file(target: &Path, force: bool) -> anyhow::Result<Self> {
        let Some(name) = target.file_name().and_then(|name| name.to_str()) else {
            bail!("{}: is no file name", target.display());
        };
        if name == "-" {
            bail!("-: this goes into a file, not to standard output; name one");
        }
        if target.is_dir() {
            bail!("{}: is a folder; name a file in it", target.display());
        }
        let folder = target.parent().unwrap_or(Path::new(""));
        refuse_existing(folder, &[name], force)?;
        let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if !place.is_dir() {
            bail!("{}: cannot write here: there is no folder {}", target.display(), place.display());
        }
        Self::start(folder, place, true, force)
    }

    fn start(target: &Path, place: &Path, exists: bool, force: bool) -> anyhow::Result<Self> {
        let mut builder = Builder::new();
        builder.prefix(PREFIX);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Less what the user's umask takes away, as for any folder.
            builder.permissions(fs::Permissions::from_mode(0o777));
        }
        let mut unfinished = UNFINISHED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let temporary = builder
            .tempdir_in(place)
            // The path of the temporary folder, which the error names, means nothing to the user.
            .map_err(|error| {
                let why = error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error);
                anyhow!("{}: {why}", cannot_write(target))
            })?;
        unfinished.push(temporary.path().to_owned());
        Ok(Self { temporary: Some(temporary), target: target.to_owned(), exists, force })
    }

    /// Writes one of the files.
    pub(super) fn write(
        &self,
        name: &str,
        content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let folder = self.temporary.as_ref().map_or(self.target.as_path(), TempDir::path);
        let write = || {
            let mut out = BufWriter::new(File::create_new(folder.join(name))?);
            content(&mut out)?;
            out.flush()
        };
        write().with_context(|| {
            format!("{}: cannot write (nothing is left of it)", self.target.join(name).display())
        })
    }

    /// Moves everything to its place.
    pub(super) fn publish(mut self) -> anyhow::Result<()> {
        let _not_now = UNFINISHED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(temporary) = self.temporary.take() else { return Ok(()) };
        if self.exists {
            let mut names = Vec::new();
            for entry in fs::read_dir(temporary.path()).with_context(|| cannot_write(&self.target))? {
                names.push(entry.with_context(|| cannot_write(&self.target))?.file_name());
            }
            let texts: Vec<_> = names.iter().filter_map(|name| name.to_str()).collect();
            refuse_existing(&self.target, &texts, self.force)?;
            for name in names {
                let place = self.target.join(&name);
                fs::rename(temporary.path().join(&name), &place).with_context(|| cannot_write(&place))?;
            }
            return Ok(());
        }
        if let Some(parent) = self.target.parent() {
            fs::create_dir_all(parent).with_context(|| cannot_write(&self.target))?;
        }
        fs::rename(temporary.path(), &self.target).with_context(|| cannot_write(&self.target))?;
        // It is not there any more; nothing is to be removed.
        let _ = temporary.keep();
        Ok(())
    }
}

fn refuse_existing(folder: &Path, files: &[&str], force: bool) -> anyhow::Result<()> {
    for path in files.iter().map(|name| folder.join(name)) {
        // A folder in the place of a file would stop the moving halfway.
        match path.is_dir() {
            true => bail!("{}: is a folder, in the place of a file; move it away", path.display()),
            false if !force && path.exists() => {
                bail!("{}: is already there; --force replaces it", path.display())
            }
            false => {}
        }
    }
    Ok(())
}

fn cannot_write(target: &Path) -> String {
    format!("{}: cannot write here", target.display())
}

/// The folder nearest to `target` that is there, which is on the same file system as what will be.
fn nearest_folder(target: &Path) -> &Path {
    target
        .ancestors()
        .skip(1)
        .map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        .find(|folder| folder.exists())
        .unwrap_or(Path::new("."))
}

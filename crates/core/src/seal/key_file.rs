//! Key files: one line each, readable by their owner alone.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::{OpeningKey, SealError, SigningKey};

/// Name of the file with the signing key.
pub const SIGNING_FILE: &str = "signing.key";
/// Name of the file with the keyholder's opening key.
pub const OPENING_FILE: &str = "opening.key";

const SIGNING: &str = "tributary-secret-ed25519:";
const OPENING: &str = "tributary-secret-x25519:";

/// Why a key file cannot be used. Never holds the key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Not there, or not to be read or written.
    #[error("{path}: {error}; `tributary site keygen` and `tributary keyholder keygen` make keys", path = path.display())]
    File {
        /// File.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Others can read it.
    #[error("{path}: others can read this key; run `chmod 600` on it", path = path.display())]
    Exposed {
        /// File.
        path: PathBuf,
    },
    /// Another form.
    #[error("{path}: this is not a key file of the expected kind", path = path.display())]
    Form {
        /// File.
        path: PathBuf,
    },
    /// The key itself.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Writes a signing key to a new file of mode 0600.
///
/// # Errors
/// If the file exists or cannot be written.
pub fn write_signing(folder: &Path, key: &SigningKey) -> Result<PathBuf, KeyFileError> {
    write(&folder.join(SIGNING_FILE), SIGNING, &key.secret())
}

/// Writes an opening key to a new file of mode 0600.
///
/// # Errors
/// If the file exists or cannot be written.
pub fn write_opening(folder: &Path, key: &OpeningKey) -> Result<PathBuf, KeyFileError> {
    write(&folder.join(OPENING_FILE), OPENING, &key.secret())
}

/// Reads the signing key of a folder.
///
/// # Errors
/// If it is not there, others can read it, or it is something else.
pub fn read_signing(folder: &Path) -> Result<SigningKey, KeyFileError> {
    Ok(SigningKey::of(&*read(&folder.join(SIGNING_FILE), SIGNING)?))
}

/// Reads the opening key of a folder.
///
/// # Errors
/// If it is not there, others can read it, or it is something else.
pub fn read_opening(folder: &Path) -> Result<OpeningKey, KeyFileError> {
    Ok(OpeningKey::of(&*read(&folder.join(OPENING_FILE), OPENING)?)?)
}

fn write(path: &Path, prefix: &str, secret: &[u8; 32]) -> Result<PathBuf, KeyFileError> {
    let in_file = |error| KeyFileError::File { path: path.to_owned(), error };
    let line = Zeroizing::new(format!("{prefix}{}\n", Base64::encode_string(secret)));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(in_file)?;
    file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(in_file)?;
    Ok(path.to_owned())
}

fn read(path: &Path, prefix: &str) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let in_file = |error| KeyFileError::File { path: path.to_owned(), error };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(path).map_err(in_file)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed { path: path.to_owned() });
        }
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(in_file)?);
    let form = || KeyFileError::Form { path: path.to_owned() };
    let mut bytes = Zeroizing::new([0; 32]);
    let body = text.trim().strip_prefix(prefix).ok_or_else(form)?;
    let found = Base64::decode(body, &mut *bytes).map_err(|_| form())?.len();
    if found == 32 { Ok(bytes) } else { Err(form()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::of(&[5; 32]);
        let path = write_signing(folder.path(), &key).unwrap();
        assert_eq!(read_signing(folder.path()).unwrap().public(), key.public());
        assert!(write_signing(folder.path(), &key).is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            let exposed = read_signing(folder.path()).unwrap_err().to_string();
            assert!(exposed.contains("chmod 600"), "{exposed}");
        }
        let opening = write_opening(folder.path(), &OpeningKey::of(&[6; 32]).unwrap()).unwrap();
        fs::rename(opening, &path).unwrap();
        assert!(matches!(read_signing(folder.path()), Err(KeyFileError::Form { .. })));
    }
}

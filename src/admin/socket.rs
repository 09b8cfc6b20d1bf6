//! The socket of the operator: a file that its owner and its group may open, and nobody else.

use std::{
    fs::{self, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
};

use actix_rt::net::UnixListener;
use socket2::{Domain, SockAddr, Socket, Type};

/// Who may open it.
const MODE: u32 = 0o660;
/// Connections that wait until they are accepted.
const BACKLOG: i32 = 16;

/// The socket, removed when dropped.
#[derive(Debug)]
pub struct AdminSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Listens at `path`, in the place of a socket that a relay has left there. Nobody can connect before
    /// its mode is set, whatever the umask. Must run in an actix system.
    ///
    /// # Errors
    ///
    /// The system's own; `AddrInUse` where a relay answers there, or the file is no socket.
    pub fn bind(path: &Path) -> io::Result<Self> {
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            listener: UnixListener::from_std(socket.into())?,
            path: path.to_owned(),
        })
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // A socket that stays is in nobody's way.
        let _ = fs::remove_file(&self.path);
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let in_use = |what: &str| Err(io::Error::new(ErrorKind::AddrInUse, what.to_owned()));
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(file) if !file.file_type().is_socket() => in_use("what is there is no socket"),
        Ok(_) => match knock(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
            // Nobody has accepted those who came before.
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => in_use("another relay answers there"),
        },
    }
}

/// Connects there, without waiting for anybody.
fn knock(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn it_is_for_its_owner_and_group_and_goes_with_its_relay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        let error = AdminSocket::bind(&path).unwrap_err();
        assert_eq!(error.to_string(), "another relay answers there");
        drop(socket);
        assert!(!path.exists());
    }

    #[actix_rt::test]
    async fn one_that_is_busy_is_in_use_and_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let waiting: Vec<_> = std::iter::repeat_with(|| knock(&path))
            .take_while(Result::is_ok)
            .take(100)
            .collect();
        assert!(waiting.len() < 100, "it never has enough");
        let error = AdminSocket::bind(&path).unwrap_err();
        assert_eq!(error.to_string(), "another relay answers there");
        // One for datagrams is somebody else's.
        drop(socket);
        fs::remove_file(&path).unwrap();
        let _other = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        assert!(AdminSocket::bind(&path).is_err());
        assert!(path.exists());
    }

    #[actix_rt::test]
    async fn one_that_a_relay_has_left_is_replaced_and_no_other_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(AdminSocket::bind(&path).unwrap());
        fs::write(&path, "not ours").unwrap();
        let error = AdminSocket::bind(&path).unwrap_err();
        assert_eq!(error.to_string(), "what is there is no socket");
        assert_eq!(fs::read_to_string(&path).unwrap(), "not ours");
    }
}

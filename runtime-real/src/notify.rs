//! Tells systemd how this service does, if it was started by it: `sd_notify(3)`, which is a datagram to the socket that
//! `NOTIFY_SOCKET` names.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service is ready.
pub(crate) const READY: &str = "READY=1";
/// It stops in order.
pub(crate) const STOPPING: &str = "STOPPING=1";

/// Says it to whoever started this process, if he wants to hear it.
pub(crate) fn tell(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(path.as_bytes(), state) {
        tracing::warn!("systemd cannot be told {state}: {error}");
    }
}

/// A name that begins with `@` is in the abstract namespace.
fn send(name: &[u8], state: &str) -> io::Result<()> {
    let address = match name {
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name)?,
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let len = socket.recv(&mut bytes).expect("a datagram");
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }

    #[test]
    fn a_socket_is_told_whether_it_has_a_path_or_an_abstract_name() {
        let path = env::temp_dir().join(format!("mneme-notify-{}", std::process::id()));
        let socket = UnixDatagram::bind(&path).expect("a socket");
        send(path.as_os_str().as_bytes(), READY).expect("it listens");
        assert_eq!(heard(&socket), "READY=1");
        let _ = std::fs::remove_file(&path);
        assert!(send(path.as_os_str().as_bytes(), READY).is_err(), "nobody listens any more");

        let name = format!("mneme-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        send(format!("@{name}").as_bytes(), STOPPING).expect("it listens");
        assert_eq!(heard(&socket), "STOPPING=1");
    }
}

//! Which process has dialled: Linux lists each connection with its socket's number, and each process with its sockets.

use std::net::{SocketAddr, TcpStream};
use std::{fs, io};

/// Which of these processes has the other end of a connection on this machine; `None` if that is somebody else, or where
/// there is no `/proc`.
pub fn of(stream: &TcpStream, processes: &[Option<u32>]) -> Option<usize> {
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let socket = socket_of(&table, stream.peer_addr().ok()?, stream.local_addr().ok()?)?;
    let has_it = |process: &Option<u32>| process.is_some_and(|id| has_open(id, &socket).unwrap_or(false));
    processes.iter().position(has_it)
}

/// The socket of the end at `here`, as `/proc/PID/fd` calls it.
fn socket_of(table: &str, here: SocketAddr, there: SocketAddr) -> Option<String> {
    let (here, there) = (listed(here)?, listed(there)?);
    let inode = table.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        match columns.as_slice() {
            [_, local, remote, _, _, _, _, _, _, inode, ..] if *local == here && *remote == there => Some(*inode),
            _ => None,
        }
    })?;
    Some(format!("socket:[{inode}]"))
}

/// An address as the table has it: the bytes as this machine reads them as a number, in hexadecimal.
fn listed(address: SocketAddr) -> Option<String> {
    match address {
        SocketAddr::V4(address) => {
            Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port()))
        }
        SocketAddr::V6(_) => None,
    }
}

fn has_open(process: u32, socket: &str) -> io::Result<bool> {
    let files = fs::read_dir(format!("/proc/{process}/fd"))?;
    Ok(files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == socket)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process;

    use super::*;

    #[test]
    fn who_has_dialled_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let _dialled = TcpStream::connect(listener.local_addr().expect("it")).expect("it listens");
        let (accepted, _) = listener.accept().expect("dialled");
        assert_eq!(of(&accepted, &[Some(1), None, Some(process::id())]), Some(2));
        assert_eq!(of(&accepted, &[None, Some(1)]), None);
    }
}

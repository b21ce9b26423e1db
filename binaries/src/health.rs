//! `--healthcheck`: asks the server that was started with these settings whether it is ready. For images, which have no
//! other program that could.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer that are looked at; what the server says is shorter.
const LONGEST: u64 = 4096;

/// Prints what `/readyz` says; succeeds if that is 200.
pub fn check(admin_listen: SocketAddr) -> ExitCode {
    match ask(reachable(admin_listen)) {
        Ok((true, text)) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Ok((false, text)) => {
            eprintln!("not ready: {text}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("not ready: nothing answers at {admin_listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// An address at which a server is to be reached that listens there.
fn reachable(listened: SocketAddr) -> SocketAddr {
    let ip = match listened.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listened.port())
}

/// Whether it is ready, and what it says.
fn ask(address: SocketAddr) -> io::Result<(bool, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    Ok((status == "200", body.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn answered(answer: &'static str) -> (bool, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            // All of it: what is closed with something unread is reset, and the answer with it.
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).expect("a whole request");
                request.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).expect("it listens");
        });
        let told = ask(address).expect("an answer");
        server.join().expect("it ends");
        told
    }

    #[test]
    fn what_the_server_says_is_told() {
        let ok = answered("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n");
        assert_eq!(ok, (true, "ok".to_owned()));
        let not = answered("HTTP/1.1 503 Service Unavailable\r\n\r\nstopping\n");
        assert_eq!(not, (false, "stopping".to_owned()));
        assert_eq!(answered(""), (false, String::new()));
    }

    #[test]
    fn a_server_that_listens_everywhere_is_asked_here() {
        for (listened, asked) in [("0.0.0.0:9", "127.0.0.1:9"), ("[::]:9", "[::1]:9"), ("10.0.0.1:9", "10.0.0.1:9")] {
            let listened: SocketAddr = listened.parse().expect("an address");
            assert_eq!(reachable(listened).to_string(), asked);
        }
    }
}
